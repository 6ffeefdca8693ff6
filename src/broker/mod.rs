//! The concurrent shell round the core: what connections share.

mod alarm;
mod clock;
mod configured;
mod drops;
#[cfg(test)]
mod host;
mod paging;
mod reading;
mod redrive;
mod reply_to;
mod vhost;
mod vhosts;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use dashmap::DashMap;
use tokio::sync::{Notify, Semaphore};

pub use alarm::Alarm;
pub use clock::WallClock;
pub use configured::{BadPolicy, configured_policies};
pub use drops::{Drops, Lost};
pub use reading::Quiet;
pub use redrive::{Ended, Progress, RedriveError};
pub use reply_to::{REPLY_TO, ReplyConsumers, reply_token};
pub use vhost::Calls;
pub use vhost::Vhost;
pub use vhosts::Vhosts;

use crate::auth::{Authenticator, Users};
use crate::config::Config;
use crate::core::{
    ConnectionId,
    clock::Clock,
    journal::Journal,
    memory::Gauge,
    outbox::SharedOutbox,
    pager::Pager,
    placement::QueueIds,
    queue::{Cursor, Peek, SharedQueue},
    window::ChannelFigures,
};
use crate::limits::{CONSUMER_TIMEOUT_INTERVAL, HELD_LOOKED_AT_ONCE_MAX, LINGERING_SOCKETS_MAX};
use crate::protocol::{FieldTable, ShortString};
use crate::store::Opened;
use reading::OffWorker;
use vhosts::Common;

/// What all connections share.
pub struct Broker {
    /// What it was told.
    pub config: Config,
    /// Who there is.
    pub users: Users,
    /// Checks who clients are.
    pub authenticator: Authenticator,
    /// Bytes that clients have made it take.
    pub gauge: &'static Gauge,
    /// Keeps what must outlive the process.
    pub journal: Arc<dyn Journal>,
    /// Whether publishers are held up.
    pub alarm: Alarm,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Direct reply-to.
    pub reply_consumers: ReplyConsumers,
    /// Virtual hosts.
    pub vhosts: Vhosts,
    /// Places for sockets whose connection is over.
    pub lingering: Semaphore,
    connections: DashMap<ConnectionId, Connected>,
    last_connection: AtomicU64,
}

/// An open connection.
struct Connected {
    info: ConnectionInfo,
    outbox: SharedOutbox,
    attention: Arc<Notify>,
}

/// What is to be shown of it.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Where the client is.
    pub peer: SocketAddr,
    /// Who it is.
    pub user: ShortString,
    /// What it said of itself in `connection.start-ok`.
    pub client_properties: FieldTable,
}

/// A connection's figures at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionFigures {
    /// Those of its channels, by number.
    pub channels: Vec<(u16, ChannelFigures)>,
    /// Bytes that its client has not been sent yet.
    pub pending_bytes: usize,
}

impl Broker {
    /// A broker with its default user and virtual host, and with what the journal remembers.
    pub fn new(config: Config, opened: Opened) -> Self {
        let gauge = Gauge::new(config.memory_limit_bytes);
        Self::with_gauge(config, opened, gauge)
    }

    /// The same, with a gauge that is there already.
    pub fn with_gauge(config: Config, opened: Opened, gauge: &'static Gauge) -> Self {
        let Opened { journal, pager, restored } = opened;
        let pager: Arc<dyn Pager> = Arc::new(OffWorker(pager));
        let (users, authenticator) = (Users::new(&config), Authenticator::new(&config));
        let clock: Arc<dyn Clock> = Arc::new(WallClock::start());
        let ids = Arc::new(QueueIds::after(restored.last_queue));
        let mut contents = restored.contents;
        let mut declared = restored.topology;
        declared.entry(config.default_vhost.clone()).or_default();
        let vhosts =
            Vhosts::new(Common { gauge, journal: journal.clone(), pager, ids, clock: clock.clone() });
        for (name, changes) in declared {
            vhosts.restore(name, changes, &mut contents);
        }
        Self {
            vhosts,
            users,
            authenticator,
            gauge,
            journal,
            alarm: Alarm::default(),
            clock,
            reply_consumers: ReplyConsumers::default(),
            lingering: Semaphore::new(LINGERING_SOCKETS_MAX),
            connections: DashMap::new(),
            last_connection: AtomicU64::new(0),
            config,
        }
    }

