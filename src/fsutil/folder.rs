//! Atomic replacement of a whole folder.
//!
//! The new folder is written beside the target, in a work folder `.NAME.hallmark-XXXXXX/`:
//!
//! | entry | content |
//! | --- | --- |
//! | `lock` | a fixed text; locked by the process that owns the work folder for as long as it lives |
//! | `new/` | the staged folder; after the exchange, the folder that was replaced |
//! | `old/` | the folder that was replaced, where the file system cannot exchange two names |
//! | `known` | before the exchange: every path of the new and the old folder that is accounted for |
//!
//! Files of the old folder that Hallmark did not write are linked into the new one *before* the exchange, so that at no
//! time either name lacks them. Files that appear in the old folder while that happens are not in `known`; they are
//! moved over after the exchange, by this process or, if it was killed, by the next one.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File, TryLockError},
    io::{self, BufWriter, Write},
    path::{Component, Path, PathBuf},
};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::sync_dir;

/// The file that makes a folder one of Hallmark's. Its `hallmark` field is the version that wrote it, its `files` field
/// maps each path in the folder to the file's sha256.
pub const MANIFEST_FILE: &str = "manifest.json";

const VERSION_FIELD: &str = "hallmark";
const FILES_FIELD: &str = "files";
const LOCK_TEXT: &[u8] = b"hallmark work folder: safe to delete once the process that made it has ended\n";

/// Why a folder could not be written or read. Unless said otherwise the target is as it was.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error(
        "{} is not a folder written by hallmark (it is not empty and has no {MANIFEST_FILE} of hallmark's); choose another output \
         folder or empty it",
        path.display()
    )]
    NotOurs { path: PathBuf },
    #[error("{} exists and is not a folder", path.display())]
    NotAFolder { path: PathBuf },
    #[error("the current directory lies inside {}, which would be replaced as a whole; run the command from outside it", path.display())]
    CurrentDirectory { path: PathBuf },
    #[error("{relative} cannot be written into {}: it must be a new relative path inside it", path.display())]
    BadPath { path: PathBuf, relative: String },
    #[error("{} would be overwritten, and hallmark did not write it; move it away", path.display())]
    Foreign { path: PathBuf },
    #[error("{} is not a manifest of hallmark's: {detail}", path.display())]
    Manifest { path: PathBuf, detail: String },
    #[error("{} does not have the sha256 that {MANIFEST_FILE} gives it: it was changed after it was written, or belongs to another build", path.display())]
    Changed { path: PathBuf },
    #[error(
        "cannot replace {} as a whole: {source}; it may be a mount point: choose a folder inside it",
        path.display()
    )]
    Exchange { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}; {} is untouched", path.display(), target.display())]
    Write { path: PathBuf, target: PathBuf, source: io::Error },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
}

/// A folder that takes its name only when it is complete.
#[derive(Debug)]
pub struct StagedFolder {
    /// The absolute path of the target, links followed.
    target: PathBuf,
    work: PathBuf,
    /// Holds the lock that says this process is alive.
    _lock: File,
    /// sha256 by path.
    files: BTreeMap<String, String>,
}

impl StagedFolder {
    /// Begins a replacement of `target`, which is missing, empty or a folder of Hallmark's; missing parents are created.
    /// Clears away what killed runs left beside it.
    pub fn new(target: &Path) -> Result<Self, FolderError> {
        let target = absolute(target)?;
        let parent = target.parent().unwrap_or(Path::new("/"));
        let write_error =
            |path: &Path, source| FolderError::Write { path: path.to_owned(), target: target.clone(), source };
        fs::create_dir_all(parent).map_err(|source| write_error(parent, source))?;
        clear_stale(&target);
        check_replaceable(&target)?;

        let work = tempfile::Builder::new()
            .prefix(&work_prefix(&target))
            .tempdir_in(parent)
            .map_err(|source| write_error(parent, source))?;
        let prepare = || {
            // Locked before it has its name: whoever finds `lock` unlocked knows that its owner is gone.
            let unnamed = work.path().join("lock.tmp");
            let mut lock = File::create_new(&unnamed)?;
            lock.lock()?;
            lock.write_all(LOCK_TEXT)?;
            fs::rename(&unnamed, work.path().join("lock"))?;
            fs::create_dir(work.path().join("new"))?;
            Ok(lock)
        };
        let lock = prepare().map_err(|source| write_error(work.path(), source))?;
        Ok(StagedFolder { work: work.keep(), target, _lock: lock, files: BTreeMap::new() })
    }

