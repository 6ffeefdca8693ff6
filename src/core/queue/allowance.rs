//! How much one call of a queue does before others get their turn.
//!
//! A long queue may have a million messages that are to be dropped, read or handed out at once. A call does a part of them, and
//! if something is left the timetable calls for it soon: [`Queue::unfinished`](super::Queue).

use crate::limits::{DELIVERED_AT_ONCE_BYTES_MAX, DROPPED_AT_ONCE_MAX, PAGES_AT_ONCE_MAX};

/// What a call may still do.
#[derive(Debug)]
pub(super) struct Allowance {
    drops: usize,
    delivered_bytes: usize,
    pages: usize,
}

impl Allowance {
    /// That of one call.
    pub(super) fn of_a_call() -> Self {
        Self {
            drops: DROPPED_AT_ONCE_MAX,
            delivered_bytes: DELIVERED_AT_ONCE_BYTES_MAX,
            pages: PAGES_AT_ONCE_MAX,
        }
    }

    /// Whether a message more may be dropped: it counts as dropped.
    pub(super) fn drop_one(&mut self) -> bool {
        take(&mut self.drops, 1)
    }

    /// Whether a page more may be read: it counts as read.
    pub(super) fn read_page(&mut self) -> bool {
        take(&mut self.pages, 1)
    }

    /// Whether more may be handed out.
    pub(super) fn may_deliver(&self) -> bool {
        self.delivered_bytes > 0
    }

    /// So much was handed out.
    pub(super) fn delivered(&mut self, bytes: usize) {
        self.delivered_bytes = self.delivered_bytes.saturating_sub(bytes);
    }
}

fn take(left: &mut usize, count: usize) -> bool {
    let is_enough = *left >= count;
    *left = left.saturating_sub(count);
    is_enough
}
