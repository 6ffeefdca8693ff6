//! What mutated sessions and reading have found, each as a session of its own.

mod logins;
mod once;
mod promised;
mod reading;
mod sending;
mod turns;

use super::*;
use crate::connection::channel::Mode;
use crate::core::{
    counts::MessageCounts,
    journal::Journal,
    memory::{Held, Holder},
    window::ChannelFigures,
};
use crate::limits::CHANNELS_ALWAYS_MAX;
use crate::protocol::{Encode, Method, basic, exchange, queue, split, tx};

impl Client {
    fn send(&mut self, channel: u16, method: &impl Encode) {
        let mut bytes = Vec::new();
        frame::write_method(&mut bytes, channel, method);
        assert!(self.feed(&bytes));
    }

    fn publish(&mut self, channel: u16, exchange: &'static str, key: &'static str, body: &[u8]) {
        let mut bytes = Vec::new();
        let (exchange, routing_key) = (ShortString::from_static(exchange), ShortString::from_static(key));
        let publish = basic::Publish { exchange, routing_key, ..basic::Publish::default() };
        frame::write_method(&mut bytes, channel, &publish);
        frame::write_header(&mut bytes, channel, basic::CLASS_ID, body.len() as u64, &[0, 0]);
        frame::write_bodies(&mut bytes, channel, body, self.frame_bytes_max);
        assert!(self.feed(&bytes));
    }

    /// Bodies of what is delivered.
    fn bodies(&mut self) -> Vec<Vec<u8>> {
        let bytes = self.drain();
        let mut rest = &*bytes;
        let mut bodies = Vec::new();
        while let Some((it, size)) = split(rest, self.frame_bytes_max).unwrap() {
            if it.kind == frame::FRAME_BODY {
                bodies.push(it.payload.to_vec());
            }
            rest = &rest[size..];
        }
        bodies
    }

    fn methods(&mut self) -> Vec<Method> {
        let bytes = self.drain();
        let mut rest = &*bytes;
        let mut methods = Vec::new();
        while let Some((it, size)) = split(rest, self.frame_bytes_max).unwrap() {
            if it.kind == frame::FRAME_METHOD {
                methods.push(Method::decode(it.payload).unwrap());
            }
            rest = &rest[size..];
        }
        methods
    }

    fn declare(&mut self, name: &'static str, declare: queue::Declare) {
        self.send(1, &queue::Declare { queue: ShortString::from_static(name), ..declare });
    }

    fn consume(&mut self, name: &'static str, tag: &'static str) {
        let (queue, consumer_tag) = (ShortString::from_static(name), ShortString::from_static(tag));
        self.send(1, &basic::Consume { queue, consumer_tag, ..basic::Consume::default() });
    }
}

fn host_on(journal: Arc<dyn Journal>) -> TestHost {
    let config = Config::load(Settings::default()).unwrap();
    let broker =
        Arc::new(Broker::with_gauge(config, Opened { journal, ..Opened::forgetful() }, Gauge::of_thread()));
    let vhost = broker.vhosts.find(&broker.config.default_vhost).unwrap();
    TestHost { broker, vhost }
}

fn opened(host: &TestHost) -> Client {
    let mut client = host.client();
    client.send(1, &channel::Open {});
    client
}

fn nothing_remains(host: &TestHost) {
    assert_eq!(host.clear(), Remains::default());
}

#[test]
fn a_single_active_consumers_successor_gets_what_the_channel_held_first() {
    let host = TestHost::default();
    let (mut active, mut next) = (opened(&host), opened(&host));
    let arguments = FieldTable::new().with("x-single-active-consumer", true);
    active.declare("q", queue::Declare { arguments, ..queue::Declare::default() });
    active.send(1, &basic::Qos { prefetch_count: 2, ..basic::Qos::default() });
    active.consume("q", "active");
    next.consume("q", "next");
    for body in [b"1", b"2", b"3", b"4"] {
        next.publish(1, "", "q", body);
    }
    assert_eq!(active.bodies(), [b"1", b"2"]);
    active.leave();
    assert_eq!(next.bodies(), [b"1", b"2", b"3", b"4"]);
    next.leave();
    nothing_remains(&host);
}

