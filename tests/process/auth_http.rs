//! Users whom an HTTP service knows, and what it permits: RabbitMQ's HTTP backend.

use std::{fs, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    assert_refused,
    broker::{Broker, DEADLINE},
    serve,
    service::{Asked, Does, Service},
    tls::{Ca, text},
    wire::{
        BODY, CLIENT_CAPABILITIES, HEADER, METHOD, NO_ACK, PASSIVE, PROTOCOL_HEADER, Table, Wire,
        basic_consume, basic_get, basic_publish, confirm_select, connection_open, content_header, frame,
        method, publish, queue_bind, queue_declare, start_ok, tune_ok,
    },
};

/// Short enough for tests that wait for it, and long enough for everything else.
const TIMEOUT: &[&str] = &["--auth-http-timeout-ms", "1500"];
/// Nothing is remembered.
const NO_CACHE: &[&str] = &["--auth-http-cache-ms", "0", "--auth-http-cache-refusals-ms", "0"];

fn broker(service: &Service, more: &[&str]) -> Option<Arc<Broker>> {
    let flags = service.flags(more);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Broker::start(&[&flags[..], &["--password-hashing", "sha256"]].concat(), &[])
}

fn try_login(broker: &Arc<Broker>, user: &str, password: &str) -> Wire {
    let mut wire = Wire::connect_to(broker.clone());
    wire.raw(PROTOCOL_HEADER).expect(0, 10, 10);
    let response = format!("\0{user}\0{password}");
    wire.send(0, &start_ok(&CLIENT_CAPABILITIES.table(), "PLAIN", response.as_bytes()));
    wire
}

fn is_let_in(broker: &Arc<Broker>, user: &str, password: &str) -> bool {
    try_login(broker, user, password).next_frame().unwrap().payload[..4] == [0, 10, 0, 30]
}

/// Somebody whom the service knows, with a channel.
fn ann(broker: &Arc<Broker>) -> Wire {
    let mut wire = Wire::open_as(broker.clone(), "ann", "word", "/");
    wire.channel(1);
    wire
}

fn closed(wire: &mut Wire, channel: u16) -> (u16, String) {
    let (class, id) = if channel == 0 { (10, 50) } else { (20, 40) };
    let mut closed = wire.expect(channel, class, id);
    (closed.u16(), closed.short())
}

/// What may go wrong with an answer.
const BROKEN: [Does; 4] = [Does::Status(500), Does::Babbles, Does::Leaves, Does::Waits];

#[test]
fn a_login_is_what_the_service_says_whatever_it_says() {
    let service = Service::new();
    let Some(broker) =
        broker(&service, &[TIMEOUT, NO_CACHE, &["--log", "trace,ureq=trace,ureq_proto=trace"]].concat())
    else {
        return;
    };
    let says = |text: &str| Does::Says(text.into());
    let clear = [
        (Does::allow(), true, "login"),
        (says("ALLOW management\r\n"), true, "login"),
        (Does::deny(), false, "denied by the HTTP service"),
        (says("deny on holiday"), false, "denied by the HTTP service: on holiday"),
        (says("perhaps"), false, "neither allow nor deny"),
        (Does::Status(401), false, "status 401"),
    ];
    let unclear = BROKEN.map(|does| (does, false, "the HTTP service: "));
    for (number, (does, is_in, told)) in clear.into_iter().chain(unclear).enumerate() {
        service.at("user", does.clone());
        let user = format!("user-{number}");
        assert_eq!(is_let_in(&broker, &user, "a-secret-word"), is_in, "{does:?}");
        if !is_in {
            broker.log().expect(&["login-refused", &user, told]);
        }
        let asked = service.take_asked();
        assert!(asked.iter().all(|asked| asked.path == "user" && asked.parameter("username") == user));
        assert!(asked.iter().all(|asked| asked.parameter("password") == "a-secret-word"), "{asked:?}");
        assert!(!asked.is_empty());
    }
    let shown: Vec<_> =
        broker.log().lines().into_iter().filter(|line| line.contains("a-secret-word")).collect();
    assert!(shown.is_empty(), "a password in the log: {shown:#?}");
}

