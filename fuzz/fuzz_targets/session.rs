//! Whole sessions behind the handshake, as one or two clients' bytes in pieces of any size.
#![no_main]

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use leveret::connection::fuzzing::{Client, Mutation, Remains, Step, TestHost, write_session};
use leveret::protocol::split;
use libfuzzer_sys::fuzz_target;

const FRAME_BYTES_MAX: usize = 131_072;
const BYTES_MAX: usize = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    static HOST: OnceLock<TestHost> = OnceLock::new();
    let host = HOST.get_or_init(TestHost::default);
    let Some(([mode, pieces], rest)) = data.split_first_chunk() else { return };
    if mode % 2 == 0 {
        play(host, vec![rest.to_vec()], *pieces);
    } else if let Ok(script) = Script::arbitrary_take_rest(Unstructured::new(rest)) {
        play(host, script.sessions(mode & 2 != 0), *pieces);
    }
    assert_eq!(host.clear(), Remains::default());
});

/// What a fuzzer may vary.
#[derive(Debug, Arbitrary)]
struct Script {
    mutations: Vec<(u8, u16, u8)>,
    steps: Vec<Does>,
}

/// See [`Step`], whose fields these are.
#[derive(Debug, Arbitrary)]
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
    /// The bytes of one client, or of two that take turns in the steps.
    fn sessions(&self, two: bool) -> Vec<Vec<u8>> {
        let mut steps = [Vec::new(), Vec::new()];
        for (at, &Does { what, channel, queue, exchange, key, bits, number }) in self.steps.iter().enumerate()
        {
            steps[at % (1 + usize::from(two))].push(Step {
                what,
                channel,
                queue,
                exchange,
                key,
                bits,
                number,
            });
        }
        let mut sessions = Vec::new();
        for steps in &steps[..=usize::from(two)] {
            let mut bytes = Vec::new();
            write_session(steps, &mut bytes);
            for &(what, at, value) in self.mutations.iter().take(8) {
                Mutation { what, at, value }.apply(&mut bytes);
            }
            bytes.truncate(BYTES_MAX);
            sessions.push(bytes);
        }
        sessions
    }
}

/// Feeds the sessions in turns, in pieces whose sizes follow from `pieces`.
fn play(host: &TestHost, sessions: Vec<Vec<u8>>, pieces: u8) {
    let mut clients: Vec<(Client, Vec<u8>, usize)> =
        sessions.into_iter().map(|bytes| (host.client(), bytes, 0)).collect();
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
            if (turn + usize::from(pieces)) % 3 != 0 {
                whole_frames(&client.drain());
            }
            if pieces % 2 == 0 {
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
