//! Artifact folders, damaged in every way that disks and people know. Nothing is accepted, everything is named.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hallmark::proof::artifact::{ArtifactKind, write_artifact};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    hallmark,
    support::{CONTEXT, Ended, Scene, credit, credit_build, run, snapshot},
};

pub const FILES: [&str; 5] =
    ["circuit.bin", "proving.key", "verifying.key", "contracts/CreditVerifier.sol", "manifest.json"];

/// Everything that reads a folder: `verify`, `prove`, `calldata`. None of them changes a file.
pub fn read(scene: &Scene, run: &dyn Fn(&mut std::process::Command) -> Ended) -> Vec<Ended> {
    let input = credit("applicant.json");
    let proof = scene.path("new.json");
    scene.untouched(|| {
        vec![
            run(&mut crate::command!("verify", scene.folder(), scene.proof())),
            run(&mut crate::command!("calldata", scene.folder(), scene.proof())),
            run(&mut crate::command!("prove", scene.folder(), "--input", input, "-o", proof, "--context", CONTEXT)),
        ]
    })
}

/// Gives `file` the sha256 in the manifest that it now has, as whoever forges a folder would.
pub fn reseal(folder: &Path, file: &str) {
    let path = folder.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest["files"][file] = json!(hex::encode(Sha256::digest(fs::read(folder.join(file)).unwrap())));
    fs::write(path, serde_json::to_vec_pretty(&manifest).unwrap()).unwrap();
}

/// A file, cut, flipped, extended: what is done to it, in words, and its content then.
fn damages(whole: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut damages = Vec::new();
    for len in [0, 1, 23, 24, 40, whole.len() / 2, whole.len() - 33, whole.len() - 1] {
        damages.push((format!("cut to {len} bytes"), whole[..len].to_vec()));
    }
    for at in [0, 9, 13, 17, 30, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.to_vec();
        flipped[at] ^= 0x20;
        damages.push((format!("flipped at {at}"), flipped));
    }
    damages.push(("extended".into(), [whole, b"\n"].concat()));
    damages.push(("zeros".into(), vec![0; whole.len()]));
    damages
}

