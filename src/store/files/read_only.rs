//! A folder that is only looked at: whatever would change it is refused, and it need not even allow it.
//!
//! Files that it opens cannot be written to either. Who else uses the folder is not known here.

use std::{fs, io, path::PathBuf, sync::Arc};

use super::{
    File, Files,
    disk::{DiskFile, DiskFiles},
};

/// A folder on a local disk, to be read.
#[derive(Debug)]
pub struct ReadOnlyFiles(DiskFiles);

impl ReadOnlyFiles {
    /// The folder must be there when it is used.
    pub fn new(folder: PathBuf) -> Self {
        Self(DiskFiles::at(folder))
    }
}

impl Files for ReadOnlyFiles {
    fn create(&self, _name: &str, _size_bytes: u64) -> io::Result<Arc<dyn File>> {
        Err(refused())
    }

    /// Writes to the file fail.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(DiskFile(fs::File::open(self.0.path(name))?)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        Err(refused())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.read(name)
    }

    fn replace(&self, _name: &str, _bytes: &[u8]) -> io::Result<()> {
        Err(refused())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }
}

fn refused() -> io::Error {
    io::ErrorKind::ReadOnlyFilesystem.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), b"content").unwrap();
        let files = ReadOnlyFiles::new(folder.path().into());
        let file = files.open("a").unwrap();
        let mut bytes = [0; 4];
        file.read_at(&mut bytes, 3).unwrap();
        assert_eq!((&bytes, file.len().unwrap()), (b"tent", 7));
        assert!(file.write_at(b"x", 0).is_err() && file.truncate(1).is_err());
        assert!(
            files.create("b", 1).is_err() && files.remove("a").is_err() && files.replace("a", b"").is_err()
        );
        assert_eq!(
            (files.list().unwrap(), files.read("a").unwrap()),
            (vec!["a".into()], Some(b"content".to_vec()))
        );
        assert!(ReadOnlyFiles::new(folder.path().join("missing")).list().is_err());
    }
}
