//! What the gauge says is what is there: a walk over everything that can hold a message finds the same bytes.

use std::collections::BTreeMap;

use super::{Client, Comeback, FieldTable, Q, Wish};
use crate::core::{
    change::{Change, Changes},
    memory::{Gauge, Held, Holder, Kind},
    message::Message,
    outbox::feed_by_channel,
    source::Unacked,
    turn::Turn,
};
use crate::limits::MEMORY_PLENTY_PERCENT;

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
                | Change::Return { message: Some(message), .. }
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
        let places = queue.walked_capacity_bytes();
        assert_eq!(places, queue.capacity_bytes());
        drop(queue);
        self.shelf.unwritten().iter().for_each(|message| walk.see(message));
        let mut effects = vec![self.effects.borrow()];
        for client in clients {
            client.outbox.lock().unacked_of(self.shared.id).for_each(|(_, it)| walk.see(&it.entry.message));
            effects.push(client.effects.borrow());
        }
        for effects in effects {
            walk.see_changes(&effects.changes);
            effects.departures.iter().for_each(|departure| walk.see(&departure.entry.message));
        }
        places + walk.0.values().sum::<usize>()
    }

    /// Bytes of messages and of what the queue needs to hold them.
    pub(super) fn used_bytes(&self) -> usize {
        self.gauge.used_bytes_of(Kind::Messages)
    }

    /// Bytes of messages alone, without their places in the queue.
    pub(super) fn message_bytes(&self) -> usize {
        self.used_bytes() - self.shared.state.read().capacity_bytes()
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
        let mut enqueued = super::Enqueued::default();
        queue.shared.publish(&mut run, super::Origin::Client, &mut enqueued, &mut effects);
    }
    drop(run);
    assert!((100_000..110_000).contains(&gauge.used_bytes_of(Kind::Messages)));
    for queue in &queues {
        assert!(gauge.used_bytes_of(Kind::Messages) > 100_000, "a queue has it still");
        queue.purge();
    }
    assert_eq!(gauge.used_bytes_of(Kind::Messages), 0);
}

impl Q {
    /// Everything that was told is on disk, and nothing stays in memory that need not.
    fn to_disk_alone(&self) {
        for _ in 0..3 {
            self.to_disk();
            self.shared.page_out(true, &mut self.effects.borrow_mut().changes);
        }
    }
}

#[test]
fn messages_that_came_back_leave_memory_and_come_again_in_their_order() {
    for durable in [true, false] {
        let (queue, mut first) = (Q::kept(durable, false, FieldTable::new()), Client::new());
        queue.publish(0..300);
        queue.consume(&first, "c", Wish::default());
        assert_eq!(first.read_ids().len(), 300);
        queue.requeue(&first, 7, false);
        queue.requeue(&first, 8, false);
        queue.publish(300..310);
        queue.close_channel(&first, 1);
        queue.to_disk_alone();
        assert_eq!((queue.ready(), queue.message_bytes()), (310, 0), "durable: {durable}");
        assert!(queue.used_bytes() < 310 * 10, "{} bytes", queue.used_bytes());
        let mut second = Client::new();
        queue.consume(&second, "d", Wish::default());
        let seen = second.read();
        assert!(seen.iter().map(|seen| seen.id).eq(0..310));
        assert!(seen.iter().take(300).all(|seen| seen.redelivered));
    }
}

#[test]
fn what_came_back_and_is_on_disk_can_be_purged_while_another_client_has_its_neighbours() {
    let (queue, mut client) = (Q::kept(true, false, FieldTable::new()), Client::new());
    queue.publish(0..100);
    queue.consume(&client, "c", Wish::default());
    client.read();
    (1..=100).step_by(2).for_each(|tag| {
        let returned = client.settle(1, tag, false).unwrap();
        client.outbox.lock().window(1).unwrap().limit_prefetch(1);
        queue.shared.requeue(returned, Comeback::Failed, &mut queue.effects.borrow_mut());
    });
    queue.to_disk_alone();
    assert_eq!((queue.ready(), queue.purge()), (50, 50));
    queue.shelf.absorb(&mut queue.effects.borrow_mut().changes);
    assert_eq!(queue.shelf.messages().len(), 50, "the client has these");
    queue.ack(&client, 0, true);
    queue.shelf.absorb(&mut queue.effects.borrow_mut().changes);
    assert!(queue.shelf.messages().is_empty());
}

