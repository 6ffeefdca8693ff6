//! A broker with users, and visitors who come to it from their first byte on. Whatever a visitor sends: who is let in has proven who it is,
//! and may be where it is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    runtime::{Builder, Runtime},
};

use super::{
    Client, Remains, TestHost,
    line::{Line, Plain},
    tls::{self, Ends},
    users::{self, ANONYMOUS, TEAM, TEAM_QUEUES_MAX, USERS, User},
    visitor::Visitor,
};
use crate::broker::{Bounds, Broker, Document};
use crate::config::{Config, PasswordHashing, Settings};
use crate::connection::{
    handshake::{self, Greeted, Refusal},
    peer::Peer,
    proxy,
    socket::TlsSession,
};
use crate::core::{
    access::{Limit, Limits},
    memory::Gauge,
};
use crate::limits::FRAME_SIZE_BYTES_MAX;
use crate::protocol::{FRAME_METHOD, Method, PROTOCOL_HEADER, ShortString, split};
use crate::store::Opened;

/// A broker with users, permissions and limits, and with a certificate. Its time stands still while nobody waits, and then passes at once.
pub struct GuardedHost {
    /// The broker.
    pub host: TestHost,
    runtime: Runtime,
    ends: Ends,
}

/// What became of a visitor.
#[derive(Default)]
pub struct Received {
    /// What it was told until its handshake was over.
    pub told: Vec<u8>,
    /// If it was let in: its connection, and what it has sent behind `connection.open`.
    pub client: Option<(Client, Vec<u8>)>,
}

impl Default for GuardedHost {
    fn default() -> Self {
        let settings = Settings {
            password_hashing: Some(PasswordHashing::Sha256),
            anonymous_login_user: Some(ANONYMOUS.into()),
            ..Settings::default()
        };
        let config = Config::load(settings).expect("they are valid");
        let broker = Broker::with_gauge(config, Opened::forgetful(), Gauge::of_thread());
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("threads can be made");
        let document = Document::read(&users::definitions()).expect("the definitions are JSON");
        runtime.block_on(broker.import(&document)).expect("the definitions fit together");
        let vhost = broker.vhosts.find(TEAM.as_bytes()).expect("it came with the definitions");
        Self { host: TestHost { broker: broker.into(), vhost }, runtime, ends: Ends::new("certified") }
    }
}

impl GuardedHost {
    /// Receives somebody as a listener would.
    ///
    /// # Panics
    ///
    /// If somebody is let in who has not proven who it is, or not where it may be, or is told what is no AMQP.
    pub fn receive(&self, visitor: &Visitor<'_>) -> Received {
        let received = self.runtime.block_on(self.lead_in(visitor));
        check_told(&received.told, received.client.is_some());
        received
    }

    /// Deletes all that clients made, once they are gone, and tells what should not have been left.
    ///
    /// # Panics
    ///
    /// If there is what nobody was permitted to make, or more than there may be, or if a connection still counts.
    pub fn clear(&self) -> Remains {
        let broker = &self.host.broker;
        self.host.vhost.read(|topology| {
            let queues = topology.queues().map(|queue| &queue.spec.name);
            let exchanges = topology.exchanges().map(|spec| &spec.name).filter(|name| !name.is_empty());
            let unpermitted = queues.chain(exchanges).find(|name| !users::may_be_made_by_the_bounded(name));
            assert_eq!(unpermitted, None, "nobody may make that");
            assert!(topology.queues().count() <= TEAM_QUEUES_MAX, "there are more queues than there may be");
        });
        let only_one = Limits::from_iter([(Limit::MaxConnections, 1)]);
        for user in USERS {
            let bounds = Bounds { all: 1, user: &only_one, vhost: &only_one };
            let (user, vhost) = (ShortString::from_static(user.name), ShortString::from_static(TEAM));
            let admission = broker.connections.admit(&user, &vhost, bounds);
            assert_eq!(admission.expect("nobody is there").usage.channels(), 0, "channels of {user}");
        }
        self.host.clear()
    }