    /// Looks for clients that hold messages for too long, or whose consumers wait for memory that there is by now, and has their
    /// connections see to it. Runs as long as the broker.
    pub async fn watch_consumers(&self) {
        let mut policies_seen = 0;
        loop {
            tokio::time::sleep(CONSUMER_TIMEOUT_INTERVAL).await;
            let policies = self.vhosts.policies_changed();
            let anew = policies != policies_seen;
            policies_seen = policies;
            let ids: Vec<_> = self.connections.iter().map(|connected| *connected.key()).collect();
            let mut looked = 0;
            for id in ids {
                looked += self.watch_consumers_of(id, anew);
                if looked >= HELD_LOOKED_AT_ONCE_MAX {
                    looked = 0;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Looks at what one client holds; gives how much it looked at.
    fn watch_consumers_of(&self, id: ConnectionId, anew: bool) -> usize {
        let Some(connected) = self.connections.get(&id) else { return 0 };
        let (now, default) = (self.clock.now(), self.config.consumer_timeout);
        let mut outbox = connected.outbox.lock();
        let (looked, found) = outbox.look_for_overdue(now, default, anew);
        let waits_for_nothing = outbox.channels_to_feed().next().is_some();
        drop(outbox);
        if found || waits_for_nothing {
            connected.attention.notify_one();
        }
        looked + 1
    }

    /// Looks at messages of a queue that clients hold; see [`SharedQueue::peek_unacked`].
    pub fn peek_unacked(&self, queue: &Arc<SharedQueue>, from: Cursor, limit: usize) -> Peek {
        let outboxes: Vec<SharedOutbox> = self.connections.iter().map(|it| it.outbox.clone()).collect();
        queue.peek_unacked(outboxes, from, limit)
    }

    /// Registers a connection that has been opened.
    ///
    /// `attention` is notified when the client holds something for too long, or may have more than before.
    pub fn connected(
        &self,
        info: ConnectionInfo,
        outbox: SharedOutbox,
        attention: Arc<Notify>,
    ) -> ConnectionId {
        let id = ConnectionId(self.last_connection.fetch_add(1, Ordering::Relaxed) + 1);
        self.connections.insert(id, Connected { info, outbox, attention });
        id
    }

    /// Forgets a connection.
    pub fn disconnected(&self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// How many connections are open.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// The figures of a connection's channels, and the bytes that wait to be sent to its client. `None` if it is gone.
    pub fn figures_of(&self, id: ConnectionId) -> Option<ConnectionFigures> {
        let connected = self.connections.get(&id)?;
        let outbox = connected.outbox.lock();
        let mut channels: Vec<_> = outbox.channels().collect();
        channels.sort_unstable_by_key(|(number, _)| *number);
        Some(ConnectionFigures { channels, pending_bytes: outbox.pending_bytes() })
    }

    /// Open connections.
    pub fn connections(&self) -> Vec<(ConnectionId, ConnectionInfo)> {
        self.connections.iter().map(|entry| (*entry.key(), entry.value().info.clone())).collect()
    }
}

/// A unique name: `prefix` and 16 random bytes in URL-safe letters, as RabbitMQ draws them.
pub fn draw_name(prefix: &str) -> ShortString {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits: u128 = rand::random();
    let mut name = prefix.as_bytes().to_vec();
    for _ in 0..22 {
        name.push(LETTERS[(bits & 63) as usize]);
        bits >>= 6;
    }
    ShortString::try_from(name).expect("prefixes are short literals")
}

#[cfg(test)]
mod tests;
