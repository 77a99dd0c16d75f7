//! Where solc, anvil and forge are: what the user names, then native installations, then npm's packages.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    ChainError,
    rpc::URL_VARIABLE,
    submit::signer::{KEY_VARIABLE, PASSWORD_VARIABLE},
};

/// A `solc` command line over npm's compiler; run by `node -e`, so that an installed binary needs no file of it.
const SOLC_SCRIPT: &str = include_str!("../../script/solc");

/// The oldest compiler that generated contracts support.
const MINIMUM_SOLC: Version = [0, 8, 20];

/// Environment variables that may hold secrets. No tool needs them.
const SECRETS: [&str; 3] = [KEY_VARIABLE, PASSWORD_VARIABLE, URL_VARIABLE];

type Version = [u64; 3];

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The executable.
    pub program: PathBuf,
    /// Arguments that precede the tool's own.
    pub arguments: Vec<String>,
    /// Where the tool was found, for people; npm's solc has `node` as its program.
    pub location: PathBuf,
    /// Further environment variables that it does not inherit; those of this program that hold secrets are hidden anyway.
    pub hidden: Vec<String>,
}

impl Tool {
    /// An executable that needs no arguments of its own.
    pub fn native(program: PathBuf) -> Self {
        Self { location: program.clone(), program, arguments: Vec::new(), hidden: Vec::new() }
    }

    /// How it is run, up to the arguments that are the tool's own.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for name in SECRETS.into_iter().chain(self.hidden.iter().map(String::as_str)) {
            command.env_remove(name);
        }
        command
    }
}

/// The places to search. [`Search::default`] reads them from the environment.
#[derive(Clone, Debug)]
pub struct Search {
    /// `FOUNDRY_SOLC`: a path, or a version that svm has installed.
    pub solc: Option<OsString>,
    /// `HALLMARK_ANVIL`: a path.
    pub anvil: Option<OsString>,
    /// `HALLMARK_FORGE`: a path.
    pub forge: Option<OsString>,
    /// The folders of `PATH`.
    pub path: Vec<PathBuf>,
    /// The user's home, for `.foundry` and `.svm`.
    pub home: Option<PathBuf>,
    /// Folders from which `node_modules` is looked for, upward.
    pub roots: Vec<PathBuf>,
}

impl Default for Search {
    fn default() -> Self {
        let named = |name| env::var_os(name).filter(|value| !value.is_empty());
        let executable = env::current_exe().ok();
        Self {
            solc: named("FOUNDRY_SOLC"),
            anvil: named("HALLMARK_ANVIL"),
            forge: named("HALLMARK_FORGE"),
            path: env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default(),
            home: env::home_dir(),
            roots: env::current_dir()
                .ok()
                .into_iter()
                .chain(executable.and_then(|file| file.parent().map(Path::to_path_buf)))
                .collect(),
        }
    }
}

impl Search {
    /// The Solidity compiler.
    ///
    /// # Errors
    ///
    /// [`ChainError::SolcNotFound`], also where `FOUNDRY_SOLC` names something that is not there.
    pub fn solc(&self) -> Result<Tool, ChainError> {
        let mut looked = Vec::new();
        let found = match &self.solc {
            Some(value) => self.named("FOUNDRY_SOLC", value, &mut looked).or_else(|| {
                let version = parse_version(value.to_str()?)?;
                looked.push(format!("svm's version {}", value.display()));
                self.svm().into_iter().find(|(installed, _)| *installed == version).map(|(_, file)| Tool::native(file))
            }),
            None => self
                .on_path("solc", &mut looked)
                .or_else(|| {
                    looked.push("~/.svm".into());
                    let newest = self.svm().into_iter().max_by_key(|(version, _)| *version);
                    newest.filter(|(version, _)| *version >= MINIMUM_SOLC).map(|(_, file)| Tool::native(file))
                })
                .or_else(|| self.npm_solc(&mut looked)),
        };
        found.ok_or(ChainError::SolcNotFound { looked })
    }

    /// The local chain.
    ///
    /// # Errors
    ///
    /// [`ChainError::AnvilNotFound`], also where `HALLMARK_ANVIL` names something that is not there.
    pub fn anvil(&self) -> Result<Tool, ChainError> {
        self.foundry("anvil", "HALLMARK_ANVIL", self.anvil.as_ref())
            .map_err(|looked| ChainError::AnvilNotFound { looked })
    }

