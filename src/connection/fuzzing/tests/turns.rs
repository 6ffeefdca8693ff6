//! Sessions are handled in turns: whatever is cut, it is handled once and in order, and each turn ends.

use super::*;
use crate::{
    core::{
        commit::{Commit, Done, Waiter},
        outgoing::Outgoing,
        queue::{Cursor, SharedQueue},
    },
    protocol::confirm,
};

impl Client {
    /// Lets the session handle `bytes` in turns of so many steps; gives how many there were.
    fn feed_in_turns(&mut self, bytes: &[u8], steps: usize) -> usize {
        self.session.turn_steps = steps;
        self.unread.extend_from_slice(bytes);
        let mut turns = 1;
        while self.one_turn() {
            turns += 1;
        }
        turns
    }

    /// One turn of what there is to do; whether there is more.
    fn one_turn(&mut self) -> bool {
        let used = self.session.handle(&self.unread);
        self.unread.drain(..used);
        self.session.is_busy()
    }

    /// The same for a method.
    fn send_in_turns(&mut self, channel: u16, method: &impl Encode, steps: usize) -> usize {
        let mut bytes = Vec::new();
        frame::write_method(&mut bytes, channel, method);
        self.feed_in_turns(&bytes, steps)
    }

    /// Publishes so many messages, and holds all of them.
    fn holding(&mut self, name: &'static str, count: usize) {
        let mut bytes = Vec::new();
        for number in 0..count {
            publish(&mut bytes, "", name, &(number as u32).to_be_bytes());
        }
        self.feed(&bytes);
        self.consume(name, "holder");
        self.drain_all();
    }

    /// Everything that waits for the client.
    fn drain_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let bytes = self.drain();
            if bytes.is_empty() {
                return all;
            }
            all.extend(bytes);
        }
    }
}

fn publish(out: &mut Vec<u8>, exchange: &'static str, key: &'static str, body: &[u8]) {
    publish_with(out, exchange, key, &[0, 0], body);
}

fn publish_with(
    out: &mut Vec<u8>,
    exchange: &'static str,
    key: &'static str,
    properties: &[u8],
    body: &[u8],
) {
    let (exchange, routing_key) = (ShortString::from_static(exchange), ShortString::from_static(key));
    let publish = basic::Publish { exchange, routing_key, ..basic::Publish::default() };
    frame::write_method(out, 1, &publish);
    frame::write_header(out, 1, basic::CLASS_ID, body.len() as u64, properties);
    frame::write_bodies(out, 1, body, 4_096);
}

fn fanout_to(client: &mut Client, queues: usize) -> Vec<Arc<SharedQueue>> {
    let mut made = Vec::new();
    for number in 0..queues {
        let name = ShortString::try_from(format!("q{number}")).unwrap();
        client.send(1, &queue::Declare { queue: name.clone(), ..queue::Declare::default() });
        let exchange = ShortString::from_static("amq.fanout");
        client.send(1, &queue::Bind { queue: name.clone(), exchange, ..queue::Bind::default() });
        made.push(client.session.vhost.read(|topology| topology.queue(&name).unwrap().clone()));
    }
    made
}

#[test]
fn a_run_that_takes_several_turns_is_counted_once() {
    let host = TestHost::default();
    let mut client = opened(&host);
    let queues = fanout_to(&mut client, 10);
    let mut bytes = Vec::new();
    for number in 0..100_u8 {
        publish(&mut bytes, "amq.fanout", "", &[number]);
    }
    assert!(client.feed_in_turns(&bytes, 50) > 1, "it is cut");
    assert_eq!(client.session.brought_messages, 100);
    client.leave();
    drop(queues);
    nothing_remains(&host);
}

