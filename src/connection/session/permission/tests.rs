use std::cell::RefCell;

use super::*;
use crate::connection::fuzzing::{Client, TestHost};
use crate::protocol::{Encode, FieldTable, ShortString, basic, channel, exchange, frame, queue, tx};

thread_local! {
    /// What was asked on this thread, while a test looks.
    static ASKED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Notes a question.
pub(super) fn asked(permission: Permission, resource: Resource<'_>) {
    let (kind, name) = match resource {
        Resource::Exchange(name) => ("exchange", name),
        Resource::Queue(name) => ("queue", name),
    };
    let name = String::from_utf8_lossy(name);
    // What follows is drawn.
    let name = if name.starts_with("amq.gen-") { "amq.gen-" } else { &*name };
    let question = format!("{permission:?} {kind} '{name}'");
    ASKED.with_borrow_mut(|asked| asked.iter_mut().for_each(|asked| asked.push(question.clone())));
}

/// What a client's bytes make the session ask.
fn questions(client: &mut Client, bytes: &[u8]) -> Vec<String> {
    ASKED.set(Some(Vec::new()));
    assert!(client.feed(bytes), "the connection stays open");
    client.drain();
    ASKED.take().unwrap()
}

fn method(method: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write_method(&mut bytes, 1, method);
    bytes
}

fn publish(exchange: &'static str, key: &'static str) -> Vec<u8> {
    let (exchange, routing_key) = (name(exchange), name(key));
    let mut bytes = method(&basic::Publish { exchange, routing_key, ..basic::Publish::default() });
    frame::write_header(&mut bytes, 1, basic::CLASS_ID, 1, &[0, 0]);
    frame::write_frame(&mut bytes, frame::FRAME_BODY, 1, b"m");
    bytes
}

fn name(text: &'static str) -> ShortString {
    ShortString::from_static(text)
}

fn exchange(text: &'static str, arguments: FieldTable) -> exchange::Declare {
    exchange::Declare { exchange: name(text), type_: name("topic"), arguments, ..Default::default() }
}

fn queue(text: &'static str, arguments: FieldTable) -> queue::Declare {
    queue::Declare { queue: name(text), arguments, ..Default::default() }
}

#[test]
fn each_method_asks_for_the_permissions_that_rabbitmq_asks_for_in_its_order() {
    const READ_Q: &[&str] = &["Read queue 'q'"];
    const WRITE_X: &[&str] = &["Write exchange 'x'"];
    const WRITE_DEFAULT: &[&str] = &["Write exchange ''"];
    const CONFIGURE_X: &[&str] = &["Configure exchange 'x'"];
    const CONFIGURE_Q: &[&str] = &["Configure queue 'q'"];
    const BIND_Q: &[&str] = &["Write queue 'q'", "Read exchange 'x'"];
    const BIND_A: &[&str] = &["Write exchange 'a'", "Read exchange 'x'"];
    let none = FieldTable::new;
    let alternate = || none().with("alternate-exchange", "x");
    let dead_letters = || none().with("x-dead-letter-exchange", "x");
    let passive = exchange::Declare { passive: true, ..exchange("x", none()) };
    let passive_queue = queue::Declare { passive: true, ..queue("q", none()) };
    let consume = |queue| basic::Consume { queue: name(queue), no_ack: true, ..Default::default() };
    let bind = || queue::Bind { queue: name("q"), exchange: name("x"), ..Default::default() };
    let unbind = || queue::Unbind { queue: name("q"), exchange: name("x"), ..Default::default() };
    let bind_exchange = || exchange::Bind { destination: name("a"), source: name("x"), ..Default::default() };
    let unbind_exchange =
        || exchange::Unbind { destination: name("a"), source: name("x"), ..Default::default() };
    let table: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("channel.open", method(&channel::Open {}), &[]),
        ("exchange.declare", method(&exchange("x", none())), CONFIGURE_X),
        ("passively", method(&passive), &[]),
        (
            "with an alternate exchange",
            method(&exchange("a", alternate())),
            &["Configure exchange 'a'", "Read exchange 'a'", "Write exchange 'x'"],
        ),
        ("again", method(&exchange("a", alternate())), &["Configure exchange 'a'"]),
        ("queue.declare", method(&queue("q", none())), CONFIGURE_Q),
        ("passively", method(&passive_queue), &[]),
        ("with a name that we draw", method(&queue("", none())), &["Configure queue 'amq.gen-'"]),
        (
            "with a dead-letter exchange",
            method(&queue("d", dead_letters())),
            &["Configure queue 'd'", "Read queue 'd'", "Write exchange 'x'"],
        ),
        ("again", method(&queue("d", dead_letters())), &["Configure queue 'd'"]),
        ("a name of direct reply-to", method(&queue("amq.rabbitmq.reply-to", none())), &[]),
        ("queue.bind", method(&bind()), BIND_Q),
        ("queue.unbind", method(&unbind()), BIND_Q),
        ("exchange.bind", method(&bind_exchange()), BIND_A),
        ("exchange.unbind", method(&unbind_exchange()), BIND_A),
        ("basic.publish", publish("x", "k"), WRITE_X),
        ("by a known route", publish("x", "k"), &[]),
        ("by another key", publish("x", "l"), WRITE_X),
        ("to the default exchange", publish("", "q"), WRITE_DEFAULT),
        ("to a reply consumer", publish("", "amq.rabbitmq.reply-to.x"), WRITE_DEFAULT),
        ("basic.get", method(&basic::Get { queue: name("q"), no_ack: false }), READ_Q),
        ("basic.ack", method(&basic::Ack { delivery_tag: 1, multiple: false }), &[]),
        ("basic.consume", method(&consume("q")), READ_Q),
        ("of replies", method(&consume("amq.rabbitmq.reply-to")), &[]),
        ("queue.purge", method(&queue::Purge { queue: name("q"), no_wait: false }), READ_Q),
        ("tx.select", method(&tx::Select {}), &[]),
        ("a publish in a transaction", publish("a", "k"), &["Write exchange 'a'"]),
        ("tx.commit", method(&tx::Commit {}), &[]),
        ("queue.delete", method(&queue::Delete { queue: name("q"), ..Default::default() }), CONFIGURE_Q),
        (
            "exchange.delete",
            method(&exchange::Delete { exchange: name("x"), ..Default::default() }),
            CONFIGURE_X,
        ),
        // It is not there, and the channel is closed after it was asked.
        (
            "a queue that is missing",
            method(&basic::Get { queue: name("nowhere"), no_ack: true }),
            &["Read queue 'nowhere'"],
        ),
    ];
    let host = TestHost::default();
    let mut client = host.client();
    for (what, bytes, expected) in table {
        assert_eq!(questions(&mut client, &bytes), expected, "{what}");
    }
    client.finish(&host);
}