    /// Adds a file; `relative` has `/` between its parts.
    pub fn write(&mut self, relative: &str, bytes: &[u8]) -> Result<(), FolderError> {
        self.write_with(relative, |file| file.write_all(bytes))
    }

    /// Adds a file that `fill` writes.
    pub fn write_with(
        &mut self,
        relative: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), FolderError> {
        if !is_plain(relative) || relative == MANIFEST_FILE || self.files.contains_key(relative) {
            return Err(FolderError::BadPath { path: self.target.clone(), relative: relative.to_owned() });
        }
        let digest = self.create(relative, fill)?;
        self.files.insert(relative.to_owned(), digest);
        Ok(())
    }

    /// Completes the folder with its manifest, to which the version and the list of files are added, and puts it in
    /// the target's place. Files in the old folder that Hallmark did not write are kept.
    pub fn commit(self, manifest: Map<String, Value>) -> Result<(), FolderError> {
        self.commit_by(manifest, true)
    }

    fn commit_by(self, mut manifest: Map<String, Value>, exchange: bool) -> Result<(), FolderError> {
        let files = self.files.iter().map(|(path, digest)| (path.clone(), Value::from(digest.as_str()))).collect();
        manifest.insert(VERSION_FIELD.to_owned(), Value::from(env!("CARGO_PKG_VERSION")));
        manifest.insert(FILES_FIELD.to_owned(), Value::Object(files));
        self.create(MANIFEST_FILE, |file| {
            serde_json::to_writer_pretty(&mut *file, &Value::Object(manifest))?;
            file.write_all(b"\n")
        })?;

        let new = self.work.join("new");
        let mut known: BTreeSet<OsString> = self.files.keys().map(|relative| native(relative)).collect();
        known.insert(MANIFEST_FILE.into());
        let exists = check_replaceable(&self.target)?;
        if exists {
            let old = inventory(&self.target)?;
            for relative in walk(&self.target).map_err(|source| self.error(&self.target, source))? {
                if !old.contains(relative.as_os_str()) {
                    if known.contains(relative.as_os_str()) {
                        return Err(FolderError::Foreign { path: self.target.join(relative) });
                    }
                    carry(&self.target.join(&relative), &new.join(&relative))
                        .map_err(|source| self.error(&self.target.join(&relative), source))?;
                }
                known.insert(relative.into());
            }
        }
        let known: Vec<&[u8]> = known.iter().map(|path| path.as_encoded_bytes()).collect();
        let staged = || {
            if exists {
                fs::set_permissions(&new, fs::metadata(&self.target)?.permissions())?;
            }
            let mut file = File::create_new(self.work.join("known"))?;
            file.write_all(&known.join(&0))?;
            file.sync_all()?;
            sync_tree(&new)?;
            sync_dir(&self.work)
        };
        staged().map_err(|source| self.error(&self.work, source))?;

        swap(&new, &self.target, &self.work.join("old"), exists, exchange)
            .map_err(|source| FolderError::Exchange { path: self.target.clone(), source })?;
        if let Some(parent) = self.target.parent() {
            // The folder has its name: failing to sync only makes that less durable.
            let _ = sync_dir(parent);
        }
        Ok(())
    }

    fn create(
        &self,
        relative: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<String, FolderError> {
        let path = self.work.join("new").join(relative);
        let create = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = HashingFile { file: BufWriter::new(File::create_new(&path)?), hash: Sha256::new() };
            fill(&mut file)?;
            file.file.flush()?;
            file.file.get_ref().sync_all()?;
            Ok(hex::encode(file.hash.finalize()))
        };
        create().map_err(|source| self.error(&self.target.join(relative), source))
    }

