//! What has to be read from the disk is read when no lock is held that others need: the pager of a broker refuses it otherwise.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::core::{
    change::{Attempts, TopologyChange},
    dedup::{X_DEDUPLICATION_HEADER, X_MESSAGE_DEDUPLICATION},
    journal::Forgetful,
    memory::Gauge,
    message::{Message, Stage as Written, View, build_image},
    pager::{Loaded, Page, Pager, RestoredQueue, RestoredRange},
    placement::QueueId,
};
use crate::protocol::Properties;
use crate::store::Restored;

/// A disk with a message at every position.
struct Full {
    loads: AtomicUsize,
    gauge: &'static Gauge,
}

impl Pager for Full {
    fn load(&self, _queue: QueueId, first: u64, last: u64, _bytes_max: usize) -> Option<Page> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let end = last.min(first + 3);
        let message = |position| {
            let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"m"], true);
            let message = Message::new(View::new(layout, &image), 1, self.gauge);
            message.set_stage(Written::Written);
            Loaded { position, attempts: Attempts::default(), due: 0, redelivered: false, message }
        };
        let messages = (first..=end).map(message).collect();
        Some(Page { messages, rest_from: (end < last).then_some(end + 1) })
    }
}

const HELD: u32 = 100;

/// A broker with the durable queue `q`, full of messages that are all on disk, which drops its oldest for each new one.
fn host() -> (TestHost, Arc<Full>) {
    let pager = Arc::new(Full { loads: AtomicUsize::new(0), gauge: Gauge::new(usize::MAX) });
    let arguments =
        FieldTable::new().with("x-max-length", HELD.cast_signed()).with(X_MESSAGE_DEDUPLICATION, true);
    let (id, name) = (QueueId(1), ShortString::from_static("q"));
    let declared = TopologyChange::QueueDeclared { id, name, auto_delete: false, arguments };
    let range = RestoredRange { first: 0, last: u64::from(HELD) - 1, count: HELD, bytes: 1_000 };
    let contents = RestoredQueue { id, next_position: HELD.into(), ranges: vec![range] };
    let restored = Restored {
        last_queue: 1,
        topology: HashMap::from([(ShortString::from_static("/"), vec![declared])]),
        contents: HashMap::from([(id, contents)]),
        ..Restored::default()
    };
    let opened = Opened { journal: Arc::new(Forgetful), pager: pager.clone(), restored };
    let broker = Arc::new(Broker::new(Config::load(Settings::default()).unwrap(), opened));
    let vhost = broker.vhosts.find(b"/").unwrap();
    (TestHost { broker, vhost }, pager)
}

impl Client {
    fn publish_once(&mut self, to: &'static str, key: usize) {
        let headers = Some(FieldTable::new().with(X_DEDUPLICATION_HEADER, key as i64));
        let properties = Properties { headers, delivery_mode: Some(2), ..Properties::default() };
        let (mut bytes, mut encoded) = (Vec::new(), Vec::new());
        properties.encode(&mut encoded);
        let routing_key = ShortString::from_static(to);
        frame::write_method(&mut bytes, 1, &basic::Publish { routing_key, ..basic::Publish::default() });
        frame::write_header(&mut bytes, 1, basic::CLASS_ID, 1, &encoded);
        frame::write_bodies(&mut bytes, 1, b"m", self.frame_bytes_max);
        assert!(self.feed(&bytes));
    }

    fn declare_exchange(&mut self, name: &'static str, kind: &'static str) {
        let (exchange, type_) = (ShortString::from_static(name), ShortString::from_static(kind));
        self.send(1, &exchange::Declare { exchange, type_, ..exchange::Declare::default() });
    }

    fn bind(&mut self, queue: &'static str, exchange: &'static str) {
        let (queue, exchange) = (ShortString::from_static(queue), ShortString::from_static(exchange));
        self.send(1, &queue::Bind { queue, exchange, ..queue::Bind::default() });
    }
}

type Act = fn(&mut Client);

/// What makes a queue read, each in the midst of something that holds a lock.
const WAYS: [(&str, Act); 5] = [
    ("a message that is taken once", |client| {
        (0..10).for_each(|key| client.publish_once("q", key));
    }),
    ("a transaction of such messages", |client| {
        client.send(1, &tx::Select {});
        (0..10).for_each(|key| client.publish_once("q", key));
        client.send(1, &tx::Commit {});
    }),
    ("settlements in such a transaction", |client| {
        client.send(1, &basic::Qos { prefetch_count: 1, ..basic::Qos::default() });
        client.consume("q", "c");
        client.send(1, &tx::Select {});
        for tag in 1..=10 {
            client.publish_once("nowhere", tag);
            client.send(1, &basic::Ack { delivery_tag: tag as u64, multiple: false });
            client.send(1, &tx::Commit {});
        }
    }),
    ("a queue that is bound to a history", |client| {
        client.declare_exchange("h", "x-recent-history");
        (0..10).for_each(|_| client.publish(1, "h", "", b"m"));
        client.bind("q", "h");
    }),
    ("an exchange that is bound to a history", |client| {
        client.declare_exchange("h", "x-recent-history");
        client.declare_exchange("f", "fanout");
        (0..10).for_each(|_| client.publish(1, "h", "", b"m"));
        client.bind("q", "f");
        let (source, destination) = (ShortString::from_static("h"), ShortString::from_static("f"));
        client.send(1, &exchange::Bind { destination, source, ..exchange::Bind::default() });
    }),
];

#[test]
fn nothing_is_read_from_the_disk_under_a_lock_that_others_need_and_nothing_is_left_unread() {
    for (way, act) in WAYS {
        let (host, pager) = host();
        let mut client = opened(&host);
        let before = pager.loads.load(Ordering::Relaxed);
        act(&mut client);
        let loads = pager.loads.load(Ordering::Relaxed) - before;
        assert!(loads >= 2, "{way}: {loads} reads");
        let queue = host.vhost.read(|topology| topology.queue(b"q").unwrap().clone());
        let status = queue.status();
        let left = if way.starts_with("settlements") { HELD as usize - 10 } else { HELD as usize };
        assert_eq!(status.ready + status.unacked, left, "{way}");
        drop(queue);
        client.leave();
    }
}