#[test]
fn a_run_of_publishes_is_cut_by_how_many_queues_each_goes_to_and_none_is_lost_or_doubled() {
    let host = TestHost::default();
    let mut client = opened(&host);
    let queues = fanout_to(&mut client, 10);
    client.send(1, &confirm::Select::default());
    client.methods();
    let mut bytes = Vec::new();
    for number in 0..100_u8 {
        publish(&mut bytes, "amq.fanout", "", &[number]);
    }
    let turns = client.feed_in_turns(&bytes, 50);
    assert!((20..=26).contains(&turns), "{turns} turns of five messages or fewer");
    for queue in &queues {
        let peeked = queue.peek_ready(Cursor::default(), 200);
        let bodies: Vec<_> = peeked.messages.iter().map(|it| it.entry.message.view().body()[0]).collect();
        assert_eq!(bodies, (0..100).collect::<Vec<u8>>());
    }
    let confirmed = client.methods().into_iter().filter_map(|method| match method {
        Method::BasicAck(ack) => Some(ack.delivery_tag),
        _ => None,
    });
    assert_eq!(confirmed.max(), Some(100));
    client.leave();
    drop(queues);
    nothing_remains(&host);
}

#[test]
fn a_message_for_more_queues_than_a_turn_has_steps_is_published_all_the_same() {
    let host = TestHost::default();
    let mut client = opened(&host);
    let queues = fanout_to(&mut client, 10);
    let mut bytes = Vec::new();
    for _ in 0..3 {
        publish(&mut bytes, "amq.fanout", "", b"m");
    }
    assert!(client.feed_in_turns(&bytes, 1) >= 3);
    assert!(queues.iter().all(|queue| queue.status().ready == 3));
    client.leave();
    drop(queues);
    nothing_remains(&host);
}

#[test]
fn a_message_for_many_queues_is_confirmed_when_all_of_them_have_it() {
    for properties in [&[0, 0][..], b"\x01\x00\x0599999"] {
        two_messages_for_many_queues(properties);
    }
}

fn two_messages_for_many_queues(properties: &[u8]) {
    let host = TestHost::default();
    let mut client = opened(&host);
    let queues = fanout_to(&mut client, 100);
    client.send(1, &confirm::Select::default());
    client.methods();
    for body in [b"1", b"2"] {
        publish_with(&mut client.unread, "amq.fanout", "", properties, body);
    }
    client.session.turn_steps = 10;
    let mut turns = 1;
    while client.one_turn() {
        turns += 1;
        let last = queues.iter().map(|queue| queue.status().ready).min();
        let confirmed = client.methods().into_iter().filter_map(|method| match method {
            Method::BasicAck(ack) => Some(ack.delivery_tag as usize),
            _ => None,
        });
        assert!(confirmed.max() <= last, "after turn {turns}");
    }
    assert!((20..=30).contains(&turns), "{turns} turns");
    for queue in &queues {
        let peeked = queue.peek_ready(Cursor::default(), 3);
        let bodies: Vec<_> = peeked.messages.iter().map(|it| it.entry.message.view().body()).collect();
        assert_eq!(bodies, [b"1", b"2"]);
    }
    client.leave();
    drop(queues);
    nothing_remains(&host);
}

#[test]
fn a_whole_read_of_small_messages_for_one_queue_is_handled_in_one_turn() {
    let host = TestHost::default();
    let mut client = opened(&host);
    client.declare("q", queue::Declare::default());
    let mut bytes = Vec::new();
    while bytes.len() < crate::limits::READ_BUFFER_BYTES {
        publish(&mut bytes, "", "q", &[7; 16]);
    }
    assert_eq!(client.feed_in_turns(&bytes, crate::limits::TURN_STEPS_MAX), 1);
    client.leave();
    nothing_remains(&host);
}

const MANY: usize = 1_000;
const STEPS: usize = 50;

/// A client that holds all messages of a queue.
fn holder(host: &TestHost) -> (Client, Arc<SharedQueue>) {
    let mut client = opened(host);
    client.declare("q", queue::Declare::default());
    client.holding("q", MANY);
    let queue = host.vhost.read(|topology| topology.queue(b"q").unwrap().clone());
    assert_eq!(queue.status().unacked, MANY);
    (client, queue)
}

