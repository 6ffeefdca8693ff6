//! Files as the store needs them: a flat folder of names, and reads and writes at offsets.
//!
//! Everything that the store does to a disk goes through [`Files`] and [`File`], so that tests can put a disk in their
//! place that loses power, fills up or rots. What is durable when is part of the contract: names when
//! [`Files::create`] and [`Files::replace`] return, bytes and lengths when [`File::sync`] does, removals at some time.
//! After a `sync` that failed, nobody knows what is on the disk, and a later one does not tell: what was not synced has to be
//! written again.
//!
//! Nothing here knows what stands in a file.

pub mod disk;
pub mod handles;
pub mod read_only;
#[cfg(test)]
pub(crate) mod sim;

use std::{io, sync::Arc};

use rustix::io::Errno;

/// One folder of files.
pub trait Files: Send + Sync + 'static {
    /// Makes a file of `size_bytes` zeros, whose room on the disk is reserved. Its name is durable.
    ///
    /// The name must be new. When the disk is full there is no file afterwards.
    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// The names of all files, sorted.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a file. Handles of it stay usable. After a power cut it may be there again.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// All bytes of a small file; `None` if there is none.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Makes `bytes` the content of a small file, new or not. A crash leaves the old content or the new one, and the
    /// new one once this has returned.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Room that the file system has left for this process.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// Whether an error says that too many files are open, which passes.
pub(super) fn is_out_of_handles(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error())).contains(&error.raw_os_error())
}

/// Whether an error says that there is no room, on the disk or among open files, which passes.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || is_out_of_handles(error)
}

/// An open file. Threads may share it.
pub trait File: Send + Sync {
    /// Writes all of `bytes`. The file grows if it must.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills `buffer`, or fails with [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Makes everything durable that was written before, and the length.
    fn sync(&self) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Makes the file `len` bytes long, if it is shorter, with zeros whose room on the disk is reserved. When the disk is
    /// full it is as before.
    fn reserve(&self, len: u64) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;
}
