//! Sessions are handled in turns: whatever is cut, it is handled once and in order, and each turn ends.

use super::*;
use crate::{core::queue::SharedQueue, protocol::confirm};

impl Client {
    /// Lets the session handle `bytes` in turns of so many steps; gives how many there were.
    fn feed_in_turns(&mut self, bytes: &[u8], steps: usize) -> usize {
        self.session.turn_steps = steps;
        let mut turns = 0;
        self.unread.extend_from_slice(bytes);
        loop {
            let used = self.session.handle(&self.unread);
            self.unread.drain(..used);
            turns += 1;
            if !self.session.is_busy() {
                return turns;
            }
        }
    }
}

fn publish(out: &mut Vec<u8>, exchange: &'static str, key: &'static str, body: &[u8]) {
    let (exchange, routing_key) = (ShortString::from_static(exchange), ShortString::from_static(key));
    let publish = basic::Publish { exchange, routing_key, ..basic::Publish::default() };
    frame::write_method(out, 1, &publish);
    frame::write_header(out, 1, basic::CLASS_ID, body.len() as u64, &[0, 0]);
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
fn a_run_of_publishes_is_cut_by_how_many_queues_each_goes_to_and_none_is_lost_or_doubled() {
    let stage = Stage::default();
    let mut client = opened(&stage);
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
        let peeked = queue.peek_ready(Default::default(), 200);
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
    nothing_remains(&stage);
}

#[test]
fn a_message_for_more_queues_than_a_turn_has_steps_is_published_all_the_same() {
    let stage = Stage::default();
    let mut client = opened(&stage);
    let queues = fanout_to(&mut client, 10);
    let mut bytes = Vec::new();
    for _ in 0..3 {
        publish(&mut bytes, "amq.fanout", "", b"m");
    }
    assert!(client.feed_in_turns(&bytes, 1) >= 3);
    assert!(queues.iter().all(|queue| queue.status().ready == 3));
    client.leave();
    drop(queues);
    nothing_remains(&stage);
}

#[test]
fn a_whole_read_of_small_messages_for_one_queue_is_handled_in_one_turn() {
    let stage = Stage::default();
    let mut client = opened(&stage);
    client.declare("q", queue::Declare::default());
    let mut bytes = Vec::new();
    while bytes.len() < crate::limits::READ_BUFFER_BYTES {
        publish(&mut bytes, "", "q", &[7; 16]);
    }
    assert_eq!(client.feed_in_turns(&bytes, crate::limits::TURN_STEPS_MAX), 1);
    client.leave();
    nothing_remains(&stage);
}
