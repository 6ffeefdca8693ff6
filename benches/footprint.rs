//! What the broker costs beside throughput: memory for each idle connection, idle virtual host, idle queue and queued message, and the
//! time for many declarations and bindings. Starts the broker, prints a line for each figure.
//!
//! `cargo bench --bench footprint [-- connections|tls|vhosts|queues|messages|bindings]`; connections need `ulimit -n` above 10,000 on both sides.
#![allow(
    missing_docs,
    clippy::type_complexity,
    clippy::cast_possible_wrap,
    clippy::unwrap_used,
    clippy::doc_markdown,
    clippy::print_stdout,
    reason = "a tool for developers"
)]

#[path = "../tests/support/broker.rs"]
mod broker;
#[path = "../tests/support/tls.rs"]
mod tls;
#[path = "../tests/support/wire.rs"]
mod wire;

use std::{
    fs,
    sync::{Arc, OnceLock},
    thread::sleep,
    time::{Duration, Instant},
};

use broker::Broker;
use rustls::ClientConfig;
use tls::{Files, Tls, VERSIONS};
use wire::{
    BODY, EXCLUSIVE, HEADER, NO_ACK, PASSIVE, Table, Wire, basic_consume, confirm_select, method, publish,
    queue_bind, queue_declare,
};

/// Clients with TLS 1.2 and 1.3.
static CLIENT: OnceLock<[Arc<ClientConfig>; 2]> = OnceLock::new();

const VHOSTS: [i64; 2] = [1_000, 4_000];
const QUEUES: usize = 10_000;
const MESSAGES: usize = 1_000_000;
const BINDINGS: usize = 100_000;

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let measures: [(&str, fn(&Arc<Broker>)); 6] = [
        ("connections", connections),
        ("tls", tls_connections),
        ("vhosts", vhosts),
        ("queues", queues),
        ("messages", messages),
        ("bindings", bindings),
    ];
    let files = Files::new();
    let [cert, key, ca] = ["cert", "key", "ca"].map(|name| files.path(name).to_str().unwrap().to_owned());
    let tls = ["--amqps-listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca];
    let shown = files.ca.client("guest");
    CLIENT.get_or_init(|| VERSIONS.map(|version| tls::client(&files.ca, &[version], Some(&shown))));
    for (_, measure) in
        measures.iter().filter(|(name, _)| wanted.as_deref().is_none_or(|wanted| wanted == *name))
    {
        // A fresh broker each: what one leaves behind must not stand in the other's figures.
        let Some(broker) = Broker::start(&tls, &[("LEVERET_LOG", "error")]) else { return };
        measure(&broker);
    }
}

