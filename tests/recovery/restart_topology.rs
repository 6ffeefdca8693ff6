//! Exchanges, queues and bindings over a restart.

use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable};

use crate::{
    client::{Ch, args, refused},
    node::{Node, Stop},
    restart::{facts, persistent},
};

facts! {
    durable_exchanges_of_all_types_come_back_as_they_were,
    exchange_to_exchange_bindings_come_back,
    an_alternate_exchange_comes_back,
    queue_arguments_come_back,
    bindings_with_arguments_of_all_types_come_back,
    transient_and_exclusive_queues_do_not_come_back,
    transient_exchanges_and_their_bindings_do_not_come_back,
    a_binding_of_a_transient_queue_to_a_durable_exchange_does_not_come_back,
    a_durable_auto_delete_queue_that_was_never_used_comes_back,
    an_auto_delete_exchange_comes_back_with_its_binding_and_goes_with_it,
    server_named_durable_queues_come_back_and_new_names_are_new,
    default_exchange_bindings_need_no_record,
    names_in_utf_8_and_of_255_bytes_come_back,
}

async fn durable_exchanges_of_all_types_come_back_as_they_were(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    for kind in KINDS {
        ch.exchange_declare(kind, kind, "durable", args! {}).await.unwrap();
        ch.exchange_declare(&format!("{kind} internal"), kind, "durable internal", args! {}).await.unwrap();
        ch.durable(&format!("q {kind}")).await;
        ch.bind_with(&format!("q {kind}"), kind, "some.key", args! {"h": 1}).await.unwrap();
    }
    node.restart(stop);
    let ch = node.channel().await;
    for kind in KINDS {
        ch.exchange_declare(kind, kind, "durable passive", args! {}).await.unwrap();
        ch.exchange_declare(kind, kind, "durable", args! {}).await.unwrap();
        ch.exchange_declare(&format!("{kind} internal"), kind, "durable internal", args! {}).await.unwrap();
        for (other, flags) in [(kind, ""), (kind, "durable internal"), (other_than(kind), "durable")] {
            let declared = ch.sibling().await.exchange_declare(kind, other, flags, args! {}).await;
            refused(declared, 406, "PRECONDITION_FAILED");
        }
        let properties = persistent().with_headers(args! {"h": 1});
        ch.publish_with(kind, "some.key", kind, "", properties).await.unwrap();
        assert_eq!(ch.drain(&format!("q {kind}")).await, [kind]);
    }
}

async fn exchange_to_exchange_bindings_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    for (name, kind) in [("in", "topic"), ("out", "fanout")] {
        ch.exchange_declare(name, kind, "durable", args! {}).await.unwrap();
    }
    ch.exchange_bind("out", "in", "a.#").await.unwrap();
    ch.durable("q").await;
    ch.bind("q", "out", "").await.unwrap();
    node.restart(stop);
    let ch = node.channel().await;
    ch.keep("in", "a.b", ["a.b"]).await;
    ch.keep("in", "b.a", ["b.a"]).await;
    assert_eq!(ch.drain("q").await, ["a.b"]);
}

async fn an_alternate_exchange_comes_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.exchange_declare("other", "fanout", "durable", args! {}).await.unwrap();
    ch.exchange_declare("e", "direct", "durable", args! {"alternate-exchange": "other"}).await.unwrap();
    ch.durable("q").await;
    ch.bind("q", "other", "").await.unwrap();
    ch.keep("e", "unroutable", ["before"]).await;
    node.restart(stop);
    let ch = node.channel().await;
    ch.keep("e", "unroutable", ["after"]).await;
    assert_eq!(ch.drain("q").await, ["before", "after"]);
    ch.exchange_declare("e", "direct", "durable", args! {"alternate-exchange": "other"}).await.unwrap();
    let declared = ch.sibling().await.exchange_declare("e", "direct", "durable", args! {}).await;
    refused(declared, 406, "PRECONDITION_FAILED");
}

