//! The last messages that were dropped in a virtual host, of each reason: who misses a message finds it here.
//!
//! Only so many in a second are kept of each reason, so that a flood of drops costs a comparison for each of them.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use crate::core::{
    clock::{Clock, Millis},
    dead_letter::Reason,
    memory::{Held, Holder, Kind},
    message::View,
};
use crate::limits::{DROPPED_PAYLOAD_BYTES_MAX, LAST_DROPS_MAX};
use crate::protocol::ShortString;

/// Why a message is gone without having been consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// A consumer refused it for good, and its queue has no dead-letter exchange.
    Rejected,
    /// It had waited too long, in such a queue.
    Expired,
    /// Such a queue was full, and it was the oldest.
    MaxLen,
    /// It had failed too often, in such a queue.
    DeliveryLimit,
    /// A full queue did not take it in.
    Refused,
    /// A queue or an exchange had seen it.
    Duplicate,
    /// It was published, and there was no queue for it (RabbitMQ's `drop_unroutable`).
    Unrouted,
    /// On its way between queues: there was no such exchange.
    NoExchange,
    /// There: no queue was bound to the exchange for its key.
    Unroutable,
    /// There: it would have gone round for ever.
    Cycle,
    /// There: its history was longer than a frame.
    TooManyDeaths,
    /// There: it would have been copied too often.
    TooManyCopies,
}

impl DropReason {
    /// Every reason, in order.
    pub const ALL: [Self; REASONS] = [
        Self::Rejected,
        Self::Expired,
        Self::MaxLen,
        Self::DeliveryLimit,
        Self::Refused,
        Self::Duplicate,
        Self::Unrouted,
        Self::NoExchange,
        Self::Unroutable,
        Self::Cycle,
        Self::TooManyDeaths,
        Self::TooManyCopies,
    ];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => Reason::Rejected.name(),
            Self::Expired => Reason::Expired.name(),
            Self::MaxLen => Reason::MaxLen.name(),
            Self::DeliveryLimit => Reason::DeliveryLimit.name(),
            Self::Refused => "refused",
            Self::Duplicate => "duplicate",
            Self::Unrouted => "drop_unroutable",
            Self::NoExchange => "no_exchange",
            Self::Unroutable => "unroutable",
            Self::Cycle => "cycle",
            Self::TooManyDeaths => "too_many_deaths",
            Self::TooManyCopies => "too_many_copies",
        }
    }

    /// The reason of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl From<Reason> for DropReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Rejected => Self::Rejected,
            Reason::Expired => Self::Expired,
            Reason::MaxLen => Self::MaxLen,
            Reason::DeliveryLimit => Self::DeliveryLimit,
        }
    }
}

const REASONS: usize = 12;

/// A message that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Why.
    pub reason: DropReason,
    /// When.
    pub at: Millis,
    /// The queue that it was in, or should have come to; `None` if it had come to none.
    pub queue: Option<ShortString>,
    /// The exchange that it was published to.
    pub exchange: ShortString,
    /// Its routing key.
    pub routing_key: ShortString,
    /// Its property `message-id`.
    pub message_id: Option<ShortString>,
    /// Bytes of its body.
    pub body_bytes: u32,
    /// The first [`DROPPED_PAYLOAD_BYTES_MAX`] of them at most.
    pub payload: Box<[u8]>,
}

impl Dropped {
    fn of(reason: DropReason, at: Millis, queue: Option<&ShortString>, message: &View<'_>) -> Self {
        let name = |bytes| ShortString::try_from(bytes).unwrap_or_default();
        Self {
            reason,
            at,
            queue: queue.cloned(),
            exchange: name(message.exchange()),
            routing_key: name(message.routing_key()),
            message_id: message.message_id().map(name),
            body_bytes: message.layout.body_bytes,
            payload: message.body_start(DROPPED_PAYLOAD_BYTES_MAX).into(),
        }
    }

    fn size_bytes(&self) -> usize {
        let names =
            self.exchange.len() + self.routing_key.len() + self.message_id.as_ref().map_or(0, |id| id.len());
        size_of::<Self>() + 3 * SHARED_BYTES + names + self.payload.len()
    }
}