    fn error(&self, path: &Path, source: io::Error) -> FolderError {
        FolderError::Write { path: path.to_owned(), target: self.target.clone(), source }
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        // What cannot be cleared now is cleared by the next run.
        let _ = settle(&self.work, &self.target);
    }
}

struct HashingFile {
    file: BufWriter<File>,
    hash: Sha256,
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The manifest of a folder of Hallmark's.
pub fn read_manifest(folder: &Path) -> Result<Map<String, Value>, FolderError> {
    let path = folder.join(MANIFEST_FILE);
    let text = fs::read(&path).map_err(|source| FolderError::Read { path: path.clone(), source })?;
    let bad = |detail: &str| FolderError::Manifest { path: path.clone(), detail: detail.to_owned() };
    let manifest: Map<String, Value> = serde_json::from_slice(&text).map_err(|error| bad(&error.to_string()))?;
    if !manifest.get(VERSION_FIELD).is_some_and(Value::is_string) {
        return Err(bad("it has no `hallmark` version"));
    }
    if !manifest.get(FILES_FIELD).and_then(Value::as_object).is_some_and(|files| files.values().all(Value::is_string)) {
        return Err(bad("it has no list of `files`"));
    }
    Ok(manifest)
}

/// Checks that every file of a folder of Hallmark's is there with its sha256, and returns the manifest.
pub fn verify_folder(folder: &Path) -> Result<Map<String, Value>, FolderError> {
    let manifest = read_manifest(folder)?;
    for (relative, digest) in manifest.get(FILES_FIELD).and_then(Value::as_object).into_iter().flatten() {
        let path = folder.join(relative);
        if !is_plain(relative) {
            let detail = format!("its list of `files` has {relative}, which is not a path inside the folder");
            return Err(FolderError::Manifest { path: folder.join(MANIFEST_FILE), detail });
        }
        let hash = hash_file(&path).map_err(|source| FolderError::Read { path: path.clone(), source })?;
        if digest.as_str() != Some(&hash) {
            return Err(FolderError::Changed { path });
        }
    }
    Ok(manifest)
}

/// The sha256 of a regular file, in hex. Of anything else the end may never come.
fn hash_file(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hex::encode(hash.finalize()))
}

/// Whether a path of the manifest stays inside its folder.
fn is_plain(relative: &str) -> bool {
    !relative.is_empty() && Path::new(relative).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The paths in a folder that Hallmark wrote; none for an empty folder.
fn inventory(folder: &Path) -> Result<BTreeSet<OsString>, FolderError> {
    if !folder.join(MANIFEST_FILE).exists() {
        return Ok(BTreeSet::new());
    }
    let manifest = read_manifest(folder)?;
    let files = manifest.get(FILES_FIELD).and_then(Value::as_object);
    let files = files.into_iter().flat_map(|files| files.keys().map(|relative| native(relative)));
    Ok(files.chain([MANIFEST_FILE.into()]).collect())
}

/// A path of the manifest as [`walk`] gives it.
fn native(relative: &str) -> OsString {
    relative.split('/').collect::<PathBuf>().into_os_string()
}

/// Whether there is a folder to replace; an error if there is something else.
fn check_replaceable(target: &Path) -> Result<bool, FolderError> {
    let read_error = |source| FolderError::Read { path: target.to_owned(), source };
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(read_error(source)),
        Ok(metadata) if !metadata.is_dir() => return Err(FolderError::NotAFolder { path: target.to_owned() }),
        Ok(_) => {}
    }
    let empty = fs::read_dir(target).map_err(read_error)?.next().is_none();
    if !empty && read_manifest(target).is_err() {
        return Err(FolderError::NotOurs { path: target.to_owned() });
    }
    if std::env::current_dir().is_ok_and(|current| current.starts_with(target)) {
        return Err(FolderError::CurrentDirectory { path: target.to_owned() });
    }
    Ok(true)
}

