//! Damaged bytes, set aside so that somebody can look at them.
//!
//! Each piece has a file of its own, named by segment and offset, in a folder that nothing else writes to. Nobody
//! reads it here, and no room is made in it: that is for people.

use std::{io, ops::Range};

use super::Segment;
use crate::limits::QUARANTINE_BYTES_MAX;
use crate::store::files::Files;

/// Copies a range of the segment into the folder, at most [`QUARANTINE_BYTES_MAX`] of it. A piece that is there already
/// is left alone. Answers the name of its file.
pub fn set_aside(folder: &dyn Files, segment: &Segment, damaged: Range<u32>) -> io::Result<String> {
    let name = format!("{:016x}-{:08x}.damaged", segment.id().0, damaged.start);
    match folder.open(&name) {
        Ok(_) => return Ok(name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let end = damaged.end.min(damaged.start.saturating_add(QUARANTINE_BYTES_MAX));
    folder.replace(&name, &segment.raw(damaged.start..end)?)?;
    Ok(name)
}