/// What a name takes beside its bytes.
const SHARED_BYTES: usize = 16;

/// The last messages of each reason. Nothing is taken up before the first one.
pub struct LastDrops {
    holder: Arc<Holder>,
    kept: OnceLock<Box<Kept>>,
}

struct Kept {
    /// Of each reason: the second, and how many were kept in it, in the lowest eight bits.
    seconds: [AtomicU64; REASONS],
    rings: Mutex<Rings>,
}

struct Rings {
    by_reason: [VecDeque<Dropped>; REASONS],
    bytes: usize,
    held: Held,
}

const _: () = assert!(LAST_DROPS_MAX < 256);

impl LastDrops {
    /// None yet. They count on `holder`.
    pub(super) fn new(holder: &Arc<Holder>) -> Self {
        Self { holder: holder.clone(), kept: OnceLock::new() }
    }

    /// Keeps a message that is dropped, unless as many were kept in this second as there is room for. `queue` is where it was, or did not
    /// come to.
    pub fn note(
        &self,
        reason: DropReason,
        clock: &dyn Clock,
        queue: Option<&ShortString>,
        message: &View<'_>,
    ) {
        let kept = self.kept.get_or_init(|| Box::new(Kept::new(&self.holder)));
        if kept.admits(reason, clock.about_now() / 1_000) {
            kept.rings.lock().push(Dropped::of(reason, clock.now(), queue, message));
        }
    }

    /// All that are kept, the latest first.
    pub fn latest(&self) -> Vec<Dropped> {
        let Some(kept) = self.kept.get() else { return Vec::new() };
        let mut all: Vec<_> = kept.rings.lock().by_reason.iter().flatten().rev().cloned().collect();
        all.sort_by_key(|dropped| std::cmp::Reverse(dropped.at));
        all
    }
}

impl Kept {
    fn new(holder: &Arc<Holder>) -> Self {
        let held = Held::of(holder, Kind::Observing, size_of::<Self>());
        let rings = Rings { by_reason: Default::default(), bytes: size_of::<Self>(), held };
        Self { seconds: Default::default(), rings: Mutex::new(rings) }
    }

