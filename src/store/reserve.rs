//! A file that keeps room on the disk for when it is full, so that a checkpoint can be made and segments deleted.
//!
//! Either it is there and whole, or its room is free. When it is to go, and who may use the room, is for the keeper and for recovery.

use std::io;

use super::files::Files;
use crate::limits::DISK_RESERVE_BYTES;

/// The name of the file.
pub(super) const RESERVE: &str = "reserve";

/// Whether the file is there.
pub(super) fn is_there(root: &dyn Files) -> io::Result<bool> {
    Ok(root.list()?.iter().any(|name| name == RESERVE))
}

/// Sees that the reserve is there and whole. One that an earlier broker made may not be, if a crash came between.
pub(super) fn make(root: &dyn Files) -> io::Result<()> {
    match root.create(RESERVE, DISK_RESERVE_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            root.open(RESERVE)?.reserve(DISK_RESERVE_BYTES)
        }
        made => made.map(|_| ()),
    }
}

/// Gives the disk the room back that was kept for when it is full.
pub(super) fn release(root: &dyn Files) -> io::Result<()> {
    match root.remove(RESERVE) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