/// Resident bytes of the broker, when they have settled.
fn resident(broker: &Broker) -> i64 {
    let read = || {
        let status = fs::read_to_string(format!("/proc/{}/status", broker.pid().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap() * 1024
    };
    let mut last = read();
    loop {
        sleep(Duration::from_millis(500));
        let now = read();
        if (now - last).abs() < 64 * 1024 {
            return now;
        }
        last = now;
    }
}

fn connections(broker: &Arc<Broker>) {
    idle(broker, "idle connections", 10_000, || Wire::open_to(broker.clone()));
}

/// Clients that show a certificate.
fn tls_connections(broker: &Arc<Broker>) {
    for config in CLIENT.get().unwrap() {
        idle(broker, "idle connections with TLS and a client's certificate", 2_000, || {
            Tls::connect(broker, config).log_in(broker)
        });
    }
}

fn idle(broker: &Arc<Broker>, what: &str, count: i64, open: impl Fn() -> Wire) {
    let mut idle: Vec<Wire> = (0..100).map(|_| open()).collect();
    let before = resident(broker);
    let began = Instant::now();
    idle.extend((0..count).map(|_| {
        let mut wire = open();
        wire.channel(1);
        wire
    }));
    let took = began.elapsed();
    let each = (resident(broker) - before) / count;
    println!("{count} {what}, each with a channel: {each} bytes each, opened in {took:.1?}");
    drop(idle);
    println!("after they are gone: {} KiB resident", resident(broker) / 1024);
}

fn vhosts(empty: &Arc<Broker>) {
    let before = resident(empty);
    for count in VHOSTS {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("definitions.json");
        let all: Vec<_> = (0..count).map(|n| format!(r#"{{ "name": "vhost-{n}" }}"#)).collect();
        fs::write(&file, format!(r#"{{ "vhosts": [{}] }}"#, all.join(","))).unwrap();
        let load = ["--load-definitions", file.to_str().unwrap()];
        let Some(broker) = Broker::start(&load, &[("LEVERET_LOG", "error")]) else { return };
        let each = (resident(&broker) - before) / count;
        println!("{count} idle virtual hosts: {each} bytes each");
    }
}

fn queues(broker: &Arc<Broker>) {
    let mut wire = Wire::open_to(broker.clone());
    wire.channel(1);
    declare_and_bind(&mut wire, "warm", 100);
    let before = resident(broker);
    let began = Instant::now();
    declare_and_bind(&mut wire, "q", QUEUES);
    let declared = began.elapsed();
    let each = (resident(broker) - before) / QUEUES as i64;
    let began = Instant::now();
    wire.send(0, &method(10, 50).u16(200).short("").u16(0).u16(0)).expect(0, 10, 51);
    let closed = began.elapsed();
    println!("{QUEUES} idle queues, each bound to a topic exchange: {each} bytes each");
    println!("declared and bound one by one in {declared:.2?}, their connection closed in {closed:.2?}");
}

fn declare_and_bind(wire: &mut Wire, prefix: &str, count: usize) {
    for n in 0..count {
        let queue = format!("{prefix}-{n}");
        wire.send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
        wire.send(1, &queue_bind(&queue, "amq.topic", &format!("sensor.{n}.temperature"))).expect(1, 50, 21);
    }
}

fn messages(broker: &Arc<Broker>) {
    let mut wire = Wire::open_to(broker.clone());
    wire.channel(1).send(1, &queue_declare("deep", 0)).expect(1, 50, 11);
    let run = publish(1, "", "deep", 0, &[7; 16]).repeat(1_000);
    let before = resident(broker);
    for _ in 0..MESSAGES / 1_000 {
        wire.raw(&run);
    }
    wire.send(1, &queue_declare("deep", PASSIVE)).expect(1, 50, 11);
    let full = resident(broker);
    println!("{MESSAGES} queued 16-byte messages: {} bytes each", (full - before) / MESSAGES as i64);
    wire.send(1, &basic_consume("deep", "c", NO_ACK)).expect(1, 60, 21);
    for _ in 0..MESSAGES {
        wire.expect(1, 60, 60);
        wire.expect_frame(HEADER, 1);
        wire.expect_frame(BODY, 1);
    }
    sleep(Duration::from_secs(5));
    println!(
        "before them {} KiB resident, with them {} KiB, when they are gone {} KiB",
        before / 1024,
        full / 1024,
        resident(broker) / 1024
    );
}

/// Publishes to a topic exchange with few and with many bindings; each message goes to one queue.
fn bindings(broker: &Arc<Broker>) {
    let mut wire = Wire::open_to(broker.clone());
    wire.channel(1).send(1, &queue_declare("sink", EXCLUSIVE)).expect(1, 50, 11);
    let mut rates = Vec::new();
    for (exchange, count) in [("few", 10), ("many", BINDINGS)] {
        let declare = method(40, 10).u16(0).short(exchange).short("topic").u8(0).table(&Table::new());
        wire.send(1, &declare).expect(1, 40, 11);
        let began = Instant::now();
        for n in 0..count {
            let mut bind = queue_bind("sink", exchange, &format!("sensor.{n}.*"));
            if n + 1 < count {
                // no-wait, but for the last one
                let at = bind.0.len() - 5;
                bind.0[at] = 1;
            }
            wire.send(1, &bind);
        }
        wire.expect(1, 50, 21);
        let bound = began.elapsed();
        let rate = (0..5).map(|_| publish_rate(broker, exchange)).fold(0.0, f64::max);
        wire.send(1, &method(50, 30).u16(0).short("sink").u8(0)).expect(1, 50, 31);
        println!("{count} topic bindings (made in {bound:.2?}): {rate:.0} msg/s over 10,000 different keys");
        rates.push(rate);
    }
    println!("rate with {BINDINGS} bindings to rate with 10: {:.2}", rates[1] / rates[0]);
}

/// Messages a second that are confirmed, with 10,000 different keys, so that remembered routes do not help.
fn publish_rate(broker: &Arc<Broker>, exchange: &str) -> f64 {
    let count = 200_000;
    let mut wire = Wire::open_to(broker.clone());
    wire.channel(1).send(1, &confirm_select()).expect(1, 85, 11);
    let messages: Vec<u8> = (0..count)
        .flat_map(|n| publish(1, exchange, &format!("sensor.{}.{}", n % 10, n % 10_000), 0, &[7; 16]))
        .collect();
    let began = Instant::now();
    wire.raw(&messages);
    let mut confirmed = 0;
    while confirmed < count {
        confirmed = wire.expect(1, 60, 80).u64();
    }
    count as f64 / began.elapsed().as_secs_f64()
}
