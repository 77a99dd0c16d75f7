//! Files and folders that are replaced whole or not at all.

mod atomic;
mod folder;

pub use atomic::{AtomicFile, WriteError, write_atomic};
pub use folder::{FolderError, MANIFEST_FILE, StagedFolder, read_manifest, verify_folder};

use std::{fs::File, io, path::Path};

/// Makes the entries of a folder durable. Platforms where a folder cannot be opened need nothing of the kind.
fn sync_dir(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
