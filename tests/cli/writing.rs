//! Full disks, kills, foreign folders, outputs that are inputs: what was there stays.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    command, hallmark,
    support::{CONTEXT, Scene, Snapshot, credit, credit_build, limit, run, snapshot},
};

/// A `compile` that makes other files than those of the scene's build.
fn compile_anew(folder: &Path) -> std::process::Command {
    let data = credit("calibration.json");
    command!("compile", credit("credit.onnx"), "--data", data, "--precision", "20", "-o", folder)
}

#[test]
fn a_full_disk_leaves_the_old_build() {
    let scene = Scene::new();
    // Less than the proving key takes, then less than anything takes.
    for (bytes, file) in [(1 << 16, "proving.key"), (16, "")] {
        let ended = scene.untouched(|| run(limit(&mut compile_anew(&scene.folder()), libc::RLIMIT_FSIZE, bytes)));
        ended.fails(1, &["cannot write", file, "File too large", "untouched"]);
    }
    scene.verify(&scene.proof()).succeeds();

    let input = credit("applicant.json");
    let prove = || command!("prove", scene.folder(), "--input", &input, "-o", scene.proof(), "--context", CONTEXT);
    let ended = scene.untouched(|| run(limit(&mut prove(), libc::RLIMIT_FSIZE, 100)));
    ended.fails(1, &["proof.json", "File too large", "the old file is untouched"]);

    let srs = scene.file("test.srs", "old");
    let mut generate = command!("srs", "generate-unsafe", "-k", "11", "-o", &srs);
    let ended = scene.untouched(|| run(limit(&mut generate, libc::RLIMIT_FSIZE, 1 << 16)));
    ended.fails(1, &["test.srs", "File too large", "the old file is untouched"]);
}

#[test]
fn a_full_device_is_an_error() {
    let scene = Scene::new();
    let input = credit("applicant.json");
    let full = "/dev/full";
    let prove = hallmark!("prove", scene.folder(), "--input", input, "-o", full, "--context", CONTEXT);
    prove.fails(1, &["cannot write /dev/full", "No space left"]);
    let calldata = hallmark!("calldata", scene.folder(), scene.proof(), "-o", full);
    calldata.fails(1, &["cannot write /dev/full", "No space left"]);
}

/// Waits until a work folder stands beside the target, or the process has ended.
fn wait_for_work_folder(root: &Path, child: &mut Child) {
    let working = || {
        let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name());
        names.into_iter().any(|name| name.to_string_lossy().contains(".hallmark-"))
    };
    while !working() && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_micros(200));
    }
}

/// What Ctrl-C sends, and what nothing can answer.
const SIGNALS: [libc::c_int; 2] = [libc::SIGINT, libc::SIGKILL];

/// Sends a signal to a child that has not been reaped.
fn send(signal: libc::c_int, child: &Child) {
    // SAFETY: the child is ours and has not been waited for, so the number is still its own
    assert_eq!(unsafe { libc::kill(libc::pid_t::try_from(child.id()).unwrap(), signal) }, 0);
}

#[test]
fn a_killed_prover_leaves_a_proof_or_none() {
    let scene = Scene::new();
    let input = credit("applicant.json");
    let prove = || command!("prove", scene.folder(), "--input", &input, "-o", scene.proof(), "--context", CONTEXT);
    // of a process that was killed between writing and renaming
    fs::write(scene.path(".proof.json.k1lled.hallmark-tmp"), "half").unwrap();
    let (mut absent, mut complete) = (0, 0);
    for signal in SIGNALS {
        for milliseconds in [0, 20, 60, 120, 200, 400, 3_000] {
            let _ = fs::remove_file(scene.proof());
            let mut child = prove().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let deadline = Instant::now() + Duration::from_millis(milliseconds);
            while Instant::now() < deadline && !scene.proof().exists() {
                thread::sleep(Duration::from_micros(200));
            }
            send(signal, &child);
            child.wait().unwrap();
            match scene.proof().exists() {
                true => {
                    scene.verify(&scene.proof()).succeeds();
                    complete += 1;
                }
                false => absent += 1,
            }
        }
    }
    assert!(absent > 0 && complete > 0, "{absent} absent, {complete} complete");

    run(&mut prove()).succeeds();
    let mut left: Vec<_> =
        fs::read_dir(scene.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["credit", "proof.json"]);
}