#[test]
fn nobody_comes_in_without_a_password() {
    let service = Service::new();
    let Some(broker) = broker(&service, &[]) else { return };
    assert!(!is_let_in(&broker, "ann", ""));
    broker.log().expect(&["login-refused", "blank password"]);
    assert_eq!(service.take_asked(), [], "some services let in who has none");
}

#[test]
fn a_virtual_host_is_opened_if_the_service_says_so() {
    let service = Service::new();
    let Some(broker) = broker(&service, &[TIMEOUT, NO_CACHE].concat()) else { return };
    let clear = [(Does::allow(), None), (Does::deny(), Some(""))];
    let unclear = BROKEN.map(|does| (does, Some(", backend rabbit_auth_backend_http returned an error")));
    for (does, refused) in clear.into_iter().chain(unclear) {
        let tags = Does::Says("allow management own".into());
        let answer = does.clone();
        service.rule(move |asked| match asked.path.as_str() {
            "user" => tags.clone(),
            "vhost" => answer.clone(),
            _ => Does::deny(),
        });
        service.take_asked();
        let mut wire = try_login(&broker, "ann", "word");
        wire.expect(0, 10, 30);
        wire.send(0, &tune_ok((2047, 131_072, 0))).send(0, &connection_open("/"));
        match refused {
            None => drop(wire.expect(0, 10, 41)),
            Some(more) => {
                let text = format!("NOT_ALLOWED - access to vhost '/' refused for user 'ann'{more}");
                assert_eq!(closed(&mut wire, 0), (530, text), "{does:?}");
            }
        }
        let asked: Vec<_> = service.take_asked().into_iter().filter(|asked| asked.path == "vhost").collect();
        let parameters = ["username", "vhost", "ip", "tags"].map(|name| asked[0].parameter(name));
        assert_eq!(parameters, ["ann", "/", "127.0.0.1", "management own"]);
    }
}

#[test]
fn each_operation_asks_for_what_it_needs_and_a_no_closes_the_channel() {
    let service = Service::new();
    let Some(broker) = broker(&service, &[TIMEOUT, NO_CACHE].concat()) else { return };
    let mut wire = ann(&broker);
    let exchange_declare =
        |name: &str, kind: &str| method(40, 10).u16(0).short(name).short(kind).u8(0).table(&Table::new());
    let (class, basic) = (|id| (50, id), |id| (60, id));
    // A method, what it asks, and the answer to it.
    let rows: [(_, &[&str], _); 9] = [
        (exchange_declare("x", "topic"), &["configure exchange x"], (40, 11)),
        (queue_declare("q", 0), &["configure queue q"], class(11)),
        (queue_declare("q", PASSIVE), &["configure queue q"], class(11)),
        (queue_bind("q", "x", "a.#"), &["write queue q", "read exchange x", "read topic x a.#"], class(21)),
        (method(50, 30).u16(0).short("q").u8(0), &["read queue q"], class(31)),
        (basic_get("q", true), &["read queue q"], basic(72)),
        (basic_consume("q", "c", NO_ACK), &["read queue q"], basic(21)),
        (method(50, 40).u16(0).short("q").u8(0), &["configure queue q"], class(41)),
        (method(40, 20).u16(0).short("x").u8(0), &["configure exchange x"], (40, 21)),
    ];
    service.take_asked();
    for (row, (method, questions, (class, id))) in rows.into_iter().enumerate() {
        // A passive declaration asks on; that nobody answers is tried once.
        let refusable = if row == 2 { &[] } else { questions };
        let unclear = |does: &Does| row == 0 || *does != Does::Waits;
        for (number, refused) in refusable.iter().enumerate() {
            for does in [Does::deny()].into_iter().chain(BROKEN.into_iter().filter(unclear)) {
                let (asked, answer) = ((*refused).to_owned(), does.clone());
                service.rule(move |it| if it.in_short() == asked { answer.clone() } else { Does::allow() });
                wire.send(1, &method);
                let (code, text) = closed(&mut wire, 1);
                assert_eq!(code, 403, "{refused} {does:?}: {text}");
                assert!(text.contains("refused for user 'ann'"), "{text}");
                let is_told = text.ends_with(", backend rabbit_auth_backend_http returned an error");
                assert_eq!(is_told, does != Does::deny(), "{text}");
                wire.send(1, &crate::wire::method(20, 41)).channel(1);
                let asked: Vec<_> = service.take_asked().iter().map(Asked::in_short).collect();
                let mut expected = questions[..=number].to_vec();
                // A connection that is closed is tried once more.
                expected.dedup();
                let mut asked: Vec<&str> = asked.iter().map(String::as_str).collect();
                asked.dedup();
                assert_eq!(asked, expected, "{refused} {does:?}");
            }
        }
        service.rule(|_| Does::allow());
        wire.send(1, &method).expect(1, class, id);
        let asked: Vec<_> = service.take_asked().iter().map(Asked::in_short).collect();
        assert_eq!(asked, questions, "in this order");
        if (class, id) == (60, 21) {
            // Its queue is deleted next.
            wire.send(1, &crate::wire::method(60, 30).short("c").u8(0)).expect(1, 60, 31);
        }
    }
}