fn absolute(path: &Path) -> Result<PathBuf, FolderError> {
    let read_error = |source| FolderError::Read { path: path.to_owned(), source };
    match fs::canonicalize(path) {
        Ok(path) => return Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(read_error(source)),
    }
    let path = std::path::absolute(path).map_err(read_error)?;
    match path.file_name() {
        Some(_) => Ok(path),
        None => Err(FolderError::NotAFolder { path }),
    }
}

fn work_prefix(target: &Path) -> String {
    format!(".{}.hallmark-", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Clears the work folders of killed runs. Only those are touched that have the target's prefix and our lock file, and
/// whose lock nobody holds; whatever else stands beside the target stays.
fn clear_stale(target: &Path) {
    let Some(entries) = target.parent().and_then(|parent| fs::read_dir(parent).ok()) else { return };
    let prefix = work_prefix(target);
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&prefix)
            || !entry.file_type().is_ok_and(|kind| kind.is_dir())
        {
            continue;
        }
        let work = entry.path();
        let lock = work.join("lock");
        if fs::read(&lock).is_ok_and(|text| text == LOCK_TEXT)
            && let Ok(lock) = File::open(&lock)
            && !matches!(lock.try_lock(), Err(TryLockError::WouldBlock | TryLockError::Error(_)))
        {
            // What cannot be cleared is left for the user to see.
            let _ = settle(&work, target);
        }
    }
}

/// Ends a work folder: puts the old folder back if the target is missing, moves over what is not accounted for, and
/// deletes the rest.
fn settle(work: &Path, target: &Path) -> io::Result<()> {
    let (new, old) = (work.join("new"), work.join("old"));
    if old.exists() && !target.exists() {
        fs::rename(&old, target)?;
    }
    // Without `known` there was no exchange, and everything in `new` is a copy or our own.
    if let Ok(known) = fs::read(work.join("known")) {
        let known: BTreeSet<&[u8]> = known.split(|byte| *byte == 0).collect();
        for folder in [&new, &old].into_iter().filter(|folder| folder.exists()) {
            for relative in walk(folder)? {
                let destination = target.join(&relative);
                if !known.contains(relative.as_os_str().as_encoded_bytes())
                    && fs::symlink_metadata(&destination).is_err()
                {
                    if let Some(parent) = destination.parent() {
                        fs::create_dir_all(parent)?;
                    }
                    fs::rename(folder.join(&relative), destination)?;
                }
            }
        }
    }
    // The lock goes last: it is what says that the rest may be deleted.
    let absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    for folder in [new, old] {
        fs::remove_dir_all(folder).or_else(|error| if absent(&error) { Ok(()) } else { Err(error) })?;
    }
    for file in ["known", "lock.tmp", "lock"] {
        fs::remove_file(work.join(file)).or_else(|error| if absent(&error) { Ok(()) } else { Err(error) })?;
    }
    fs::remove_dir(work)
}

/// Every file, link and empty folder below `root`, as paths relative to it.
fn walk(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(folder) = pending.pop() {
        let mut empty = true;
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            empty = false;
            let relative = folder.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => pending.push(relative),
                false => found.push(relative),
            }
        }
        if empty && !folder.as_os_str().is_empty() {
            found.push(folder);
        }
    }
    Ok(found)
}

/// Makes `to` the same file, link or empty folder as `from`. Sockets and the like are left for [`settle`] to move.
fn carry(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_dir() {
        fs::create_dir_all(to)
    } else if kind.is_file() || kind.is_symlink() {
        // A hard link to a symbolic link is the link itself; what cannot be linked is copied.
        fs::hard_link(from, to).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            _ => copy(from, to, kind.is_symlink()),
        })
    } else {
        Ok(())
    }
}

