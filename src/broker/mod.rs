//! The concurrent shell round the core: what connections share.

mod access;
mod alarm;
mod attempts;
mod clock;
mod completed;
mod configured;
mod connections;
mod counted;
mod definitions;
mod drops;
#[cfg(test)]
mod host;
mod moving_in;
mod node;
mod paging;
mod rates;
mod reading;
mod redrive;
mod reply_to;
mod totals;
mod vhost;
mod vhosts;

use std::{collections::HashSet, sync::Arc};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub use access::Access;
pub use alarm::Alarm;
pub use attempts::{Attempts, Spoken};
pub use clock::WallClock;
pub use configured::{BadPolicy, configured_policies};
pub use connections::{
    Admission, Attention, Bounds, ConnectionFigures, ConnectionInfo, ConnectionTotals, Connections, Terms,
    TooMany, Usage,
};
pub use definitions::{Document, Imported, Problem, json_name, json_table};
pub use drops::{Drops, Lost};
pub use moving_in::{Arrived, Stopped};
pub use node::node_name;
pub use rates::Rates;
pub use reading::Quiet;
pub use redrive::{Ended, Progress, RedriveError};
pub use reply_to::{REPLY_TO, ReplyConsumers, reply_token};
pub use totals::{Counted, Totals};
pub use vhost::{Calls, Share, Vhost, of_channels};
pub use vhosts::{Begun, Exists, Vhosts};

use crate::audit;
use crate::auth::{Authenticator, new_hash};
use crate::config::{Config, Effective};
use crate::core::{
    ConnectionId,
    access::{AccessChange, Limits, PermissionsSpec, Registry, UserSpec},
    change::Changes,
    clock::Clock,
    commit::{Commit, Commits},
    counts::SizeTally,
    declared::VhostSettings,
    journal::Journal,
    memory::Gauge,
    outbox::SharedOutbox,
    pager::Pager,
    placement::QueueIds,
    queue::{Cursor, Peek, SharedQueue},
};
use crate::limits::{
    CONSUMER_TIMEOUT_INTERVAL, ENDINGS_AT_ONCE_MAX, HELD_LOOKED_AT_ONCE_MAX, LINGERING_SOCKETS_MAX,
    SHARES_INTERVAL,
};
use crate::protocol::ShortString;
use crate::store::Opened;
use reading::OffWorker;
use vhosts::Common;