#[test]
fn a_queue_whose_name_the_broker_draws_is_asked_about_by_that_name() {
    let service = Service::new();
    let Some(broker) = broker(&service, NO_CACHE) else { return };
    let mut wire = ann(&broker);
    service.take_asked();
    let name = wire.send(1, &queue_declare("", 0)).expect(1, 50, 11).short();
    assert_eq!(service.take_asked_at("resource"), [format!("configure queue {name}")]);
}

#[test]
fn messages_go_where_the_service_permits_by_exchange_and_topic() {
    let service = Service::new();
    let Some(broker) = broker(&service, NO_CACHE) else { return };
    let mut wire = ann(&broker);
    wire.send(1, &queue_declare("q", 0)).expect(1, 50, 11);
    wire.send(1, &queue_bind("q", "amq.topic", "#")).expect(1, 50, 21);
    wire.send(1, &basic_consume("q", "c", NO_ACK)).expect(1, 60, 21);
    service.rule(|asked| match (asked.path.as_str(), asked.parameter("routing_key")) {
        ("topic", key) if !key.starts_with("mine") => Does::deny(),
        _ => Does::allow(),
    });
    service.take_asked();
    wire.publish(1, "amq.topic", "mine.1", 0, b"permitted").expect_delivery(1, b"permitted");
    let asked = service.take_asked();
    let topic = asked.iter().find(|asked| asked.path == "topic").unwrap();
    let names = ["variable_map.username", "variable_map.vhost", "vhost", "permission"];
    assert_eq!(names.map(|name| topic.parameter(name)), ["ann", "/", "/", "write"]);
    assert_eq!(topic.in_short(), "write topic amq.topic mine.1");
    wire.publish(1, "amq.topic", "yours.1", 0, b"refused");
    let text = "ACCESS_REFUSED - write access to topic 'yours.1' in exchange 'amq.topic' in vhost '/' refused for user 'ann'";
    assert_eq!(closed(&mut wire, 1), (403, text.into()));
    wire.send(1, &method(20, 41)).channel(1);
    // In frames of its own, with copies, and in a transaction.
    let large = vec![7; 300_000];
    let by_frames = |key: &str| {
        let mut bytes = frame(METHOD, 1, &basic_publish("amq.topic", key, 0).0);
        bytes.extend(frame(HEADER, 1, &content_header(large.len() as u64)));
        large.chunks(100_000).for_each(|part| bytes.extend(frame(BODY, 1, part)));
        bytes
    };
    wire.send(1, &basic_consume("q", "c", NO_ACK)).expect(1, 60, 21);
    wire.raw(&by_frames("mine.2")).expect_delivery(1, &large);
    wire.raw(&by_frames("yours.2"));
    assert_eq!(closed(&mut wire, 1).0, 403);
    wire.send(1, &method(20, 41)).channel(1).send(1, &method(90, 10)).expect(1, 90, 11);
    wire.send(1, &basic_consume("q", "c", NO_ACK)).expect(1, 60, 21);
    wire.publish(1, "amq.topic", "mine.3", 0, b"committed").fence(1, "q");
    service.take_asked();
    wire.send(1, &method(90, 20));
    wire.expect_delivery(1, b"committed");
    wire.expect(1, 90, 21);
    assert!(service.take_asked_at("topic").is_empty(), "a commit asks nothing");
    wire.publish(1, "amq.topic", "yours.3", 0, b"refused");
    assert_eq!(closed(&mut wire, 1).0, 403);
}