/// The numbers that the bodies of deliveries have.
fn numbers(bodies: Vec<Vec<u8>>) -> Vec<u32> {
    bodies.into_iter().map(|body| u32::from_be_bytes(body.try_into().unwrap())).collect()
}

#[test]
fn many_messages_are_acknowledged_in_several_turns_and_what_follows_is_handled_after_them() {
    let host = TestHost::default();
    let (mut client, queue) = holder(&host);
    let mut bytes = Vec::new();
    frame::write_method(&mut bytes, 1, &basic::Ack { delivery_tag: 0, multiple: true });
    frame::write_method(
        &mut bytes,
        1,
        &queue::Purge { queue: ShortString::from_static("q"), no_wait: false },
    );
    client.session.turn_steps = STEPS;
    client.unread.extend(bytes);
    assert!(client.one_turn());
    let after_one = queue.status().unacked;
    assert!((MANY - STEPS..MANY).contains(&after_one), "{after_one} left");
    assert_eq!(client.methods(), []);
    while client.one_turn() {}
    assert_eq!(queue.status().unacked, 0);
    assert!(matches!(client.methods()[..], [Method::QueuePurgeOk(_)]));
    client.leave();
    drop(queue);
    nothing_remains(&host);
}

#[test]
fn what_comes_back_in_several_turns_keeps_its_order_and_is_given_to_nobody_before_all_of_it_is_there() {
    for how in 0..3 {
        let host = TestHost::default();
        let (mut client, queue) = holder(&host);
        let turns = match how {
            0 => {
                let all = basic::Nack { delivery_tag: 0, multiple: true, requeue: true };
                client.send_in_turns(1, &all, STEPS)
            }
            1 => client.send_in_turns(1, &basic::Recover { requeue: true }, STEPS),
            _ => {
                let up_to = basic::Nack { delivery_tag: MANY as u64, multiple: true, requeue: true };
                client.send_in_turns(1, &up_to, STEPS)
            }
        };
        assert!(turns >= MANY / STEPS, "{turns} turns");
        let status = queue.status();
        assert_eq!((status.unacked, status.ready, status.counters.redelivered), (MANY, 0, MANY as u64));
        assert_eq!(numbers(client.bodies()), (0..MANY as u32).collect::<Vec<_>>());
        client.leave();
        drop(queue);
        nothing_remains(&host);
    }
}

#[test]
fn many_rejected_messages_are_dead_after_several_turns() {
    let host = TestHost::default();
    let (mut client, queue) = holder(&host);
    let all = basic::Nack { delivery_tag: 0, multiple: true, requeue: false };
    assert!(client.send_in_turns(1, &all, STEPS) >= MANY / STEPS);
    assert_eq!((queue.status().unacked, queue.status().ready), (0, 0));
    client.leave();
    drop(queue);
    nothing_remains(&host);
}

#[test]
fn an_unknown_tag_among_many_is_told_at_once() {
    let host = TestHost::default();
    let (mut client, queue) = holder(&host);
    client.send_in_turns(1, &basic::Ack { delivery_tag: MANY as u64 + 1, multiple: true }, STEPS);
    let last = client.methods().pop();
    assert!(matches!(&last, Some(Method::ChannelClose(close)) if close.reply_code == 406), "{last:?}");
    assert_eq!((queue.status().unacked, queue.status().ready), (0, MANY));
    client.leave();
    drop(queue);
    nothing_remains(&host);
}

#[test]
fn a_channel_that_holds_much_is_closed_in_several_turns_and_answered_at_the_end() {
    let host = TestHost::default();
    let (mut client, queue) = holder(&host);
    let mut other = opened(&host);
    other.consume("q", "successor");
    client.session.turn_steps = STEPS;
    frame::write_method(&mut client.unread, 1, &channel::Close::default());
    while client.one_turn() {
        assert_eq!(client.methods(), []);
    }
    assert!(matches!(client.methods()[..], [Method::ChannelCloseOk(_)]));
    other.methods_and_bodies_are(&(0..MANY as u32).collect::<Vec<_>>());
    assert_eq!((queue.status().unacked, queue.status().consumers), (MANY, 1));
    client.leave();
    other.leave();
    drop(queue);
    nothing_remains(&host);
}