#[test]
fn every_damage_to_a_file_is_named() {
    let scene = Scene::new();
    for file in &FILES[..4] {
        let path = scene.folder().join(file);
        let whole = fs::read(&path).unwrap();
        let other = credit_build().join("other").join(file.replace("Credit", "CreditV2"));
        let swapped = [("another build's".to_string(), fs::read(other).unwrap())];
        for (damage, content) in damages(&whole).into_iter().chain(swapped) {
            fs::write(&path, content).unwrap();
            for ended in read(&scene, &run) {
                println!("{file}, {damage}");
                ended.fails(1, &[file, "sha256", "changed after it was written, or belongs to another build"]);
            }
        }
        fs::remove_file(&path).unwrap();
        read(&scene, &run).iter().for_each(|ended| ended.fails(1, &["cannot read", file, "No such file"]));
        fs::create_dir(&path).unwrap();
        read(&scene, &run).iter().for_each(|ended| ended.fails(1, &["cannot read", file]));
        fs::remove_dir(&path).unwrap();
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(snapshot(&scene.folder()), snapshot(&credit_build().join("credit")));
    scene.verify(&scene.proof()).succeeds();
}

/// The same with a manifest that was made to fit: the files' own digests and kinds speak.
#[test]
fn every_damage_under_a_fitting_manifest_is_named() {
    let scene = Scene::new();
    let manifest = fs::read(scene.folder().join("manifest.json")).unwrap();
    for file in &FILES[..3] {
        let path = scene.folder().join(file);
        let whole = fs::read(&path).unwrap();
        let foreign = FILES[..3].iter().filter(|other| *other != file);
        let foreign = foreign.map(|other| (other.to_string(), fs::read(scene.folder().join(other)).unwrap()));
        for (damage, content) in damages(&whole).into_iter().chain(foreign.collect::<Vec<_>>()) {
            fs::write(&path, content).unwrap();
            reseal(&scene.folder(), file);
            for (i, ended) in read(&scene, &run).iter().enumerate() {
                println!("{file}, {damage}");
                // Only `prove` reads the proving key.
                match *file == "proving.key" && i < 2 {
                    true => assert_eq!(ended.code, 0, "{ended:?}"),
                    false => ended.fails(1, &[file]),
                }
            }
        }
        fs::write(&path, &whole).unwrap();
        fs::write(scene.folder().join("manifest.json"), &manifest).unwrap();
    }
}

/// Another build's file, well formed, under a manifest that was made to fit.
#[test]
fn files_of_another_build_are_refused_by_what_they_hold() {
    for (file, words) in [
        ("circuit.bin", ["verifying", "compile the model again"]),
        ("verifying.key", ["verifying", "compile the model again"]),
        ("proving.key", ["belongs to another model", "compile the model again"]),
    ] {
        let scene = Scene::new();
        fs::copy(credit_build().join("other").join(file), scene.folder().join(file)).unwrap();
        reseal(&scene.folder(), file);
        let ended = read(&scene, &run);
        ended.last().unwrap().fails(1, &words);
        if file != "proving.key" {
            ended.iter().for_each(|ended| ended.fails(1, &words));
        }
    }
}

#[test]
fn manifests_that_are_damaged() {
    let scene = Scene::new();
    let path = scene.folder().join("manifest.json");
    let whole = fs::read(&path).unwrap();
    let expected = scene.verify(&scene.proof()).succeeds().stdout.clone();
    let refused = |content: &[u8], words: &[&str]| {
        fs::write(&path, content).unwrap();
        read(&scene, &run).iter().for_each(|ended| ended.fails(1, &[&["manifest.json"], words].concat()));
    };
    for len in [0, 1, 100, whole.len() / 2, whole.len() - 3] {
        refused(&whole[..len], &["not a manifest of hallmark's", "EOF"]);
    }
    refused(b"[]", &["not a manifest of hallmark's"]);
    refused(b"{}", &["no `hallmark` version"]);
    refused(br#"{"hallmark": "0.1.0"}"#, &["no list of `files`"]);
    refused(br#"{"hallmark": "0.1.0", "files": {"circuit.bin": 7}}"#, &["no list of `files`"]);
    refused(br#"{"hallmark": "0.1.0", "files": {}}"#, &["does not list circuit.bin"]);

    let changed = |change: &dyn Fn(&mut Value), words: &[&str]| {
        let mut manifest: Value = serde_json::from_slice(&whole).unwrap();
        change(&mut manifest);
        fs::write(&path, manifest.to_string()).unwrap();
        read(&scene, &run).iter().for_each(|ended| ended.fails(1, words));
    };
    // A manifest may not lead out of its folder, nor to what never ends.
    for outside in ["/dev/zero", "../proof.json", "contracts/../../proof.json", ""] {
        changed(&|manifest| manifest["files"][outside] = json!(""), &["manifest.json", "not a path inside the folder"]);
    }
    changed(&|manifest| manifest["files"]["missing"] = json!(""), &["cannot read", "missing"]);
    changed(&|manifest| manifest["model"]["id"] = json!("00"), &["verifying.key", "the manifest's model is 00"]);
    changed(&|manifest| manifest["model"] = json!(null), &["verifying.key", "the manifest's model is missing"]);
    changed(&|manifest| manifest["files"]["verifying.key"] = json!("00"), &["verifying.key", "sha256"]);

    // A flip in what is only for people to read changes no result; any other is refused.
    for at in (0..whole.len()).step_by(97) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x04;
        fs::write(&path, flipped).unwrap();
        let ended = scene.verify(&scene.proof());
        match ended.code {
            0 => assert_eq!(ended.stdout, expected, "byte {at}"),
            _ => ended.fails(1, &[]),
        }
    }
    fs::remove_file(&path).unwrap();
    read(&scene, &run).iter().for_each(|ended| ended.fails(1, &["cannot read", "manifest.json"]));
}

#[test]
fn a_contract_that_the_manifest_does_not_vouch_for_is_not_measured() {
    let scene = Scene::new();
    let path = scene.folder().join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    scene.file("Evil.sol", "contract Evil {}");
    manifest["contract"]["name"] = json!("../../Evil");
    fs::write(&path, manifest.to_string()).unwrap();
    scene.untouched(|| hallmark!("bench", scene.folder())).fails(1, &["manifest.json", "does not list", "Evil.sol"]);
}

/// Random damage inside of the files' payloads, with every digest made to fit. Either it is refused, or it was in a name or
/// a unit and the statement that is proved is the same.
#[test]
fn random_damage_inside_never_changes_a_statement() {
    use hallmark::{project::Project, proof::artifact::read_artifact, quant::read_input};
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    let scene = Scene::new();
    let folder = scene.folder();
    let original = Project::open(&folder).unwrap();
    let input = read_input(&credit("applicant.json"), original.model(), None).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let prove = |project: &Project| -> Result<_, hallmark::project::ProjectError> {
        project.prove(&project.proving_key()?, &input, [7; 32], &mut ChaCha20Rng::seed_from_u64(2))
    };
    let expected = prove(&original).unwrap().statement;
    let (mut refused, mut harmless) = (0, 0);
    let sweeps = [
        ("circuit.bin", ArtifactKind::Circuit, 300),
        ("verifying.key", ArtifactKind::VerifyingKey, 100),
        ("proving.key", ArtifactKind::ProvingKey, 20),
    ];
    for (file, kind, rounds) in sweeps {
        let path: PathBuf = folder.join(file);
        let payload = read_artifact(&path, kind).unwrap();
        let manifest = fs::read(folder.join("manifest.json")).unwrap();
        for _ in 0..rounds {
            let mut damaged = payload.clone();
            let at = rng.next_u64() as usize % damaged.len();
            match rng.next_u64() % 3 {
                0 => damaged[at] ^= 1 << (rng.next_u64() % 8),
                1 => damaged[at] = rng.next_u64() as u8,
                _ => drop(damaged.remove(at)),
            }
            if damaged == payload {
                continue;
            }
            write_artifact(&path, kind, &damaged).unwrap();
            reseal(&folder, file);
            match Project::open(&folder).and_then(|project| prove(&project)) {
                Err(_) => refused += 1,
                Ok(proof) => {
                    harmless += 1;
                    assert_eq!(proof.statement, expected, "{file}, byte {at}");
                    original.verify(&proof).unwrap();
                }
            }
        }
        write_artifact(&path, kind, &payload).unwrap();
        fs::write(folder.join("manifest.json"), manifest).unwrap();
    }
    assert!(refused > 5 * harmless, "{refused} refused, {harmless} harmless");
}
