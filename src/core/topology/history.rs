//! What an `x-recent-history` exchange keeps: the last messages that came through it (RabbitMQ's plugin).
//!
//! In memory only: RabbitMQ's plugin has the history in its metadata store, here it begins anew with each start of the
//! broker. The messages are copies of their own, for what is replayed is published anew (a message is published to the
//! journal at most once).

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use crate::core::{
    memory::{Held, Holder, Kind},
    message::{Message, View},
};
use crate::limits::RECENT_HISTORY_BYTES_MAX;
use crate::protocol::FieldTable;

/// The last messages of an `x-recent-history` exchange.
pub(super) struct History {
    length_max: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    messages: VecDeque<Message>,
    held: Held,
}

impl History {
    /// An empty one that keeps up to `length_max` messages, and no more than [`RECENT_HISTORY_BYTES_MAX`].
    pub(super) fn new(length_max: usize, holder: &Arc<Holder>) -> Self {
        let kept = Kept { messages: VecDeque::new(), held: Held::new(holder, Kind::Histories) };
        Self { length_max, kept: Mutex::new(kept) }
    }

    /// Keeps a message, unless its header `x-recent-history-no-store` is true. If there is no memory for it, the oldest ones go.
    pub(super) fn keep(&self, message: &View<'_>, headers: Option<&FieldTable>) {
        let no_store = headers.and_then(|headers| headers.get("x-recent-history-no-store"));
        if no_store.and_then(|value| value.as_bool()) == Some(true) {
            return;
        }
        let message = Message::uncounted(*message, 0); // it is published anew when it is replayed
        self.kept.lock().push(message, self.length_max);
    }

    /// The messages, the oldest first.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.kept.lock().messages.iter().cloned().collect()
    }
}

impl Kept {
    fn push(&mut self, message: Message, length_max: usize) {
        let more = message.size_bytes() + size_of::<Message>();
        loop {
            let bytes = self.held.bytes() + more;
            let fits = self.messages.len() < length_max && bytes <= RECENT_HISTORY_BYTES_MAX;
            if fits && self.held.try_set(bytes).is_ok() {
                self.messages.push_back(message);
                return;
            }
            let Some(oldest) = self.messages.pop_front() else { return };
            self.held.set(self.held.bytes() - oldest.size_bytes() - size_of::<Message>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{memory::Gauge, message::build_image};

    fn keep(history: &History, body: &[u8], headers: Option<&FieldTable>) {
        let (layout, image) = build_image(b"x", b"k", &[0, 0], &[body], false);
        history.keep(&View::new(layout, &image), headers);
    }

    fn bodies(history: &History) -> Vec<Vec<u8>> {
        history.messages().iter().map(|message| message.view().body()).collect()
    }

    #[test]
    fn the_last_messages_are_kept_in_order() {
        let history = History::new(2, &Holder::new(Gauge::of_thread()));
        assert!(bodies(&history).is_empty());
        for body in [b"1", b"2", b"3"] {
            keep(&history, body, None);
        }
        assert_eq!(bodies(&history), [b"2", b"3"]);
    }

    #[test]
    fn a_message_may_ask_not_to_be_kept() {
        let history = History::new(20, &Holder::new(Gauge::of_thread()));
        let headers = |value: bool| FieldTable::new().with("x-recent-history-no-store", value);
        keep(&history, b"secret", Some(&headers(true)));
        keep(&history, b"open", Some(&headers(false)));
        keep(&history, b"plain", Some(&FieldTable::new()));
        assert_eq!(bodies(&history), [&b"open"[..], b"plain"]);
    }

    #[test]
    fn what_is_kept_counts_as_memory_until_it_goes() {
        let gauge = Gauge::new(usize::MAX);
        let history = History::new(1, &Holder::new(gauge));
        keep(&history, &[7; 1_000], None);
        assert!(gauge.used_bytes() > 1_000);
        keep(&history, b"short", None);
        let left = history.messages()[0].size_bytes() + size_of::<Message>();
        assert_eq!((gauge.used_bytes(), gauge.used_bytes_of(Kind::Histories)), (left, left));
        drop(history);
        assert_eq!(gauge.used_bytes(), 0);
    }

    #[test]
    fn histories_keep_no_more_than_their_share_of_the_memory_limit() {
        let gauge = Gauge::new(1_000_000);
        let holder = Holder::new(gauge);
        let histories = [(); 5].map(|()| History::new(100, &holder));
        for history in histories.iter().cycle().take(500) {
            keep(history, &[7; 1_000], None);
            assert!(gauge.used_bytes() <= gauge.share_bytes(Kind::Histories));
        }
        assert!(histories.iter().any(|history| !history.messages().is_empty()));
        keep(&histories[0], &[7; 100_000], None);
        assert!(histories[0].messages().is_empty(), "for a message larger than that there is no room");
    }

    #[test]
    fn long_histories_of_large_messages_are_bounded_by_their_bytes() {
        let history = History::new(usize::MAX, &Holder::new(Gauge::of_thread()));
        let body = vec![0; RECENT_HISTORY_BYTES_MAX / 3];
        for _ in 0..4 {
            keep(&history, &body, None);
        }
        assert_eq!(history.messages().len(), 2);
    }
}