impl Client {
    fn methods_and_bodies_are(&mut self, expected: &[u32]) {
        assert_eq!(numbers(self.bodies()), expected);
    }
}

#[test]
fn a_client_with_many_consumers_and_queues_of_its_own_leaves_in_several_turns() {
    let host = TestHost::default();
    let mut client = opened(&host);
    for number in 0..40 {
        let queue = ShortString::try_from(format!("own{number}")).unwrap();
        client
            .send(1, &queue::Declare { queue: queue.clone(), exclusive: true, ..queue::Declare::default() });
        for _ in 0..5 {
            client.send(1, &basic::Consume { queue: queue.clone(), ..basic::Consume::default() });
        }
    }
    client.session.turn_steps = STEPS;
    client.session.release_everything(Then::Nothing);
    let mut turns = 1;
    while !client.session.finish() {
        turns += 1;
    }
    assert!(turns > 40, "{turns} turns");
    assert_eq!((host.queue_count(), host.broker.connections.count()), (0, 0));
}

#[test]
fn a_purge_is_answered_when_all_of_it_is_done() {
    let host = TestHost::default();
    let mut client = opened(&host);
    client.declare("q", queue::Declare::default());
    let mut bytes = Vec::new();
    for _ in 0..MANY {
        publish(&mut bytes, "", "q", b"m");
    }
    client.feed(&bytes);
    client.methods();
    let purge = queue::Purge { queue: ShortString::from_static("q"), no_wait: false };
    assert!(client.send_in_turns(1, &purge, STEPS) >= MANY / STEPS);
    let purged = client.methods();
    assert!(
        matches!(&purged[..], [Method::QueuePurgeOk(ok)] if ok.message_count == MANY as u32),
        "{purged:?}"
    );
    client.leave();
    nothing_remains(&host);
}

/// A journal that notes how many changes came in each group, and whether the group was atomic.
#[derive(Default)]
struct Noting(Mutex<Vec<(usize, bool)>>);

impl Journal for Noting {
    fn append(&self, changes: &mut crate::core::change::Changes, atomic: bool) -> Commit {
        if !changes.is_empty() {
            self.0.lock().push((changes.len(), atomic));
        }
        changes.clear();
        Commit::default()
    }

    fn notify(&self, commit: Commit, waiter: Arc<dyn Waiter>) {
        waiter.committed(&Done::up_to(commit), &mut Outgoing::default());
    }

