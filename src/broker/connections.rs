//! The connections that are open: what is to be shown of them, how many a user or a virtual host has, and how one is told to end.

use std::{
    collections::HashMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    ops::AddAssign,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Rates;
use crate::core::{
    ConnectionId,
    access::{Limit, Limits},
    clock::Millis,
    counts::Traffic,
    outbox::SharedOutbox,
    window::ChannelFigures,
};
use crate::protocol::{FieldTable, ShortString};

/// What is to be shown of a connection.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Where the client is.
    pub peer: SocketAddr,
    /// Who it is.
    pub user: ShortString,
    /// Where it works.
    pub vhost: ShortString,
    /// What it said of itself in `connection.start-ok`.
    pub client_properties: FieldTable,
    /// What was agreed upon.
    pub terms: Terms,
}

/// What the handshake agreed upon, to be shown.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The broker's end.
    pub local: SocketAddr,
    /// How the client has proven who it is: a mechanism of SASL.
    pub mechanism: ShortString,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// `frame_max`, bytes.
    pub frame_max: u32,
    /// `channel_max`.
    pub channel_max: u16,
    /// Seconds; zero is without.
    pub heartbeat: u16,
    /// When it was opened.
    pub connected_at: Millis,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            local: (Ipv4Addr::UNSPECIFIED, 0).into(),
            mechanism: ShortString::default(),
            tls: false,
            frame_max: 0,
            channel_max: 0,
            heartbeat: 0,
            connected_at: 0,
        }
    }
}

impl ConnectionInfo {
    /// Its name as RabbitMQ makes it, of both ends.
    pub fn name(&self) -> String {
        format!("{} -> {}", self.peer, self.terms.local)
    }

    /// The name that the client gave it, if it did.
    pub fn given_name(&self) -> Option<String> {
        let name = self.client_properties.get("connection_name")?.as_str_bytes()?;
        Some(String::from_utf8_lossy(name).into_owned())
    }
}

/// A connection's figures at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionFigures {
    /// Those of its channels, by number.
    pub channels: Vec<(u16, ChannelFigures)>,
    /// Bytes that its client has not been sent yet.
    pub pending_bytes: usize,
    /// How long its client has been slowed because its user or its virtual host published faster than it may.
    pub slowed_ms: Millis,
    /// What has come from its client, in bytes and in reads.
    pub received: Traffic,
    /// What was sent to it, in bytes and in writes.
    pub sent: Traffic,
    /// It is held up because memory or disk are short.
    pub is_blocked: bool,
}

/// What the broker wants of a connection: its reader looks when it is [called](Self::called).
#[derive(Debug, Default)]
pub struct Attention {
    notify: Notify,
    /// Why the connection is to be closed.
    close: OnceLock<String>,
    /// Notified once when that is set.
    to_close: Notify,
    /// When what its client has logged in with expires, in seconds since the Unix epoch; zero if it does not.
    expires: AtomicU64,
    /// How long its client was slowed for what its user or virtual host may publish in a second.
    slowed_ms: AtomicU64,
    received_bytes: AtomicU64,
    reads: AtomicU64,
    /// It is held up for memory or disk.
    blocked: AtomicBool,
}