#[test]
fn who_waits_for_an_answer_keeps_nobody_else_waiting_and_is_handled_in_order() {
    let service = Service::new();
    let flags = ["--auth-http-timeout-ms", "30000", "--auth-backends", "internal,http"];
    let Some(broker) = broker(&service, &flags) else { return };
    let mut wire = ann(&broker);
    wire.send(1, &queue_declare("q", 0)).expect(1, 50, 11);
    wire.send(1, &confirm_select()).expect(1, 85, 11);
    service.rule(|asked| match asked.in_short().as_str() {
        "write exchange amq.default" => Does::Waits,
        _ => Does::allow(),
    });
    let mut bytes = publish(1, "", "q", 0, b"1");
    bytes.extend(publish(1, "", "q", 0, b"2"));
    bytes.extend(frame(METHOD, 1, &basic_get("q", true).0));
    wire.raw(&bytes);
    service.expect(|asked| asked.in_short() == "write exchange amq.default");
    // Others are served: those of the service that ask something else, those who log in, and the broker's own.
    ann(&broker).send(1, &queue_declare("other", 0)).expect(1, 50, 11);
    Wire::open_to(broker.clone()).channel(1).publish(1, "", "other", 0, b"m").fence(1, "other");
    service.rule(|_| Does::allow());
    wire.expect(1, 60, 80);
    wire.expect(1, 60, 71);
    assert_eq!(wire.expect_content(1).body, b"1");
}

#[test]
fn a_client_that_leaves_while_it_waits_is_forgotten_with_what_it_has_sent() {
    let service = Service::new();
    let flags = [&["--auth-http-timeout-ms", "2000", "--auth-backends", "internal,http"], NO_CACHE].concat();
    let Some(broker) = broker(&service, &flags) else { return };
    let mut own = Wire::open_to(broker.clone());
    own.channel(1).send(1, &queue_declare("q", 0)).expect(1, 50, 11);
    let large = [
        frame(METHOD, 1, &basic_publish("", "q", 0).0),
        frame(HEADER, 1, &content_header(200_000)),
        frame(BODY, 1, &[7; 100_000]),
        frame(BODY, 1, &[7; 100_000]),
    ];
    for bytes in [publish(1, "", "q", 0, b"m"), large.concat()] {
        let mut wire = ann(&broker);
        service.rule(|asked| if asked.path == "resource" { Does::Waits } else { Does::allow() });
        service.take_asked();
        wire.raw(&bytes);
        service.expect(|asked| asked.path == "resource");
        drop(wire);
        service.rule(|asked| if asked.path == "resource" { Does::deny() } else { Does::allow() });
        broker.log().expect(&["connection ended", "user=ann"]);
    }
    let mut declared = own.send(1, &queue_declare("q", PASSIVE)).expect(1, 50, 11);
    assert_eq!((declared.short().as_str(), declared.u32()), ("q", 0));
}

