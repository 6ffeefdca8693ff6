//! What the gauge says is what is there: a walk over everything that can hold a message finds the same bytes.

use std::collections::BTreeMap;

use super::{Client, Q};
use crate::core::{
    journal::{Change, Changes},
    message::Message,
};

/// Messages by where they are in memory: each counts once, whoever shares it.
#[derive(Default)]
struct Walk(BTreeMap<usize, usize>);

impl Walk {
    fn see(&mut self, message: &Message) {
        self.0.insert(message.view().image().as_ptr() as usize, message.size_bytes());
    }

    fn see_changes(&mut self, changes: &Changes) {
        for change in changes {
            match change {
                Change::Publish { message, .. }
                | Change::Return { message, .. }
                | Change::Settle { message: Some(message), .. } => self.see(message),
                _ => {}
            }
        }
    }
}

impl Q {
    /// Bytes of everything that is found in the queue, with its clients, and on the way to the journal.
    pub(super) fn walked_bytes<'a>(&self, clients: impl IntoIterator<Item = &'a Client>) -> usize {
        let mut walk = Walk::default();
        let queue = self.shared.state.read();
        queue.messages().for_each(|message| walk.see(message));
        let places = queue.walked_places_bytes();
        assert_eq!(places, queue.places_bytes());
        drop(queue);
        self.shelf.unwritten().iter().for_each(|message| walk.see(message));
        let mut effects = vec![self.effects.borrow()];
        for client in clients {
            client.outbox.lock().unacked_of(&self.shared).for_each(|it| walk.see(&it.entry.message));
            effects.push(client.effects.borrow());
        }
        for effects in effects {
            walk.see_changes(&effects.changes);
            effects.departures.iter().for_each(|departure| walk.see(&departure.entry.message));
        }
        places + walk.0.values().sum::<usize>()
    }

    /// Bytes of messages alone, without their places in the queue.
    pub(super) fn message_bytes(&self) -> usize {
        self.gauge.used_bytes() - self.shared.state.read().places_bytes()
    }
}

#[test]
fn a_message_in_many_queues_counts_once() {
    let queues = [(); 20].map(|()| Q::plain());
    let gauge = queues[0].gauge;
    let (layout, image) = super::build_image(b"", b"q", &[0, 0], &[&[7; 100_000]], false);
    let mut run = [super::Publication::new(super::View::new(layout, &image))];
    for queue in &queues {
        let mut effects = queue.effects.borrow_mut();
        let mut published = super::Published::default();
        queue.shared.publish(&mut run, super::Origin::Client, &mut published, &mut effects);
    }
    drop(run);
    assert!((100_000..110_000).contains(&gauge.used_bytes()));
    for queue in &queues {
        assert!(gauge.used_bytes() > 100_000, "a queue has it still");
        queue.purge();
    }
    assert_eq!(gauge.used_bytes(), 0);
}
