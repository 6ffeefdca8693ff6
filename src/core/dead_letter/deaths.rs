//! The list of a message's deaths as it stands encoded in its header `x-death`.
//!
//! Entries are passed over by their lengths and compared as slices. Most questions are about a queue that the message
//! has never died in: those are answered by a search for its name alone, at the speed of memory.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use memchr::memmem;

use super::{Reason, X_DEATH};
use crate::core::{
    message::View,
    rewrite::{self, DEAD_LETTERED},
};
use crate::protocol::{ArrayView, PropertiesView, TableView};

/// Where a message died and what of: the most recent death first, each pair once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deaths<'a> {
    /// The array, without the length in front.
    encoded: &'a [u8],
}

/// The entry of a queue and reason.
pub(super) struct Found<'a> {
    /// The encoded entries before it.
    pub(super) before: &'a [u8],
    /// Itself.
    pub(super) entry: TableView<'a>,
    /// How often the message died there of that.
    pub(super) count: i64,
    /// The encoded entries behind it.
    pub(super) after: &'a [u8],
}

impl<'a> Deaths<'a> {
    /// Those of a message that the broker knows of: what a client has sent is no history.
    pub fn of(view: &View<'a>) -> Self {
        if rewrite::marks(view) & DEAD_LETTERED == 0 {
            return Self::default();
        }
        let headers = PropertiesView::of_checked(view.properties()).ok().and_then(|it| it.headers);
        let entry = headers.and_then(|headers| TableView::new(headers).get(X_DEATH));
        Self { encoded: entry.and_then(|entry| entry.as_array()).map_or(&[], |array| array.rest()) }
    }

    /// Whether it has never died.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// The pairs of queue and reason, the most recent first.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Reason)> {
        self.entries().filter_map(|entry| pair(&entry))
    }

    /// Whether a message with these deaths, the last of which was of `reason`, goes round in circles if it now goes
    /// to the queue `target`: then it must not get there.
    ///
    /// RabbitMQ's rule: it has died there before, and since then, that death included, no client has rejected it. A
    /// rejection is a decision from outside the broker, which may well end the circle the next time.
    pub fn is_cycle(self, target: &[u8], reason: Reason) -> bool {
        reason != Reason::Rejected
            && self.names(target)
            && self.since_rejection().any(|queue| queue == target)
    }

    /// Keeps the targets that make no cycle.
    pub fn retain_forward<T>(self, targets: &mut Vec<T>, reason: Reason, name: impl Fn(&T) -> &[u8]) {
        if targets.len() <= FEW_TARGETS || reason == Reason::Rejected {
            return targets.retain(|target| !self.is_cycle(name(target), reason));
        }
        let passed: HashSet<&[u8], RandomState> = self.since_rejection().collect();
        targets.retain(|target| !passed.contains(name(target)));
    }

    pub(super) fn encoded(self) -> &'a [u8] {
        self.encoded
    }

    pub(super) fn entries(self) -> impl Iterator<Item = TableView<'a>> + Clone {
        ArrayView::new(self.encoded).filter_map(|entry| entry.as_table())
    }

    pub(super) fn find(self, queue: &[u8], reason: Reason) -> Option<Found<'a>> {
        if !self.names(queue) {
            return None;
        }
        let mut array = ArrayView::new(self.encoded);
        let mut before_bytes = 0;
        while let Some(next) = array.next() {
            if let Some(entry) = next.as_table()
                && pair(&entry) == Some((queue, reason))
                && let Some(count) = entry.get(COUNT).filter(|count| count.tag == b'l')
            {
                let count = i64::from_be_bytes(*count.value.first_chunk()?);
                return Some(Found {
                    before: &self.encoded[..before_bytes],
                    entry,
                    count,
                    after: array.rest(),
                });
            }
            before_bytes = self.encoded.len() - array.rest().len();
        }
        None
    }

    /// The queues that it died in since it was last rejected.
    fn since_rejection(self) -> impl Iterator<Item = &'a [u8]> {
        self.iter().take_while(|(_, reason)| *reason != Reason::Rejected).map(|(queue, _)| queue)
    }

    /// False if no entry is about the queue; true says nothing.
    fn names(self, queue: &[u8]) -> bool {
        let mut part = Vec::with_capacity(QUEUE.len() + queue.len() + 6);
        part.push(QUEUE.len() as u8);
        part.extend_from_slice(QUEUE.as_bytes());
        part.push(b'S');
        part.extend_from_slice(&(queue.len() as u32).to_be_bytes());
        part.extend_from_slice(queue);
        memmem::find(self.encoded, &part).is_some()
    }
}

fn pair<'a>(entry: &TableView<'a>) -> Option<(&'a [u8], Reason)> {
    let text = |name| entry.get(name).and_then(|it| it.as_str_bytes());
    Some((text(QUEUE)?, Reason::parse(text(REASON)?)?))
}

/// More targets than this are looked up in a set of the deaths' queues, rather than each among the deaths.
const FEW_TARGETS: usize = 4;

pub(super) const COUNT: &str = "count";
pub(super) const REASON: &str = "reason";
pub(super) const QUEUE: &str = "queue";
pub(super) const EXCHANGE: &str = "exchange";
pub(super) const ROUTING_KEYS: &str = "routing-keys";