/// What all connections share.
pub struct Broker {
    /// What it was told.
    pub config: Config,
    /// What holds of that now.
    pub effective: Effective,
    /// Checks who clients are.
    pub authenticator: Authenticator,
    /// Who may do what.
    pub access: Access,
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
    /// Of which sizes messages were.
    pub sizes: SizeTally,
    /// What operators have begun: the broker waits for it when it stops.
    pub operations: TaskTracker,
    /// Logins.
    pub attempts: Attempts,
    /// Turns of connections that end: of thousands that end at once, a few at a time, so that others have theirs in between.
    pub endings: Semaphore,
    /// Places for sockets whose connection is over.
    pub lingering: Semaphore,
    /// The connections that are open.
    pub connections: Arc<Connections>,
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
        let authenticator = Authenticator::new(&config);
        let needs_defaults = restored.needs_defaults();
        let access = Access::new(restored_access(restored.access), journal.clone());
        let clock: Arc<dyn Clock> = Arc::new(WallClock::start());
        let ids = Arc::new(QueueIds::after(restored.last_queue));
        let mut contents = restored.contents;
        let declared = restored.topology;
        let vhosts =
            Vhosts::new(Common { gauge, journal: journal.clone(), pager, ids, clock: clock.clone() });
        for (name, changes) in declared {
            vhosts.restore(name, changes, &mut contents);
        }
        if needs_defaults {
            // One of a time when users were not stored may be there already.
            if vhosts.make(&config.default_vhost, VhostSettings::default(), Changes::new()).is_ok() {
                audit::vhost_made(&config.default_vhost, &VhostSettings::default());
            }
            access.change(defaults(&config)).expect("`.*` is an expression");
        }
        Self {
            effective: Effective::new(&config),
            vhosts,
            sizes: SizeTally::default(),
            attempts: Attempts::default(),
            authenticator,
            access,
            gauge,
            journal,
            alarm: Alarm::default(),
            clock,
            reply_consumers: ReplyConsumers::default(),
            operations: TaskTracker::new(),
            endings: Semaphore::new(ENDINGS_AT_ONCE_MAX),
            lingering: Semaphore::new(LINGERING_SOCKETS_MAX),
            connections: Arc::default(),
            config,
        }
    }

    /// Deletes a virtual host with all that is in it: its connections are closed with 320, its permissions go, and when the
    /// connections are gone, its queues. Gives the commits after which no start brings it back; `None` if there is none of this name.
    pub fn delete_vhost(&self, name: &ShortString) -> Option<Commits> {
        let (_, deleted) = self.vhosts.delete(name)?;
        let permissions = self.access.change_by(|registry| registry.deletion_of_vhost(name));
        self.connections.close_all(|info| info.vhost == *name, &vhost_deleted(name));
        let mut commits: Commits = permissions.unwrap_or_default().into();
        if let Some(commit) = deleted {
            commits.add(commit);
        }
        Some(commits)
    }

    /// Registers a connection that has been opened. Its virtual host, or its user if that is one of the broker's own, may have been deleted
    /// since they let it in: then it is closed as those were that were registered by then.
    pub fn connected(
        &self,
        info: ConnectionInfo,
        is_own_user: bool,
        outbox: SharedOutbox,
        attention: &Arc<Attention>,
        admission: Admission,
    ) -> ConnectionId {
        let (vhost, user) = (info.vhost.clone(), info.user.clone());
        let id = self.connections.connected(info, outbox, attention.clone(), admission);
        if self.vhosts.find(&vhost).is_none() {
            attention.close(&vhost_deleted(&vhost));
        } else if is_own_user && self.access.user(&user).is_none() {
            attention.close(&user_deleted(&user));
        }
        id
    }

    /// Waits until no crash can take back what these commits have.
    pub async fn kept(&self, commits: &Commits) {
        for commit in commits.iter() {
            completed::completed(&*self.journal, commit).await;
        }
    }

    /// Clears away a virtual host that was deleted, as soon as its connections are gone.
    pub async fn clear_vhost_away(&self, vhost: &Vhost) {
        self.connections.left(&vhost.name).await;
        vhost.empty().await;
        self.vhosts.close(vhost);
        tracing::info!(vhost = %vhost.name, "a deleted virtual host is cleared away");
    }

    /// Blocks the publishers of virtual hosts that have more messages than they may. Runs as long as the broker.
    pub async fn watch_shares(&self) {
        loop {
            tokio::time::sleep(SHARES_INTERVAL).await;
            for vhost in self.vhosts.all() {
                vhost.watch_share().await;
            }
        }
    }

    /// Deletes a user and what it was permitted, and closes its connections with 320. Gives the commit to wait for; `None` if there is
    /// none of this name.
    pub fn delete_user(&self, name: &ShortString) -> Option<Commit> {
        self.access.user(name)?;
        let commit = self.access.change_by(|registry| registry.deletion_of_user(name)).unwrap_or_default();
        self.connections.close_all(|info| info.user == *name, &user_deleted(name));
        Some(commit)
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
            let mut looked = 0;
            for id in self.connections.ids() {
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
        let (now, default) = (self.clock.now(), self.config.consumer_timeout);
        let looked = self.connections.with(id, |outbox, attention| {
            attention.look_for_expiry(now);
            let mut outbox = outbox.lock();
            let (looked, found) = outbox.look_for_overdue(now, default, anew);
            let waits_for_nothing = outbox.channels_to_feed().next().is_some();
            drop(outbox);
            if found || waits_for_nothing {
                attention.call();
            }
            looked + 1
        });
        looked.unwrap_or_default()
    }

    /// Looks at messages of a queue that clients hold; see [`SharedQueue::peek_unacked`]. Only connections of its virtual host are looked
    /// at, and those first that consume from it: the others may hold what they have got, or what a consumer left them that is gone.
    pub fn peek_unacked(&self, vhost: &Vhost, queue: &Arc<SharedQueue>, from: Cursor, limit: usize) -> Peek {
        let consumers: HashSet<_> =
            queue.consumers_shown().iter().map(|its| Arc::as_ptr(&its.outbox)).collect();
        let all = self.connections.with_outboxes(&vhost.name).into_iter().map(|(id, _, outbox)| (id, outbox));
        let (first, then): (Vec<_>, Vec<_>) =
            all.partition(|(_, outbox)| consumers.contains(&Arc::as_ptr(outbox)));
        queue.peek_unacked(first.into_iter().chain(then), from, limit)
    }
}

/// What clients hear whose virtual host is deleted (RabbitMQ, which has stopped it by then).
fn vhost_deleted(name: &ShortString) -> String {
    format!("vhost '{name}' is down")
}

/// What clients hear whose user is deleted.
fn user_deleted(name: &ShortString) -> String {
    format!("user '{name}' is deleted")
}

/// Users and permissions as the journal remembers them.
fn restored_access(changes: Vec<AccessChange>) -> Registry {
    let mut registry = Registry::default();
    for change in changes {
        if let Err(error) = registry.apply(change.clone()) {
            // What cannot be read permits nothing.
            tracing::error!(?change, %error, "permissions that cannot be read are left out");
        }
    }
    registry
}

/// The changes that make the default user, who may do everything in the default virtual host.
fn defaults(config: &Config) -> [AccessChange; 2] {
    let name = config.default_user.clone();
    let user = UserSpec {
        name: name.clone(),
        password: new_hash(config.password_hashing, &config.default_pass),
        tags: vec![ShortString::from_static("administrator")],
        limits: Limits::default(),
    };
    [AccessChange::UserSet(user), everything(&name, &config.default_vhost)]
}

/// The change that lets a user do everything in a virtual host.
fn everything(user: &ShortString, vhost: &ShortString) -> AccessChange {
    let [configure, write, read] = [".*"; 3].map(String::from);
    let (user, vhost) = (user.clone(), vhost.clone());
    AccessChange::PermissionsSet(PermissionsSpec { user, vhost, configure, write, read })
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
