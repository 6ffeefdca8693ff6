//! The data folder: made on first use, locked while a broker runs on it.
//!
//! One process at a time has it, and the lock ends with that process. This file knows of the log only whether there is one.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// A data folder that this process alone uses. The lock ends with the process, however it ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why the folder cannot be used; one line for stderr.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made or opened.
    #[error("cannot use data folder {}: {source}", path.display())]
    Unusable {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another broker has it.
    #[error("data folder {} is in use by another broker", .0.display())]
    InUse(PathBuf),
    /// Nobody has kept anything there.
    #[error("{} is no data folder: there is no log in it", .0.display())]
    NoLog(PathBuf),
}

impl DataDir {
    /// Makes the folder if it is missing, for its owner alone, and locks it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.into(), source };
        // Hashes of passwords lie in it, and what clients publish.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        Self::lock(path)
    }

    /// Locks a folder that a broker has used before.
    pub fn open_used(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.into(), source };
        fs::metadata(path).map_err(unusable)?;
        if !path.join("log").is_dir() {
            return Err(DataDirError::NoLog(path.into()));
        }
        Self::lock(path)
    }

    fn lock(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.into(), source };
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.into())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_serves_one_broker_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse(_))));
        drop(first);
        assert!(DataDir::open(&path).is_ok());
    }

    #[test]
    fn a_new_folder_is_its_owner_s_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        DataDir::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_nobody_used_is_neither_made_nor_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert!(matches!(DataDir::open_used(&missing), Err(DataDirError::Unusable { .. })));
        assert!(matches!(DataDir::open_used(folder.path()), Err(DataDirError::NoLog(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::create_dir(folder.path().join("log")).unwrap();
        let used = DataDir::open_used(folder.path()).unwrap();
        assert!(matches!(DataDir::open(folder.path()), Err(DataDirError::InUse(_))));
        drop(used);
    }
}