impl Attention {
    /// Notes a read. For the reader alone.
    #[inline]
    pub fn received(&self, bytes: usize) {
        self.received_bytes
            .store(self.received_bytes.load(Ordering::Relaxed) + bytes as u64, Ordering::Relaxed);
        self.reads.store(self.reads.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn received_so_far(&self) -> Traffic {
        Traffic {
            bytes: self.received_bytes.load(Ordering::Relaxed),
            packets: self.reads.load(Ordering::Relaxed),
        }
    }

    /// Notes whether the client is held up for memory or disk.
    pub fn blocked(&self, is: bool) {
        self.blocked.store(is, Ordering::Relaxed);
    }

    /// Calls the reader: the client holds something for too long, or may have more than before.
    pub fn call(&self) {
        self.notify.notify_one();
    }

    /// Waits until the reader is called.
    pub async fn called(&self) {
        self.notify.notified().await;
    }

    /// Notes that the client is slowed.
    pub fn slowed(&self, span: Millis) {
        self.slowed_ms.fetch_add(span, Ordering::Relaxed);
    }

    /// Wants the connection to be closed. The first reason stays.
    pub fn close(&self, reason: &str) {
        self.close.get_or_init(|| reason.to_owned());
        self.notify.notify_one();
        self.to_close.notify_one();
    }

    /// Waits until the connection is to be closed. The reader is still called for that.
    pub async fn to_be_closed(&self) {
        while self.closing().is_none() {
            self.to_close.notified().await;
        }
    }

    /// Wants the connection to be closed if what its client has logged in with has expired (RabbitMQ's text).
    pub(super) fn look_for_expiry(&self, now: Millis) {
        let expires = self.expires.load(Ordering::Relaxed);
        if expires != 0 && expires <= now / 1_000 {
            self.close("credential expired");
        }
    }

    /// Why the connection is to be closed, if it is.
    #[inline]
    pub fn closing(&self) -> Option<&str> {
        self.close.get().map(String::as_str)
    }
}

/// A limit of connections that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// The broker's, and how many that are.
    OfAll(u64),
    /// The virtual host's.
    OfVhost(u64),
    /// The user's.
    OfUser(u64),
}

/// What may be at once.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// Connections of the broker.
    pub all: u64,
    /// Of the user.
    pub user: &'a Limits,
    /// Of the virtual host.
    pub vhost: &'a Limits,
}

/// What the connections of one user have together.
#[derive(Debug, Default)]
pub struct Usage {
    /// How fast they may publish.
    pub rates: Rates,
    channels: AtomicUsize,
}

impl Usage {
    /// Channels that are open.
    pub fn channels(&self) -> usize {
        self.channels.load(Ordering::Relaxed)
    }

    /// One more channel, unless there are `max` already.
    pub fn open_channel(&self, max: Option<u64>) -> bool {
        let max = max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
        let one_more = |open: usize| (open < max).then_some(open + 1);
        self.channels.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// A channel is closed.
    pub fn close_channel(&self) {
        self.channels.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Counts {
    all: u64,
    of_users: HashMap<ShortString, (u64, Arc<Usage>)>,
    of_vhosts: HashMap<ShortString, u64>,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("user", &self.user)
            .field("vhost", &self.vhost)
            .finish_non_exhaustive()
    }
}

/// A connection that counts: it may be opened, or is open. No longer when this is dropped.
pub struct Admission {
    connections: Arc<Connections>,
    user: ShortString,
    vhost: ShortString,
    /// What the user's connections have together.
    pub usage: Arc<Usage>,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.connections.counts.lock();
        counts.all -= 1;
        if let Some((count, _)) = counts.of_users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.of_users.remove(&self.user);
            }
        }
        if let Some(count) = counts.of_vhosts.get_mut(&self.vhost) {
            *count -= 1;
            if *count == 0 {
                counts.of_vhosts.remove(&self.vhost);
                drop(counts);
                self.connections.vhost_left.notify_waiters();
            }
        }
    }
}

/// An open connection.
struct Connected {
    info: Arc<ConnectionInfo>,
    outbox: SharedOutbox,
    attention: Arc<Attention>,
    _admission: Admission,
}

/// What several connections did together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionTotals {
    /// What has come from their clients.
    pub received: Traffic,
    /// What was sent to them.
    pub sent: Traffic,
    /// How long they were slowed because they published faster than they may.
    pub slowed_ms: Millis,
}

impl AddAssign for ConnectionTotals {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.sent += other.sent;
        self.slowed_ms += other.slowed_ms;
    }
}

/// How often connections and channels came and went.
#[derive(Debug, Default)]
pub struct Churn {
    connections_opened: AtomicU64,
    connections_closed: AtomicU64,
    channels_opened: AtomicU64,
    channels_closed: AtomicU64,
}

