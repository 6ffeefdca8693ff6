//! Segments that are made before they are needed, so that the writer need not wait for it, and so that a full disk is noticed
//! while there is still room to go on.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use super::{
    bell::Bell,
    files::{Files, is_full},
    position::SegmentId,
    segment::Segment,
};
use crate::limits::{DISK_RESERVE_BYTES, SEGMENT_RESERVE_FRACTION};

/// Makes the next segment ahead of need.
pub(super) struct Spares {
    files: Arc<dyn Files>,
    segment_bytes: u32,
    next_id: AtomicU64,
    spare: Mutex<Option<Segment>>,
    wanted: AtomicBool,
    full: AtomicBool,
    /// There was no room for what was written last.
    ran_out: AtomicBool,
    /// The reserve was set free: half of what it left is for checkpoints and the next start, and not for segments.
    reserve_is_gone: AtomicBool,
    bell: Arc<Bell>,
}

impl Spares {
    /// Makes segments of `segment_bytes`, the first one with the number `next`. Rings when one is wanted.
    pub(super) fn new(files: Arc<dyn Files>, segment_bytes: u32, next: SegmentId, bell: Arc<Bell>) -> Self {
        Self {
            files,
            segment_bytes,
            next_id: next.0.into(),
            spare: Mutex::new(None),
            wanted: AtomicBool::new(true),
            full: AtomicBool::new(false),
            ran_out: AtomicBool::new(false),
            reserve_is_gone: AtomicBool::new(false),
            bell,
        }
    }

    /// Bytes of a segment.
    pub(super) fn segment_bytes(&self) -> u32 {
        self.segment_bytes
    }

    /// Sees that there is a next segment. False when the disk is full.
    pub(super) fn has_one(&self) -> io::Result<bool> {
        let mut spare = self.spare.lock();
        if spare.is_none() {
            *spare = self.make_whole()?;
        }
        Ok(spare.is_some())
    }

    /// The next segment; `None` when the disk is full.
    pub(super) fn take(&self) -> io::Result<Option<Segment>> {
        self.has_one()?;
        Ok(self.spare.lock().take())
    }

    /// A segment that takes a part of the reserve; `None` when even that is too much.
    pub(super) fn take_small(&self) -> io::Result<Option<Segment>> {
        self.make(self.segment_bytes.min(SMALL_SEGMENT_BYTES))
    }

    /// Whether the reserve was set free, or is there again.
    pub(super) fn set_reserve_is_gone(&self, is_gone: bool) {
        self.reserve_is_gone.store(is_gone, Ordering::Relaxed);
    }

    /// The next segment should be made soon.
    pub(super) fn wanted(&self) {
        self.wanted.store(true, Ordering::Relaxed);
        self.bell.ring();
    }

    /// Makes the next segment, if one is wanted.
    pub(super) fn provide(&self) -> io::Result<()> {
        if !self.wanted.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut spare = self.spare.lock();
        if spare.is_none() {
            *spare = self.make_whole()?;
        }
        self.wanted.store(spare.is_none(), Ordering::Relaxed);
        Ok(())
    }

    /// Whether there was no room for the last one, or for what was written last.
    pub(super) fn disk_is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed) || self.ran_out.load(Ordering::Relaxed)
    }

    /// Whether the disk ran out of room while something was written.
    pub(super) fn set_ran_out(&self, ran_out: bool) {
        if self.ran_out.swap(ran_out, Ordering::Relaxed) != ran_out {
            self.bell.ring();
        }
    }

    /// Reserves the rest of a segment anew whose records end at `end`: all of it, or what a few settlements need. False when
    /// there is no room even for that.
    pub(super) fn reserve_again(&self, segment: &Segment, end: u32) -> io::Result<bool> {
        let whole = u64::from(self.segment_bytes);
        let few = whole / SEGMENT_RESERVE_FRACTION as u64;
        if self.may_take(whole.saturating_sub(end.into()))? && reserved(segment, whole)? {
            return Ok(true);
        }
        reserved(segment, u64::from(end) + few.min(SMALL_SEGMENT_BYTES.into()))
    }

    /// Whether so many bytes leave enough of a reserve that was set free.
    fn may_take(&self, bytes: u64) -> io::Result<bool> {
        let is_gone = self.reserve_is_gone.load(Ordering::Relaxed);
        Ok(!is_gone || self.files.free_bytes()? >= bytes + KEPT_BYTES)
    }

    /// Whether there is room for a segment of `bytes` and one to go on in behind it.
    pub(super) fn have_room_aside(&self, bytes: usize) -> io::Result<bool> {
        let is_made = u64::from(self.spare.lock().is_some());
        let segment_bytes = u64::from(self.segment_bytes);
        let needed = segment_bytes.max(bytes as u64) + segment_bytes * (1 - is_made);
        Ok(self.may_take(needed)? && self.files.free_bytes()? >= needed)
    }

    /// Removes a spare that was not needed; at the end.
    pub(super) fn discard(&self) {
        if let Some(segment) = self.spare.lock().take()
            && let Err(error) = self.files.remove(&segment.id().file_name())
        {
            tracing::warn!(%error, "an empty segment of the log stays behind");
        }
    }

    fn make_whole(&self) -> io::Result<Option<Segment>> {
        if !self.may_take(self.segment_bytes.into())? {
            self.full.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        self.make(self.segment_bytes)
    }

    fn make(&self, bytes: u32) -> io::Result<Option<Segment>> {
        let id = SegmentId(self.next_id.load(Ordering::Relaxed));
        match Segment::create(&*self.files, id, rand::random(), bytes.into()) {
            Ok(segment) => {
                self.next_id.store(id.0 + 1, Ordering::Relaxed);
                self.full.store(false, Ordering::Relaxed);
                Ok(Some(segment))
            }
            Err(error) if is_full(&error) => {
                self.full.store(true, Ordering::Relaxed);
                Ok(None)
            }
            // It was not made whole, and there was no room even to remove it: its number has never been used.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.full.store(true, Ordering::Relaxed);
                match self.files.remove(&id.file_name()) {
                    Err(error) if !is_full(&error) => Err(error),
                    _ => Ok(None),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// Reserves room up to `end`. False when there is none.
fn reserved(segment: &Segment, end: u64) -> io::Result<bool> {
    match segment.reserve(end) {
        Ok(()) => Ok(true),
        Err(error) if is_full(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What segments leave of a reserve that was set free.
pub(super) const KEPT_BYTES: u64 = DISK_RESERVE_BYTES / 2;

/// A segment to begin with on a full disk: the rest of the reserve is for checkpoints and the next start.
const SMALL_SEGMENT_BYTES: u32 = DISK_RESERVE_BYTES as u32 / 4;