    /// The test runner.
    ///
    /// # Errors
    ///
    /// [`ChainError::ForgeNotFound`], also where `HALLMARK_FORGE` names something that is not there.
    pub fn forge(&self) -> Result<Tool, ChainError> {
        self.foundry("forge", "HALLMARK_FORGE", self.forge.as_ref())
            .map_err(|looked| ChainError::ForgeNotFound { looked })
    }

    fn foundry(&self, name: &str, variable: &str, value: Option<&OsString>) -> Result<Tool, Vec<String>> {
        let mut looked = Vec::new();
        let found = match value {
            Some(value) => self.named(variable, value, &mut looked),
            None => self
                .on_path(name, &mut looked)
                .or_else(|| {
                    looked.push(format!("~/.foundry/bin/{name}"));
                    executable(self.home.as_ref()?.join(".foundry/bin").join(name)).map(Tool::native)
                })
                .or_else(|| {
                    let package = format!("@foundry-rs/{name}-{}", npm_platform()?);
                    let dir = self.node_module(&package, &mut looked)?;
                    executable(dir.join("bin").join(name)).map(Tool::native)
                }),
        };
        found.ok_or(looked)
    }

    fn named(&self, variable: &str, value: &OsString, looked: &mut Vec<String>) -> Option<Tool> {
        looked.push(format!("{variable}={}", value.display()));
        executable(PathBuf::from(value)).map(Tool::native)
    }

    fn on_path(&self, name: &str, looked: &mut Vec<String>) -> Option<Tool> {
        looked.push(format!("{name} on PATH"));
        // npm's launchers there start the program as a child of their own, which outlives them when they are killed.
        let folders = self.path.iter().filter(|dir| !dir.ends_with("node_modules/.bin"));
        folders.map(|dir| dir.join(name)).find_map(executable).map(Tool::native)
    }

    /// The compilers that Foundry's version manager has installed.
    fn svm(&self) -> Vec<(Version, PathBuf)> {
        let Some(home) = &self.home else { return Vec::new() };
        let stores = [".svm", ".local/share/svm", "Library/Application Support/svm"].map(|store| home.join(store));
        let entries = stores.iter().filter_map(|store| fs::read_dir(store).ok()).flatten().flatten();
        entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                Some((parse_version(&name)?, executable(entry.path().join(format!("solc-{name}")))?))
            })
            .collect()
    }

    fn npm_solc(&self, looked: &mut Vec<String>) -> Option<Tool> {
        let package = self.node_module("solc", looked)?;
        let node = self.on_path("node", looked)?;
        let arguments = ["-e", SOLC_SCRIPT, "--", "--package", package.to_str()?].map(String::from).to_vec();
        Some(Tool { arguments, location: package, ..node })
    }

    fn node_module(&self, package: &str, looked: &mut Vec<String>) -> Option<PathBuf> {
        let folders = self.roots.iter().flat_map(|root| root.ancestors());
        let found =
            folders.map(|dir| dir.join("node_modules").join(package)).find(|dir| dir.join("package.json").is_file());
        let roots: Vec<_> = self.roots.iter().map(|root| root.display().to_string()).collect();
        looked.push(format!("node_modules/{package} in or above {}", roots.join(" and ")));
        found
    }
}

/// The name that npm's Foundry packages give to this platform.
fn npm_platform() -> Option<&'static str> {
    match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => Some("linux-amd64"),
        ("linux", "aarch64") => Some("linux-arm64"),
        ("macos", "x86_64") => Some("darwin-amd64"),
        ("macos", "aarch64") => Some("darwin-arm64"),
        _ => None,
    }
}

fn parse_version(text: &str) -> Option<Version> {
    let parts: Vec<u64> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    parts.try_into().ok()
}

#[cfg(unix)]
fn executable(file: PathBuf) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(&file).ok()?;
    (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then_some(file)
}