impl Churn {
    /// A channel was opened.
    pub fn channel_opened(&self) {
        self.channels_opened.fetch_add(1, Ordering::Relaxed);
    }

    /// A channel has ended.
    pub fn channel_closed(&self) {
        self.channels_closed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many connections were opened, and how many of these are closed.
    pub fn connections(&self) -> (u64, u64) {
        (self.connections_opened.load(Ordering::Relaxed), self.connections_closed.load(Ordering::Relaxed))
    }

    /// The same of channels.
    pub fn channels(&self) -> (u64, u64) {
        (self.channels_opened.load(Ordering::Relaxed), self.channels_closed.load(Ordering::Relaxed))
    }
}

/// All open connections.
#[derive(Default)]
pub struct Connections {
    open: DashMap<ConnectionId, Connected>,
    last: AtomicU64,
    /// How often they came and went.
    pub churn: Churn,
    /// What those did that are closed.
    past: Mutex<ConnectionTotals>,
    counts: Mutex<Counts>,
    /// Some virtual host has no connections any more.
    vhost_left: Notify,
}

impl Connections {
    /// Counts a connection that is about to be opened, if no limit is reached.
    pub fn admit(
        self: &Arc<Self>,
        user: &ShortString,
        vhost: &ShortString,
        bounds: Bounds<'_>,
    ) -> Result<Admission, TooMany> {
        let mut counts = self.counts.lock();
        let of_vhost = counts.of_vhosts.get(vhost).copied().unwrap_or_default();
        let of_user = counts.of_users.get(user).map_or(0, |(count, _)| *count);
        let vhost_max = bounds.vhost.get(Limit::MaxConnections);
        let user_max = bounds.user.get(Limit::MaxConnections);
        match () {
            () if counts.all >= bounds.all => return Err(TooMany::OfAll(bounds.all)),
            () if vhost_max.is_some_and(|max| of_vhost >= max) => {
                return Err(TooMany::OfVhost(vhost_max.unwrap_or_default()));
            }
            () if user_max.is_some_and(|max| of_user >= max) => {
                return Err(TooMany::OfUser(user_max.unwrap_or_default()));
            }
            () => {}
        }
        counts.all += 1;
        *counts.of_vhosts.entry(vhost.clone()).or_default() += 1;
        let (count, usage) = counts.of_users.entry(user.clone()).or_default();
        *count += 1;
        usage.rates.set(bounds.user);
        let usage = usage.clone();
        drop(counts);
        Ok(Admission { connections: self.clone(), user: user.clone(), vhost: vhost.clone(), usage })
    }

    /// What the connections of a user have together, for one more that does not count.
    pub fn usage_of(&self, user: &ShortString) -> Arc<Usage> {
        self.counts.lock().of_users.get(user).map(|(_, usage)| usage.clone()).unwrap_or_default()
    }

    /// The numbers of all, by virtual host.
    pub fn by_vhost(&self) -> HashMap<ShortString, Vec<ConnectionId>> {
        let mut all: HashMap<_, Vec<_>> = HashMap::new();
        for connected in &self.open {
            all.entry(connected.info.vhost.clone()).or_default().push(*connected.key());
        }
        all
    }

