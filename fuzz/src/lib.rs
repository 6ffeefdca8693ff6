//! What the targets have in common: what a fuzzer may vary of sessions, and how they are played.

use arbitrary::Arbitrary;
use leveret::connection::fuzzing::{Client, Login, Mutation, Step, write_session};
use leveret::protocol::split;

const FRAME_BYTES_MAX: usize = 131_072;
/// Of one client.
const BYTES_MAX: usize = 64 * 1024;
/// Of one script.
const MUTATIONS_MAX: usize = 8;

/// Clients that take turns in what is done, and what is spoilt of their bytes.
#[derive(Debug, Arbitrary)]
pub struct Script {
    spoilt: Vec<Spoilt>,
    steps: Vec<Does>,
}

/// See [`Mutation`], whose fields these are.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Spoilt {
    what: u8,
    at: u16,
    value: u8,
}

/// See [`Login`], whose fields these are.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct LogsIn {
    header: u8,
    mechanism: u8,
    user: u8,
    password: u8,
    properties: u8,
    tune: u8,
    vhost: u8,
}

/// See [`Step`], whose fields these are.
#[derive(Debug, Clone, Copy, Arbitrary)]
struct Does {
    what: u8,
    channel: u8,
    queue: u8,
    exchange: u8,
    key: u8,
    bits: u8,
    number: u16,
}

impl Script {
    /// The bytes of so many clients behind the handshake.
    pub fn sessions(&self, clients: usize) -> Vec<Vec<u8>> {
        let mut sessions = vec![Vec::new(); clients];
        for (at, bytes) in sessions.iter_mut().enumerate() {
            let steps: Vec<Step> =
                self.steps.iter().skip(at).step_by(clients).map(|does| (*does).into()).collect();
            write_session(&steps, bytes);
        }
        sessions
    }

    /// The same with the login in front; what is spoilt may be in either.
    pub fn visits(&self, logins: &[LogsIn]) -> Vec<Vec<u8>> {
        let behind = self.sessions(logins.len());
        let visits = logins.iter().zip(behind).map(|(login, behind)| {
            let mut bytes = Vec::new();
            Login::from(*login).write(&mut bytes);
            bytes.extend(behind);
            bytes
        });
        visits.collect()
    }

    /// Spoils the bytes, as much as there is to be.
    pub fn spoil(&self, bytes: &mut Vec<u8>) {
        self.damage().iter().for_each(|mutation| mutation.apply(bytes));
        bytes.truncate(BYTES_MAX);
    }

    /// What is to be spoilt.
    pub fn damage(&self) -> Vec<Mutation> {
        let spoilt = self.spoilt.iter().take(MUTATIONS_MAX);
        spoilt.map(|&Spoilt { what, at, value }| Mutation { what, at, value }).collect()
    }
}

impl From<LogsIn> for Login {
    fn from(it: LogsIn) -> Self {
        let LogsIn { header, mechanism, user, password, properties, tune, vhost } = it;
        Self { header, mechanism, user, password, properties, tune, vhost }
    }
}

impl From<Does> for Step {
    fn from(it: Does) -> Self {
        let Does { what, channel, queue, exchange, key, bits, number } = it;
        Self { what, channel, queue, exchange, key, bits, number }
    }
}

/// Feeds the clients their bytes in turns, in pieces whose sizes follow from `pieces`. They leave at the end.
pub fn play(clients: Vec<(Client, Vec<u8>)>, pieces: u8) {
    let mut clients: Vec<_> = clients.into_iter().map(|(client, bytes)| (client, bytes, 0)).collect();
    let sizes = [1 + usize::from(pieces), 7, 1 + usize::from(pieces) * 16, 64];
    for turn in 0.. {
        let mut fed = false;
        for (client, bytes, at) in &mut clients {
            let end = (*at + sizes[turn % sizes.len()]).min(bytes.len());
            if *at < end {
                fed = true;
                let open = client.feed(&bytes[*at..end]);
                *at = if open { end } else { bytes.len() };
            }
            if !(turn + usize::from(pieces)).is_multiple_of(3) {
                whole_frames(&client.drain());
            }
            if pieces.is_multiple_of(2) {
                client.reopen_channels();
            }
        }
        if !fed {
            break;
        }
    }
    for (mut client, ..) in clients {
        whole_frames(&client.drain());
        client.leave();
    }
}

fn whole_frames(mut bytes: &[u8]) {
    while let Some((_, size)) = split(bytes, FRAME_BYTES_MAX).expect("the broker sends frames") {
        bytes = &bytes[size..];
    }
    assert!(bytes.is_empty(), "the broker sends whole frames");
}
