//! Atomic replacement of one file.
//!
//! The temporary file beside the target is locked by the process that writes it for as long as it lives, so that whoever writes
//! the target next knows which ones killed processes left, and removes them.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::sync_dir;

/// A file could not be written. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}; {}", .path.display(), if *.existed { "the old file is untouched" } else { "nothing was left behind" })]
pub struct WriteError {
    pub path: PathBuf,
    /// Whether there was a file under this name.
    pub existed: bool,
    pub source: io::Error,
}

impl WriteError {
    pub(crate) fn new(path: &Path, source: io::Error) -> Self {
        WriteError { path: path.to_owned(), existed: path.exists(), source }
    }
}

/// A file that takes its name only when it is complete: it is written beside the target, then renamed onto it by
/// [`AtomicFile::commit`]. Dropped before that, it leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    temp: NamedTempFile,
    /// The name the caller knows.
    path: PathBuf,
    /// The same after following symbolic links, so that a link keeps being one.
    target: PathBuf,
}

impl AtomicFile {
    /// Begins a replacement of `path`, whose folder must exist.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        Self::open(path).map_err(|source| WriteError::new(path, source))
    }

    fn open(path: &Path) -> io::Result<Self> {
        let old = fs::metadata(path).ok();
        if let Some(old) = &old
            && !old.is_file()
        {
            let kind = if old.is_dir() { io::ErrorKind::IsADirectory } else { io::ErrorKind::Unsupported };
            return Err(io::Error::new(kind, "it is not a regular file"));
        }
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "its folder does not exist"));
        }
        let name =
            target.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it has no file name"))?;
        let prefix = format!(".{}.", name.to_string_lossy());
        clear_stale(folder, &prefix);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX);
        if let Some(permissions) = default_permissions() {
            builder.permissions(permissions);
        }
        let temp = loop {
            let temp = builder.tempfile_in(folder)?;
            // where files cannot be locked nothing is cleared away, either
            let _ = temp.as_file().lock();
            // another process may have taken it for stale before it was locked
            if temp.path().exists() {
                break temp;
            }
        };
        if let Some(old) = old {
            temp.as_file().set_permissions(old.permissions())?;
        }
        Ok(AtomicFile { temp, path: path.to_owned(), target })
    }

    /// Makes the content durable and gives it the target's name.
    pub fn commit(self) -> Result<(), WriteError> {
        let AtomicFile { temp, path, target } = self;
        let replace = || {
            temp.as_file().sync_all()?;
            temp.persist(&target).map_err(|error| error.error)?;
            Ok(())
        };
        replace().map_err(|source| WriteError::new(&path, source))?;
        // The rename has happened: a folder that cannot be synced only makes it less durable.
        let _ = sync_dir(target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")));
        Ok(())
    }

    /// The error for a failure of one of this file's writes.
    pub fn error(&self, source: io::Error) -> WriteError {
        WriteError::new(&self.path, source)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temp.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.as_file_mut().flush()
    }
}

/// Replaces the file at `path` by `bytes`, atomically; its folder must exist. A device or a pipe, such as
/// `/dev/stdout`, is written in place.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    if fs::metadata(path).is_ok_and(|old| !old.is_file() && !old.is_dir()) {
        return fs::write(path, bytes).map_err(|source| WriteError::new(path, source));
    }
    let mut file = AtomicFile::create(path)?;
    if let Err(source) = file.write_all(bytes) {
        return Err(file.error(source));
    }
    file.commit()
}

/// How the names of temporary files end.
const SUFFIX: &str = ".hallmark-tmp";

/// Removes the temporary files of a target whose processes have ended. What cannot be read or removed stays.
fn clear_stale(folder: &Path, prefix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = name.starts_with(prefix) && name.ends_with(SUFFIX);
        if ours
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            // its lock is held until it is gone
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What a newly created file usually gets: read and write for all, less the process's mask.
#[cfg(unix)]
fn default_permissions() -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn default_permissions() -> Option<Permissions> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proof.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(entries(dir.path()), ["proof.json"]);
    }

    #[test]
    fn dropped_before_commit_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proof.json");
        write_atomic(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(entries(dir.path()), ["proof.json"]);
    }

    #[test]
    fn temporary_files_of_killed_processes_are_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proof.json");
        for name in [".proof.json.k1lled.hallmark-tmp", ".other.json.k1lled.hallmark-tmp", ".proof.json.mine"] {
            fs::write(dir.path().join(name), "half").unwrap();
        }
        let mut living = AtomicFile::create(&path).unwrap();
        assert!(!dir.path().join(".proof.json.k1lled.hallmark-tmp").exists());
        write_atomic(&path, b"another").unwrap();
        living.write_all(b"first").unwrap();
        living.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(entries(dir.path()), [".other.json.k1lled.hallmark-tmp", ".proof.json.mine", "proof.json"]);
    }

    #[test]
    fn a_missing_folder_and_a_folder_in_the_way_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("no/such/proof.json");
        let error = write_atomic(&missing, b"x").unwrap_err().to_string();
        assert!(error.contains("no/such/proof.json") && error.contains("nothing was left behind"), "{error}");
        let error = write_atomic(dir.path(), b"x").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::IsADirectory);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (path, fresh, link) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("link"));
        fs::write(&fresh, b"x").unwrap();
        write_atomic(&path, b"one").unwrap();
        assert_eq!(mode(&path), mode(&fresh), "a new file's mode follows the process's mask");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        symlink(&path, &link).unwrap();
        write_atomic(&link, b"two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"two".to_vec(), 0o600));
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_written_in_place() {
        write_atomic(Path::new("/dev/null"), b"x").unwrap();
        let error = write_atomic(Path::new("/dev/full"), b"x").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
    }

    /// Run by the test below in a process whose files may not grow past a limit.
    #[cfg(unix)]
    #[test]
    #[ignore = "the child process of another test"]
    fn write_a_large_file_child() {
        let Some(path) = std::env::var_os("HALLMARK_TEST_LARGE_FILE") else { return };
        let error = write_atomic(Path::new(&path), &vec![7; 1 << 20]).unwrap_err();
        assert!(error.existed && error.to_string().contains("the old file is untouched"), "{error}");
        assert_eq!(error.source.kind(), io::ErrorKind::FileTooLarge);
    }

    #[cfg(unix)]
    #[test]
    #[allow(unsafe_code, reason = "limits are set between fork and exec")]
    fn a_full_disk_leaves_the_old_file() {
        use std::{os::unix::process::CommandExt, process::Command};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proof.json");
        fs::write(&path, b"old").unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "fsutil::atomic::tests::write_a_large_file_child", "--ignored"]);
        child.env("HALLMARK_TEST_LARGE_FILE", &path);
        // SAFETY: both calls are async-signal-safe and touch no memory of the parent.
        unsafe {
            child.pre_exec(|| {
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                let limit = libc::rlimit { rlim_cur: 1 << 16, rlim_max: 1 << 16 };
                match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
        let output = child.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(entries(dir.path()), ["proof.json"]);
    }
}