    /// Draws a number that no connection has or had.
    pub fn draw(&self) -> ConnectionId {
        ConnectionId(self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Registers a connection that has been opened.
    pub fn connected(
        &self,
        info: ConnectionInfo,
        outbox: SharedOutbox,
        attention: Arc<Attention>,
        admission: Admission,
    ) -> ConnectionId {
        let id = self.draw();
        self.churn.connections_opened.fetch_add(1, Ordering::Relaxed);
        self.open.insert(id, Connected { info: Arc::new(info), outbox, attention, _admission: admission });
        id
    }

    /// Forgets a connection.
    pub fn disconnected(&self, id: ConnectionId) {
        let mut past = self.past.lock();
        if let Some((_, connected)) = self.open.remove(&id) {
            *past += ConnectionTotals {
                received: connected.attention.received_so_far(),
                sent: connected.outbox.lock().sent(),
                slowed_ms: connected.attention.slowed_ms.load(Ordering::Relaxed),
            };
            self.churn.connections_closed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What those did that are closed, up to their farewell.
    pub fn past(&self) -> ConnectionTotals {
        *self.past.lock()
    }

    /// How many connections are open.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Open connections.
    pub fn all(&self) -> Vec<(ConnectionId, Arc<ConnectionInfo>)> {
        self.open.iter().map(|entry| (*entry.key(), entry.value().info.clone())).collect()
    }

    /// The numbers of those of a virtual host.
    pub fn of_vhost(&self, name: &ShortString) -> Vec<ConnectionId> {
        let there = self.open.iter().filter(|connected| connected.info.vhost == *name);
        there.map(|connected| *connected.key()).collect()
    }

    /// Those of a virtual host with their outboxes, by which consumers know them.
    pub fn with_outboxes(
        &self,
        vhost: &ShortString,
    ) -> Vec<(ConnectionId, Arc<ConnectionInfo>, SharedOutbox)> {
        let there = self.open.iter().filter(|connected| connected.info.vhost == *vhost);
        there.map(|its| (*its.key(), its.info.clone(), its.outbox.clone())).collect()
    }

    /// Their numbers.
    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.open.iter().map(|entry| *entry.key()).collect()
    }

    /// Looks at one; `None` if it is gone.
    pub(super) fn with<T>(
        &self,
        id: ConnectionId,
        look: impl FnOnce(&SharedOutbox, &Attention) -> T,
    ) -> Option<T> {
        self.open.get(&id).map(|connected| look(&connected.outbox, &connected.attention))
    }

    /// What is to be shown of one; `None` if it is gone.
    pub fn info(&self, id: ConnectionId) -> Option<Arc<ConnectionInfo>> {
        self.open.get(&id).map(|connected| connected.info.clone())
    }

    /// The figures of a connection's channels, and the bytes that wait to be sent to its client. `None` if it is gone.
    pub fn figures_of(&self, id: ConnectionId) -> Option<ConnectionFigures> {
        self.with(id, |outbox, attention| {
            let outbox = outbox.lock();
            let mut channels: Vec<_> = outbox.channels().collect();
            channels.sort_unstable_by_key(|(number, _)| *number);
            let slowed_ms = attention.slowed_ms.load(Ordering::Relaxed);
            ConnectionFigures {
                channels,
                pending_bytes: outbox.pending_bytes(),
                slowed_ms,
                received: attention.received_so_far(),
                sent: outbox.sent(),
                is_blocked: attention.blocked.load(Ordering::Relaxed),
            }
        })
    }

    /// What a client has logged in with expires then, in seconds since the Unix epoch, or never: its connection is closed with 320,
    /// unless it gets a later time meanwhile.
    pub fn expires(&self, id: ConnectionId, at: Option<u64>) {
        self.with(id, |_, attention| attention.expires.store(at.unwrap_or_default(), Ordering::Relaxed));
    }

    /// Has one closed with 320 (RabbitMQ's `CONNECTION_FORCED`) and a reason. False if it is gone.
    pub fn close(&self, id: ConnectionId, reason: &str) -> bool {
        self.with(id, |_, attention| attention.close(reason)).is_some()
    }

    /// The same for all that are chosen. How many.
    pub fn close_all(&self, chosen: impl Fn(&ConnectionInfo) -> bool, reason: &str) -> usize {
        let chosen = self.open.iter().filter(|connected| chosen(&connected.info));
        chosen.map(|connected| connected.attention.close(reason)).count()
    }

    /// Waits until a virtual host has no connections.
    pub(super) async fn left(&self, vhost: &ShortString) {
        loop {
            let left = self.vhost_left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if !self.counts.lock().of_vhosts.contains_key(vhost) {
                return;
            }
            left.await;
        }
    }
}
