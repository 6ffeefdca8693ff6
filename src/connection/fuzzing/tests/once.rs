//! Duplicates: what is counted, and when they are confirmed.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::core::{
    change::Changes,
    commit::{Commit, Done, Waiter},
    dedup::{X_CACHE_SIZE, X_DEDUPLICATION_HEADER, X_MESSAGE_DEDUPLICATION},
    journal::Journal,
    outgoing::Outgoing,
};
use crate::limits::DEDUPLICATION_ENTRY_BYTES;
use crate::protocol::{Properties, confirm};

/// A journal whose disk is slow: commits are complete when the test says so.
#[derive(Default)]
struct Slow {
    last: AtomicU64,
    waiting: Mutex<Vec<Arc<dyn Waiter>>>,
}

impl Slow {
    /// All commits are complete up to this one.
    fn complete(&self, last: u64) {
        for waiter in &*self.waiting.lock() {
            waiter.clone().committed(&Done::up_to(Commit(last)), &mut Outgoing::default());
        }
    }

    fn complete_all(&self) {
        self.complete(self.last.load(Ordering::Relaxed));
    }
}

impl Journal for Slow {
    fn append(&self, changes: &mut Changes, _atomic: bool) -> Commit {
        if changes.is_empty() {
            return Commit::default();
        }
        changes.clear();
        Commit(self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn notify(&self, _commit: Commit, waiter: Arc<dyn Waiter>) {
        self.waiting.lock().push(waiter);
    }

    fn poll_room(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Client {
    fn publish_keyed(&mut self, exchange: &'static str, to: &'static str, key: &str) {
        let (exchange, routing_key) = (ShortString::from_static(exchange), ShortString::from_static(to));
        let headers = Some(FieldTable::new().with(X_DEDUPLICATION_HEADER, key));
        let properties = Properties { headers, delivery_mode: Some(2), ..Properties::default() };
        let (mut bytes, mut encoded) = (Vec::new(), Vec::new());
        properties.encode(&mut encoded);
        frame::write_method(
            &mut bytes,
            1,
            &basic::Publish { exchange, routing_key, ..basic::Publish::default() },
        );
        frame::write_header(&mut bytes, 1, basic::CLASS_ID, 1, &encoded);
        frame::write_bodies(&mut bytes, 1, b"m", self.frame_bytes_max);
        assert!(self.feed(&bytes));
    }

    /// The last tag of each ack.
    fn acks(&mut self) -> Vec<u64> {
        let acks = self.methods().into_iter().filter_map(|method| match method {
            Method::BasicAck(ack) => Some(ack.delivery_tag),
            _ => None,
        });
        acks.collect()
    }
}

fn once() -> FieldTable {
    FieldTable::new().with(X_MESSAGE_DEDUPLICATION, true)
}

fn confirming(host: &TestHost) -> Client {
    let mut client = opened(host);
    client.send(1, &confirm::Select { no_wait: true });
    client.declare("q", queue::Declare { arguments: once(), durable: true, ..queue::Declare::default() });
    client
}

#[test]
fn duplicates_are_counted_by_queue_and_exchange() {
    let host = TestHost::default();
    let mut client = confirming(&host);
    let (exchange, type_) = (ShortString::from_static("x"), ShortString::from_static("fanout"));
    client.send(1, &exchange::Declare { exchange, type_, arguments: once(), ..exchange::Declare::default() });
    for key in ["a", "b", "a", "a"] {
        client.publish_keyed("", "q", key);
        client.publish_keyed("x", "", key);
    }
    client.send(
        1,
        &queue::Bind {
            queue: ShortString::from_static("q"),
            exchange: ShortString::from_static("x"),
            ..queue::Bind::default()
        },
    );
    for key in ["c", "c", "c", "c"] {
        client.publish_keyed("x", "", key);
    }
    let queue = host.vhost.read(|topology| topology.queue(b"q").unwrap().clone());
    let status = queue.status();
    assert_eq!((status.counters.published, status.rare.duplicates), (3, 2));
    let by_exchange = |name: &[u8]| host.vhost.read(|topology| topology.exchange_duplicates(name));
    assert_eq!((by_exchange(b"x"), by_exchange(b"amq.fanout")), (Some(3), None));
    drop(queue);
    client.leave();
    nothing_remains(&host);
}

#[test]
fn a_duplicate_is_confirmed_when_the_first_one_is_safe() {
    let journal = Arc::new(Slow::default());
    let host = host_on(journal.clone());
    let (mut one, mut other) = (confirming(&host), confirming(&host));
    journal.complete_all();
    let _declared = (one.drain(), other.drain());
    let before = journal.last.load(Ordering::Relaxed);
    one.publish_keyed("", "q", "a");
    other.publish_keyed("", "q", "a");
    other.publish_keyed("", "q", "b");
    one.publish_keyed("", "q", "b");
    assert_eq!(journal.last.load(Ordering::Relaxed), before + 2, "a duplicate brings nothing");
    assert_eq!((one.acks(), other.acks()), (vec![], vec![]));
    journal.complete(before + 1);
    assert_eq!((one.acks(), other.acks()), (vec![1], vec![1]));
    journal.complete(before + 2);
    assert_eq!((one.acks(), other.acks()), (vec![2], vec![2]));
    one.leave();
    other.leave();
}

#[test]
fn a_transaction_that_has_a_duplicate_is_answered_when_the_first_one_is_safe() {
    let journal = Arc::new(Slow::default());
    let host = host_on(journal.clone());
    let (mut one, mut other) = (confirming(&host), opened(&host));
    other.send(1, &tx::Select {});
    journal.complete_all();
    let _declared = (one.drain(), other.drain());
    let before = journal.last.load(Ordering::Relaxed);
    one.publish_keyed("", "q", "a");
    other.publish_keyed("", "q", "a");
    other.send(1, &tx::Commit {});
    assert_eq!(other.methods(), []);
    journal.complete(before + 1);
    assert_eq!(other.methods(), [Method::TxCommitOk(tx::CommitOk {})]);
    one.leave();
    other.leave();
}

#[test]
fn windows_and_their_memory_go_with_their_owners() {
    let host = TestHost::default();
    let mut client = opened(&host);
    let arguments = once().with(X_CACHE_SIZE, 10);
    client.declare("q", queue::Declare { arguments, exclusive: true, ..queue::Declare::default() });
    for key in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"] {
        client.publish_keyed("", "q", key);
    }
    client.send(1, &queue::Purge { queue: ShortString::from_static("q"), ..queue::Purge::default() });
    assert!(host.used_bytes() > 0);
    client.leave();
    assert_eq!(host.used_bytes(), 0);
    nothing_remains(&host);
}

#[test]
fn an_exchange_that_has_seen_much_is_gone_when_all_of_it_is_forgotten() {
    let host = TestHost::default();
    let mut client = opened(&host);
    let declare = || exchange::Declare {
        exchange: ShortString::from_static("e"),
        type_: ShortString::from_static("fanout"),
        arguments: once().with(X_CACHE_SIZE, 2_000),
        ..exchange::Declare::default()
    };
    client.declare("q", queue::Declare::default());
    let seen = || host.broker.gauge.used_bytes_of(Kind::Deduplication);
    for round in 0..2 {
        client.send(1, &declare());
        client.send(
            1,
            &queue::Bind {
                queue: ShortString::from_static("q"),
                exchange: ShortString::from_static("e"),
                ..queue::Bind::default()
            },
        );
        (0..1_500).for_each(|key| client.publish_keyed("e", "", &format!("{key}")));
        client.send(1, &queue::Purge { queue: ShortString::from_static("q"), ..queue::Purge::default() });
        assert_eq!(seen(), 1_500 * DEDUPLICATION_ENTRY_BYTES, "{round}: all are new");
        let gone =
            exchange::Delete { exchange: ShortString::from_static("e"), ..exchange::Delete::default() };
        client.send(1, &gone);
        assert_eq!(client.methods().last(), Some(&Method::ExchangeDeleteOk(exchange::DeleteOk {})));
        assert_eq!(seen(), 0);
    }
    client.leave();
}

#[test]
fn who_is_told_that_something_durable_is_there_hears_it_when_that_is_safe() {
    let durable = || queue::Declare { durable: true, ..queue::Declare::default() };
    let passive = || queue::Declare { passive: true, ..queue::Declare::default() };
    for asked in [durable, passive] {
        let journal = Arc::new(Slow::default());
        let host = host_on(journal.clone());
        let (mut one, mut other) = (opened(&host), opened(&host));
        let _opened = (one.drain(), other.drain());
        one.declare("q", durable());
        other.declare("q", asked());
        assert!(one.drain().is_empty() && other.drain().is_empty());
        journal.complete_all();
        let answers = |client: &mut Client| client.methods().len();
        assert_eq!((answers(&mut one), answers(&mut other)), (1, 1));
        other.declare("r", queue::Declare::default());
        assert_eq!(answers(&mut other), 1, "what is not durable need not wait");
        one.leave();
        other.leave();
    }
}