async fn queue_arguments_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    let mut arguments = every_type();
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(86_400_000));
    arguments.insert("x-expires".into(), AMQPValue::LongInt(86_400_000));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    ch.declare("q", "durable", arguments.clone()).await.unwrap();
    let differs = async |ch: Ch| {
        let mut other = arguments.clone();
        other.insert("x-message-ttl".into(), AMQPValue::LongInt(99_999));
        refused(ch.sibling().await.declare("q", "durable", other).await, 406, "PRECONDITION_FAILED");
        refused(ch.sibling().await.declare("q", "durable", args! {}).await, 406, "PRECONDITION_FAILED");
        ch.declare("q", "durable", arguments.clone()).await.unwrap();
    };
    differs(ch).await;
    node.restart(stop);
    node.channel().await.declare("q", "passive", args! {}).await.unwrap();
    differs(node.channel().await).await;
}

async fn bindings_with_arguments_of_all_types_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.exchange_declare("e", "headers", "durable", args! {}).await.unwrap();
    for (name, value) in &every_type() {
        let queue = name.to_string();
        ch.durable(&queue).await;
        let mut arguments = args! {"x-match": "all"};
        arguments.insert(name.clone(), value.clone());
        ch.bind_with(&queue, "e", "", arguments).await.unwrap();
    }
    publish_each_header(&ch).await;
    let before = drain_each(&ch).await;
    assert!(before.iter().all(|(queue, bodies)| bodies == &[queue.as_str()]), "{before:?}");
    node.restart(stop);
    let ch = node.channel().await;
    publish_each_header(&ch).await;
    assert_eq!(drain_each(&ch).await, before);
}

async fn transient_and_exclusive_queues_do_not_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    for (queue, flags) in DOOMED {
        ch.declare(queue, flags, args! {}).await.unwrap();
    }
    ch.durable("kept").await;
    node.restart(stop);
    let ch = node.channel().await;
    assert!(ch.queue_exists("kept").await);
    for (queue, _) in DOOMED {
        refused(ch.sibling().await.declare(queue, "passive", args! {}).await, 404, "NOT_FOUND");
    }
}

async fn transient_exchanges_and_their_bindings_do_not_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    for (exchange, flags) in [("transient", ""), ("kept", "durable")] {
        ch.exchange_declare(exchange, "fanout", flags, args! {}).await.unwrap();
    }
    ch.durable("q").await;
    ch.bind("q", "transient", "").await.unwrap();
    ch.exchange_bind("kept", "transient", "").await.unwrap();
    ch.bind("q", "kept", "").await.unwrap();
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!((ch.exchange_exists("kept").await, ch.exchange_exists("transient").await), (true, false));
    ch.exchange_declare("transient", "fanout", "", args! {}).await.unwrap();
    ch.keep("transient", "", ["goes nowhere"]).await;
    ch.keep("kept", "", ["arrives"]).await;
    assert_eq!(ch.drain("q").await, ["arrives"]);
}

async fn a_binding_of_a_transient_queue_to_a_durable_exchange_does_not_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.exchange_declare("e", "fanout", "durable", args! {}).await.unwrap();
    ch.declare("transient", "", args! {}).await.unwrap();
    ch.durable("kept").await;
    for queue in ["transient", "kept"] {
        ch.bind(queue, "e", "").await.unwrap();
    }
    node.restart(stop);
    let ch = node.channel().await;
    ch.declare("transient", "", args! {}).await.unwrap();
    ch.keep("e", "", ["m"]).await;
    assert_eq!((ch.drain("transient").await.len(), ch.drain("kept").await.len()), (0, 1));
}

async fn a_durable_auto_delete_queue_that_was_never_used_comes_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.declare("q", "durable auto-delete", args! {}).await.unwrap();
    ch.keep("", "q", ["m"]).await;
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!(ch.counts("q").await, (1, 0));
    // It is still one that goes with its last consumer.
    let consumer = ch.consume("q", "").await;
    ch.cancel(consumer.tag().as_str()).await;
    ch.await_gone("q").await;
}

async fn an_auto_delete_exchange_comes_back_with_its_binding_and_goes_with_it(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.exchange_declare("e", "fanout", "durable auto-delete", args! {}).await.unwrap();
    ch.durable("q").await;
    ch.bind("q", "e", "").await.unwrap();
    node.restart(stop);
    let ch = node.channel().await;
    assert!(ch.exchange_exists("e").await);
    ch.unbind("q", "e", "").await.unwrap();
    assert!(!ch.exchange_exists("e").await);
    node.restart(stop);
    assert!(!node.channel().await.exchange_exists("e").await);
}

