//! Sessions without sockets, for fuzz targets and mutation tests.
//!
//! A [`TestHost`] is a broker; a [`Client`] is one connection of it behind the handshake, fed with bytes in any pieces and
//! drained as a socket would drain it. [`Step`]s are what a client may do next, as plain numbers, so that a fuzzer can
//! derive them and a seeded generator can draw them; [`write_session`] makes a client's bytes of them and
//! [`Mutation`]s spoil those bytes.
//!
//! A [`GuardedHost`] is a broker with users, permissions and limits. It receives [`Visitor`]s from their first byte on, through a
//! proxy's header, TLS and the login, as a listener would, and knows who must not be let in.
//!
//! Not part of the broker: compiled for tests and under the feature `fuzzing` only.

mod guarded;
mod line;
mod login;
mod steps;
#[cfg(test)]
mod tests;
mod tls;
mod users;
mod visitor;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

pub use guarded::{GuardedHost, Received};
pub use login::{Login, write_proxy_header};
pub use steps::{Mutation, STEP_KINDS, Step, write_session};
pub use visitor::{TlsVersion, Visitor, Wiretap};

#[cfg(test)]
use std::time::Duration;

#[cfg(test)]
use tokio::time::Instant;

#[cfg(test)]
use super::session::Found;
use super::{
    session::{Negotiated, Phase, Remote, Session},
    work::Then,
};
use crate::auth::Authority;
#[cfg(test)]
use crate::auth::http::{Question, Said, Verdict};
use crate::broker::{Admission, Bounds, Broker, ConnectionInfo, Terms, Vhost};
use crate::config::{Config, PasswordHashing, Settings};
use crate::core::{
    access::Limits,
    effects::Effects,
    memory::{Gauge, Kind},
    outbox::{Outbox, SharedOutbox, feed_by_outbox},
    queue::SharedQueue,
    turn::Turn,
};
use crate::limits::LEFTOVER_BYTES_MAX;
use crate::protocol::{FieldTable, ShortString, channel, frame};
use crate::store::Opened;

/// A broker with the default configuration.
pub struct TestHost {
    pub(super) broker: Arc<Broker>,
    pub(super) vhost: Arc<Vhost>,
}

/// What is left of a host when all clients have gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remains {
    /// Bytes on the gauge after all queues were deleted.
    pub used_bytes: usize,
    /// Messages that queues thought unacknowledged when nobody was there.
    pub unacked: usize,
    /// Consumers that queues still had.
    pub consumers: usize,
    /// Queues that could not be deleted.
    pub queues: usize,
    /// Connections that the broker still knew.
    pub connections: usize,
}

impl Default for TestHost {
    fn default() -> Self {
        // Nobody logs in: no password needs to be hashed at a cost.
        let settings = Settings { password_hashing: Some(PasswordHashing::Sha256), ..Settings::default() };
        let config = Config::load(settings).expect("the defaults are valid");
        let broker = Arc::new(Broker::with_gauge(config, Opened::forgetful(), Gauge::of_thread()));
        let vhost =
            broker.vhosts.find(&broker.config.default_vhost).expect("the default virtual host is there");
        Self { broker, vhost }
    }
}

impl TestHost {
    /// A connection that has been opened.
    pub fn client(&self) -> Client {
        self.client_by(Authority::Own)
    }

    /// One of whose user somebody says what it may do.
    pub(super) fn client_by(&self, authority: Authority) -> Client {
        let user = ShortString::from_static("guest");
        let info = ConnectionInfo {
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            user: user.clone(),
            vhost: self.vhost.name.clone(),
            client_properties: FieldTable::new(),
            terms: Terms::default(),
        };
        let config = &self.broker.config;
        let (none, all) = (Limits::default(), u64::MAX);
        let bounds = Bounds { all, user: &none, vhost: &none };
        let admission = self.broker.connections.admit(&user, &self.vhost.name, bounds);
        let admission = admission.expect("there is no limit");
        let negotiated = Negotiated {
            remote: Remote::new(info.peer, &info.client_properties),
            vhost: self.vhost.clone(),
            user,
            authority,
            usage: admission.usage.clone(),
            frame_max: config.frame_max,
            channel_max: config.channel_max,
        };
        self.open(negotiated, info, admission)
    }

    /// A connection to which this was agreed.
    fn open(&self, negotiated: Negotiated, info: ConnectionInfo, admission: Admission) -> Client {
        let frame_bytes_max = negotiated.frame_max as usize;
        let outbox: SharedOutbox = Arc::new(Mutex::new(Outbox::new(frame_bytes_max, true)));
        let id = self.broker.connected(info, true, outbox.clone(), &Arc::default(), admission);
        let session = Session::new(self.broker.clone(), id, negotiated, outbox.clone());
        Client { session, outbox, frame_bytes_max, unread: Vec::new(), spare: Vec::new() }
    }

    /// Queues that there are.
    pub fn queue_count(&self) -> usize {
        self.broker.vhosts.all().iter().map(|vhost| queues_of(vhost).len()).sum()
    }

