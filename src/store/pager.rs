//! Reads messages back that queues have let go of.
//!
//! A sealed segment says by its footer where they are, the last few of which stay in memory: a deep queue that drains asks for one
//! segment again and again. Who asks for few messages of a segment may ask for few of each (delayed ones in the order in which
//! they are due): then only the part of the footer is read that tells where they are. A message that cannot be read is set aside and settled, and the others are served.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
    thread,
};

use parking_lot::Mutex;

use super::{
    catalog::Catalog,
    failure::Failure,
    files::{Files, is_out_of_handles},
    format::{Footer, Slot},
    index::Live,
    log::pending::Pending,
    metrics::Metrics,
    position::SegmentId,
    segment::{
        Segment, quarantine,
        read::{SlotError, StoredPublish},
        table::footer_of,
    },
};
use crate::core::{
    change::Change,
    message::Stage,
    pager::{Loaded, Page, Pager},
    placement::{Placement, QueueId},
};
use crate::limits::{BLOCK_ENTRIES_MAX, FOOTER_SEARCHES_MAX, FOOTER_SLOTS_CACHED_MAX, STORE_RETRY_INTERVAL};

/// Reads messages from the log.
pub(super) struct LogPager {
    pub(super) catalog: Arc<Catalog>,
    pub(super) pending: Arc<Pending>,
    pub(super) quarantine: Arc<dyn Files>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) failure: Arc<Failure>,
    pub(super) footers: Footers,
}

/// Where one message is.
struct Found {
    live: Live,
    segment: Arc<Segment>,
    slot: Slot,
    /// The slot was read without the footer's checksum.
    was_searched: bool,
}

impl Found {
    /// Whether the slot is known by now.
    fn is_known(&self) -> bool {
        self.slot.payload_bytes > 0
    }
}

impl Pager for LogPager {
    fn load(&self, queue: QueueId, first: u64, last: u64, bytes_max: usize) -> Option<Page> {
        self.metrics.paged();
        if self.failure.reason().is_some() {
            return None;
        }
        let (behind, mut found) = self.find(queue, first, last);
        let mut bytes = 0;
        let kept = found.iter().take_while(|found| {
            let before = bytes;
            bytes += found.slot.payload_bytes as usize;
            before == 0 || bytes <= bytes_max
        });
        let kept = kept.count();
        let rest_from = found.get(kept).map(|next| next.live.position);
        found.truncate(kept);
        let mut page = Page { messages: Vec::with_capacity(kept), rest_from };
        page.rest_from = page.rest_from.or(behind);
        self.read_into(&mut page, queue, found);
        Some(page)
    }
}

impl LogPager {
    /// Where the messages are, and where to go on if there may be more. Those that no footer knows of are given up.
    fn find(&self, queue: QueueId, first: u64, last: u64) -> (Option<u64>, Vec<Found>) {
        let mut sealed: BTreeMap<SegmentId, Arc<Segment>> = BTreeMap::new();
        let mut found = Vec::new();
        let mut missing = Vec::new();
        let catalog = self.catalog.lock();
        let live = catalog.index.live_in(queue, first, last, BLOCK_ENTRIES_MAX);
        let is_full = live.len() == BLOCK_ENTRIES_MAX;
        let behind = live.last().filter(|live| is_full && live.position < last).map(|live| live.position + 1);
        for live in live {
            let placement = Placement { queue, position: live.position };
            // Whoever asks for a range may get more than it has let go of.
            if catalog.unfinished.contains(&live.segment) {
                continue;
            }
            let Some(known) = catalog.segments.get(&live.segment) else {
                missing.push(live);
                continue;
            };
            let segment = known.segment.clone();
            match known.stage.table().map(|table| table.find(placement)) {
                Some(Some(slot)) => found.push(Found { live, segment, slot, was_searched: false }),
                Some(None) => missing.push(live),
                None => {
                    sealed.entry(live.segment).or_insert_with(|| segment.clone());
                    found.push(Found { live, segment, slot: unknown(placement), was_searched: false });
                }
            }
        }
        drop(catalog);
        self.search_for_few(&sealed, &mut found);
        for (id, segment) in sealed {
            if found.iter().all(|found| found.live.segment != id || found.is_known()) {
                continue;
            }
            let footer = match self.footer(&segment) {
                Ok(footer) => footer,
                Err(error) => {
                    tracing::error!(segment = %id, %error, "messages cannot be read now");
                    found.retain(|found| found.live.segment != id);
                    continue;
                }
            };
            found.retain_mut(|found| {
                if found.live.segment != id || found.is_known() {
                    return true;
                }
                let slot = footer.of(queue, found.live.position, found.live.position).last();
                if let Some(slot) = slot {
                    found.slot = *slot;
                } else {
                    missing.push(found.live);
                }
                slot.is_some()
            });
        }
        for live in missing {
            self.give_up(queue, &live, "no record of it");
        }
        (behind, found)
    }

    /// Looks for messages in footers that are not in memory and not worth it.
    fn search_for_few(&self, sealed: &BTreeMap<SegmentId, Arc<Segment>>, found: &mut [Found]) {
        for (id, segment) in sealed {
            let mut its: Vec<_> = found.iter_mut().filter(|found| found.live.segment == *id).collect();
            if its.len() > FOOTER_SEARCHES_MAX || self.footers.cached(*id).is_some() {
                continue;
            }
            for found in &mut its {
                // Without an answer the whole footer is read, which says what is wrong.
                if let Ok(Some(slot)) = segment.search_footer(found.slot.placement) {
                    (found.slot, found.was_searched) = (slot, true);
                }
            }
        }
    }

