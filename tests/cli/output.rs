//! What is printed where: exit codes, JSON documents, pipes and terminals.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::FromRawFd,
    process::Stdio,
    ptr,
};

use crate::{
    command, hallmark,
    support::{CONTEXT, Scene, credit, run},
};

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_right() {
    let scene = Scene::new();
    let cases: [(&[&str], &str); 18] = [
        (&[], "Usage: hallmark"),
        (&["frobnicate"], "unrecognized subcommand 'frobnicate'"),
        (&["--frobnicate"], "unexpected argument '--frobnicate'"),
        (&["compile"], "--data <CALIBRATION.json>"),
        (&["compile", "a.onnx", "--data"], "a value is required for '--data"),
        (&["compile", "a.onnx", "--data", "b", "-o", "c", "--max-error", "much"], "invalid value 'much'"),
        (&["compile", "a.onnx", "--data", "b", "-o", "c", "--precision", "-1"], "-1"),
        (&["prove", "a", "--input", "b", "-o", "c", "--index", "first"], "invalid value 'first'"),
        (&["prove", "a", "--input", "b", "-o", "c", "--threads", "0"], "0 threads compute nothing"),
        (&["compile", "a.onnx", "--data", "b", "-o", "c", "--threads", "0"], "for '--threads <N>': 0 threads"),
        (&["bench", "a", "--threads", "-1"], "-1"),
        (&["check", "a.onnx", "--threads", "100000"], "from 1 to 1024"),
        (&["bench", "a", "--port", "65536"], "65536"),
        (&["bench", "a", "--index", "1"], "--input"),
        (&["gas", "a", "--proof", "b", "--input", "c"], "cannot be used with"),
        (&["gas", "a", "--index", "1"], "--input"),
        (&["srs", "generate-unsafe", "-k", "many", "-o", "a"], "invalid value 'many'"),
        (&["completions", "powerfish"], "[possible values: bash"),
    ];
    for (arguments, words) in cases {
        let ended = scene.untouched(|| run(command!().args(arguments).current_dir(scene.root())));
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");

        let json = run(command!("--json").args(arguments)).json();
        assert!(json["error"].as_str().unwrap().contains(words), "{json}");
        assert_eq!(run(command!("--json").args(arguments)).code, 2);
    }
    for help in ["--help", "--version"] {
        let ended = hallmark!(help);
        assert!(ended.succeeds().stdout.contains("hallmark") && ended.stderr.is_empty(), "{ended:?}");
    }
    assert!(hallmark!("--help").stdout.contains("Exit codes: 0 success, 1 failure, 2 wrong usage, 3 the proof"));
}

#[test]
fn json_is_one_document_for_success_and_for_errors() {
    let scene = Scene::new();
    let (folder, proof, input) = (scene.folder(), scene.proof(), credit("applicant.json"));
    let compiled = scene.path("compiled");
    let json =
        hallmark!("compile", credit("credit.onnx"), "--data", credit("calibration.json"), "-o", &compiled, "--json")
            .json();
    assert_eq!(json["manifest"]["contract"]["name"], "CreditVerifier");
    let json = hallmark!("prove", &folder, "--input", &input, "-o", &proof, "--json").json();
    assert_eq!((&json["outputs"][0]["name"], &json["proof_file"]), (&"score".into(), &proof.to_str().unwrap().into()));
    let process = &json["process"];
    let (wall, cpu) = (process["wall_seconds"].as_f64().unwrap(), process["cpu_seconds"].as_f64().unwrap());
    assert!(wall >= json["prove"]["wall_seconds"].as_f64().unwrap() && cpu > 0.0, "{json}");
    assert!((5e6..2e8).contains(&process["peak_rss_bytes"].as_f64().unwrap()), "{json}");
    let stages = json["stages"].as_array().unwrap();
    let time =
        |name: &str| -> f64 { stages.iter().find(|at| at["stage"] == name).unwrap()["cpu_seconds"].as_f64().unwrap() };
    for stage in ["loading", "laying_out", "transforms", "quotient", "commitments", "opening", "verifying"] {
        assert!(time(stage) > 0.0, "{stage}: {json}");
    }
    let sum: f64 = stages.iter().map(|at| at["cpu_seconds"].as_f64().unwrap()).sum();
    assert!(sum <= cpu && sum > 0.5 * cpu, "{sum} of {cpu}: {json}");
    let json = hallmark!("--json", "verify", &folder, &proof).json();
    assert_eq!((&json["valid"], &json["outputs"][0]["integer"]), (&true.into(), &"53477823688992".into()));
    let json = hallmark!("calldata", "--json", &folder, &proof).json();
    assert!(json.is_object(), "{json}");
    let json = hallmark!("srs", "generate-unsafe", "-k", "3", "-o", scene.path("a.srs"), "--json").json();
    assert_eq!(json["k"], 3);
    let json = hallmark!("completions", "zsh", "--json").json();
    assert!(json["script"].as_str().unwrap().contains("hallmark"));

    let failures = [
        (hallmark!("--json", "compile", "no.onnx", "--data", "no.json", "-o", "no"), 1, "no.onnx"),
        (hallmark!("--json", "prove", "no", "--input", "no", "-o", "no"), 1, "no/manifest.json"),
        (hallmark!("--json", "prove", "no", "--input", "no", "-o", "no", "--context", "zz"), 1, "zz"),
        (hallmark!("--json", "verify", &folder, "no.json"), 1, "no.json"),
        (hallmark!("--json", "calldata", &folder, "no.json"), 1, "no.json"),
        (hallmark!("--json", "bench", "no"), 1, "no/manifest.json"),
        (hallmark!("--json", "gas", "no"), 1, "no/manifest.json"),
        (hallmark!("--json", "srs", "info", "no.srs"), 1, "no.srs"),
        (hallmark!("--json", "srs", "import", "no.ptau", "-o", "no.srs"), 1, "no.ptau"),
    ];
    for (ended, code, words) in failures {
        let json = ended.json();
        assert!(ended.code == code && json["error"].as_str().unwrap().contains(words), "{ended:?}");
        assert_eq!(json.as_object().unwrap().len(), 1, "{json}");
    }

    let forged = std::fs::read_to_string(&proof).unwrap().replace("53477823688992", "53477823688993");
    let ended = hallmark!("--json", "verify", &folder, scene.file("forged.json", forged));
    assert!(ended.code == 3 && ended.json()["error"].as_str().unwrap().contains("not valid"), "{ended:?}");
}