#[test]
fn the_figures_of_connections_and_channels_can_be_read_from_outside() {
    let host = TestHost::default();
    let mut client = opened(&host);
    client.declare("q", queue::Declare::default());
    client.send(2, &channel::Open {});
    client.send(2, &basic::Qos { prefetch_count: 3, global: true, ..basic::Qos::default() });
    client.consume("q", "one");
    client.consume("q", "two");
    for body in [b"1", b"2"] {
        client.publish(2, "", "q", body);
    }
    client.send(1, &basic::Ack { delivery_tag: 1, multiple: false });
    let (id, _) = host.broker.connections.all()[0].clone();
    let channels = host.broker.connections.figures_of(id).unwrap().channels;
    let counts = MessageCounts { deliver: 2, ack: 1, ..MessageCounts::default() };
    let first = ChannelFigures { consumers: 2, unacked: 1, counts, ..ChannelFigures::default() };
    let counts = MessageCounts { publish: 2, ..MessageCounts::default() };
    let second = ChannelFigures { prefetch_global: 3, counts, ..ChannelFigures::default() };
    assert_eq!(channels, [(1, first), (2, second)]);
    client.leave();
    assert_eq!(host.broker.connections.figures_of(id), None);
    nothing_remains(&host);
}

#[test]
fn a_commit_that_fails_gives_back_what_the_transaction_had_settled() {
    for how in 0..3 {
        let host = TestHost::default();
        let mut client = opened(&host);
        client.declare("q", queue::Declare::default());
        let (exchange, type_) = (ShortString::from_static("x"), ShortString::from_static("fanout"));
        client.send(1, &exchange::Declare { exchange, type_, ..exchange::Declare::default() });
        client.publish(1, "", "q", b"held");
        client.send(1, &tx::Select {});
        client.send(1, &basic::Get { queue: ShortString::from_static("q"), no_ack: false });
        client.publish(1, "x", "", b"goes nowhere");
        let (delivery_tag, requeue) = (1, how == 2);
        match how {
            0 => client.send(1, &basic::Ack { delivery_tag, multiple: false }),
            _ => client.send(1, &basic::Reject { delivery_tag, requeue }),
        }
        client.send(
            1,
            &exchange::Delete { exchange: ShortString::from_static("x"), ..exchange::Delete::default() },
        );
        let (exchange, type_) = (ShortString::from_static("x"), ShortString::from_static("fanout"));
        client
            .send(1, &exchange::Declare { exchange, type_, internal: true, ..exchange::Declare::default() });
        client.send(1, &tx::Commit {});
        let last = client.methods().pop().unwrap();
        assert!(matches!(&last, Method::ChannelClose(close) if close.reply_code == 403), "{last:?}");
        let queue = host.vhost.read(|topology| topology.queue(b"q").unwrap().clone());
        assert_eq!((queue.status().ready, queue.status().unacked), (1, 0));
        client.leave();
        drop(queue);
        nothing_remains(&host);
    }
}

#[test]
fn a_commit_goes_through_when_an_exchange_that_it_published_to_is_gone() {
    let host = TestHost::default();
    let mut client = opened(&host);
    let (exchange, type_) = (ShortString::from_static("x"), ShortString::from_static("fanout"));
    client.send(1, &exchange::Declare { exchange: exchange.clone(), type_, ..exchange::Declare::default() });
    client.send(1, &tx::Select {});
    client.publish(1, "x", "", b"goes nowhere");
    client.send(1, &exchange::Delete { exchange, ..exchange::Delete::default() });
    client.send(1, &tx::Commit {});
    assert!(matches!(client.methods().pop(), Some(Method::TxCommitOk(_))));
    client.leave();
    nothing_remains(&host);
}

#[test]
fn messages_of_a_transaction_count_against_the_memory_budget_until_it_ends() {
    let host = TestHost::default();
    let mut client = opened(&host);
    let used = || host.used_bytes() - host.broker.gauge.used_bytes_of(Kind::Outboxes);
    client.send(1, &tx::Select {});
    client.publish(1, "", "nowhere", &[7; 10_000]);
    assert!(used() > 10_000);
    client.send(1, &tx::Rollback {});
    assert_eq!(used(), 0);
    client.publish(1, "", "nowhere", &[7; 10_000]);
    client.leave();
    assert_eq!(used(), 0);
}

