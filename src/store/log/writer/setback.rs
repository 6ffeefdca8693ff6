//! The disk runs out of room in the middle of a write or a sync: on file systems that cannot reserve any, or that copy what is
//! written over.
//!
//! Then a part of what was written since the last good sync may be on disk, and the system may have forgotten the rest and
//! call it clean. None of it counts: it is what it was before it was encoded, and held back. Before anything is written again
//! the segment is cut where that sync ended, durably, for what is left there would be records, and settled ones among them.
//! Then everything is written anew and synced anew. If there is no room for all of it, what makes room is tried by itself
//! each other time.

use std::io;

use super::{Writer, capacity, is_topology};
use crate::store::spares::is_full;

/// What came of it.
#[derive(Default)]
pub(super) struct Setback {
    /// Nobody knows what stands behind what is durable.
    pub(super) is_torn: bool,
    /// The last try had no room: what makes room is tried alone.
    is_short: bool,
    /// So it is in the try that goes on.
    pub(super) makes_room_only: bool,
}

impl Writer {
    /// After an error of a write or a sync: false if it means that there is no room.
    pub(super) fn step_back(&mut self, error: io::Error) -> io::Result<bool> {
        if !is_full(&error) {
            return Err(error);
        }
        if !self.setback.is_short {
            tracing::warn!(%error, "the disk has no room for what is written: it is held back");
        }
        self.offset = self.durable;
        (self.setback.is_torn, self.setback.is_short) = (true, true);
        self.spares.set_ran_out(true);
        let given_up = self.encoder.take_back();
        let held = self.held();
        held.has_topology |= given_up.changes.iter().any(is_topology);
        // It was encoded before what is held back since, some of which must not overtake it.
        held.batch = given_up.and(std::mem::take(&mut held.batch));
        Ok(false)
    }

    /// Begins another try: cuts off what was given up, and reserves room anew. Without success nothing is written in this try.
    pub(super) fn mend(&mut self) -> io::Result<()> {
        self.setback.makes_room_only = std::mem::take(&mut self.setback.is_short);
        if !self.setback.is_torn {
            return Ok(());
        }
        match self.segment.cut(self.durable) {
            Ok(()) => {}
            Err(error) if is_full(&error) => {
                self.setback.is_short = true;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        if self.spares.reserve_again(&self.segment, self.durable)? {
            self.segment_bytes = capacity(&self.segment, &self.spares);
            self.setback.is_torn = false;
        } else {
            self.setback.is_short = true;
        }
        Ok(())
    }

    /// The commit of this try is not complete, even if nothing of it needs to be written: until the segment is cut, a crash may
    /// bring back what it has settled.
    pub(super) fn hold_commit(&mut self) {
        let commit = (!self.is_retry).then_some(self.last);
        self.held().commits.extend(commit);
    }
}
