//! Many sessions, each valid at first and then spoilt, against one broker: nothing panics, nothing hangs, and nothing
//! is left behind.
//!
//! `LEVERET_SEED` chooses the sessions and `LEVERET_MUTATIONS` how many; a failure names the seed and the session.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::fuzzing::{Client, Mutation, Remains, Step, TestHost, write_session};
use crate::protocol::{FRAME_METHOD, Method, split};

const SEED: u64 = 0x1E_7E_2E_70;
const FRAME_BYTES_MAX: usize = 131_072;
const SESSIONS: u64 = 20_000;
/// Far more than any session takes.
const SESSION_DURATION_MAX: Duration = Duration::from_secs(10);

#[test]
fn mutated_sessions_leave_nothing_behind() {
    let seed = from_environment("LEVERET_SEED").unwrap_or(SEED);
    let sessions = from_environment("LEVERET_MUTATIONS").unwrap_or(SESSIONS);
    let host = TestHost::default();
    let base = host.clear();
    let started = Instant::now();
    let mut tally = BTreeMap::new();
    let mut at_tenth = 0;
    for session in 0..sessions {
        if session == sessions / 10 {
            at_tenth = resident_kib();
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| one_session(&host, seed, session, &mut tally)));
        let remains = outcome.unwrap_or_else(|_| panic!("seed {seed}, session {session}: panicked"));
        assert_eq!(remains, Remains::default(), "seed {seed}, session {session}");
    }
    assert_eq!(host.clear(), base, "seed {seed}");
    println!(
        "{sessions} sessions from seed {seed} in {:?}, resident {at_tenth} KiB after a tenth and {} KiB at the end",
        started.elapsed(),
        resident_kib(),
    );
    println!("{tally:?}");
    let times = |name: &str| tally.get(name).copied().unwrap_or(0);
    for name in
        ["basic.deliver", "basic.get-ok", "basic.ack", "basic.return", "tx.commit-ok", "channel.close"]
    {
        assert!(
            times(name) >= sessions / 100,
            "{name} {} times: the sessions do not get anywhere",
            times(name)
        );
    }
}

/// How often the broker sent each method.
type Tally = BTreeMap<&'static str, u64>;

fn count(mut bytes: &[u8], tally: &mut Tally) {
    while let Some((frame, size)) = split(bytes, FRAME_BYTES_MAX).expect("the broker sends frames") {
        if frame.kind == FRAME_METHOD {
            let method = Method::decode(frame.payload).expect("the broker sends methods");
            *tally.entry(method.name()).or_default() += 1;
        }
        bytes = &bytes[size..];
    }
    assert!(bytes.is_empty(), "the broker sends whole frames");
}

/// One or two clients at once; gives what they leave.
fn one_session(host: &TestHost, seed: u64, session: u64, tally: &mut Tally) -> Remains {
    let started = Instant::now();
    let mut random = StdRng::seed_from_u64(seed ^ session.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let at_once = if random.random_bool(0.25) { 2 } else { 1 };
    let mut clients: Vec<(Client, Vec<u8>)> =
        (0..at_once).map(|_| (host.client(), spoilt_session(&mut random))).collect();
    let mut open = true;
    while open {
        open = false;
        for (client, bytes) in &mut clients {
            let size = piece(bytes, &mut random);
            let chunk: Vec<u8> = bytes.drain(..size).collect();
            if !client.feed(&chunk) {
                bytes.clear();
            }
            if random.random_bool(0.5) {
                count(&client.drain(), tally);
            }
            if bytes.first() == Some(&FRAME_METHOD) {
                client.reopen_channels();
            }
            open |= !bytes.is_empty();
        }
    }
    for (mut client, _) in clients {
        count(&client.drain(), tally);
        client.leave();
    }
    assert!(
        started.elapsed() < SESSION_DURATION_MAX,
        "a session of a few kilobytes took {:?}",
        started.elapsed()
    );
    host.clear()
}

/// How many bytes are fed at once: some frames, or any number.
fn piece(bytes: &[u8], random: &mut StdRng) -> usize {
    if random.random_bool(0.3) {
        return random.random_range(0..=bytes.len().min(300));
    }
    let mut at = 0;
    for _ in 0..random.random_range(1..8) {
        match split(&bytes[at..], FRAME_BYTES_MAX) {
            Ok(Some((_, size))) => at += size,
            _ => return bytes.len(),
        }
    }
    at
}

/// The bytes of a session, most of the time with a few mistakes in them.
fn spoilt_session(random: &mut StdRng) -> Vec<u8> {
    let steps: Vec<Step> = (0..random.random_range(1..60)).map(|_| step(random)).collect();
    let mut bytes = Vec::new();
    write_session(&steps, &mut bytes);
    for _ in 0..random.random_range(0..3) {
        // Most mistakes near the end, so that the session gets somewhere before them.
        let from = if random.random_bool(0.7) { bytes.len() / 2 } else { 0 };
        let at = random.random_range(from..=bytes.len()) as u16;
        Mutation { what: random.random(), at, value: random.random() }.apply(&mut bytes);
    }
    bytes
}

fn step(random: &mut StdRng) -> Step {
    let [what, channel, queue, exchange, key, bits] = random.random();
    Step { what, channel, queue, exchange, key, bits, number: random.random() }
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value}")))
}

/// Memory that the process has, as Linux counts it; zero elsewhere.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
