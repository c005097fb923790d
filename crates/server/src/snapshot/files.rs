//! The names of a snapshot's files, and how they change.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// FILE, and what stands beside it.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) file: PathBuf,
    /// Being written.
    pub(super) new: PathBuf,
    /// The journal of what is purged after it.
    pub(super) since: PathBuf,
    /// In use: a start has taken it.
    pub(super) loading: PathBuf,
    pub(super) loading_since: PathBuf,
    /// The last one that could not be used, for whoever wants to know why.
    pub(super) refused: PathBuf,
}

impl Files {
    pub(super) fn of(file: &Path) -> Files {
        let beside = |end: &str| {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        Files {
            file: file.to_owned(),
            new: beside(".new"),
            since: beside(".since"),
            loading: beside(".loading"),
            loading_since: beside(".loading.since"),
            refused: beside(".refused"),
        }
    }

    /// Makes what was renamed in the folder last, whatever happens to the machine.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

/// A new file that only its owner can read: it holds what visitors were sent, and the key of the store's hash.
pub(super) fn create(path: &Path) -> io::Result<File> {
    remove(path)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Removes a file if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