fn copy(from: &Path, to: &Path, is_link: bool) -> io::Result<()> {
    #[cfg(unix)]
    if is_link {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    let _ = is_link;
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync_dir(folder)
}

/// Gives `new` the name `target`. Where both exist their names are exchanged in one step if the system can do that and
/// `exchange` allows it; otherwise the target steps aside to `old` first, and a kill in between is undone by [`settle`].
fn swap(new: &Path, target: &Path, old: &Path, exists: bool, exchange: bool) -> io::Result<()> {
    if !exists {
        return fs::rename(new, target);
    }
    if exchange {
        match exchange_names(new, target) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            result => return result,
        }
    }
    fs::rename(target, old)?;
    fs::rename(new, target).inspect_err(|_| {
        // If this fails too, the next run does it.
        let _ = fs::rename(old, target);
    })
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the standard library has no exchange of two names")]
fn exchange_names(a: &Path, b: &Path) -> io::Result<()> {
    use std::{ffi::CString, os::unix::ffi::OsStrExt};
    let a = CString::new(a.as_os_str().as_bytes())?;
    let b = CString::new(b.as_os_str().as_bytes())?;
    // SAFETY: both are NUL-terminated strings that outlive the call.
    let result =
        unsafe { libc::renameat2(libc::AT_FDCWD, a.as_ptr(), libc::AT_FDCWD, b.as_ptr(), libc::RENAME_EXCHANGE) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // An old kernel, or a file system without the operation.
        Some(libc::ENOSYS | libc::EINVAL | libc::ENOTSUP) => Err(io::ErrorKind::Unsupported.into()),
        _ => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn exchange_names(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        process::Command,
        time::{Duration, Instant},
    };

    fn stage(target: &Path, files: &[(&str, &str)]) -> Result<StagedFolder, FolderError> {
        let mut folder = StagedFolder::new(target)?;
        for (relative, text) in files {
            folder.write(relative, text.as_bytes())?;
        }
        Ok(folder)
    }

    fn build(target: &Path, files: &[(&str, &str)]) -> Result<(), FolderError> {
        stage(target, files)?.commit(Map::new())
    }

    fn listing(folder: &Path) -> Vec<String> {
        let mut paths: Vec<String> = walk(folder).unwrap().into_iter().map(|path| path.display().to_string()).collect();
        paths.sort();
        paths
    }

    fn text(path: impl AsRef<Path>) -> String {
        fs::read_to_string(path).unwrap()
    }

    fn put(path: impl AsRef<Path>, text: &str) {
        fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_folder_appears_whole_with_its_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("build/credit");
        let mut folder = stage(&target, &[("circuit.bin", "c"), ("contracts/V.sol", "v")]).unwrap();
        assert!(!target.exists());
        folder.write_with("big", |file| (0..1000).try_for_each(|_| file.write_all(b"0123456789"))).unwrap();
        folder.commit(Map::from_iter([("model".to_owned(), Value::from("credit"))])).unwrap();
        assert_eq!(
            listing(dir.path()),
            [
                "build/credit/big",
                "build/credit/circuit.bin",
                "build/credit/contracts/V.sol",
                "build/credit/manifest.json"
            ]
        );
        let manifest = verify_folder(&target).unwrap();
        assert_eq!(manifest["model"], "credit");
        assert_eq!(manifest["files"]["circuit.bin"], hex::encode(Sha256::digest(b"c")));
        assert_eq!(manifest["files"].as_object().unwrap().len(), 3);
    }

    #[test]
    fn a_changed_or_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("credit");
        build(&target, &[("a", "a"), ("b", "b")]).unwrap();
        put(target.join("b"), "c");
        assert!(matches!(verify_folder(&target), Err(FolderError::Changed { path }) if path == target.join("b")));
        fs::remove_file(target.join("b")).unwrap();
        assert!(matches!(verify_folder(&target), Err(FolderError::Read { path, .. }) if path == target.join("b")));
    }

    #[test]
    fn a_replacement_drops_what_it_wrote_and_keeps_what_others_wrote() {
        for exchange in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("credit");
            fs::create_dir(&target).unwrap();
            build(&target, &[("circuit.bin", "1"), ("test/Old.t.sol", "1")]).unwrap();
            put(target.join("proof.json"), "mine");
            put(target.join("test/Mine.t.sol"), "mine");
            put(target.join("lib/deep/er/x"), "mine");
            fs::create_dir(target.join("empty")).unwrap();
            #[cfg(unix)]
            std::os::unix::fs::symlink("proof.json", target.join("zlink")).unwrap();

            stage(&target, &[("circuit.bin", "2"), ("new.bin", "2")]).unwrap().commit_by(Map::new(), exchange).unwrap();
            verify_folder(&target).unwrap();
            let mut expected = vec![
                "circuit.bin",
                "empty",
                "lib/deep/er/x",
                "manifest.json",
                "new.bin",
                "proof.json",
                "test/Mine.t.sol",
            ];
            if cfg!(unix) {
                expected.push("zlink");
                assert_eq!(text(target.join("zlink")), "mine");
            }
            assert_eq!(listing(&target), expected);
            assert_eq!(text(target.join("circuit.bin")), "2");
            assert_eq!(text(target.join("test/Mine.t.sol")), "mine");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no work folder is left");
        }
    }

    #[test]
    fn a_dropped_stage_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("credit");
        build(&target, &[("a", "1")]).unwrap();
        drop(stage(&target, &[("a", "2")]).unwrap());
        assert_eq!(text(target.join("a")), "1");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_ours_is_refused_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("home");
        put(target.join("thesis.tex"), "x");
        assert!(matches!(StagedFolder::new(&target), Err(FolderError::NotOurs { .. })));
        // Somebody else's manifest.
        put(target.join(MANIFEST_FILE), "{\"name\": \"web app\"}");
        assert!(matches!(StagedFolder::new(&target), Err(FolderError::NotOurs { .. })));
        assert_eq!(listing(&target), ["manifest.json", "thesis.tex"]);

        let file = dir.path().join("file");
        put(&file, "x");
        assert!(matches!(StagedFolder::new(&file), Err(FolderError::NotAFolder { .. })));
        let current = std::env::current_dir().unwrap();
        assert!(StagedFolder::new(&current).is_err());
        assert!(StagedFolder::new(Path::new("/")).is_err());
    }

    #[test]
    fn a_file_of_the_user_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("credit");
        build(&target, &[("a", "1")]).unwrap();
        put(target.join("b"), "mine");
        let error = build(&target, &[("a", "2"), ("b", "2")]).unwrap_err();
        assert!(matches!(&error, FolderError::Foreign { path } if path.ends_with("credit/b")), "{error}");
        assert_eq!((text(target.join("a")), text(target.join("b"))), ("1".to_owned(), "mine".to_owned()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn paths_stay_inside_and_are_new() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = stage(&dir.path().join("credit"), &[("a", "1")]).unwrap();
        for relative in ["", ".", "..", "../x", "/etc/x", "x/../../y", "a", MANIFEST_FILE] {
            assert!(matches!(folder.write(relative, b""), Err(FolderError::BadPath { .. })), "{relative}");
        }
    }

    #[test]
    fn a_target_behind_a_link_is_replaced_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real/credit"), dir.path().join("link"));
        build(&real, &[("a", "1")]).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&real, &link).unwrap();
            build(&link, &[("a", "2")]).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(text(real.join("a")), "2");
        }
    }

    /// A work folder as a killed run leaves it: staged, known, not locked.
    fn killed_before_exchange(target: &Path) -> PathBuf {
        let folder = stage(target, &[("a", "2")]).unwrap();
        folder.create(MANIFEST_FILE, |file| file.write_all(b"{\"hallmark\": \"0\", \"files\": {}}")).unwrap();
        put(folder.work.join("known"), "a\0manifest.json");
        let work = folder.work.clone();
        let kept = work.with_extension("kept");
        // Out of the reach of the destructor, whose lock goes with it.
        fs::rename(&work, &kept).unwrap();
        drop(folder);
        fs::rename(&kept, &work).unwrap();
        // A process that another test spawns holds a copy of the lock until it has become another program.
        File::open(work.join("lock")).unwrap().lock().unwrap();
        work
    }

    #[test]
    fn leftovers_of_killed_runs_are_cleared_and_strangers_stay() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("credit");
        build(&target, &[("a", "1")]).unwrap();
        let work = killed_before_exchange(&target);
        let stranger = dir.path().join(".credit.hallmark-notes");
        put(stranger.join("x"), "mine");
        let other_target = dir.path().join(".credit2.hallmark-aaaaaa");
        put(other_target.join("lock"), "other");
        let alive = StagedFolder::new(&target).unwrap();
        assert!(!work.exists(), "the killed run's work folder is cleared");
        assert!(stranger.exists() && other_target.exists());
        drop(StagedFolder::new(&target).unwrap());
        assert!(alive.work.exists(), "a live process keeps its work folder");
        assert_eq!(text(target.join("a")), "1");
    }

    #[test]
    fn a_kill_between_the_renames_of_the_fallback_is_undone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("credit");
        build(&target, &[("a", "1")]).unwrap();
        let work = killed_before_exchange(&target);
        fs::rename(&target, work.join("old")).unwrap();
        drop(StagedFolder::new(&target).unwrap());
        assert_eq!(text(target.join("a")), "1");
        assert!(!work.exists());
    }

    #[test]
    fn a_file_that_appeared_during_the_exchange_is_moved_over() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("credit");
        build(&target, &[("a", "1")]).unwrap();
        let work = killed_before_exchange(&target);
        put(target.join("sub/late.json"), "mine");
        swap(&work.join("new"), &target, &work.join("old"), true, true).unwrap();
        drop(StagedFolder::new(&target).unwrap());
        assert_eq!(text(target.join("a")), "2");
        assert_eq!(text(target.join("sub/late.json")), "mine");
        assert!(!work.exists());
    }

    const FILES: usize = 8;

    /// Run by the test below, which kills it.
    #[test]
    #[ignore = "the child process of another test"]
    fn commit_until_killed_child() {
        let Some(target) = std::env::var_os("HALLMARK_TEST_TARGET") else { return };
        for generation in 0.. {
            let text = format!("{} {generation} ", std::process::id()).repeat(500);
            let files: Vec<String> = (0..FILES).map(|i| format!("part{}/{i}", i % 3)).collect();
            let files: Vec<(&str, &str)> = files.iter().map(|name| (name.as_str(), text.as_str())).collect();
            build(Path::new(&target), &files).unwrap();
        }
    }

    #[test]
    fn a_kill_at_any_moment_leaves_a_whole_folder() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("credit");
        build(&target, &[("first", "1")]).unwrap();
        put(target.join("proof.json"), "mine");
        put(target.join("part0/notes.md"), "mine");
        for round in 0..25u64 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "fsutil::folder::tests::commit_until_killed_child", "--ignored"])
                .env("HALLMARK_TEST_TARGET", &target)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let marker = format!("{} ", child.id());
            let committed = || fs::read_to_string(target.join("part0/0")).is_ok_and(|text| text.starts_with(&marker));
            let start = Instant::now();
            while !committed() && start.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_micros(round * 7_919 % 61_000));
            child.kill().unwrap();
            child.wait().unwrap();

            let manifest = verify_folder(&target).unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!(text(target.join("proof.json")), "mine");
            assert_eq!(text(target.join("part0/notes.md")), "mine");
            let files = manifest["files"].as_object().unwrap();
            assert_eq!(files.len(), FILES);
            let texts: BTreeSet<String> = files.keys().map(|name| text(target.join(name))).collect();
            assert_eq!(texts.len(), 1, "round {round}: files of different commits");
            assert!(texts.iter().all(|text| text.starts_with(&marker)), "the child never got to commit");
        }
        build(&target, &[("last", "1")]).unwrap();
        assert_eq!(listing(&target), ["last", "manifest.json", "part0/notes.md", "proof.json"]);
        // A kill in the moment before a work folder has its lock, or after it has lost it, leaves an empty shell.
        for entry in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| *path != target)
        {
            assert!(listing(&entry).iter().all(|name| name == "lock.tmp"), "{entry:?}: {:?}", listing(&entry));
        }
    }
}
