//! Departures in line: those of each queue in its order, and the queues by turns, so that one of which much departs does not
//! hold up the others.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use crate::core::{effects::Departure, placement::QueueId};

/// Departures that wait, the queues by turns.
#[derive(Default)]
pub(super) struct RoundRobin {
    by_queue: HashMap<QueueId, VecDeque<Departure>, RandomState>,
    /// Queues of which something departs, each once.
    queues: VecDeque<QueueId>,
    count: usize,
    bytes: usize,
}

impl RoundRobin {
    pub(super) fn push(&mut self, departure: Departure) {
        self.count += 1;
        self.bytes += departure.entry.message.size_bytes();
        let its = self.by_queue.entry(departure.queue).or_default();
        if its.is_empty() {
            self.queues.push_back(departure.queue);
        }
        its.push_back(departure);
    }

    /// The first one of the queue whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Departure> {
        let queue = self.queues.pop_front()?;
        let its = self.by_queue.get_mut(&queue)?;
        let departure = its.pop_front()?;
        if its.is_empty() {
            self.by_queue.remove(&queue);
        } else {
            self.queues.push_back(queue);
        }
        self.count -= 1;
        self.bytes -= departure.entry.message.size_bytes();
        Some(departure)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Of their messages.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::{
        change::Attempts,
        dead_letter::Reason,
        effects::Cause,
        entry::Entry,
        message::{Message, View, build_image},
    };
    use crate::protocol::ShortString;

    fn departure(queue: u64, position: u64) -> Departure {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"x"], false);
        let message = Message::uncounted(View::new(layout, &image), 0);
        Departure {
            queue: QueueId(queue),
            name: ShortString::new(),
            settings: Arc::default(),
            entry: Entry {
                message,
                position,
                attempts: Attempts::default(),
                redelivered: false,
                journaled: false,
            },
            cause: Cause::Dead(Reason::Expired),
        }
    }

    #[test]
    fn queues_take_turns_and_each_keeps_its_order() {
        let mut waiting = RoundRobin::default();
        for (queue, position) in [(1, 0), (1, 1), (1, 2), (2, 0), (1, 3), (3, 7), (2, 1)] {
            waiting.push(departure(queue, position));
        }
        assert_eq!((waiting.len(), waiting.bytes() > 0), (7, true));
        let order: Vec<_> =
            std::iter::from_fn(|| waiting.pop()).map(|it| (it.queue.0, it.entry.position)).collect();
        assert_eq!(order, [(1, 0), (2, 0), (3, 7), (1, 1), (2, 1), (1, 2), (1, 3)]);
        assert!(waiting.is_empty() && waiting.bytes() == 0 && waiting.by_queue.is_empty());
    }

    #[test]
    fn a_queue_that_departs_again_is_behind_those_that_wait() {
        let mut waiting = RoundRobin::default();
        waiting.push(departure(1, 0));
        waiting.push(departure(2, 0));
        assert_eq!(waiting.pop().map(|it| it.queue.0), Some(1));
        waiting.push(departure(1, 1));
        let order: Vec<_> = std::iter::from_fn(|| waiting.pop()).map(|it| it.queue.0).collect();
        assert_eq!(order, [2, 1]);
    }
}
