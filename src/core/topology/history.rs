//! What an `x-recent-history` exchange keeps: the last messages that came through it (RabbitMQ's plugin).
//!
//! In memory only: RabbitMQ's plugin has the history in its metadata store, here it begins anew with each start of the
//! broker. The messages are copies of their own, for what is replayed is published anew (a message is published to the
//! journal at most once).

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use crate::core::{
    memory::Gauge,
    message::{Message, View},
};
use crate::limits::RECENT_HISTORY_BYTES_MAX;
use crate::protocol::FieldTable;

/// See the module's text. Its bytes count against the memory budget.
pub(super) struct History {
    length_max: usize,
    gauge: Arc<Gauge>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl History {
    /// An empty one that keeps up to `length_max` messages, and no more than [`RECENT_HISTORY_BYTES_MAX`].
    pub(super) fn new(length_max: usize, gauge: Arc<Gauge>) -> Self {
        Self { length_max, gauge, kept: Mutex::default() }
    }

    /// Keeps a message, unless its header `x-recent-history-no-store` is true.
    pub(super) fn keep(&self, message: &View<'_>, headers: Option<&FieldTable>) {
        let no_store = headers.and_then(|headers| headers.get("x-recent-history-no-store"));
        if no_store.and_then(|value| value.as_bool()) == Some(true) {
            return;
        }
        let message = Message::new(*message, 0); // it is published anew when it is replayed
        let mut kept = self.kept.lock();
        let before = kept.bytes;
        kept.push(message);
        while kept.messages.len() > self.length_max || kept.bytes > RECENT_HISTORY_BYTES_MAX {
            kept.pop();
        }
        self.gauge.change(before, kept.bytes);
    }

    /// The messages, the oldest first.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.kept.lock().messages.iter().cloned().collect()
    }
}

impl Kept {
    fn push(&mut self, message: Message) {
        self.bytes += message.size_bytes();
        self.messages.push_back(message);
    }

    fn pop(&mut self) {
        if let Some(message) = self.messages.pop_front() {
            self.bytes -= message.size_bytes();
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.gauge.change(self.kept.get_mut().bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::build_image;

    fn keep(history: &History, body: &[u8], headers: Option<&FieldTable>) {
        let (layout, image) = build_image(b"x", b"k", &[0, 0], &[body], false);
        history.keep(&View::new(layout, &image), headers);
    }

    fn bodies(history: &History) -> Vec<Vec<u8>> {
        history.messages().iter().map(|message| message.view().body()).collect()
    }

    #[test]
    fn the_last_messages_are_kept_in_order() {
        let history = History::new(2, Arc::new(Gauge::new(usize::MAX)));
        assert!(bodies(&history).is_empty());
        for body in [b"1", b"2", b"3"] {
            keep(&history, body, None);
        }
        assert_eq!(bodies(&history), [b"2", b"3"]);
    }

    #[test]
    fn a_message_may_ask_not_to_be_kept() {
        let history = History::new(20, Arc::new(Gauge::new(usize::MAX)));
        let headers = |value: bool| FieldTable::new().with("x-recent-history-no-store", value);
        keep(&history, b"secret", Some(&headers(true)));
        keep(&history, b"open", Some(&headers(false)));
        keep(&history, b"plain", Some(&FieldTable::new()));
        assert_eq!(bodies(&history), [&b"open"[..], b"plain"]);
    }

    #[test]
    fn what_is_kept_counts_as_memory_until_it_goes() {
        let gauge = Arc::new(Gauge::new(usize::MAX));
        let history = History::new(1, gauge.clone());
        keep(&history, &[7; 1_000], None);
        assert!(gauge.used_bytes() > 1_000);
        keep(&history, b"short", None);
        assert_eq!(gauge.used_bytes(), history.messages()[0].size_bytes());
        drop(history);
        assert_eq!(gauge.used_bytes(), 0);
    }

    #[test]
    fn long_histories_of_large_messages_are_bounded_by_their_bytes() {
        let history = History::new(usize::MAX, Arc::new(Gauge::new(usize::MAX)));
        let body = vec![0; RECENT_HISTORY_BYTES_MAX / 3];
        for _ in 0..4 {
            keep(&history, &body, None);
        }
        assert_eq!(history.messages().len(), 2);
    }
}
