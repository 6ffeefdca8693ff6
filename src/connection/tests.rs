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
    access::{AccessChange, Limit, Limits, UserSpec},
    change::Changes,
    commit::{Commit, Done, Waiter},
    declared::VhostSettings,
    journal::Journal,
    memory::{Gauge, Held, Holder, Kind},
    outgoing::Outgoing,
};
use crate::limits::{DEPARTURES_WAITING_MAX, OUTBOX_REPLY_BYTES_MAX, TURN_STEPS_MAX};
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

    fn notify(&self, commit: Commit, waiter: Arc<dyn Waiter>) {
        waiter.committed(&Done::up_to(commit), &mut Outgoing::default());
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
    tokio::spawn(listen(broker, gate, listener, None, tasks, workers, CancellationToken::new()));
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

    /// Logged in, and not yet in a virtual host.
    async fn logged_in(address: SocketAddr) -> Self {
        Self::logged_in_with(address, Self::start_ok()).await
    }

    async fn logged_in_with(address: SocketAddr, start_ok: connection::StartOk) -> Self {
        let mut raw = Self::connect(address).await;
        assert!(matches!(raw.next().await, Method::ConnectionStart(_)));
        raw.send(0, &start_ok).await;
        assert!(matches!(raw.next().await, Method::ConnectionTune(_)));
        let tune_ok = connection::TuneOk { channel_max: 10, frame_max: 131_072, heartbeat: 0 };
        raw.send(0, &tune_ok).await;
        raw
    }

    /// Opened, with channel 1.
    async fn open(address: SocketAddr) -> Self {
        Self::logged_in(address).await.opened().await
    }

    async fn opened(self) -> Self {
        let mut raw = self;
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

#[tokio::test]
async fn a_client_that_has_more_with_each_read_gives_others_their_turn() {
    // Memory is short, so little is read at once.
    let gauge = Gauge::new(100_000_000);
    let _used = Held::of(&Holder::new(gauge), Kind::Histories, 80_000_000);
    let config = Config::load(Settings::default()).unwrap();
    let broker = Arc::new(Broker::with_gauge(config, Opened::forgetful(), gauge));
    let client = Raw::open(listening(broker.clone()).await).await;
    let mut message = Vec::new();
    let exchange = ShortString::from_static("amq.fanout");
    frame::write_method(&mut message, 1, &basic::Publish { exchange, ..Default::default() });
    frame::write_header(&mut message, 1, basic::CLASS_ID, 1, &[0, 0]);
    frame::write_bodies(&mut message, 1, b"m", 4_096);
    // All that the system takes is there before the first read: one thread does both.
    let messages = message.repeat(1_000);
    client.socket.writable().await.unwrap();
    let mut sent = 0;
    while let Ok(bytes) = client.socket.try_write(&messages[sent % message.len()..]) {
        sent += bytes;
    }
    let sent = (sent / message.len()) as u64;
    let vhost = broker.vhosts.find(b"/").unwrap();
    let (mut handled, mut most_at_once) = (0, 0);
    while handled < sent {
        tokio::task::yield_now().await;
        let now = vhost.read(|topology| topology.counts_of_exchange(b"amq.fanout").unwrap().publish_in);
        most_at_once = most_at_once.max(now - handled);
        handled = now;
    }
    assert!(sent > 4 * TURN_STEPS_MAX as u64, "{sent} are too few");
    assert!(most_at_once <= TURN_STEPS_MAX as u64, "{most_at_once} of {sent} in one turn");
}

/// A broker in this process, its address, and a client on its default virtual host.
async fn with_client() -> (Arc<Broker>, SocketAddr, Raw) {
    with_client_of(Opened::forgetful()).await
}

async fn with_client_of(opened: Opened) -> (Arc<Broker>, SocketAddr, Raw) {
    let broker = Arc::new(Broker::new(Config::load(Settings::default()).unwrap(), opened));
    let address = listening(broker.clone()).await;
    (broker, address, Raw::open(address).await)
}

/// The client is told, after deliveries that came before, that its connection is closed with 320.
async fn forced(client: &mut Raw, reason: &str) {
    let close = loop {
        match client.next().await {
            Method::ConnectionClose(close) => break close,
            Method::BasicDeliver(_) => {}
            other => panic!("no connection.close, but {other:?}"),
        }
    };
    let text = close.reply_text.as_str_lossy().into_owned();
    assert_eq!((close.reply_code, text), (320, format!("CONNECTION_FORCED - {reason}")));
    client.send(0, &connection::CloseOk {}).await;
}

/// What a client is told that may not open the default virtual host.
async fn shut_out(address: SocketAddr) -> String {
    let mut raw = Raw::logged_in(address).await;
    raw.send(0, &connection::Open { virtual_host: ShortString::from_static("/") }).await;
    let Method::ConnectionClose(close) = raw.next().await else { panic!("no connection.close") };
    close.reply_text.as_str_lossy().into_owned()
}

fn declare(name: &'static str) -> queue::Declare {
    queue::Declare { queue: ShortString::from_static(name), ..Default::default() }
}

#[tokio::test]
async fn a_virtual_host_that_is_deleted_closes_its_connections_and_is_cleared_away() {
    let (broker, address, mut client) = with_client().await;
    client.send(1, &declare("q")).await;
    assert!(matches!(client.next().await, Method::QueueDeclareOk(_)));
    let vhost = broker.vhosts.find(b"/").unwrap();
    broker.delete_vhost(&vhost.name).unwrap();
    forced(&mut client, "vhost '/' is down").await;
    timeout(DEADLINE, broker.clear_vhost_away(&vhost)).await.unwrap();
    assert_eq!(vhost.read(|topology| topology.queues().count()), 0);
    assert_eq!(shut_out(address).await, "NOT_ALLOWED - vhost / not found");
}

#[tokio::test]
async fn consumers_of_a_virtual_host_that_is_deleted_hear_of_it_before_their_connections_are_closed() {
    // As RabbitMQ 3.10 does: on each channel, and only who understands it.
    let (broker, address, mut deaf) = with_client().await;
    let mut start_ok = Raw::start_ok();
    let capabilities = FieldTable::new().with("consumer_cancel_notify", true);
    start_ok.client_properties.insert(ShortString::from_static("capabilities"), capabilities);
    let mut client = Raw::logged_in_with(address, start_ok).await.opened().await;
    client.send(2, &channel::Open {}).await;
    assert!(matches!(client.next().await, Method::ChannelOpenOk(_)));
    client.send(1, &declare("q")).await;
    assert!(matches!(client.next().await, Method::QueueDeclareOk(_)));
    let tag = ShortString::from_static;
    let consume = |consumer_tag| basic::Consume { queue: tag("q"), consumer_tag, ..Default::default() };
    for (channel, name) in [(1, "a"), (2, "b")] {
        client.send(channel, &consume(tag(name))).await;
        assert!(matches!(client.next().await, Method::BasicConsumeOk(_)));
    }
    deaf.send(1, &consume(tag("c"))).await;
    assert!(matches!(deaf.next().await, Method::BasicConsumeOk(_)));
    let vhost = broker.vhosts.find(b"/").unwrap();
    broker.delete_vhost(&vhost.name).unwrap();
    let mut cancelled = Vec::new();
    for _ in 0..2 {
        let Method::BasicCancel(cancel) = client.next().await else { panic!("no basic.cancel") };
        cancelled.push(cancel.consumer_tag);
    }
    cancelled.sort();
    assert_eq!(cancelled, [tag("a"), tag("b")]);
    forced(&mut client, "vhost '/' is down").await;
    forced(&mut deaf, "vhost '/' is down").await;
    timeout(DEADLINE, broker.clear_vhost_away(&vhost)).await.unwrap();
}

#[tokio::test]
async fn the_connections_of_a_user_that_is_deleted_are_closed() {
    let (broker, _, mut client) = with_client().await;
    broker.delete_user(&ShortString::from_static("guest")).unwrap();
    forced(&mut client, "user 'guest' is deleted").await;
}

#[tokio::test]
async fn who_is_not_permitted_in_a_virtual_host_does_not_get_in() {
    let (broker, address, _client) = with_client().await;
    let (user, vhost) = (ShortString::from_static("guest"), ShortString::from_static("/"));
    broker.access.change([AccessChange::PermissionsDeleted { user, vhost }]).unwrap();
    assert_eq!(shut_out(address).await, "NOT_ALLOWED - access to vhost '/' refused for user 'guest'");
}

#[tokio::test]
async fn a_reader_that_waits_for_the_journals_room_sees_that_its_connection_is_to_be_closed() {
    let delete_vhost = |broker: &Broker| broker.delete_vhost(&ShortString::from_static("/")).is_some();
    let delete_user = |broker: &Broker| broker.delete_user(&ShortString::from_static("guest")).is_some();
    let deletions: [fn(&Broker) -> bool; 2] = [delete_vhost, delete_user];
    for (delete, reason) in deletions.into_iter().zip(["vhost '/' is down", "user 'guest' is deleted"]) {
        let opened = Opened { journal: Arc::new(NoRoom), ..Opened::forgetful() };
        let (broker, _, mut client) = with_client_of(opened).await;
        let durable = queue::Declare { durable: true, no_wait: true, ..declare("q") };
        client.send(1, &durable).await;
        client.send(1, &confirm::Select { no_wait: true }).await;
        client.publish(true).await;
        assert!(matches!(client.next().await, Method::BasicAck(_)), "by now the reader waits");
        assert!(delete(&broker));
        forced(&mut client, reason).await;
        assert_eq!(broker.connections.count(), 0, "what it held has been given back");
    }
}

#[tokio::test]
async fn a_reader_that_waits_for_departures_sees_that_its_connection_is_to_be_closed() {
    // Nobody carries them out here.
    let (broker, _, mut client) = with_client().await;
    let vhost = broker.vhosts.find(b"/").unwrap();
    let arguments =
        FieldTable::new().with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", "dead");
    client.send(1, &queue::Declare { no_wait: true, ..declare("dead") }).await;
    client.send(1, &queue::Declare { no_wait: true, arguments, ..declare("q") }).await;
    let consume = basic::Consume { queue: ShortString::from_static("q"), ..basic::Consume::default() };
    client.send(1, &consume).await;
    assert!(matches!(client.next().await, Method::BasicConsumeOk(_)));
    for _ in 0..2 * DEPARTURES_WAITING_MAX {
        client.publish(false).await;
    }
    client.send(1, &basic::Nack { delivery_tag: 0, multiple: true, requeue: false }).await;
    while vhost.has_room_for_departures() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    broker.delete_vhost(&vhost.name).unwrap();
    forced(&mut client, "vhost '/' is down").await;
    timeout(DEADLINE, broker.clear_vhost_away(&vhost)).await.unwrap();
}

#[tokio::test]
async fn a_reader_whose_client_takes_no_replies_sees_that_its_connection_is_to_be_closed() {
    let (broker, _, mut client) = with_client().await;
    let vhost = broker.vhosts.find(b"/").unwrap();
    let mut bytes = Vec::new();
    frame::write_method(&mut bytes, 1, &queue::Declare { no_wait: true, ..declare("q") });
    let routing_key = ShortString::from_static("q");
    frame::write_method(&mut bytes, 1, &basic::Publish { routing_key, ..basic::Publish::default() });
    frame::write_header(&mut bytes, 1, basic::CLASS_ID, 1 << 20, &[0, 0]);
    frame::write_bodies(&mut bytes, 1, &vec![7; 1 << 20], 131_072);
    for delivery_tag in 1..100 {
        frame::write_method(
            &mut bytes,
            1,
            &basic::Get { queue: ShortString::from_static("q"), no_ack: false },
        );
        frame::write_method(&mut bytes, 1, &basic::Nack { delivery_tag, multiple: false, requeue: true });
    }
    client.socket.write_all(&bytes).await.unwrap();
    let id = broker.connections.all()[0].0;
    while broker.connections.figures_of(id).unwrap().pending_bytes < OUTBOX_REPLY_BYTES_MAX {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    broker.delete_vhost(&vhost.name).unwrap();
    timeout(DEADLINE, broker.clear_vhost_away(&vhost)).await.unwrap();
}

fn limit_user(broker: &Broker, limits: Limits) {
    let user = broker.access.user(b"guest").unwrap();
    broker.access.change([AccessChange::UserSet(UserSpec { limits, ..(*user).clone() })]).unwrap();
}

fn limit_vhost(broker: &Broker, limits: Limits) {
    let vhost = broker.vhosts.find(b"/").unwrap();
    vhost.change_settings(|settings| VhostSettings { limits, ..settings.clone() });
}

fn only(limit: Limit, max: u64) -> Limits {
    Limits::from_iter([(limit, max)])
}

#[tokio::test]
async fn who_publishes_faster_than_it_may_waits_and_nobody_else_does() {
    for limit in [Limit::MaxMessagesPerSecond, Limit::MaxBytesPerSecond] {
        for limit_one in [limit_user, limit_vhost] {
            let (broker, address, mut client) = with_client().await;
            let mut consumer = Raw::open(address).await;
            client.send(1, &declare("q")).await;
            assert!(matches!(client.next().await, Method::QueueDeclareOk(_)));
            // Nothing at all is permitted: what was read is handled, and then nothing more.
            limit_one(&broker, only(limit, 0));
            client.publish(false).await;
            client.send(1, &declare("q")).await;
            let id = broker.connections.all().iter().map(|(id, _)| *id).min().unwrap();
            while broker.connections.figures_of(id).unwrap().slowed_ms == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            consumer.send(1, &declare("r")).await;
            assert!(matches!(consumer.next().await, Method::QueueDeclareOk(_)), "it publishes nothing");
            limit_one(&broker, Limits::default());
            assert!(matches!(client.next().await, Method::QueueDeclareOk(_)));
        }
    }
}

#[tokio::test]
async fn a_slowed_client_is_closed_with_its_virtual_host() {
    let (broker, _, mut client) = with_client().await;
    limit_user(&broker, only(Limit::MaxMessagesPerSecond, 0));
    client.publish(false).await;
    let id = broker.connections.all()[0].0;
    while broker.connections.figures_of(id).unwrap().slowed_ms == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let vhost = broker.vhosts.find(b"/").unwrap();
    broker.delete_vhost(&vhost.name).unwrap();
    forced(&mut client, "vhost '/' is down").await;
    timeout(DEADLINE, broker.clear_vhost_away(&vhost)).await.unwrap();
}

#[tokio::test]
async fn publishers_of_a_virtual_host_that_exceeds_its_share_are_blocked() {
    for (limit, reason) in [(Limit::MaxMemoryBytes, "low on memory"), (Limit::MaxDiskBytes, "low on disk")] {
        let (broker, address, mut client) = with_client().await;
        let durable = queue::Declare { durable: true, ..declare("q") };
        client.send(1, &durable).await;
        assert!(matches!(client.next().await, Method::QueueDeclareOk(_)));
        let vhost = broker.vhosts.find(b"/").unwrap();
        limit_vhost(&broker, only(limit, 1));
        client.publish(true).await;
        while vhost.read(|topology| topology.queue(b"q").unwrap().status().ready) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        vhost.watch_share().await;
        client.publish(true).await;
        let Method::ConnectionBlocked(blocked) = client.next().await else { panic!("not blocked") };
        assert_eq!(blocked.reason.as_str_lossy(), reason);
        let mut other = Raw::open(address).await;
        other.send(1, &queue::Purge { queue: ShortString::from_static("q"), no_wait: false }).await;
        assert!(matches!(other.next().await, Method::QueuePurgeOk(_)));
        vhost.watch_share().await;
        assert!(matches!(client.next().await, Method::ConnectionUnblocked(_)));
    }
}

#[tokio::test]
async fn limits_of_connections_channels_and_queues_are_refused_with_rabbitmqs_texts() {
    let (broker, address, mut first) = with_client().await;
    let user_limits = |limits| limit_user(&broker, limits);
    let vhost_limits = |limits| limit_vhost(&broker, limits);
    let one = |limit| only(limit, 1);
    user_limits(one(Limit::MaxConnections));
    let text = "NOT_ALLOWED - connection refused for user 'guest': user connection limit (1) is reached";
    assert_eq!(shut_out(address).await, text);
    vhost_limits(one(Limit::MaxConnections));
    let text = "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) is reached";
    assert_eq!(shut_out(address).await, text);
    vhost_limits(one(Limit::MaxQueues));
    user_limits(one(Limit::MaxChannels));
    let mut second = Raw::logged_in(address).await;
    second.send(0, &connection::Open { virtual_host: ShortString::from_static("/") }).await;
    assert!(matches!(second.next().await, Method::ConnectionOpenOk(_)));
    second.send(1, &channel::Open {}).await;
    let Method::ConnectionClose(close) = second.next().await else { panic!("no connection.close") };
    let text = "NOT_ALLOWED - number of channels opened for user 'guest' has reached the maximum allowed user limit of 1";
    assert_eq!(close.reply_text.as_str_lossy(), text);
    first.send(1, &declare("q")).await;
    assert!(matches!(first.next().await, Method::QueueDeclareOk(_)));
    first.send(1, &declare("r")).await;
    let Method::ChannelClose(close) = first.next().await else { panic!("no channel.close") };
    let text = "PRECONDITION_FAILED - cannot declare queue 'r': queue limit in vhost '/' (1) is reached";
    assert_eq!(close.reply_text.as_str_lossy(), text);
}