#[test]
fn pipes_get_results_and_remarks_and_no_progress() {
    let scene = Scene::new();
    let compile =
        || command!("compile", credit("credit.onnx"), "--data", credit("calibration.json"), "-o", scene.folder());
    let prove = || command!("prove", scene.folder(), "--input", credit("applicant.json"), "-o", scene.proof());
    let profile = run(prove().arg("--profile"));
    for words in ["peak memory", "commitments", "key loading", "all else"] {
        assert!(profile.succeeds().stdout.contains(words), "{words}: {profile:?}");
    }
    let ended = run(&mut compile());
    assert_eq!(ended.succeeds().stderr, "");
    assert!(ended.stdout.contains("CreditVerifier"));
    let ended = run(&mut prove());
    assert_eq!(ended.succeeds().stderr.lines().count(), 1, "{ended:?}");
    assert!(ended.stderr.starts_with("note: the context is zero") && ended.stderr.contains("--context"), "{ended:?}");
    assert!(!(ended.stdout + &ended.stderr).contains(['\r', '\x1b']));
    assert_eq!(run(prove().arg("--quiet")).succeeds().stderr, "");
    assert_eq!(run(prove().args(["--context", CONTEXT])).succeeds().stderr, "");

    // Without a declared domain, the remark says what that means.
    let data = scene.file("data.json", r#"{"input_data": [[1, 1, 1], [0, 2, 0.5], [-1, 0, 0]]}"#);
    let model = scene.file("model.onnx", crate::onnx::Perceptron::default().bytes());
    let ended = scene.compile(model, data);
    assert!(ended.succeeds().stderr.starts_with("note: no domain was declared"), "{ended:?}");
}

/// The other end of a terminal that is the command's standard error, and what was drawn on it.
fn on_a_terminal(command: &mut std::process::Command) -> String {
    let (mut ours, mut theirs) = (0, 0);
    // SAFETY: both pointers are to live locals; the others may be null. The descriptors are owned by the files.
    let (mut screen, terminal) = unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut theirs, ptr::null_mut(), ptr::null_mut(), ptr::null_mut()), 0);
        (File::from_raw_fd(ours), File::from_raw_fd(theirs))
    };
    let mut child = command.stdout(Stdio::null()).stderr(terminal).env("TERM", "xterm").spawn().unwrap();
    command.stderr(Stdio::null()); // closes our copy of the terminal, so that the screen ends with the command
    let mut drawn = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count) = screen.read(&mut chunk)
        && count > 0
    {
        drawn.extend_from_slice(&chunk[..count]);
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8_lossy(&drawn).into_owned()
}

#[test]
fn terminals_get_progress_unless_they_want_none() {
    let scene = Scene::new();
    let compile =
        || command!("compile", credit("credit.onnx"), "--data", credit("calibration.json"), "-o", scene.folder());
    let drawn = on_a_terminal(&mut compile());
    assert!(drawn.contains("generating keys") && drawn.contains('\x1b'), "{drawn:?}");
    assert_eq!(on_a_terminal(compile().arg("--quiet")), "");
    assert_eq!(on_a_terminal(compile().arg("--json")), "");
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let scene = Scene::new();
    let (folder, proof) = (scene.folder(), scene.proof());
    let commands = [
        (command!("verify", &folder, &proof), 0),
        (command!("calldata", &folder, &proof), 0),
        (command!("verify", "--json", &folder, &proof), 0),
        (command!("completions", "bash"), 0),
        (command!("completions", "zsh", "--json"), 0),
        (command!("--help"), 0),
        (command!("srs", "info"), 0),
        (command!("--json", "verify", &folder, "none"), 1),
        (command!("--json", "frobnicate"), 2),
    ];
    for (mut command, code) in commands {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        command.stdout(writer).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && stderr.is_empty(), "{command:?}: {} {stderr}", output.status);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_a_failure() {
    let scene = Scene::new();
    for mut command in [
        command!("verify", scene.folder(), scene.proof()),
        command!("completions", "fish"),
        command!("srs", "info", "--json"),
    ] {
        command.stdout(File::options().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {stderr}");
        assert!(stderr.starts_with("error: cannot write to standard output: No space left"), "{stderr}");
    }
}