#[test]
fn a_short_queue_leaves_memory_whole_when_it_is_needed() {
    let (queue, mut client) = (Q::kept(true, false, FieldTable::new()), Client::new());
    for id in 0..10 {
        queue.publish([id]);
        queue.to_disk_alone();
        assert_eq!(queue.message_bytes(), 0);
    }
    assert!(queue.used_bytes() < 10 * 128, "small blocks are joined");
    queue.consume(&client, "c", Wish::default());
    assert!(client.read_ids().into_iter().eq(0..10));
}

/// A client whose memory counts on a gauge with this limit.
fn limited(gauge: &'static Gauge) -> Client {
    let client = Client::new();
    {
        let mut outbox = client.outbox.lock();
        outbox.close_window(1);
        outbox.count_on(&Holder::new(gauge));
        outbox.open_window(1);
    }
    client
}

/// Reads on until nothing more comes.
fn read_all(queue: &Q, client: &mut Client) -> usize {
    let mut read = 0;
    loop {
        let ids = client.read_ids().len();
        read += ids;
        if ids == 0 {
            return read;
        }
        feed_by_channel(&client.outbox, 1, &mut queue.effects.borrow_mut(), &mut Turn::default());
    }
}

#[test]
fn a_client_without_prefetch_holds_no_more_than_the_share_of_what_is_unacknowledged_where_memory_is_short() {
    let gauge = Gauge::new(1_000_000);
    let (queue, mut client) = (Q::plain(), limited(gauge));
    let _others = Held::of(&Holder::new(gauge), Kind::Topology, 600_000);
    queue.publish(0..5_000);
    queue.consume(&client, "c", Wish::default());
    let mut seen = Vec::new();
    while queue.ready() > 0 {
        seen.extend(client.read_ids());
        let entries = gauge.used_bytes_of(Kind::Windows);
        assert!((1..2 * gauge.share_bytes(Kind::Windows)).contains(&entries));
        assert!(queue.status().unacked < 1_100);
        queue.ack(&client, 0, true);
    }
    seen.extend(client.read_ids());
    assert!(seen.into_iter().eq(0..5_000));
    queue.close_channel(&client, 1);
    assert_eq!([Kind::Windows, Kind::Unacked].map(|kind| gauge.used_bytes_of(kind)), [0, 0]);
}

#[test]
fn a_client_holds_far_more_than_that_share_while_memory_is_plentiful() {
    let gauge = Gauge::new(1_000_000);
    let (queue, mut client) = (Q::plain(), limited(gauge));
    queue.publish(0..20_000);
    queue.consume(&client, "c", Wish::default());
    let plenty = 1_000_000 / 100 * MEMORY_PLENTY_PERCENT;
    let held = read_all(&queue, &mut client);
    assert!(queue.ready() > 0);
    assert!((plenty * 3 / 4..plenty * 5 / 4).contains(&gauge.used_bytes()), "{} bytes", gauge.used_bytes());
    assert!(held * size_of::<Unacked>() > 3 * gauge.share_bytes(Kind::Windows), "{held}");
    queue.close_channel(&client, 1);
    assert_eq!([Kind::Windows, Kind::Unacked].map(|kind| gauge.used_bytes_of(kind)), [0, 0]);
    assert_eq!(queue.ready(), 20_000);
}

#[test]
fn a_consumer_that_waits_for_memory_may_be_fed_when_others_have_given_it_back() {
    let gauge = Gauge::new(1_000_000);
    let (queue, mut client) = (Q::plain(), limited(gauge));
    let others = Held::of(&Holder::new(gauge), Kind::Topology, 600_000);
    queue.publish(0..4_000);
    queue.consume(&client, "c", Wish::default());
    let before = read_all(&queue, &mut client);
    let to_feed = |client: &Client| client.outbox.lock().channels_to_feed().collect::<Vec<_>>();
    assert!(queue.ready() > 0 && to_feed(&client).is_empty());
    drop(others);
    assert_eq!(to_feed(&client), [1]);
    feed_by_channel(&client.outbox, 1, &mut queue.effects.borrow_mut(), &mut Turn::default());
    assert_eq!((before + read_all(&queue, &mut client), queue.ready()), (4_000, 0));
    assert!(to_feed(&client).is_empty());
    queue.close_channel(&client, 1);
}
