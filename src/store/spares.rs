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

use super::{SegmentId, bell::Bell, files::Files, segment::Segment};
use crate::limits::DISK_RESERVE_BYTES;

/// See the module's text.
pub(super) struct Spares {
    files: Arc<dyn Files>,
    segment_bytes: u32,
    next_id: AtomicU64,
    spare: Mutex<Option<Segment>>,
    wanted: AtomicBool,
    full: AtomicBool,
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
            bell,
        }
    }

    /// Bytes of a segment.
    pub(super) fn segment_bytes(&self) -> u32 {
        self.segment_bytes
    }

    /// The next segment; `None` when the disk is full.
    pub(super) fn take(&self) -> io::Result<Option<Segment>> {
        let mut spare = self.spare.lock();
        if spare.is_none() {
            *spare = self.make(self.segment_bytes)?;
        }
        Ok(spare.take())
    }

    /// A segment that fits into the reserve; `None` when even that is too much.
    pub(super) fn take_small(&self) -> io::Result<Option<Segment>> {
        self.make(self.segment_bytes.min(DISK_RESERVE_BYTES as u32))
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
            *spare = self.make(self.segment_bytes)?;
        }
        self.wanted.store(spare.is_none(), Ordering::Relaxed);
        Ok(())
    }

    /// Whether there was no room for the last one.
    pub(super) fn disk_is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Removes a spare that was not needed; at the end.
    pub(super) fn discard(&self) {
        if let Some(segment) = self.spare.lock().take()
            && let Err(error) = self.files.remove(&segment.id().file_name())
        {
            tracing::warn!(%error, "an empty segment of the log stays behind");
        }
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
            Err(error) => Err(error),
        }
    }
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
