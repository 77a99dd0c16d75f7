//! Running the binary, and the credit build that most tests start from.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub const CONTEXT: &str = "0x68616c6c6d61726b000000000000000000000000000000000000000000000001";

/// How a run ended. Whatever it was asked, it has not panicked and no signal has ended it.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// It exited with `code`, and its error says all of `words`.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stdout.is_empty(), "{self:?}");
        assert!(self.stderr.starts_with("error: ") && !self.stderr.contains("error: error"), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "\"{word}\" is not said: {}", self.stderr);
        }
    }

    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Its standard output is one JSON document, and nothing else was printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert!(self.stderr.is_empty(), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs a command, whatever it is, to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!stderr.contains("panicked"), "{stderr}");
    let code = output.status.code().unwrap_or_else(|| panic!("{}: {stderr}", output.status));
    Ended { code, stdout, stderr }
}

/// The binary with arguments. They may be strings and paths.
#[macro_export]
macro_rules! command {
    ($($argument:expr),* $(,)?) => {{
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hallmark"));
        $(command.arg($argument);)*
        command
    }};
}

/// Runs the binary.
#[macro_export]
macro_rules! hallmark {
    ($($argument:expr),* $(,)?) => { $crate::support::run(&mut $crate::command!($($argument),*)) };
}

/// Gives the process that the command starts a limit; what exceeds a limit on file sizes fails as on a full disk.
pub fn limit(command: &mut Command, resource: libc::__rlimit_resource_t, value: u64) -> &mut Command {
    // SAFETY: both calls are async-signal-safe and touch no memory of the parent.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
            match libc::setrlimit(resource, &limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        })
    }
}

/// Runs a command in little memory: an allocation far beyond what the credit model needs ends it with a signal.
#[track_caller]
pub fn run_in_little_memory(command: &mut Command) -> Ended {
    command.env("RAYON_NUM_THREADS", "2");
    run(limit(command, libc::RLIMIT_AS, 2 << 30))
}

/// A file of the credit example.
pub fn credit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit").join(name)
}

/// A file of the tests' models.
pub fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name)
}

/// Content of every file below a folder, and every empty folder.
pub type Snapshot = BTreeMap<PathBuf, Option<String>>;

pub fn snapshot(folder: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(next) = pending.pop() {
        let entries: Vec<_> = fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()).collect();
        let relative = next.strip_prefix(folder).unwrap().to_path_buf();
        if entries.is_empty() {
            found.insert(relative, None);
        }
        for path in entries {
            match path.is_dir() {
                true => pending.push(path),
                false => {
                    let digest = hex::encode(Sha256::digest(fs::read(&path).unwrap()));
                    found.insert(path.strip_prefix(folder).unwrap().to_path_buf(), Some(digest));
                }
            }
        }
    }
    found
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for relative in snapshot(from).into_keys() {
        let target = to.join(&relative);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(&relative), target).unwrap();
    }
}

/// A folder of the test's own that holds `credit`, a copy of the credit build, and `proof.json`, a proof of it.
pub struct Scene {
    dir: TempDir,
}

impl Scene {
    pub fn new() -> Self {
        let scene = Self::empty();
        copy(&credit_build().join("credit"), &scene.folder());
        fs::copy(credit_build().join("proof.json"), scene.proof()).unwrap();
        scene
    }

    pub fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn folder(&self) -> PathBuf {
        self.path("credit")
    }

    pub fn proof(&self) -> PathBuf {
        self.path("proof.json")
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// `compile` of a model with the credit example's data into the folder.
    pub fn compile(&self, model: impl AsRef<OsStr>, data: impl AsRef<OsStr>) -> Ended {
        hallmark!("compile", model.as_ref(), "--data", data.as_ref(), "-o", self.folder())
    }

    /// `prove` for an input file, to a proof file that exists already.
    pub fn prove(&self, input: impl AsRef<OsStr>) -> Ended {
        hallmark!("prove", self.folder(), "--input", input.as_ref(), "-o", self.proof(), "--context", CONTEXT)
    }

    pub fn verify(&self, proof: &Path) -> Ended {
        hallmark!("verify", self.folder(), proof)
    }

    /// Runs `attempt` and checks that no file of the scene has changed and none was left behind.
    #[track_caller]
    pub fn untouched<T>(&self, attempt: impl FnOnce() -> T) -> T {
        let before = snapshot(self.root());
        let result = attempt();
        let after = snapshot(self.root());
        assert_eq!(before, after, "files were lost, changed or left behind");
        result
    }
}

/// The credit build, another model's, and a proof of each: made once.
pub fn credit_build() -> &'static Path {
    static BUILD: OnceLock<PathBuf> = OnceLock::new();
    BUILD.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli");
        let _ = fs::remove_dir_all(&root);
        for (name, onnx) in [("credit", credit("credit.onnx")), ("other", model("credit_v2.onnx"))] {
            let folder = root.join(name);
            let data = credit("calibration.json");
            hallmark!("compile", onnx, "--data", data, "-o", &folder, "--max-error", "1e-4").succeeds();
            let proof = root.join(if name == "credit" { "proof.json" } else { "other.json" });
            let input = credit("applicant.json");
            hallmark!("prove", &folder, "--input", input, "-o", proof, "--context", CONTEXT).succeeds();
        }
        root
    })
}