#[test]
fn an_answer_is_remembered_for_its_time_with_the_route_and_asked_for_again_then() {
    let service = Service::new();
    let Some(broker) = broker(&service, &["--auth-http-cache-ms", "300"]) else { return };
    let mut wire = ann(&broker);
    wire.send(1, &queue_declare("q", 0)).expect(1, 50, 11);
    wire.send(1, &confirm_select()).expect(1, 85, 11);
    service.take_asked();
    for _ in 0..100 {
        wire.publish(1, "", "q", 0, b"m").expect(1, 60, 80);
    }
    let asked = service.take_asked_at("resource").len();
    assert!((1..100).contains(&asked), "{asked} questions for a hundred messages by one route");
    service.at("resource", Does::deny());
    let start = std::time::Instant::now();
    let refused = loop {
        let frame = wire.publish(1, "", "q", 0, b"m").next_frame().unwrap();
        match frame.payload[..4] {
            [0, 60, 0, 80] => assert!(start.elapsed() < DEADLINE, "it is never asked again"),
            [0, 20, 0, 40] => break frame.payload,
            _ => panic!("{frame:?}"),
        }
    };
    assert!(String::from_utf8_lossy(&refused).contains("write access to exchange 'amq.default'"));
}

#[test]
fn backends_are_asked_in_order_and_who_is_known_is_known() {
    // Who logs in, whether it gets in, whether the service is asked about it, and who says what it may do.
    type Login = (&'static str, &'static str, bool, bool, bool);
    let by = |words: &'static str| ["--auth-backends", words];
    let rows: [(_, &[Login]); 5] = [
        ("internal,http", &[("guest", "guest", true, false, false), ("ann", "word", true, true, true)]),
        ("http,internal", &[("guest", "guest", true, true, true), ("ann", "word", true, true, true)]),
        ("http", &[("guest", "guest", true, true, true)]),
        ("internal/http", &[("guest", "guest", true, true, true), ("ann", "word", false, false, false)]),
        ("http/internal", &[("guest", "anything", true, true, false), ("ann", "word", false, true, false)]),
    ];
    for (order, logins) in rows {
        let service = Service::new();
        let Some(broker) = broker(&service, &by(order)) else { return };
        for (user, password, is_in, is_asked, is_permitted_there) in logins {
            service.take_asked();
            assert_eq!(is_let_in(&broker, user, password), *is_in, "{order} {user}");
            assert_eq!(!service.take_asked().is_empty(), *is_asked, "{order} {user}");
            if *is_in {
                let mut wire = Wire::open_as(broker.clone(), user, password, "/");
                wire.channel(1).send(1, &queue_declare("q", 0)).expect(1, 50, 11);
                assert_eq!(
                    !service.take_asked_at("resource").is_empty(),
                    *is_permitted_there,
                    "{order} {user}"
                );
            }
        }
    }
    // A service that says no: the broker's own users are asked about next, and nobody else.
    let service = Service::new();
    service.rule(|_| Does::deny());
    let Some(broker) = broker(&service, &by("http,internal")) else { return };
    assert!(is_let_in(&broker, "guest", "guest") && !is_let_in(&broker, "guest", "wrong"));
}

#[test]
fn tags_of_the_service_count() {
    let service = Service::new();
    service.rule(|asked| match (asked.path.as_str(), asked.parameter("username")) {
        ("user", "impersonator") => Does::Says("allow impersonator".into()),
        _ => Does::allow(),
    });
    let Some(broker) = broker(&service, &[]) else { return };
    let mut own = Wire::open_to(broker.clone());
    own.channel(1).send(1, &queue_declare("q", 0)).expect(1, 50, 11);
    for (user, refused) in [("impersonator", false), ("ann", true)] {
        let mut wire = Wire::open_as(broker.clone(), user, "word", "/");
        wire.channel(1);
        let header = crate::wire::Args(Vec::new()).u16(60).u16(0).u64(1).u16(1 << 4).short("somebody").0;
        let message =
            [frame(METHOD, 1, &basic_publish("", "q", 0).0), frame(HEADER, 1, &header), frame(BODY, 1, b"m")];
        wire.raw(&message.concat());
        if refused {
            assert_eq!(closed(&mut wire, 1).0, 406);
        } else {
            wire.fence(1, "q");
        }
    }
}

