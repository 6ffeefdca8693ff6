//! Feeding: consumers that were starved get their deliveries when there is room again, first come, first served. The
//! deliveries themselves are each source's to dispatch.

use super::SharedOutbox;
use crate::core::{effects::Effects, source::ConsumerRef, turn::Turn};
use crate::limits::CONSUMER_STEPS;

/// Feeds the consumers that an outbox had turned away while it has room and the turn lasts. Whether there may be more of them.
pub fn feed_by_outbox(outbox: &SharedOutbox, effects: &mut Effects, turn: &mut Turn) -> bool {
    feed(|| outbox.lock().next_starved(), effects, turn)
}

/// Feeds the consumers that a channel's prefetch had turned away, while it has room and the turn lasts. Whether there may be
/// more of them.
pub fn feed_by_channel(outbox: &SharedOutbox, channel: u16, effects: &mut Effects, turn: &mut Turn) -> bool {
    feed(|| outbox.lock().window(channel)?.next_starved(), effects, turn)
}

/// `next` releases the outbox's lock before the source's is taken.
fn feed(mut next: impl FnMut() -> Option<ConsumerRef>, effects: &mut Effects, turn: &mut Turn) -> bool {
    while !turn.is_over() {
        let Some((source, id)) = next() else { return false };
        turn.spend(CONSUMER_STEPS);
        source.fed(id, effects);
    }
    true
}