    async fn lead_in(&self, visitor: &Visitor<'_>) -> Received {
        let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let before = visitor.proxy.unwrap_or_default();
        let Some(wiretap) = visitor.tls else {
            let all = [before, visitor.words].concat();
            let mut line = Plain::new(&all, visitor.pieces);
            if visitor.proxy.is_some() && !is_announced(&mut line, &mut address).await {
                return Received::default();
            }
            let peer = Peer { address, local: BROKER, tls: false, certificate_name: None };
            return self.greet(visitor, line, &peer).await;
        };
        let mut unread = before;
        if visitor.proxy.is_some() && !is_announced(&mut unread, &mut address).await {
            return Received::default();
        }
        let session = TlsSession::new(self.ends.acceptor()).expect("the certificate is there");
        let mut line = tls::Line::new(session, self.ends.client(wiretap, visitor), unread, visitor.pieces);
        if line.agree().is_err() {
            return Received::default();
        }
        let certificate_name = line.client_name(self.ends.acceptor());
        let peer = Peer { address, local: BROKER, tls: true, certificate_name };
        self.greet(visitor, line, &peer).await
    }

    async fn greet<L: Line>(&self, visitor: &Visitor<'_>, line: L, peer: &Peer) -> Received {
        let (mut reader, mut writer) = tokio::io::split(line);
        let greeted = handshake::greet(&self.host.broker, &mut reader, &mut writer, peer).await;
        if let Err(refusal) = &greeted
            && !matches!(refusal, Refusal::Gone(_))
        {
            handshake::refuse(&mut writer, refusal).await;
        }
        let mut line = reader.unsplit(writer);
        let client = match greeted {
            Err(_refusal) => None,
            Ok(greeted) => {
                assert_welcome(&greeted, visitor, peer);
                let Greeted { negotiated, info, admission, leftover: mut behind, .. } = greeted;
                // Damaged further on: it says no more.
                let _broken = line.read_to_end(&mut behind).await;
                Some((self.host.open(negotiated, info, admission), behind))
            }
        };
        Received { told: line.told(), client }
    }
}

/// Where the broker is, as far as anybody is told.
const BROKER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5672);

/// Reads a proxy's header. Whether there is one.
async fn is_announced(reader: &mut (impl AsyncRead + Unpin), address: &mut SocketAddr) -> bool {
    match proxy::client_address(reader).await {
        Ok(Some(client)) => *address = client,
        Ok(None) => {}
        Err(_) => return false,
    }
    true
}

/// Fails if it should not have been let in.
fn assert_welcome(greeted: &Greeted, visitor: &Visitor<'_>, peer: &Peer) {
    let name = &greeted.info.user;
    let user = USERS.iter().find(|user| user.name.as_bytes() == &**name);
    let user = user.unwrap_or_else(|| panic!("there is no user {name}"));
    assert_eq!(user.vhost.map(str::as_bytes), Some(&*greeted.info.vhost), "{name} may not be here");
    assert!(user.name != "guest" || peer.address.ip().to_canonical().is_loopback(), "{}", peer.address);
    assert!(has_proven(user, &greeted.mechanism, visitor, peer), "{name} by {}", greeted.mechanism);
}

fn has_proven(user: &User, mechanism: &ShortString, visitor: &Visitor<'_>, peer: &Peer) -> bool {
    match &**mechanism {
        b"EXTERNAL" => peer.certificate_name.as_deref() == Some(user.name),
        b"ANONYMOUS" => user.name == ANONYMOUS,
        b"PLAIN" | b"AMQPLAIN" => user.password.text().is_some_and(|password| {
            visitor.words.windows(password.len()).any(|said| said == password.as_bytes())
        }),
        _ => false,
    }
}

/// Fails unless it is a part of a handshake, and ends where it should.
fn check_told(told: &[u8], is_in: bool) {
    if told.is_empty() || told == PROTOCOL_HEADER {
        assert!(!is_in, "it was not greeted");
        return;
    }
    let (mut rest, mut methods) = (told, Vec::new());
    while let Some((frame, size)) = split(rest, FRAME_SIZE_BYTES_MAX as usize).expect("these are frames") {
        assert_eq!((frame.kind, frame.channel), (FRAME_METHOD, 0));
        methods.push(Method::decode(frame.payload).expect("these are methods").name());
        rest = &rest[size..];
    }
    assert!(rest.is_empty(), "these are whole frames");
    let whole = ["connection.start", "connection.tune", "connection.open-ok"];
    match methods.split_last() {
        Some((&"connection.close", before)) => assert!(!is_in && whole.starts_with(before), "{methods:?}"),
        _ => assert!(whole.starts_with(&methods) && is_in == (methods.len() == 3), "{methods:?}"),
    }
}
