//! The messages of a queue that wait for a consumer, in order.
//!
//! Fresh ones stand in blocks of [`BLOCK_ENTRIES`], so that a long queue grows and shrinks without ever moving what it holds.
//! Requeued ones go back to their original position (RabbitMQ: "requeued to its original position when
//! possible"): they are few and out of order, so they stand in a sorted map before the blocks.

use std::collections::{BTreeMap, VecDeque};

use crate::core::message::Message;

/// A message in a queue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The message, shared with other queues that hold it.
    pub message: Message,
    /// Its place in this queue: strictly increasing as messages are published.
    pub position: u64,
    /// How often it was handed out and came back; above zero, deliveries say `redelivered`.
    pub returned_count: u32,
}

impl Entry {
    /// Whether a delivery of it must say `redelivered`.
    pub fn redelivered(&self) -> bool {
        self.returned_count > 0
    }
}

/// Waiting messages, oldest position first.
#[derive(Default)]
pub struct Ready {
    requeued: BTreeMap<u64, Entry>,
    blocks: VecDeque<VecDeque<Entry>>,
    fresh_count: usize,
}

const BLOCK_ENTRIES: usize = 512;

impl Ready {
    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.fresh_count + self.requeued.len()
    }

    /// Whether none waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.fresh_count == 0 && self.requeued.is_empty()
    }

    /// Appends a message that has a higher position than all before it.
    #[inline]
    pub fn push(&mut self, entry: Entry) {
        self.fresh_count += 1;
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK_ENTRIES => block.push_back(entry),
            _ => {
                // The first block of a queue starts small: most queues are short.
                let room = if self.blocks.is_empty() { 4 } else { BLOCK_ENTRIES };
                let mut block = VecDeque::with_capacity(room);
                block.push_back(entry);
                self.blocks.push_back(block);
            }
        }
    }

    /// Puts a message back to where it was.
    pub fn requeue(&mut self, entry: Entry) {
        self.requeued.insert(entry.position, entry);
    }

    /// The oldest message.
    pub fn front(&self) -> Option<&Entry> {
        let fresh = self.blocks.front().and_then(VecDeque::front);
        match (self.requeued.first_key_value(), fresh) {
            (Some((position, old)), Some(fresh)) => {
                Some(if *position < fresh.position { old } else { fresh })
            }
            (Some((_, old)), None) => Some(old),
            (None, fresh) => fresh,
        }
    }

    /// Takes the oldest message.
    pub fn pop(&mut self) -> Option<Entry> {
        let requeued_first = match (self.requeued.first_key_value(), self.blocks.front()) {
            (Some((position, _)), Some(block)) => {
                block.front().is_none_or(|fresh| *position < fresh.position)
            }
            (requeued, _) => requeued.is_some(),
        };
        if requeued_first {
            return self.requeued.pop_first().map(|(_, entry)| entry);
        }
        let block = self.blocks.front_mut()?;
        let entry = block.pop_front()?;
        self.fresh_count -= 1;
        if block.is_empty() {
            self.blocks.pop_front();
            if self.blocks.is_empty() {
                self.blocks = VecDeque::new();
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::{View, build_image};

    fn entry(position: u64) -> Entry {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"x"], false);
        Entry { message: Message::new(View::new(layout, &image)), position, returned_count: 0 }
    }

    fn drain(ready: &mut Ready) -> Vec<u64> {
        std::iter::from_fn(|| ready.pop()).map(|entry| entry.position).collect()
    }

    #[test]
    fn requeued_messages_return_to_their_original_position() {
        let mut ready = Ready::default();
        for position in [0, 1, 4, 5] {
            ready.push(entry(position));
        }
        for position in [3, 2, 6] {
            ready.requeue(entry(position));
        }
        assert_eq!(ready.front().map(|e| e.position), Some(0));
        assert_eq!(drain(&mut ready), [0, 1, 2, 3, 4, 5, 6]);
        assert!(ready.is_empty());
    }

    #[test]
    fn order_holds_over_many_blocks_and_the_memory_is_given_back() {
        let mut ready = Ready::default();
        for position in 0..5_000 {
            ready.push(entry(position));
        }
        assert_eq!(ready.len(), 5_000);
        assert!(drain(&mut ready).into_iter().eq(0..5_000));
        assert_eq!((ready.len(), ready.blocks.capacity()), (0, 0));
    }
}