#[cfg(not(unix))]
fn executable(file: PathBuf) -> Option<PathBuf> {
    file.is_file().then_some(file)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    fn nowhere() -> Search {
        Search { solc: None, anvil: None, forge: None, path: Vec::new(), home: None, roots: Vec::new() }
    }

    /// Creates an executable file at `name` below `dir`.
    fn place(dir: &TempDir, name: &str) -> PathBuf {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn the_users_choice_wins_and_never_falls_through() {
        let dir = TempDir::new().unwrap();
        let on_path = place(&dir, "bin/anvil");
        let chosen = place(&dir, "mine/anvil");
        let mut search = Search { path: vec![dir.path().join("bin")], ..nowhere() };
        assert_eq!(search.anvil().unwrap().program, on_path);
        search.anvil = Some(chosen.clone().into());
        assert_eq!(search.anvil().unwrap().program, chosen);
        search.anvil = Some(dir.path().join("gone").into());
        let message = search.anvil().unwrap_err().to_string();
        assert!(message.contains("HALLMARK_ANVIL=") && message.contains("gone"), "{message}");
    }

    #[test]
    fn path_comes_before_foundryup_before_npm() {
        let dir = TempDir::new().unwrap();
        let package = format!("node_modules/@foundry-rs/forge-{}", npm_platform().unwrap());
        let npm = place(&dir, &format!("{package}/bin/forge"));
        fs::write(dir.path().join(&package).join("package.json"), "{}").unwrap();
        let mut search = Search {
            path: vec![dir.path().join("bin")],
            home: Some(dir.path().to_path_buf()),
            roots: vec![dir.path().join("a/b")],
            ..nowhere()
        };
        assert_eq!(search.forge().unwrap().program, npm);
        let foundryup = place(&dir, ".foundry/bin/forge");
        assert_eq!(search.forge().unwrap().program, foundryup);
        let on_path = place(&dir, "bin/forge");
        assert_eq!(search.forge().unwrap().program, on_path);
        search.path = vec![dir.path().join("node_modules/.bin")];
        place(&dir, "node_modules/.bin/forge");
        assert_eq!(search.forge().unwrap().program, foundryup, "npm's launcher is not a native tool");
    }

    #[test]
    fn a_file_that_cannot_run_is_no_tool() {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("anvil"), "").unwrap();
        let search = Search { path: vec![dir.path().to_path_buf()], ..nowhere() };
        assert!(matches!(search.anvil(), Err(ChainError::AnvilNotFound { .. })));
    }

    #[test]
    fn svm_gives_its_newest_supported_compiler_or_the_named_one() {
        let dir = TempDir::new().unwrap();
        let mut search = Search { home: Some(dir.path().to_path_buf()), ..nowhere() };
        let old = place(&dir, ".svm/0.8.9/solc-0.8.9");
        assert!(matches!(search.solc(), Err(ChainError::SolcNotFound { .. })), "0.8.9 is too old");
        place(&dir, ".svm/0.8.20/solc-0.8.20");
        let newest = place(&dir, ".svm/0.8.30/solc-0.8.30");
        assert_eq!(search.solc().unwrap().program, newest);
        search.solc = Some("0.8.9".into());
        assert_eq!(search.solc().unwrap().program, old);
        search.solc = Some("0.8.10".into());
        assert!(search.solc().unwrap_err().to_string().contains("0.8.10"));
    }

    #[test]
    fn no_tool_inherits_a_secret() {
        let (arguments, hidden) = (vec!["-e".into()], vec!["MY_KEY".into()]);
        let tool = Tool { arguments, hidden, ..Tool::native("tool".into()) };
        let command = tool.command();
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["-e"]);
        let mut removed: Vec<_> = command.get_envs().map(|(name, value)| (name.to_str().unwrap(), value)).collect();
        removed.sort();
        let names = ["ETH_RPC_URL", "HALLMARK_KEYSTORE_PASSWORD", "HALLMARK_PRIVATE_KEY", "MY_KEY"];
        assert_eq!(removed, names.map(|name| (name, None)));
    }

    #[test]
    fn npm_solc_runs_through_node() {
        let dir = TempDir::new().unwrap();
        let package = dir.path().join("node_modules/solc");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("package.json"), "{}").unwrap();
        let mut search = Search { roots: vec![dir.path().to_path_buf()], ..nowhere() };
        let message = search.solc().unwrap_err().to_string();
        assert!(message.contains("node on PATH"), "{message}");
        let node = place(&dir, "bin/node");
        search.path = vec![dir.path().join("bin")];
        let tool = search.solc().unwrap();
        assert_eq!((tool.program, tool.location), (node, package.clone()));
        assert_eq!(tool.arguments.last().unwrap(), package.to_str().unwrap());
    }
}
