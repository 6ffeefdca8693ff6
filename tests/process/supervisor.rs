//! What the program that started the broker is told over `NOTIFY_SOCKET` (`sd_notify(3)`).

use std::{fs, os::unix::net::UnixDatagram, path::PathBuf, sync::Arc};

use tempfile::TempDir;

use crate::{
    assert_refused,
    broker::{Broker, DEADLINE, is_external},
    signal,
    wire::{Wire, publish, queue_declare, queue_delete},
};

/// The other end of the socket.
struct Supervisor {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Supervisor {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("notify")
    }

    fn start(&self, args: &[&str], watchdog_usec: &str) -> Option<Arc<Broker>> {
        let path = self.path();
        Broker::start(args, &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", watchdog_usec)])
    }

    /// The next message.
    fn hear(&self) -> String {
        let mut bytes = [0; 4096];
        let count = self.socket.recv(&mut bytes).expect("a message in time");
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    /// The next message with a line that begins so, and what came before it.
    fn expect(&self, beginning: &str) -> (String, Vec<String>) {
        let mut before = Vec::new();
        loop {
            let message = self.hear();
            if message.lines().any(|line| line.starts_with(beginning)) {
                return (message, before);
            }
            before.push(message);
        }
    }
}

#[test]
fn readiness_reload_and_stop_are_told_and_what_the_broker_does() {
    let supervisor = Supervisor::new();
    let Some(broker) = supervisor.start(&[], "0") else { return };
    supervisor.expect("READY=1");
    Wire::open_to(broker.clone());
    let (status, _) = supervisor.expect("STATUS=");
    assert!(status.contains(&format!("listening on amqp://{}", broker.address)), "{status}");
    signal(&broker, "-HUP");
    let (reloading, before) = supervisor.expect("RELOADING=1");
    assert!(reloading.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading}");
    assert!(before.is_empty(), "{before:?}");
    supervisor.expect("READY=1");
    signal(&broker, "-TERM");
    let (_, before) = supervisor.expect("STOPPING=1");
    assert!(before.is_empty(), "without a watchdog nothing is fed: {before:?}");
    assert_eq!(Arc::into_inner(broker).unwrap().wait(), Some(0));
}

#[test]
fn the_watchdog_is_fed_again_and_again_while_the_broker_stops_too() {
    let supervisor = Supervisor::new();
    let Some(broker) = supervisor.start(&[], "300000") else { return };
    for _ in 0..3 {
        supervisor.expect("WATCHDOG=1");
    }
    // It waits a second for the answer of this client, which does not come.
    let silent = Wire::open_to(broker.clone());
    signal(&broker, "-TERM");
    supervisor.expect("STOPPING=1");
    supervisor.expect("WATCHDOG=1");
    drop(silent);
    assert_eq!(Arc::into_inner(broker).unwrap().wait(), Some(0));
}

#[test]
fn an_alarm_is_the_status_until_it_is_cleared() {
    let supervisor = Supervisor::new();
    let Some(broker) = supervisor.start(&["--memory-limit-bytes", "1000000"], "0") else { return };
    let mut client = Wire::open_to(broker.clone());
    client.channel(1).send(1, &queue_declare("deep", 0)).expect(1, 50, 11);
    client.raw(&publish(1, "", "deep", 0, &[7; 1_000]).repeat(1_100));
    supervisor.expect("STATUS=publishers wait: low on memory");
    let mut other = Wire::open_to(broker.clone());
    other.channel(1).send(1, &queue_delete("deep"));
    supervisor.expect("STATUS=leveret ");
}

#[test]
fn a_broker_that_cannot_serve_is_never_ready() {
    if is_external() {
        return;
    }
    let supervisor = Supervisor::new();
    let definitions = supervisor.folder.path().join("definitions.json");
    fs::write(&definitions, r#"{"queues": [{"name": 7}]}"#).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_leveret"))
        .args(["serve", "--amqp-listen", "127.0.0.1:0", "--http-listen", "none", "--metrics-listen", "none"])
        .args(["--log", "off", "--load-definitions", definitions.to_str().unwrap()])
        .args(["--data-dir", supervisor.folder.path().join("data").to_str().unwrap()])
        .env("NOTIFY_SOCKET", supervisor.path())
        .output()
        .unwrap();
    assert_refused(&output, &["definitions"]);
    supervisor.socket.set_nonblocking(true).unwrap();
    assert!(supervisor.socket.recv(&mut [0; 4096]).is_err(), "it has said something");
}

#[test]
fn a_socket_that_is_not_there_is_told_in_the_log_and_holds_nobody_up() {
    let path = TempDir::new().unwrap().path().join("nobody");
    let Some(broker) = Broker::start(&[], &[("NOTIFY_SOCKET", path.to_str().unwrap())]) else { return };
    broker.log().expect(&["NOTIFY_SOCKET takes nothing"]);
    Wire::open_to(broker);
}
