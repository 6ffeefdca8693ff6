//! The disk runs out of room in the middle of a write or a sync: on file systems that cannot reserve any, or that copy what is
//! written over.
//!
//! Then a part of what was written since the last good sync may be on disk, and the system may have forgotten the rest and
//! call it clean. None of it counts: it is what it was before it was encoded, and held back. Before anything is written again
//! the segment is cut where that sync ended, durably, for what is left there would be records, and settled ones among them.
//! Then everything is written anew and synced anew. If there is no room for all of it, what makes room is tried by itself
//! each other time. What is held back meanwhile, and what becomes of its commits, is for the writer.

use std::io;

use crate::store::{files::is_full, segment::Segment, spares::Spares};

/// How the next try goes about a write that had no room.
#[derive(Default)]
pub(super) struct Setback {
    /// Nobody knows what stands behind what is durable.
    pub(super) is_torn: bool,
    /// The last try had no room: what makes room is tried alone.
    is_short: bool,
    /// So it is in the try that goes on.
    pub(super) makes_room_only: bool,
}

impl Setback {
    /// There was no room for a write or a sync.
    pub(super) fn begin(&mut self, error: &io::Error) {
        if !self.is_short {
            tracing::warn!(%error, "the disk has no room for what is written: it is held back");
        }
        (self.is_torn, self.is_short) = (true, true);
    }

    /// Begins another try: cuts off what was given up behind `durable`, and reserves room anew; true if it had to and could.
    /// Without success nothing is written in this try.
    pub(super) fn mend(&mut self, segment: &Segment, durable: u32, spares: &Spares) -> io::Result<bool> {
        self.makes_room_only = std::mem::take(&mut self.is_short);
        if !self.is_torn {
            return Ok(false);
        }
        match segment.cut(durable) {
            Ok(()) => {}
            Err(error) if is_full(&error) => {
                self.is_short = true;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        let is_mended = spares.reserve_again(segment, durable)?;
        (self.is_torn, self.is_short) = (!is_mended, !is_mended);
        Ok(is_mended)
    }
}