    /// Bytes on the gauge, without what is declared.
    pub fn used_bytes(&self) -> usize {
        let gauge = self.broker.gauge;
        // What is declared stays, and so does what is kept of dropped messages.
        gauge.used_bytes() - gauge.used_bytes_of(Kind::Topology) - gauge.used_bytes_of(Kind::Observing)
    }

    /// Deletes all that clients made, once they are gone, and tells what should not have been left.
    pub fn clear(&self) -> Remains {
        let mut remains = Remains { connections: self.broker.connections.count(), ..Remains::default() };
        for vhost in self.broker.vhosts.all() {
            for queue in queues_of(&vhost) {
                let status = queue.status();
                remains.unacked += status.unacked;
                remains.consumers += status.consumers;
                drop(vhost.change(|topology| topology.expire_queue(&queue, |_| true)));
            }
            vhost.change(|topology| {
                let names: Vec<_> = topology.exchanges().map(|spec| spec.name.clone()).collect();
                for name in names {
                    // The exchanges that every virtual host has refuse, and should.
                    let _built_in = topology.delete_exchange(&name, false);
                }
            });
        }
        remains.queues = self.queue_count();
        remains.used_bytes = self.used_bytes();
        remains
    }
}

fn queues_of(vhost: &Vhost) -> Vec<Arc<SharedQueue>> {
    vhost.read(|topology| topology.queues().cloned().collect())
}

/// One connection of a [`TestHost`].
pub struct Client {
    session: Session,
    outbox: SharedOutbox,
    frame_bytes_max: usize,
    unread: Vec<u8>,
    spare: Vec<u8>,
}

impl Client {
    /// Lets the session handle `bytes` behind what it has left over; false once the connection is over.
    ///
    /// # Panics
    ///
    /// If the session takes more than there is, leaves over more than a reader may have to keep, or makes the
    /// gauge fall below zero.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        while self.outbox.lock().over_reply_budget() {
            self.drain();
        }
        self.unread.extend_from_slice(bytes);
        loop {
            let used = self.session.handle(&self.unread);
            self.unread.drain(..used);
            if std::mem::take(&mut self.session.replies_full) {
                self.drain();
            } else if !self.session.is_busy() || self.session.is_asking() {
                break;
            }
        }
        let _publishers_would_pause = std::mem::take(&mut self.session.congested);
        let open = !self.session.phase.is_over();
        let kept_bytes_max = LEFTOVER_BYTES_MAX.max(self.frame_bytes_max + frame::FRAME_OVERHEAD_BYTES);
        let is_idle = open && !self.session.is_asking();
        assert!(!is_idle || self.unread.len() <= kept_bytes_max, "the session waits for more than a frame");
        assert!(self.session.broker.gauge.used_bytes() < usize::MAX / 2, "the gauge is below zero");
        open
    }

    /// What the HTTP service is to be asked before the session goes on.
    #[cfg(test)]
    pub(super) fn question(&self) -> Option<Question> {
        self.session.wanted_question().cloned()
    }

    /// Answers that, for so long, and lets the session go on.
    #[cfg(test)]
    pub(super) fn answer(&mut self, said: Said, span: Duration) -> bool {
        let Some(question) = self.question() else { return true };
        let verdict = Verdict { said, until: Instant::now() + span };
        self.session.found(Found::Permission(Box::new(question), verdict));
        self.feed(&[])
    }

    /// Answers `channel.close` as a client does that goes on: `channel.close-ok`, then the channel is opened again. Does
    /// nothing in the middle of a frame.
    pub fn reopen_channels(&mut self) {
        if !self.unread.is_empty() || self.session.phase != Phase::Open {
            return;
        }
        let closing = self.session.channels.iter().filter(|(_, channel)| channel.closing);
        let numbers: Vec<_> = closing.map(|(number, _)| number).collect();
        let mut answer = Vec::new();
        for number in numbers {
            frame::write_method(&mut answer, number, &channel::CloseOk {});
            frame::write_method(&mut answer, number, &channel::Open {});
        }
        self.feed(&answer);
    }

    /// Takes what waits for the client, as its socket would: one buffer.
    pub fn drain(&mut self) -> Vec<u8> {
        let mut context = Context::from_waker(Waker::noop());
        let taken = self.outbox.lock().poll_take(&mut self.spare, &mut context);
        if taken != Poll::Ready(true) {
            return Vec::new();
        }
        let bytes = std::mem::take(&mut self.spare);
        let _reader = self.outbox.lock().written();
        while feed_by_outbox(&self.outbox, &mut Effects::default(), &mut Turn::default()) {}
        bytes
    }

    /// Ends the connection: everything that it holds goes back.
    pub fn leave(mut self) {
        self.session.release_everything(Then::Nothing);
        while !self.session.finish() {}
        let _writer = self.outbox.lock().close();
    }

    /// Ends the connection and clears the host, on which it must be the last one: gives the bytes on the gauge,
    /// which must be none.
    pub fn finish(self, host: &TestHost) -> usize {
        self.leave();
        host.clear().used_bytes
    }
}