#[test]
fn a_kill_leaves_the_old_build_or_the_new_one() {
    let scene = Scene::new();
    let build = scene.path("build");
    let old = snapshot(&credit_build().join("credit"));
    run(&mut compile_anew(&build)).succeeds();
    let new = snapshot(&build);
    assert_ne!(old, new);

    let mut seen: Vec<Snapshot> = Vec::new();
    let kill = |signal: libc::c_int, wait: &dyn Fn(&mut Child)| {
        let mut child = compile_anew(&scene.folder()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait(&mut child);
        send(signal, &child);
        child.wait().unwrap();
        snapshot(&scene.folder())
    };
    for (milliseconds, signal) in [0, 30, 100, 200].into_iter().zip(SIGNALS.into_iter().cycle()) {
        seen.push(kill(signal, &|_| thread::sleep(Duration::from_millis(milliseconds))));
    }
    for (microseconds, signal) in [0, 200, 1_000, 3_000, 8_000, 20_000].into_iter().zip(SIGNALS.into_iter().cycle()) {
        seen.push(kill(signal, &|child| {
            wait_for_work_folder(scene.root(), child);
            thread::sleep(Duration::from_micros(microseconds));
        }));
    }
    assert!(seen.iter().all(|found| *found == old || *found == new), "a folder that is neither");
    assert_eq!(seen[0], old);

    // The next run clears away what the killed ones left.
    run(&mut compile_anew(&scene.folder())).succeeds();
    assert_eq!(snapshot(&scene.folder()), new);
    // A kill in the moment before a work folder has its lock leaves an empty shell, which nobody can be told to own.
    let names = |folder: &Path| -> Vec<_> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let shell = |name: &String| {
        name.starts_with(".credit.hallmark-") && names(&scene.path(name)).iter().all(|file| file == "lock.tmp")
    };
    let mut left = names(scene.root());
    left.retain(|name| !shell(name));
    left.sort();
    assert_eq!(left, ["build", "credit", "proof.json"]);
}

#[test]
fn a_folder_that_is_not_ours() {
    let scene = Scene::empty();
    let foreign = scene.path("thesis");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("chapter1.tex"), "years of work").unwrap();
    let words = ["thesis", "not a folder written by hallmark", "another output"];
    scene.untouched(|| run(&mut compile_anew(&foreign))).fails(1, &words);
    fs::write(foreign.join("manifest.json"), "{\"name\": \"an extension\"}").unwrap();
    scene.untouched(|| run(&mut compile_anew(&foreign))).fails(1, &words);
    scene.untouched(|| run(&mut compile_anew(&foreign.join("chapter1.tex")))).fails(1, &["is not a folder"]);
    let inside = foreign.join("chapter1.tex/build");
    scene.untouched(|| run(&mut compile_anew(&inside))).fails(1, &["chapter1.tex"]);
    let ended = scene.untouched(|| run(compile_anew(Path::new(".")).current_dir(&foreign)));
    ended.fails(1, &["not a folder written by hallmark"]);

    for reader in [hallmark!("verify", &foreign, "proof.json"), hallmark!("bench", &foreign)] {
        reader.fails(1, &["manifest.json", "not a manifest of hallmark's"]);
    }
    hallmark!("verify", scene.path("none"), "proof.json").fails(1, &["cannot read", "none/manifest.json"]);
}

#[test]
fn files_beside_the_artifacts_survive_a_rebuild() {
    let scene = Scene::new();
    for path in ["notes.txt", "contracts/Mine.sol", "test/Mine.t.sol"] {
        let path = scene.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "mine").unwrap();
    }
    run(&mut compile_anew(&scene.folder())).succeeds();
    for path in ["notes.txt", "contracts/Mine.sol", "test/Mine.t.sol"] {
        assert_eq!(fs::read_to_string(scene.folder().join(path)).unwrap(), "mine");
    }
    let current = scene.untouched(|| run(compile_anew(Path::new(".")).current_dir(scene.folder())));
    current.fails(1, &["current directory", "from outside it"]);
}

#[test]
fn outputs_do_not_replace_what_is_read() {
    let scene = Scene::new();
    let input = scene.path("applicant.json");
    fs::copy(credit("applicant.json"), &input).unwrap();
    std::os::unix::fs::symlink(&input, scene.path("link.json")).unwrap();
    let targets = [&input, &scene.path("link.json"), &scene.folder().join("proving.key")];
    for target in targets.into_iter().chain([&scene.folder().join("manifest.json")]) {
        let ended = scene.untouched(|| hallmark!("prove", scene.folder(), "--input", &input, "-o", target));
        ended.fails(1, &[target.file_name().unwrap().to_str().unwrap(), "would be lost", "another output"]);
    }
    for target in [scene.proof(), scene.folder().join("verifying.key")] {
        let ended = scene.untouched(|| hallmark!("calldata", scene.folder(), scene.proof(), "-o", &target));
        ended.fails(1, &["would be lost", "another output"]);
    }
    let nowhere = scene.path("no/such/proof.json");
    let ended = scene.untouched(|| hallmark!("prove", scene.folder(), "--input", &input, "-o", &nowhere));
    ended.fails(1, &["no/such/proof.json", "its folder does not exist", "nothing was left behind"]);
}

/// Two writers at once: one wins, the folder is whole, and nothing is left beside it.
#[test]
fn two_runs_at_once_leave_a_whole_build() {
    let scene = Scene::new();
    let start = || compile_anew(&scene.folder()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let runs = [start(), start()];
    let deadline = Instant::now() + Duration::from_secs(60);
    for child in runs {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked") && output.status.code().is_some(), "{stderr}");
        assert!(Instant::now() < deadline);
    }
    hallmark::fsutil::verify_folder(&scene.folder()).unwrap();
    assert_eq!(fs::read_dir(scene.root()).unwrap().count(), 2);
}