async fn server_named_durable_queues_come_back_and_new_names_are_new(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    let mut names = Vec::new();
    for _ in 0..20 {
        let name = ch.declare("", "durable", args! {}).await.unwrap().name().to_string();
        ch.keep("", &name, [name.as_str()]).await;
        names.push(name);
    }
    node.restart(stop);
    let ch = node.channel().await;
    for _ in 0..20 {
        let name = ch.declare("", "durable", args! {}).await.unwrap().name().to_string();
        assert!(!names.contains(&name), "{name} was given twice");
    }
    for name in &names {
        assert_eq!(ch.drain(name).await, [name.as_str()]);
    }
}

async fn default_exchange_bindings_need_no_record(stop: Stop) {
    let mut node = Node::new();
    node.channel().await.durable("q").await;
    node.restart(stop);
    let ch = node.channel().await;
    assert!(ch.publish_mandatory("", "q", "m").await.is_none());
    assert_eq!(ch.drain("q").await, ["m"]);
    ch.delete("q", "").await.unwrap();
    assert!(ch.publish_mandatory("", "q", "m").await.is_some());
}

async fn names_in_utf_8_and_of_255_bytes_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    let names = ["Hase ü 兎 \u{1F407}".to_owned(), "n".repeat(255), " /?#%".to_owned()];
    for name in &names {
        ch.exchange_declare(name, "direct", "durable", args! {}).await.unwrap();
        ch.durable(name).await;
        ch.bind(name, name, name).await.unwrap();
    }
    node.restart(stop);
    let ch = node.channel().await;
    for name in &names {
        ch.keep(name, name, ["m"]).await;
        assert_eq!(ch.drain(name).await, ["m"], "{name}");
    }
}

/// For each type of field value a header of that type alone, with the queue's name as the body.
async fn publish_each_header(ch: &Ch) {
    for (name, value) in &every_type() {
        let mut headers = FieldTable::default();
        headers.insert(name.clone(), value.clone());
        ch.publish_with("e", "", name.as_str(), "", persistent().with_headers(headers)).await.unwrap();
    }
}

async fn drain_each(ch: &Ch) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (name, _) in &every_type() {
        found.push((name.to_string(), ch.drain(name.as_str()).await));
    }
    ch.flushed().await;
    found
}

/// One value of each type that has a value; the names say which.
pub fn every_type() -> FieldTable {
    let mut inner = FieldTable::default();
    inner.insert("inner".into(), AMQPValue::LongInt(-1));
    let array = vec![AMQPValue::Boolean(false), AMQPValue::LongString("in an array".into())];
    let values = [
        ("boolean", AMQPValue::Boolean(true)),
        ("short-short-int", AMQPValue::ShortShortInt(-7)),
        ("short-short-uint", AMQPValue::ShortShortUInt(200)),
        ("short-int", AMQPValue::ShortInt(-30_000)),
        ("short-uint", AMQPValue::ShortUInt(60_000)),
        ("long-int", AMQPValue::LongInt(-2_000_000_000)),
        ("long-uint", AMQPValue::LongUInt(4_000_000_000)),
        ("long-long-int", AMQPValue::LongLongInt(i64::MIN)),
        ("float", AMQPValue::Float(1.5)),
        ("double", AMQPValue::Double(-2.25)),
        ("decimal", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 1_234 })),
        ("long-string", AMQPValue::LongString("ü \0 text".into())),
        ("array", AMQPValue::FieldArray(FieldArray::from(array))),
        ("timestamp", AMQPValue::Timestamp(1_700_000_000)),
        ("table", AMQPValue::FieldTable(inner)),
        ("bytes", AMQPValue::ByteArray(vec![0, 255, 1].into())),
    ];
    let mut table = FieldTable::default();
    for (name, value) in values {
        table.insert(name.into(), value);
    }
    table
}

fn other_than(kind: &str) -> &'static str {
    if kind == "direct" { "topic" } else { "direct" }
}

const KINDS: [&str; 4] = ["direct", "fanout", "topic", "headers"];

/// Queues that end with the broker.
const DOOMED: [(&str, &str); 4] = [
    ("transient", ""),
    ("auto-delete", "auto-delete"),
    ("exclusive", "exclusive"),
    ("both", "durable exclusive"),
];
