//! Messages that move in, by brokers with and without a disk.

use tempfile::TempDir;

use super::*;
use crate::broker::tests::{ME, Stored, declaration};
use crate::config::{Config, Settings};
use crate::core::{
    change::Attempts,
    memory::Gauge,
    message::{Message, View, build_image},
    moved_in::Reading,
    queue::Cursor,
    topology::QueueDeclaration,
};
use crate::protocol::{
    FieldTable, Properties, ShortString, basic, write_bodies, write_header_with, write_method,
};
use crate::store::Opened;

fn broker() -> Broker {
    Broker::new(Config::load(Settings::default()).unwrap(), Opened::forgetful())
}

fn declare(broker: &Broker, arguments: FieldTable) -> (Arc<Vhost>, Arc<SharedQueue>) {
    let vhost = broker.vhosts.find(b"/").unwrap();
    let declaration = QueueDeclaration { arguments, ..declaration("q") };
    let queue = vhost.change(|topology| topology.declare_queue(declaration, ME)).0.unwrap();
    (vhost, queue)
}

/// Persistent messages whose bodies are their numbers, which have failed so often.
fn messages(ids: std::ops::Range<u32>, failed: i32) -> Vec<MovedIn> {
    let headers = Some(FieldTable::new().with("x-delivery-count", failed));
    let properties = Properties { headers, delivery_mode: Some(2), ..Properties::default() };
    let mut bytes = Vec::new();
    for id in ids {
        let key = ShortString::from_static("its key");
        let deliver =
            basic::Deliver { routing_key: key, redelivered: failed > 0, ..basic::Deliver::default() };
        write_method(&mut bytes, 1, &deliver);
        write_header_with(&mut bytes, 1, basic::CLASS_ID, 4, |out| properties.encode(out));
        write_bodies(&mut bytes, 1, &id.to_be_bytes(), 4_096);
    }
    let reading = Reading { body_bytes_max: 4, counts_attempts: true };
    reading.deliveries(&bytes).unwrap().into_iter().map(|delivery| delivery.message.unwrap()).collect()
}

fn ids(queue: &SharedQueue) -> Vec<u32> {
    let id = |body: Vec<u8>| u32::from_be_bytes(body.try_into().unwrap());
    let peek = queue.peek_ready(Cursor::default(), usize::MAX);
    peek.messages.iter().map(|peeked| id(peeked.entry.message.view().body())).collect()
}

#[tokio::test]
async fn messages_move_in_without_being_routed_in_as_many_steps_as_it_takes() {
    let broker = broker();
    let (vhost, queue) = declare(&broker, FieldTable::new());
    let count = 3 * MOVED_IN_AT_ONCE_MAX as u32 + 1;
    let arrived = broker.move_in(&vhost, &queue, &messages(0..count, 0)).await;
    assert_eq!(arrived, Arrived { taken: count as usize, stopped: None });
    assert_eq!(ids(&queue), (0..count).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_there_is_no_room_for_is_told() {
    let broker = broker();
    let (vhost, queue) = declare(&broker, FieldTable::new().with("x-max-length", 300));
    let arrived = broker.move_in(&vhost, &queue, &messages(0..900, 0)).await;
    assert_eq!(arrived, Arrived { taken: 300, stopped: Some(Stopped::Full) });
    assert_eq!(ids(&queue), (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_moves_into_a_queue_that_was_deleted() {
    let broker = broker();
    let (vhost, queue) = declare(&broker, FieldTable::new());
    assert!(queue.delete(|_| true).is_some());
    let arrived = broker.move_in(&vhost, &queue, &messages(0..1, 0)).await;
    assert_eq!(arrived, Arrived { taken: 0, stopped: Some(Stopped::Gone) });
}

#[tokio::test(start_paused = true)]
async fn while_memory_is_short_nothing_moves_in_and_that_is_told_in_the_end() {
    let gauge = Gauge::new(1 << 20);
    let config = Config::load(Settings::default()).unwrap();
    let broker = Broker::with_gauge(config, Opened::forgetful(), gauge);
    let (vhost, queue) = declare(&broker, FieldTable::new());
    let (layout, image) = build_image(b"", b"q", &[0, 0], &[&vec![7; 16 << 20]], false);
    let _all = Message::new(View::new(layout, &image), 0, gauge);
    let arrived = broker.move_in(&vhost, &queue, &messages(0..1, 0)).await;
    assert_eq!(arrived, Arrived { taken: 0, stopped: Some(Stopped::HeldUp) });
    assert!(ids(&queue).is_empty());
}

#[tokio::test]
async fn what_has_moved_in_is_there_after_a_restart_with_its_attempts() {
    let folder = TempDir::new().unwrap();
    let stored = Stored::open(folder.path());
    let quorum = FieldTable::new().with("x-queue-type", "quorum");
    let (vhost, queue) = declare(&stored.broker, quorum);
    for (ids, failed) in [(0..2, 0), (2..4, 3)] {
        let arrived = stored.broker.move_in(&vhost, &queue, &messages(ids, failed)).await;
        assert_eq!(arrived, Arrived { taken: 2, stopped: None });
    }
    drop((vhost, queue));
    stored.close();
    let stored = Stored::open(folder.path());
    let vhost = stored.broker.vhosts.find(b"/").unwrap();
    let queue = vhost.read(|topology| topology.queue(b"q").cloned().unwrap());
    assert_eq!(ids(&queue), [0, 1, 2, 3]);
    let peek = queue.peek_ready(Cursor::default(), 9);
    let seen = peek.messages.iter().map(|peeked| (peeked.entry.attempts, peeked.entry.redelivered));
    let attempts = |times| Attempts { returned: times, failed: times };
    let (first, later) = ((attempts(0), false), (attempts(3), true));
    assert_eq!(seen.collect::<Vec<_>>(), [first, first, later, later]);
    assert_eq!(peek.messages[0].entry.message.view().routing_key(), b"its key");
    drop((peek, vhost, queue));
    stored.close();
}
