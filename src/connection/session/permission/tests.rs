use std::{cell::RefCell, time::Duration};

use super::*;
use crate::connection::fuzzing::{Client, TestHost};
use crate::core::access::{
    AccessChange, HashAlgorithm, Limits, PasswordHash, PermissionsSpec, TopicPermissionsSpec, UserSpec,
};
use crate::limits::AUTH_HTTP_QUESTIONS_OF_A_FRAME_MAX;
use crate::protocol::{
    Encode, FieldTable, FieldValue, Properties, ShortString, basic, channel, exchange, frame, queue, tx,
};

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

/// A method, what it is, and what it asks, in order. Each row needs those before it.
type Row = (&'static str, Vec<u8>, &'static [&'static str]);

fn rows() -> Vec<Row> {
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
    vec![
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
    ]
}

#[test]
fn each_method_asks_for_the_permissions_that_rabbitmq_asks_for_in_its_order() {
    let host = TestHost::default();
    let mut client = host.client();
    for (what, bytes, expected) in rows() {
        assert_eq!(questions(&mut client, &bytes), expected, "{what}");
    }
    client.finish(&host);
}

/// Permissions of the client's user from now on, as expressions to configure, write and read.
fn permit(host: &TestHost, [configure, write, read]: [String; 3]) {
    let (user, vhost) = (name("guest"), host.vhost.name.clone());
    let spec = PermissionsSpec { user, vhost, configure, write, read };
    host.broker.access.change([AccessChange::PermissionsSet(spec)]).unwrap();
}

fn permit_everything(host: &TestHost) {
    permit(host, [".*", ".*", ".*"].map(String::from));
}

/// A question as a permission, the kind of what it is about, and the name that is looked for.
fn parsed(question: &str) -> (usize, &str, &str) {
    let (permission, resource) = question.split_once(' ').unwrap();
    let (kind, name) = resource.split_once(' ').unwrap();
    let name = name.trim_matches('\'');
    let at = ["Configure", "Write", "Read"].iter().position(|word| *word == permission).unwrap();
    (at, kind, if name.is_empty() { "amq.default" } else { name })
}

/// An expression of this name alone. A name that ends with a dash is drawn.
fn exactly(name: &str) -> String {
    format!("{}{}", regex_syntax::escape(name), if name.ends_with('-') { "" } else { "$" })
}

/// What a client hears when it sends a row's bytes after those of all rows before it. `prepare` sets its permissions between the two.
fn heard(until: usize, prepare: impl FnOnce(&TestHost)) -> String {
    let host = TestHost::default();
    let mut client = host.client();
    let mut rows = rows();
    let (_, bytes, _) = rows.remove(until);
    for (_, bytes, _) in &rows[..until] {
        assert!(client.feed(bytes));
    }
    client.drain();
    prepare(&host);
    assert!(client.feed(&bytes));
    let heard = String::from_utf8_lossy(&client.drain()).into_owned();
    permit_everything(&host);
    client.leave();
    heard
}

#[test]
fn each_permission_that_is_missing_is_a_403_with_rabbitmqs_text() {
    for (row, (what, _, questions)) in rows().into_iter().enumerate() {
        for question in questions {
            let (refused, kind, name) = parsed(question);
            let heard = heard(row, |host| {
                let mut permissions = [".*", ".*", ".*"].map(String::from);
                permissions[refused] = format!("^(?!{})", exactly(name));
                permit(host, permissions);
            });
            let permission = ["configure", "write", "read"][refused];
            let text = format!("ACCESS_REFUSED - {permission} access to {kind} '{name}");
            assert!(heard.contains(&text), "{what} without {question}: {heard}");
            assert!(heard.contains(" in vhost '/' refused for user 'guest'"), "{what}: {heard}");
        }
    }
}

#[test]
fn what_a_method_asks_for_is_enough() {
    for (row, (what, _, questions)) in rows().into_iter().enumerate() {
        let heard = heard(row, |host| {
            let mut permissions = [const { String::new() }; 3];
            for (permission, _, name) in questions.iter().map(|question| parsed(question)) {
                let expression = &mut permissions[permission];
                let or = if expression.is_empty() { "" } else { "|" };
                *expression = format!("{expression}{or}^{}", exactly(name));
            }
            match what {
                // A passive declaration asks for any; a known route was asked for before the permissions changed.
                "passively" => permissions[2] = "^[qx]$".into(),
                "by a known route" => permissions[1] = "^x$".into(),
                _ => {}
            }
            permit(host, permissions);
        });
        assert!(!heard.contains("ACCESS_REFUSED"), "{what}: {heard}");
    }
}

#[test]
fn a_passive_declaration_needs_any_permission() {
    for (row, (what, ..)) in rows().into_iter().enumerate().filter(|(_, (what, ..))| *what == "passively") {
        for permitted in 0..=3 {
            let heard = heard(row, |host| {
                let mut permissions = [const { String::new() }; 3];
                permissions.iter_mut().skip(permitted).take(1).for_each(|only| *only = "^[qx]$".into());
                permit(host, permissions);
            });
            assert_eq!(heard.contains("ACCESS_REFUSED"), permitted == 3, "{what}, {permitted}: {heard}");
        }
    }
}

/// A client with a topic exchange `x`, a queue `q`, and topic permissions for keys that begin with `mine`.
fn with_topics() -> (TestHost, Client) {
    let host = TestHost::default();
    let mut client = host.client();
    for bytes in [
        method(&channel::Open {}),
        method(&exchange("x", FieldTable::new())),
        method(&queue("q", FieldTable::new())),
    ] {
        assert!(client.feed(&bytes));
    }
    client.drain();
    let (user, vhost, exchange) = (name("guest"), host.vhost.name.clone(), name("x"));
    let (write, read) = ("^mine".to_owned(), "^mine".to_owned());
    let spec = TopicPermissionsSpec { user, vhost, exchange, write, read };
    host.broker.access.change([AccessChange::TopicPermissionsSet(spec)]).unwrap();
    (host, client)
}

#[test]
fn topic_permissions_count_for_each_key() {
    let copied = |key: &'static str, copy: &'static str| {
        let headers = FieldTable::new().with("CC", vec![FieldValue::from(copy)]);
        let properties = Properties { headers: Some(headers), ..Properties::default() };
        let mut encoded = Vec::new();
        properties.encode(&mut encoded);
        let (exchange, routing_key) = (name("x"), name(key));
        let mut bytes = method(&basic::Publish { exchange, routing_key, ..basic::Publish::default() });
        frame::write_header(&mut bytes, 1, basic::CLASS_ID, 1, &encoded);
        frame::write_frame(&mut bytes, frame::FRAME_BODY, 1, b"m");
        bytes
    };
    let bind = |key| {
        let (queue, exchange, routing_key) = (name("q"), name("x"), name(key));
        method(&queue::Bind { queue, exchange, routing_key, ..Default::default() })
    };
    for in_transaction in [false, true] {
        for (what, bytes, refused) in [
            ("a key", publish("x", "mine.1"), None),
            ("another's key", publish("x", "yours.1"), Some("write access to topic 'yours.1'")),
            ("another exchange", publish("amq.topic", "yours.1"), None),
            ("keys", copied("mine.1", "mine.2"), None),
            ("another's key beside", copied("mine.1", "yours.2"), Some("write access to topic 'yours.2'")),
            ("a binding", bind("mine.#"), None),
            ("a binding of another's", bind("yours.#"), Some("read access to topic 'yours.#'")),
        ] {
            let (host, mut client) = with_topics();
            if in_transaction {
                assert!(client.feed(&method(&tx::Select {})));
            }
            assert!(client.feed(&bytes));
            let heard = String::from_utf8_lossy(&client.drain()).into_owned();
            assert_eq!(heard.contains("ACCESS_REFUSED"), refused.is_some(), "{what}: {heard}");
            if let Some(text) = refused {
                let text = format!("{text} in exchange 'x' in vhost '/' refused for user 'guest'");
                assert!(heard.contains(&text), "{what}: {heard}");
            }
            client.leave();
            drop(host);
        }
    }
}

#[test]
fn a_permission_that_is_taken_away_hits_the_next_publish_by_a_known_route() {
    let host = TestHost::default();
    let mut client = host.client();
    for bytes in [method(&channel::Open {}), method(&exchange("x", FieldTable::new())), publish("x", "k")] {
        assert!(client.feed(&bytes));
    }
    client.drain();
    permit(&host, [".*", "^y", ".*"].map(String::from));
    assert!(client.feed(&publish("x", "k")));
    assert!(String::from_utf8_lossy(&client.drain()).contains("ACCESS_REFUSED"));
    permit_everything(&host);
    client.reopen_channels();
    assert!(client.feed(&publish("x", "k")));
    assert!(!String::from_utf8_lossy(&client.drain()).contains("ACCESS_REFUSED"));
    client.leave();
}

#[test]
fn who_may_do_nothing_in_the_virtual_host_any_more_is_refused_everything() {
    let host = TestHost::default();
    let mut client = host.client();
    assert!(client.feed(&method(&channel::Open {})));
    let (user, vhost) = (name("guest"), host.vhost.name.clone());
    host.broker.access.change([AccessChange::PermissionsDeleted { user, vhost }]).unwrap();
    client.drain();
    assert!(client.feed(&publish("", "q")));
    let heard = String::from_utf8_lossy(&client.drain()).into_owned();
    assert!(heard.contains("write access to exchange 'amq.default' in vhost '/' refused"), "{heard}");
    client.leave();
}

#[test]
fn only_an_impersonator_publishes_in_the_name_of_others() {
    let host = TestHost::default();
    let properties = Properties { user_id: Some(name("somebody")), ..Properties::default() };
    let mut encoded = Vec::new();
    properties.encode(&mut encoded);
    let mut bytes = method(&basic::Publish { routing_key: name("q"), ..Default::default() });
    frame::write_header(&mut bytes, 1, basic::CLASS_ID, 0, &encoded);
    for (tags, refused) in [(vec![], true), (vec![name("impersonator")], false)] {
        let password = PasswordHash { algorithm: HashAlgorithm::Sha256, bytes: Box::default() };
        let user = UserSpec { name: name("guest"), password, tags, limits: Limits::default() };
        host.broker.access.change([AccessChange::UserSet(user)]).unwrap();
        let mut client = host.client();
        assert!(client.feed(&method(&channel::Open {})) && client.feed(&bytes));
        let heard = String::from_utf8_lossy(&client.drain()).into_owned();
        let text = "user_id property set to 'somebody' but authenticated user was 'guest'";
        assert_eq!(heard.contains(text), refused, "{heard}");
        client.leave();
    }
}

#[test]
fn a_transaction_is_committed_whole_though_a_permission_has_gone_since_it_published() {
    let host = TestHost::default();
    let mut client = host.client();
    for bytes in [
        method(&channel::Open {}),
        method(&queue("q", FieldTable::new())),
        method(&tx::Select {}),
        publish("", "q"),
        publish("", "q"),
    ] {
        assert!(client.feed(&bytes));
    }
    client.drain();
    permit(&host, [const { String::new() }; 3]);
    assert!(client.feed(&method(&tx::Commit {})));
    assert!(!String::from_utf8_lossy(&client.drain()).contains("ACCESS_REFUSED"));
    let ready = host.vhost.read(|topology| topology.queue(b"q").unwrap().status().ready);
    assert_eq!(ready, 2);
    assert!(client.feed(&publish("", "q")));
    let heard = String::from_utf8_lossy(&client.drain()).into_owned();
    assert!(heard.contains("ACCESS_REFUSED"), "the commit has remembered nothing that is not permitted");
    client.leave();
}

/// Somebody whom the HTTP service knows.
fn known() -> Authority {
    Authority::Http(Arc::new(HttpUser { name: name("guest"), tags: vec![], is_own: false }))
}

/// A question in the words of [`asked`].
fn in_words(question: &Question) -> String {
    match &question.about {
        About::Vhost { .. } => "vhost".into(),
        About::Resource { kind, name, permission } => {
            let name = name.to_string();
            let name = if name.starts_with("amq.gen-") { "amq.gen-" } else { &*name };
            format!("{permission:?} {kind} '{}'", if name == "amq.default" { "" } else { name })
        }
        About::Topic { exchange, key, permission } => format!("{permission:?} topic '{exchange}' '{key}'"),
    }
}

/// What a client's bytes make it ask the service, which says yes for so long. They come in pieces of this size.
fn asked_of_the_service(client: &mut Client, bytes: &[u8], piece: usize, span: Duration) -> Vec<String> {
    let mut asked = Vec::new();
    for piece in bytes.chunks(piece) {
        assert!(client.feed(piece), "the connection stays open");
        while let Some(question) = client.question() {
            asked.push(in_words(&question));
            assert!(client.answer(Said::Yes, span));
        }
    }
    asked
}

#[test]
fn who_has_to_be_asked_about_asks_the_same_and_hears_the_same() {
    let hour = Duration::from_hours(1);
    for piece in [usize::MAX, 1, 7] {
        let (own, other) = (TestHost::default(), TestHost::default());
        let (mut own_client, mut client) = (own.client(), other.client_by(known()));
        for (what, bytes, expected) in rows() {
            assert!(own_client.feed(&bytes));
            let asked = asked_of_the_service(&mut client, &bytes, piece, hour);
            // Topics are asked about behind what each method asks for.
            let topics = |question: &&String| question.contains(" topic ");
            let (topics, asked): (Vec<&String>, Vec<&String>) = asked.iter().partition(topics);
            let passive = ["Configure exchange 'x'".to_owned(), "Configure queue 'q'".to_owned()];
            match what {
                "passively" => assert!(asked.len() == 1 && passive.contains(asked[0]), "{asked:?}"),
                _ => assert_eq!(asked, expected, "{what}"),
            }
            let has_topics = ["queue.bind", "queue.unbind", "exchange.bind", "exchange.unbind"];
            let publishes = ["basic.publish", "by another key", "a publish in a transaction"];
            let wanted = usize::from(has_topics.contains(&what) || publishes.contains(&what));
            assert_eq!(topics.len(), wanted, "{what}: {topics:?}");
            let (own_heard, heard) = (own_client.drain(), client.drain());
            let text = String::from_utf8_lossy(&heard).into_owned();
            if text.contains("amq.gen-") || text.contains("amq.ctag-") {
                assert_eq!(own_heard.len(), heard.len(), "{what}: names are drawn");
            } else {
                assert_eq!(own_heard, heard, "{what}");
            }
        }
        own_client.finish(&own);
        client.finish(&other);
    }
}

#[test]
fn the_first_no_is_a_403_and_nothing_has_happened() {
    for (row, (what, _, questions)) in rows().into_iter().enumerate() {
        if what == "passively" {
            continue;
        }
        for (at, question) in questions.iter().enumerate() {
            for said in [Said::No, Said::Nothing] {
                let host = TestHost::default();
                let mut client = host.client_by(known());
                for (_, bytes, _) in &rows()[..row] {
                    asked_of_the_service(&mut client, bytes, usize::MAX, Duration::from_hours(1));
                }
                client.drain();
                let queues = host.queue_count();
                assert!(client.feed(&rows()[row].1));
                for _ in 0..at {
                    assert!(client.answer(Said::Yes, Duration::ZERO));
                }
                assert_eq!(client.question().as_ref().map(in_words).as_deref(), Some(*question), "{what}");
                assert!(client.answer(said, Duration::ZERO));
                assert!(client.question().is_none());
                let heard = String::from_utf8_lossy(&client.drain()).into_owned();
                assert!(heard.contains("ACCESS_REFUSED - "), "{what} {question}: {heard}");
                let is_told = heard.contains(", backend rabbit_auth_backend_http returned an error");
                assert_eq!(is_told, said == Said::Nothing, "{heard}");
                assert_eq!(host.queue_count(), queues, "{what} {question}");
                client.finish(&host);
            }
        }
    }
}

#[test]
fn what_the_service_has_said_is_asked_for_again_when_its_time_is_over() {
    let host = TestHost::default();
    let mut client = host.client_by(known());
    let hour = Duration::from_hours(1);
    for bytes in [method(&channel::Open {}), method(&exchange("x", FieldTable::new()))] {
        asked_of_the_service(&mut client, &bytes, usize::MAX, hour);
    }
    let both = ["Write exchange 'x'", "Write topic 'x' 'k'"];
    let one = publish("x", "k");
    assert_eq!(asked_of_the_service(&mut client, &one, usize::MAX, hour), both);
    assert!(asked_of_the_service(&mut client, &one, usize::MAX, hour).is_empty(), "the route is known");
    // What other users are permitted changes: everything is asked for again, and some of it counts for no time.
    permit_everything(&host);
    assert_eq!(asked_of_the_service(&mut client, &one, usize::MAX, Duration::ZERO), both);
    assert_eq!(asked_of_the_service(&mut client, &one, usize::MAX, Duration::ZERO), both);
    // A run of messages asks once.
    let run = one.repeat(100);
    assert_eq!(asked_of_the_service(&mut client, &run, usize::MAX, Duration::ZERO), both);
    assert_eq!(asked_of_the_service(&mut client, &run, usize::MAX, hour), both);
    assert!(asked_of_the_service(&mut client, &run, usize::MAX, hour).is_empty());
    client.finish(&host);
}

#[test]
fn a_message_may_not_ask_for_ever() {
    let host = TestHost::default();
    let mut client = host.client_by(known());
    for bytes in [method(&channel::Open {}), method(&exchange("x", FieldTable::new()))] {
        asked_of_the_service(&mut client, &bytes, usize::MAX, Duration::ZERO);
    }
    client.drain();
    let copies: Vec<_> = (0..1_000).map(|n| FieldValue::from(format!("k{n}").as_str())).collect();
    let headers = FieldTable::new().with("CC", copies);
    let mut properties = Vec::new();
    Properties { headers: Some(headers), ..Properties::default() }.encode(&mut properties);
    let mut bytes =
        method(&basic::Publish { exchange: name("x"), routing_key: name("k"), ..Default::default() });
    frame::write_header(&mut bytes, 1, basic::CLASS_ID, 0, &properties);
    let asked = asked_of_the_service(&mut client, &bytes, usize::MAX, Duration::from_hours(1));
    assert_eq!(asked.len(), AUTH_HTTP_QUESTIONS_OF_A_FRAME_MAX);
    assert!(String::from_utf8_lossy(&client.drain()).contains("ACCESS_REFUSED - write access to topic"));
    client.finish(&host);
}

#[test]
fn who_leaves_in_the_middle_of_a_question_leaves_nothing() {
    for bytes in [publish("", "q"), method(&queue("r", FieldTable::new()))] {
        let host = TestHost::default();
        let mut own = host.client();
        assert!(own.feed(&method(&channel::Open {})) && own.feed(&method(&queue("q", FieldTable::new()))));
        for piece in [usize::MAX, 1] {
            let mut client = host.client_by(known());
            assert!(client.feed(&method(&channel::Open {})));
            for piece in bytes.chunks(piece) {
                assert!(client.feed(piece));
            }
            assert!(client.question().is_some());
            client.leave();
        }
        assert_eq!(host.queue_count(), 1);
        let ready = host.vhost.read(|topology| topology.queue(b"q").unwrap().status().ready);
        assert_eq!(ready, 0);
        own.finish(&host);
    }
}