#[test]
fn what_a_transaction_settles_counts_against_the_channels_prefetch_until_the_commit() {
    let host = TestHost::default();
    let mut client = opened(&host);
    client.declare("q", queue::Declare::default());
    client.send(1, &basic::Qos { prefetch_count: 1, global: true, ..basic::Qos::default() });
    client.send(1, &tx::Select {});
    let queue = ShortString::from_static("q");
    client.send(1, &basic::Consume { queue, ..basic::Consume::default() });
    let mut other = opened(&host);
    for body in [b"1", b"2"] {
        other.publish(1, "", "q", body);
    }
    assert_eq!(client.bodies(), [b"1"]);
    client.send(1, &basic::Ack { delivery_tag: 1, multiple: false });
    assert_eq!(client.bodies(), [b""; 0]);
    client.send(1, &tx::Commit {});
    assert_eq!(client.bodies(), [b"2"]);
    client.leave();
    other.leave();
    nothing_remains(&host);
}

#[test]
fn settling_nothing_leaves_nothing_in_a_transaction() {
    let host = TestHost::default();
    let mut client = opened(&host);
    client.send(1, &tx::Select {});
    for _ in 0..100 {
        client.send(1, &basic::Ack { delivery_tag: 0, multiple: true });
        client.send(1, &basic::Nack { delivery_tag: 0, multiple: true, requeue: true });
    }
    let Mode::Transaction(transaction) = &client.session.channel(1).mode else {
        panic!("the channel is transactional");
    };
    assert_eq!(transaction.settlements.len(), 0);
    client.leave();
    nothing_remains(&host);
}

#[test]
fn an_exclusive_queue_that_went_with_its_last_consumer_is_forgotten() {
    let host = TestHost::default();
    let mut client = opened(&host);
    for _ in 0..100 {
        client
            .declare("", queue::Declare { exclusive: true, auto_delete: true, ..queue::Declare::default() });
        client.consume("", "c");
        client.send(1, &basic::Cancel { consumer_tag: ShortString::from_static("c"), no_wait: true });
    }
    assert_eq!((host.queue_count(), client.session.exclusive_queues.len()), (0, 0));
    client.leave();
    nothing_remains(&host);
}

#[test]
fn what_a_transaction_published_lives_from_its_commit_on() {
    let host = TestHost::default();
    let mut client = opened(&host);
    client.declare("q", queue::Declare::default());
    client.send(1, &tx::Select {});
    client.publish(1, "", "q", b"m");
    let published = host.broker.clock.now();
    while host.broker.clock.now() <= published {
        std::thread::yield_now();
    }
    client.send(1, &tx::Commit {});
    let queue = host.vhost.read(|topology| topology.queue(b"q").unwrap().clone());
    let mut since = None;
    let note = |entry: crate::core::entry::Entry, _, _| {
        since = Some(entry.message.published_at());
        Some(entry)
    };
    queue.get((1, true), &mut Effects::default(), note).unwrap();
    assert!(since.unwrap() > published);
    client.leave();
}

#[test]
fn channels_beyond_their_share_of_memory_are_refused_but_each_connection_has_some() {
    let config = Config::load(Settings::default()).unwrap();
    let gauge = Gauge::new(1_000_000);
    let broker = Arc::new(Broker::with_gauge(config, Opened::forgetful(), gauge));
    let vhost = broker.vhosts.find(&broker.config.default_vhost).unwrap();
    let host = TestHost { broker, vhost };
    let before = gauge.used_bytes();
    let mut greedy = host.client();
    let open = |client: &mut Client, number: u16| {
        client.send(number, &channel::Open {});
        client.methods().pop()
    };
    let is_open = |answer: &Option<Method>| matches!(answer, Some(Method::ChannelOpenOk(_)));
    let refused =
        (1..=2_000).map(|number| open(&mut greedy, number)).find(|answer| !is_open(answer)).unwrap();
    let Some(Method::ConnectionClose(close)) = refused else { panic!("{refused:?}") };
    assert_eq!(close.reply_code, 506);
    assert!(close.reply_text.starts_with(b"RESOURCE_ERROR - the memory for exchanges, queues, bindings"));
    let used = gauge.used_bytes_of(Kind::Topology);
    assert!(used < gauge.share_bytes(Kind::Topology), "it gave them back");
    let declared = Held::of(&Holder::new(gauge), Kind::Topology, gauge.share_bytes(Kind::Topology));
    let mut modest = host.client();
    assert!((1..=CHANNELS_ALWAYS_MAX as u16).all(|number| is_open(&open(&mut modest, number))));
    assert!(!is_open(&open(&mut modest, CHANNELS_ALWAYS_MAX as u16 + 1)));
    greedy.leave();
    modest.leave();
    drop(declared);
    assert_eq!(gauge.used_bytes(), before);
}