/// The status and the JSON with which the HTTP API answers somebody.
fn asks_api(broker: &Broker, user: &str, path: &str) -> (u16, Value) {
    let url = format!("http://{}/api/{path}", broker.http_address.as_ref().unwrap());
    let credentials = BASE64_STANDARD.encode(format!("{user}:word"));
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.get(url).header("authorization", format!("Basic {credentials}")).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_json().unwrap())
}

#[test]
fn users_of_the_service_have_its_tags_at_the_http_api_and_see_what_it_permits() {
    let service = Service::new();
    service.rule(|asked| match (asked.path.as_str(), asked.parameter("username")) {
        ("user", "admin") => Does::Says("allow administrator".into()),
        ("user", "ann" | "bob") => Does::Says("allow management".into()),
        ("vhost", "bob") => Does::deny(),
        _ => Does::allow(),
    });
    let Some(broker) = broker(&service, &["--http-listen", "127.0.0.1:0"]) else { return };
    let names = |of: Value| of.as_array().unwrap().iter().map(|it| it["name"].clone()).collect::<Vec<_>>();
    assert_eq!(asks_api(&broker, "nobody", "whoami").0, 401, "it has no tag");
    let (status, ann) = asks_api(&broker, "ann", "whoami");
    assert_eq!(
        (status, &ann["tags"], &ann["is_internal_user"]),
        (200, &json!(["management"]), &json!(false))
    );
    for (user, sees, queues) in [("ann", vec!["/"], 200), ("bob", vec![], 401), ("admin", vec!["/"], 200)] {
        assert_eq!(names(asks_api(&broker, user, "vhosts").1), sees, "{user}");
        assert_eq!(asks_api(&broker, user, "queues/%2F").0, queues, "{user}");
    }
    assert_eq!((asks_api(&broker, "ann", "users").0, asks_api(&broker, "admin", "users").0), (401, 200));
}

#[test]
fn the_service_has_to_show_a_certificate_of_the_ca_that_is_configured() {
    let (ca, folder) = (Ca::new(), TempDir::new().unwrap());
    let service = Service::with_tls(&ca.server());
    let (right, wrong) = (folder.path().join("right.pem"), folder.path().join("wrong.pem"));
    fs::write(&right, ca.pem()).unwrap();
    fs::write(&wrong, Ca::new().pem()).unwrap();
    for (file, is_in) in [(&right, true), (&wrong, false)] {
        let flags = ["--auth-http-ca", text(file), "--auth-http-method", "post"];
        let Some(broker) = broker(&service, &flags) else { return };
        assert_eq!(is_let_in(&broker, "ann", "word"), is_in);
        if !is_in {
            broker.log().expect(&[
                "ERROR",
                "the HTTP service that knows users has not answered",
                "certificate",
            ]);
        }
    }
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start() {
    let folder = TempDir::new().unwrap();
    let service = Service::new();
    for (more, words) in [
        (&["--auth-http-ca", "missing.pem"][..], "auth-http-ca missing.pem"),
        (&["--auth-backends", "ldap"], "auth-backends: 'ldap'"),
        (&["--auth-http-method", "put"], "auth-http-method: 'put'"),
    ] {
        let data = folder.path().join("data");
        let flags = service.flags(more);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let common = ["--data-dir", text(&data), "--amqp-listen", "127.0.0.1:0", "--log", "off"];
        assert_refused(&serve(&[&flags[..], &common].concat()), &[words]);
    }
}
