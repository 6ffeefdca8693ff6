//! Connections over real sockets, on journals and with failures that no disk and no client makes.

use std::{
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::broker::Broker;
use crate::config::{Config, Settings};
use crate::containment::failpoint;
use crate::core::{
    change::Changes,
    commit::{Commit, Done},
    journal::Journal,
    memory::{Gauge, Held, Holder, Kind},
    outbox::SharedOutbox,
};
use crate::protocol::{
    Encode, FRAME_METHOD, FieldTable, Method, PROTOCOL_HEADER, ShortString, basic, channel, confirm,
    connection, frame, queue, split,
};
use crate::store::Opened;

/// A journal whose commits are complete at once, and that has no room.
struct NoRoom;

impl Journal for NoRoom {
    fn append(&self, changes: &mut Changes, _atomic: bool) -> Commit {
        changes.clear();
        Commit::default()
    }

    fn notify(&self, commit: Commit, outbox: &SharedOutbox) {
        outbox.lock().committed(&Done::up_to(commit));
    }

    fn poll_room(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// A broker that listens; it ends with the test's runtime.
async fn broker(journal: Option<Arc<dyn Journal>>) -> SocketAddr {
    let opened = Opened::forgetful();
    let journal = journal.unwrap_or_else(|| opened.journal.clone());
    let config = Config::load(Settings::default()).unwrap();
    listening(Arc::new(Broker::new(config, Opened { journal, ..opened }))).await
}

async fn listening(broker: Arc<Broker>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let workers = tokio::runtime::Handle::current();
    let (gate, tasks) = (Arc::new(Gate::new(100)), TaskTracker::new());
    tokio::spawn(listen(broker, gate, listener, tasks, workers, CancellationToken::new()));
    address
}

/// By when a broker has answered.
const DEADLINE: Duration = Duration::from_secs(20);

struct Raw {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(&PROTOCOL_HEADER).await.unwrap();
        Self { socket, unread: Vec::new() }
    }

    /// Opened, with channel 1.
    async fn open(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address).await;
        assert!(matches!(raw.next().await, Method::ConnectionStart(_)));
        raw.send(0, &Self::start_ok()).await;
        assert!(matches!(raw.next().await, Method::ConnectionTune(_)));
        let tune_ok = connection::TuneOk { channel_max: 10, frame_max: 131_072, heartbeat: 0 };
        raw.send(0, &tune_ok).await;
        let virtual_host = ShortString::from_static("/");
        raw.send(0, &connection::Open { virtual_host }).await;
        assert!(matches!(raw.next().await, Method::ConnectionOpenOk(_)));
        raw.send(1, &channel::Open {}).await;
        assert!(matches!(raw.next().await, Method::ChannelOpenOk(_)));
        raw
    }

    fn start_ok() -> connection::StartOk {
        let mut capabilities = FieldTable::new();
        capabilities.insert(ShortString::from_static("connection.blocked"), true);
        let mut client_properties = FieldTable::new();
        client_properties.insert(ShortString::from_static("capabilities"), capabilities);
        connection::StartOk {
            client_properties,
            mechanism: ShortString::from_static("PLAIN"),
            response: b"\0guest\0guest".as_slice().into(),
            ..connection::StartOk::default()
        }
    }

    async fn send(&mut self, channel: u16, method: &impl Encode) {
        let mut bytes = Vec::new();
        frame::write_method(&mut bytes, channel, method);
        self.socket.write_all(&bytes).await.unwrap();
    }

    async fn publish(&mut self, persistent: bool) {
        let mut bytes = Vec::new();
        let routing_key = ShortString::from_static("q");
        frame::write_method(&mut bytes, 1, &basic::Publish { routing_key, ..basic::Publish::default() });
        let properties: &[u8] = if persistent { &[0x10, 0x00, 2] } else { &[0, 0] };
        frame::write_header(&mut bytes, 1, basic::CLASS_ID, 1, properties);
        frame::write_bodies(&mut bytes, 1, b"m", 4_096);
        self.socket.write_all(&bytes).await.unwrap();
    }

    async fn next(&mut self) -> Method {
        loop {
            if let Some((frame, size)) = split(&self.unread, 131_072).unwrap() {
                let method = (frame.kind == FRAME_METHOD).then(|| Method::decode(frame.payload).unwrap());
                self.unread.drain(..size);
                if let Some(method) = method {
                    return method;
                }
                continue;
            }
            let read = timeout(DEADLINE, self.socket.read_buf(&mut self.unread)).await;
            assert!(read.expect("an answer in time").unwrap() > 0, "the connection ended");
        }
    }

    /// The code of the `connection.close` that comes next.
    async fn closed(&mut self) -> u16 {
        match self.next().await {
            Method::ConnectionClose(close) => close.reply_code,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn only_who_brought_something_for_the_journal_waits_for_its_room() {
    let address = broker(Some(Arc::new(NoRoom))).await;
    let (mut transient, mut persistent) = (Raw::open(address).await, Raw::open(address).await);
    let declare = queue::Declare {
        queue: ShortString::from_static("q"),
        durable: true,
        no_wait: true,
        ..queue::Declare::default()
    };
    persistent.send(1, &declare).await;
    persistent.send(1, &confirm::Select { no_wait: false }).await;
    assert!(matches!(persistent.next().await, Method::ConfirmSelectOk(_)));
    persistent.publish(true).await;
    assert!(matches!(persistent.next().await, Method::BasicAck(_)));
    persistent.send(2, &channel::Open {}).await;
    for _ in 0..10 {
        transient.publish(false).await;
        transient.send(1, &basic::Qos::default()).await;
        assert!(matches!(transient.next().await, Method::BasicQosOk(_)));
    }
    let mut unread = [0; 1];
    let answered = persistent.socket.try_read(&mut unread).map_err(|error| error.kind());
    assert_eq!(answered, Err(std::io::ErrorKind::WouldBlock), "it was not read from");
}

#[tokio::test]
async fn a_panic_while_a_session_decodes_ends_that_connection_and_no_other() {
    let address = broker(None).await;
    let (mut victim, mut other) = (Raw::open(address).await, Raw::open(address).await);
    for pass in 1..=4 {
        failpoint::panic_at(pass);
        let declare = queue::Declare { queue: ShortString::from_static("q"), ..queue::Declare::default() };
        victim.send(1, &declare).await;
        victim.publish(false).await;
        let code = match victim.next().await {
            Method::QueueDeclareOk(_) => victim.closed().await,
            Method::ConnectionClose(close) => close.reply_code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code, 541, "pass {pass}");
        assert!(!failpoint::disarm());
        other.send(1, &confirm::Select { no_wait: false }).await;
        assert!(matches!(other.next().await, Method::ConfirmSelectOk(_)));
        victim = Raw::open(address).await;
    }
}

#[tokio::test]
async fn a_panic_in_the_handshake_ends_that_connection_and_no_other() {
    let address = broker(None).await;
    let mut victim = Raw::connect(address).await;
    assert!(matches!(victim.next().await, Method::ConnectionStart(_)));
    failpoint::panic_at(1);
    victim.send(0, &Raw::start_ok()).await;
    assert_eq!(victim.closed().await, 541);
    assert!(!failpoint::disarm());
    Raw::open(address).await;
}

#[tokio::test]
async fn who_has_sent_a_part_of_a_message_is_held_up_by_the_memory_alarm() {
    let gauge = Gauge::new(1_000_000);
    let config = Config::load(Settings::default()).unwrap();
    let broker = Arc::new(Broker::with_gauge(config, Opened::forgetful(), gauge));
    let watched = broker.clone();
    tokio::spawn(async move { watched.alarm.watch_memory(watched.gauge).await });
    let address = listening(broker).await;
    let mut publish = Vec::new();
    frame::write_method(&mut publish, 1, &basic::Publish::default());
    frame::write_header(&mut publish, 1, basic::CLASS_ID, 100_000, &[0, 0]);
    let unfinished_run = publish.clone();
    frame::write_bodies(&mut publish, 1, &[7; 50_000], 4_096);
    for part in [unfinished_run, publish] {
        let mut client = Raw::open(address).await;
        let used = Held::of(&Holder::new(gauge), Kind::Histories, 2_000_000);
        client.socket.write_all(&part).await.unwrap();
        assert!(matches!(client.next().await, Method::ConnectionBlocked(_)));
        drop(used);
        assert!(matches!(client.next().await, Method::ConnectionUnblocked(_)));
    }
}