    /// What was found by a search did not check out: the whole footer, with its checksum, is asked where the message is.
    fn read_again(&self, found: &Found) -> Option<StoredPublish> {
        let Placement { queue, position } = found.slot.placement;
        let footer = self.footer(&found.segment).ok()?;
        let slot = footer.of(queue, position, position).last()?;
        self.read(&found.segment, &[*slot]).pop()?.ok()
    }

    fn footer(&self, segment: &Segment) -> io::Result<Arc<Footer>> {
        let lacks_handles = |read: &io::Result<_>| read.as_ref().is_err_and(is_out_of_handles);
        self.patiently(|| self.footers.of(segment), lacks_handles)
    }

    fn read(&self, segment: &Segment, slots: &[Slot]) -> Vec<Result<StoredPublish, SlotError>> {
        let lacks_handles =
            |one: &Result<_, SlotError>| matches!(one, Err(SlotError::Io(error)) if is_out_of_handles(error));
        self.patiently(|| segment.read_publishes(slots), |read: &Vec<_>| read.iter().any(lacks_handles))
    }

    /// Reads again while too many files are open for it: that passes like a full disk, and costs no message.
    fn patiently<T>(&self, read: impl Fn() -> T, lacks_handles: impl Fn(&T) -> bool) -> T {
        loop {
            let answer = read();
            if !lacks_handles(&answer) || self.failure.reason().is_some() {
                return answer;
            }
            tracing::debug!("too many open files: messages are read later");
            thread::sleep(STORE_RETRY_INTERVAL);
        }
    }

    fn read_into(&self, page: &mut Page, queue: QueueId, mut found: Vec<Found>) {
        found.sort_by_key(|found| (found.live.segment, found.slot.offset));
        for same in found.chunk_by(|one, other| one.live.segment == other.live.segment) {
            let slots: Vec<Slot> = same.iter().map(|found| found.slot).collect();
            for (found, read) in same.iter().zip(self.read(&same[0].segment, &slots)) {
                let read = match read {
                    Err(SlotError::Damaged { .. }) if found.was_searched => {
                        self.read_again(found).map_or(read, Ok)
                    }
                    read => read,
                };
                match read {
                    Ok(stored) => page.messages.push(loaded(&found.live, stored)),
                    Err(SlotError::Damaged { offset, length }) => {
                        self.set_aside(&found.segment, offset, length);
                        self.give_up(queue, &found.live, "its record is damaged");
                    }
                    // It is not settled: the next start tries again.
                    Err(SlotError::Io(error)) => {
                        let (segment, position) = (found.segment.id(), found.live.position);
                        tracing::error!(%segment, ?queue, position, %error, "a message cannot be read now");
                    }
                }
            }
        }
        page.messages.sort_by_key(|loaded| loaded.position);
    }

    fn set_aside(&self, segment: &Segment, offset: u32, length: u32) {
        let file = quarantine::set_aside(&*self.quarantine, segment, offset..offset.saturating_add(length));
        tracing::error!(segment = %segment.id(), offset, length, ?file, "a damaged message is set aside");
        self.metrics.quarantined(1);
    }

    /// A message cannot be read: it leaves its queue.
    fn give_up(&self, queue: QueueId, live: &Live, why: &str) {
        let position = live.position;
        tracing::error!(?queue, position, segment = %live.segment, why, "a message is lost");
        self.pending.append(&mut vec![Change::SettleRange { queue, first: position, last: position }], false);
    }
}

fn unknown(placement: Placement) -> Slot {
    Slot { placement, offset: 0, payload_bytes: 0, transient: false }
}

fn loaded(live: &Live, stored: StoredPublish) -> Loaded {
    stored.message.set_stage(Stage::Written);
    Loaded {
        position: live.position,
        attempts: live.returned.attempts,
        due: live.returned.due,
        redelivered: live.redelivered,
        message: stored.message,
    }
}

/// The footers that were used last.
#[derive(Default)]
pub(super) struct Footers {
    recent: Mutex<VecDeque<(SegmentId, Arc<Footer>)>>,
}

impl Footers {
    /// A footer that is in memory.
    fn cached(&self, id: SegmentId) -> Option<Arc<Footer>> {
        let mut recent = self.recent.lock();
        let at = recent.iter().position(|(other, _)| *other == id)?;
        let hit = recent.remove(at)?;
        let footer = hit.1.clone();
        recent.push_front(hit);
        Some(footer)
    }

    /// A sealed segment's footer.
    pub(super) fn of(&self, segment: &Segment) -> io::Result<Arc<Footer>> {
        let id = segment.id();
        if let Some(footer) = self.cached(id) {
            return Ok(footer);
        }
        let footer = Arc::new(footer_of(segment)?);
        let mut recent = self.recent.lock();
        recent.push_front((id, footer.clone()));
        let mut slots = 0;
        recent.retain(|(other, footer)| {
            slots += footer.slots.len();
            *other == id || slots <= FOOTER_SLOTS_CACHED_MAX
        });
        Ok(footer)
    }
}
