//! Files of the operating system.
//!
//! Owns one folder. A content that is being replaced stands under a temporary name until it is whole; such names are
//! not listed, so that what a crash left of one is nobody's file.

use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::{Errno, retry_on_intr},
};

use super::{File, Files};

/// A folder on a local disk.
#[derive(Debug)]
pub struct DiskFiles {
    folder: PathBuf,
}

impl DiskFiles {
    /// Makes the folder if it is missing; its name is durable then.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent)?,
            _ => sync_folder(Path::new("."))?,
        }
        Ok(Self { folder })
    }

    /// A folder as it is; nothing is made.
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write_temporary(path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = fs::File::create(path)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()
    }
}

impl Files for DiskFiles {
    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Arc<dyn File>> {
        let path = self.path(name);
        let file = fs::File::options().read(true).write(true).create_new(true).open(&path)?;
        let made = reserve(&file, size_bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_folder(&self.folder));
        if let Err(error) = made {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(Arc::new(DiskFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::File::options().read(true).write(true).open(self.path(name))?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.file_type()?.is_file() && !name.ends_with(TEMPORARY) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        let temporary = self.path(&format!("{name}{TEMPORARY}"));
        let placed = Self::write_temporary(&temporary, bytes).and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = placed {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        sync_folder(&self.folder)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let status = retry_on_intr(|| statvfs(&self.folder))?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }
}

/// An open file.
pub(super) struct DiskFile(pub(super) fs::File);

impl File for DiskFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let before = self.0.metadata()?.len();
        if len <= before {
            return Ok(());
        }
        let reserved = reserve(&self.0, len);
        if reserved.is_err() {
            let _ = self.0.set_len(before);
        }
        reserved
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

/// Reserves room, or at least sets the length where the file system cannot.
fn reserve(file: &fs::File, size_bytes: u64) -> io::Result<()> {
    if size_bytes == 0 {
        return Ok(());
    }
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, size_bytes)) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(size_bytes),
        Err(error) => Err(error.into()),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// How the names of unfinished contents end.
const TEMPORARY: &str = ".tmp";

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, DiskFiles) {
        let root = tempfile::tempdir().unwrap();
        let files = DiskFiles::open(root.path().join("a").join("log")).unwrap();
        (root, files)
    }

    #[test]
    fn a_new_file_has_its_size_and_is_made_of_zeros() {
        let (_root, files) = folder();
        let file = files.create("one", 10_000).unwrap();
        assert_eq!(file.len().unwrap(), 10_000);
        let mut bytes = [1; 100];
        file.read_at(&mut bytes, 9_900).unwrap();
        assert_eq!(bytes, [0; 100]);
        let again = files.create("one", 10).map(|_| ()).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert!(files.create("empty", 0).unwrap().is_empty().unwrap());
    }

    #[test]
    fn what_was_written_is_read_from_another_handle() {
        let (_root, files) = folder();
        let file = files.create("one", 8).unwrap();
        file.write_at(b"hello", 6).unwrap();
        file.sync().unwrap();
        let other = files.open("one").unwrap();
        let mut bytes = [0; 5];
        other.read_at(&mut bytes, 6).unwrap();
        assert_eq!((&bytes, other.len().unwrap()), (b"hello", 11));
        assert_eq!(other.read_at(&mut bytes, 7).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        other.truncate(3).unwrap();
        assert_eq!(file.len().unwrap(), 3);
    }

    #[test]
    fn names_are_listed_in_order_without_folders_and_leftovers() {
        let (root, files) = folder();
        for name in ["b", "a", "c"] {
            files.create(name, 1).unwrap();
        }
        fs::write(root.path().join("a/log/d.tmp"), b"half").unwrap();
        fs::create_dir(root.path().join("a/log/folder")).unwrap();
        files.remove("b").unwrap();
        assert_eq!(files.list().unwrap(), ["a", "c"]);
        assert_eq!(files.open("b").map(|_| ()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_replaced_file_has_the_new_content_and_leaves_nothing_beside_it() {
        let (root, files) = folder();
        assert_eq!(files.read("x").unwrap(), None);
        files.replace("x", b"a longer content").unwrap();
        files.replace("x", b"new").unwrap();
        assert_eq!(files.read("x").unwrap().unwrap(), b"new");
        assert_eq!(fs::read_dir(root.path().join("a/log")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_does_not_fit_is_an_error_and_leaves_no_name() {
        let (_root, files) = folder();
        assert!(files.create("huge", 1 << 60).is_err());
        assert!(files.list().unwrap().is_empty());
        assert!(files.free_bytes().unwrap() > 0);
    }
}