    fn poll_room(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// A client whose transaction publishes `MANY` persistent messages and acknowledges as many; it is not committed.
fn with_transaction(host: &TestHost) -> Client {
    let mut client = opened(host);
    client.declare("q", queue::Declare { durable: true, ..queue::Declare::default() });
    let mut bytes = Vec::new();
    for number in 0..MANY as u32 {
        publish_persistent(&mut bytes, &number.to_be_bytes());
    }
    client.feed(&bytes);
    client.consume("q", "holder");
    client.drain_all();
    client.send(1, &tx::Select {});
    client.feed(&bytes);
    client.send(1, &basic::Ack { delivery_tag: 0, multiple: true });
    client.methods();
    client
}

fn publish_persistent(out: &mut Vec<u8>, body: &[u8]) {
    publish_with(out, "", "q", &[0x10, 0, 2], body);
}

#[test]
fn a_commit_takes_several_turns_and_is_one_group_for_the_journal_even_if_its_client_goes_meanwhile() {
    for turns_before_the_end in [0, 1, 3, usize::MAX] {
        let journal = Arc::new(Noting::default());
        let host = host_on(journal.clone());
        let mut client = with_transaction(&host);
        journal.0.lock().clear();
        client.session.turn_steps = STEPS;
        frame::write_method(&mut client.unread, 1, &tx::Commit {});
        let mut turns = 0;
        while turns < turns_before_the_end && client.one_turn() {
            turns += 1;
            assert_eq!(client.methods_but_deliveries(), []);
            assert_eq!(*journal.0.lock(), [], "after turn {turns}");
        }
        if turns_before_the_end == usize::MAX {
            assert!(turns >= MANY / STEPS, "{turns} turns");
            assert!(matches!(client.methods_but_deliveries()[..], [Method::TxCommitOk(_)]));
        }
        client.leave();
        let groups = journal.0.lock().clone();
        match turns_before_the_end {
            // It was never begun: what it had settled comes back, and nothing is published.
            0 => assert!(groups.iter().all(|(changes, _)| *changes <= MANY), "{groups:?}"),
            _ => assert_eq!(groups[0], (2 * MANY, true)),
        }
        let queue = host.vhost.read(|topology| topology.queue(b"q").unwrap().clone());
        assert_eq!((queue.status().ready, queue.status().unacked), (MANY, 0));
        drop(queue);
        nothing_remains(&host);
    }
}

impl Client {
    fn methods_but_deliveries(&mut self) -> Vec<Method> {
        let methods = self.methods().into_iter();
        methods.filter(|method| !matches!(method, Method::BasicDeliver(_))).collect()
    }
}

/// What a client is sent, but for how confirms are put together: those as the tags that each channel is told of.
fn normalised(bytes: &[u8]) -> (Vec<u8>, Vec<(u16, u64)>) {
    let (mut others, mut confirmed) = (Vec::new(), Vec::new());
    let mut last = std::collections::HashMap::<u16, u64>::new();
    let mut rest = bytes;
    while let Some((it, size)) = split(rest, 131_072).unwrap() {
        let method = (it.kind == frame::FRAME_METHOD).then(|| Method::decode(it.payload).unwrap());
        match method {
            Some(Method::BasicAck(ack)) => {
                let first = if ack.multiple {
                    last.get(&it.channel).map_or(1, |last| last + 1)
                } else {
                    ack.delivery_tag
                };
                confirmed.extend((first..=ack.delivery_tag).map(|tag| (it.channel, tag)));
                let last = last.entry(it.channel).or_default();
                *last = ack.delivery_tag.max(*last);
            }
            _ => others.extend_from_slice(&rest[..size]),
        }
        rest = &rest[size..];
    }
    (others, confirmed)
}

/// Steps whose answers do not depend on chance: no names that the broker draws.
fn script(seed: u64) -> Vec<u8> {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    let mut random = StdRng::seed_from_u64(seed);
    let steps: Vec<Step> = (0..60)
        .map(|_| {
            let [what, channel, queue, exchange, key, bits] = random.random();
            Step { what, channel, queue, exchange, key, bits, number: random.random() }
        })
        .collect();
    let mut bytes = Vec::new();
    write_session(&steps, &mut bytes);
    bytes
}

/// A drawn name as it stands in the bytes is made the same everywhere.
fn without_drawn_names(mut bytes: Vec<u8>) -> Vec<u8> {
    for prefix in [&b"amq.gen-"[..], b"amq.ctag-", b"amq.rabbitmq.reply-to."] {
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(prefix.len()).position(|window| window == prefix) {
            at += found + prefix.len();
            let end = (at + 22).min(bytes.len());
            bytes[at..end].fill(b'x');
        }
    }
    bytes
}

#[test]
fn a_session_is_answered_alike_in_turns_of_any_length() {
    for seed in 0..400 {
        let bytes = script(seed);
        let answers: Vec<_> = [usize::MAX, 1, 3, 17, 100]
            .into_iter()
            .map(|steps| {
                let host = TestHost::default();
                let mut client = host.client();
                client.feed_in_turns(&bytes, steps);
                let (others, confirmed) = normalised(&client.drain_all());
                client.leave();
                assert_eq!(host.clear(), Remains::default(), "seed {seed}, turns of {steps} steps");
                (without_drawn_names(others), confirmed)
            })
            .collect();
        for other in &answers[1..] {
            assert!(*other == answers[0], "seed {seed}");
        }
    }
}
