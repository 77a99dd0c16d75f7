//! Trusted setups: damaged, too small, unsafe.

use std::{fs, path::PathBuf};

use hallmark::project::Project;
use serde_json::Value;

use crate::{
    hallmark,
    support::{Ended, Scene, credit},
};

fn unsafe_srs(scene: &Scene, name: &str, k: &str) -> PathBuf {
    let path = scene.path(name);
    hallmark!("srs", "generate-unsafe", "-k", k, "-o", &path).succeeds();
    path
}

fn compile(scene: &Scene, srs: &PathBuf, flags: &[&str]) -> Ended {
    let mut command = crate::command!("compile", credit("credit.onnx"), "--data", credit("calibration.json"));
    crate::support::run(command.arg("-o").arg(scene.folder()).arg("--srs").arg(srs).args(flags))
}

#[test]
fn an_unsafe_setup_is_refused_or_named_everywhere() {
    let scene = Scene::new();
    let srs = unsafe_srs(&scene, "test.srs", "11");
    scene.untouched(|| compile(&scene, &srs, &[])).fails(1, &["UNSAFE", "can forge proofs", "--allow-unsafe-srs"]);

    let ended = compile(&scene, &srs, &["--allow-unsafe-srs"]);
    assert!(ended.succeeds().stdout.contains("UNSAFE"), "{ended:?}");
    let manifest: Value = serde_json::from_slice(&fs::read(scene.folder().join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["contract"]["name"], "CreditVerifierUNSAFE");
    assert_eq!((&manifest["setup"]["unsafe"], &manifest["setup"]["origin"]["kind"]), (&true.into(), &"unsafe".into()));
    let project = Project::open(&scene.folder()).unwrap();
    assert!(project.verifying_key().setup().is_unsafe());
    let (name, source) = project.contract().unwrap();
    assert_eq!(name, "CreditVerifierUNSAFE");
    assert!(source.contains("contract CreditVerifierUNSAFE {") && source.contains("Setup: UNSAFE"), "{source}");
    assert!(!scene.folder().join("contracts/CreditVerifier.sol").exists());
    // A proof of the model under the real setup is one of another model.
    scene.verify(&scene.proof()).fails(1, &["proof.json is for the model"]);

    let info = hallmark!("srs", "info", &srs, "--json").json();
    assert_eq!((&info["unsafe"], &info["k"]), (&true.into(), &11.into()));
    let embedded = hallmark!("srs", "info", "--json").json();
    assert_eq!((&embedded["unsafe"], &embedded["origin"]["kind"]), (&false.into(), &"aztec-ignition".into()));
}

#[test]
fn a_setup_that_is_too_small_says_which_k_is_needed() {
    let scene = Scene::new();
    let srs = unsafe_srs(&scene, "small.srs", "5");
    let words = ["small.srs", "supports k = 5", "k = 10 is needed", "generate-unsafe -k 10"];
    scene.untouched(|| compile(&scene, &srs, &["--allow-unsafe-srs"])).fails(1, &words);
    for k in ["0", "25", "60", "4294967295"] {
        let target = scene.path("new.srs");
        let ended = scene.untouched(|| hallmark!("srs", "generate-unsafe", "-k", k, "-o", &target));
        ended.fails(1, &[&format!("k = {k} is out of range"), "between 1 and 24"]);
    }
}

#[test]
fn a_setup_file_that_is_damaged_or_foreign() {
    let scene = Scene::new();
    let srs = unsafe_srs(&scene, "test.srs", "11");
    let whole = fs::read(&srs).unwrap();
    let refused = |content: &[u8], words: &[&str]| {
        fs::write(&srs, content).unwrap();
        scene.untouched(|| compile(&scene, &srs, &["--allow-unsafe-srs"])).fails(1, &[&["test.srs"], words].concat());
        scene.untouched(|| hallmark!("srs", "info", &srs)).fails(1, &[&["test.srs"], words].concat());
    };
    for len in [7, 23, 100, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..len], &["truncated", &format!("{len} of ")]);
    }
    for at in [30, 100, 300, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        refused(&flipped, &["test.srs"]);
    }
    refused(&[whole.as_slice(), b"x"].concat(), &["bytes after the end"]);
    refused(b"", &[]);
    refused(b"ptau", &["not a hallmark file"]);
    let key = fs::read(scene.folder().join("proving.key")).unwrap();
    refused(&key, &["holds a proving key, and a SRS is expected"]);
    let missing = scene.path("none.srs");
    scene.untouched(|| compile(&scene, &missing, &[])).fails(1, &["cannot read", "none.srs"]);
}

#[test]
fn ceremony_files_that_cannot_be_imported_leave_the_target_alone() {
    let scene = Scene::empty();
    let target = unsafe_srs(&scene, "target.srs", "3");
    let import = |source: &PathBuf, k: &str| hallmark!("srs", "import", source, "-o", &target, "-k", k);
    for content in [&b""[..], b"{}", b"ptau\x01\0\0\0", &[0xff; 1000], &[0; 1000]] {
        let source = scene.file("ceremony", content);
        scene.untouched(|| import(&source, "3")).fails(1, &["ceremony"]);
    }
    let missing = scene.path("none.ptau");
    scene.untouched(|| import(&missing, "3")).fails(1, &["cannot read", "none.ptau"]);
    // A target that is the source would be lost with it.
    let source = scene.file("ceremony", b"anything");
    let ended = scene.untouched(|| hallmark!("srs", "import", &source, "-o", &source));
    ended.fails(1, &["ceremony", "would be lost", "another output"]);
}