    /// Whether there is room for one more of a reason in this second. If not, nothing is written.
    fn admits(&self, reason: DropReason, second: u64) -> bool {
        let one_more = |seen: u64| {
            let (at, count) = (seen >> 8, seen & 0xff);
            match () {
                () if at != second => Some(second << 8 | 1),
                () if (count as usize) < LAST_DROPS_MAX => Some(seen + 1),
                () => None,
            }
        };
        self.seconds[reason as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

impl Rings {
    fn push(&mut self, dropped: Dropped) {
        let Self { by_reason, bytes, held } = self;
        let ring = &mut by_reason[dropped.reason as usize];
        *bytes += dropped.size_bytes();
        ring.push_back(dropped);
        // Where memory is short fewer are kept.
        while ring.len() > LAST_DROPS_MAX || held.try_set(*bytes).is_err() {
            let Some(oldest) = ring.pop_front() else { break };
            *bytes -= oldest.size_bytes();
        }
        held.set(*bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        clock::ManualClock,
        memory::Gauge,
        message::{Layout, build_image},
    };
    use crate::protocol::Properties;

    fn message(id: &str, body: &[u8]) -> (Layout, Vec<u8>) {
        let message_id = ShortString::try_from(id).ok().filter(|id| !id.is_empty());
        let mut properties = Vec::new();
        Properties { message_id, ..Properties::default() }.encode(&mut properties);
        build_image(b"orders", b"new.eu", &properties, &[body], false)
    }

    fn note(drops: &LastDrops, clock: &ManualClock, reason: DropReason, id: usize) {
        let (layout, image) = message(&id.to_string(), b"body");
        drops.note(reason, clock, None, &View::new(layout, &image));
    }

    fn ids(drops: &LastDrops) -> Vec<String> {
        drops.latest().iter().map(|dropped| dropped.message_id.as_ref().unwrap().to_string()).collect()
    }

    #[test]
    fn what_is_kept_says_which_message_it_was_where_it_was_and_how_it_begins() {
        let drops = LastDrops::new(&Holder::new(Gauge::new(usize::MAX)));
        assert_eq!(drops.latest(), []);
        let (queue, body) = (ShortString::from_static("q"), [b'x'; 1_000]);
        let (layout, image) = message("m-1", &body);
        drops.note(DropReason::Expired, &ManualClock::at(5_000), Some(&queue), &View::new(layout, &image));
        let wanted = Dropped {
            reason: DropReason::Expired,
            at: 5_000,
            queue: Some(queue),
            exchange: ShortString::from_static("orders"),
            routing_key: ShortString::from_static("new.eu"),
            message_id: Some(ShortString::from_static("m-1")),
            body_bytes: 1_000,
            payload: body[..DROPPED_PAYLOAD_BYTES_MAX].into(),
        };
        assert_eq!(drops.latest(), [wanted]);
        let (layout, image) = message("", b"");
        drops.note(DropReason::Expired, &ManualClock::at(6_000), None, &View::new(layout, &image));
        let latest = &drops.latest()[0];
        assert_eq!((&latest.message_id, latest.payload.len(), latest.at), (&None, 0, 6_000));
    }

    #[test]
    fn the_last_ones_of_each_reason_are_kept_and_a_flood_of_one_displaces_no_other() {
        let (drops, clock) = (LastDrops::new(&Holder::new(Gauge::new(usize::MAX))), ManualClock::at(1_000));
        for reason in DropReason::ALL {
            note(&drops, &clock, reason, 0);
        }
        for id in 1..=3 * LAST_DROPS_MAX {
            clock.advance(1_000);
            note(&drops, &clock, DropReason::MaxLen, id);
        }
        let latest = drops.latest();
        let (flood, others) = latest.split_at(LAST_DROPS_MAX);
        assert!(flood.iter().all(|dropped| dropped.reason == DropReason::MaxLen));
        assert_eq!(others.len(), DropReason::ALL.len() - 1);
        assert_eq!((&*ids(&drops)[0], &*ids(&drops)[LAST_DROPS_MAX - 1]), ("60", "41"));
    }

    #[test]
    fn of_a_flood_the_first_ones_of_each_second_are_kept() {
        let (drops, clock) = (LastDrops::new(&Holder::new(Gauge::new(usize::MAX))), ManualClock::at(1_000));
        (0..1_000).for_each(|id| note(&drops, &clock, DropReason::Expired, id));
        assert_eq!((&*ids(&drops)[0], drops.latest().len()), ("19", LAST_DROPS_MAX));
        clock.advance(1_000);
        note(&drops, &clock, DropReason::Expired, 1_000);
        assert_eq!(&ids(&drops)[..2], ["1000", "19"]);
    }

    #[test]
    fn what_is_kept_counts_as_memory_and_where_that_is_short_fewer_are_kept() {
        let holder = Holder::new(Gauge::new(usize::MAX));
        let (drops, clock) = (LastDrops::new(&holder), ManualClock::at(1_000));
        assert_eq!(holder.bytes(Kind::Observing), 0);
        (0..LAST_DROPS_MAX).for_each(|id| note(&drops, &clock, DropReason::Expired, id));
        let full = holder.bytes(Kind::Observing);
        assert!(full > LAST_DROPS_MAX * 100, "{full}");
        clock.advance(1_000);
        note(&drops, &clock, DropReason::Expired, 5);
        assert_eq!(holder.bytes(Kind::Observing), full, "one has gone for one that has come");
        drop(drops);
        assert_eq!(holder.bytes(Kind::Observing), 0);
        let short = Holder::new(Gauge::new(100_000));
        let drops = LastDrops::new(&short);
        (0..LAST_DROPS_MAX).for_each(|id| note(&drops, &clock, DropReason::Expired, id));
        assert!(drops.latest().len() < LAST_DROPS_MAX);
    }

    #[test]
    fn reasons_have_names_of_their_own_and_are_found_by_them() {
        for reason in DropReason::ALL {
            assert_eq!(DropReason::parse(reason.name()), Some(reason));
        }
        for reason in Reason::ALL {
            assert_eq!(DropReason::from(reason).name(), reason.name());
        }
        assert_eq!(DropReason::parse("nonsense"), None);
    }
}
