//! Sockets on which nobody ever logs in: with words that come octet by octet, and without any.

use std::{
    io::{self, Write},
    net::Shutdown,
    thread,
    time::Duration,
};

use rustls::ClientConnection;

use crate::{
    entry::Entry,
    machines::step_aside,
    peer::{Peer, log_in},
    scene::{Row, Scene, rows_among_tenants, size},
    tenants::{LIMITED, again_and_again, duration},
    wire::{METHOD, PROTOCOL_HEADER, Stream, frame},
};

rows_among_tenants! {
    first_words_octet_by_octet
    a_login_octet_by_octet
    half_open_sockets
    handshakes_that_are_large_and_do_not_end
}

/// Of TLS, or of AMQP where there is no TLS.
fn first_words_octet_by_octet() -> Row {
    Row {
        name: "1,500 sockets whose first words come octet by octet",
        attack: |scene, _| {
            let words = first_words(&scene.attacker);
            drip(size(1_500, 60), &words, || Ok(Box::new(scene.attacker.tcp()?)))
        },
        ..LIMITED
    }
}

fn a_login_octet_by_octet() -> Row {
    Row {
        name: "1,500 clients whose login comes octet by octet",
        attack: |scene, _| {
            let login = frame(METHOD, 0, &log_in(&scene.attacker.user, &scene.attacker.password).0);
            drip(size(1_500, 60), &[PROTOCOL_HEADER, &login].concat(), || scene.attacker.connect())
        },
        ..LIMITED
    }
}

/// What a client says first.
fn first_words(entry: &Entry) -> Vec<u8> {
    let Some(config) = &entry.tls else { return PROTOCOL_HEADER.to_vec() };
    let mut session = ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

/// Keeps so many sockets, and sends the next octet on each of them, as long as a flood goes on. In the place of one that the broker has
/// closed, or that has said it all, comes a new one.
fn drip(sockets: usize, words: &[u8], connect: impl Fn() -> io::Result<Box<dyn Stream>>) -> io::Result<()> {
    let mut dripping: Vec<(Box<dyn Stream>, usize)> = Vec::new();
    let drops = |(stream, said): &mut (Box<dyn Stream>, usize)| {
        let octet = words.get(*said..=*said).unwrap_or_default();
        *said += 1;
        step_aside();
        !octet.is_empty() && stream.write_all(octet).and_then(|()| stream.flush()).is_ok()
    };
    again_and_again(|| {
        dripping.retain_mut(drops);
        while dripping.len() < sockets {
            dripping.push((connect()?, 0));
        }
        thread::sleep(DRIP_INTERVAL);
        Ok(())
    })
    .map(drop)
}

fn half_open_sockets() -> Row {
    Row {
        name: "half-open sockets: 500 silent, 500 behind TLS, 500 logged in nowhere, 500 shut down",
        attack: |scene, peers| {
            let (count, entry) = (size(500, 20), &scene.attacker);
            let silent: Vec<_> = (0..count).map(|_| entry.tcp()).collect::<io::Result<_>>()?;
            let shut: Vec<_> = (0..count).map(|_| entry.tcp()).collect::<io::Result<_>>()?;
            for tcp in &shut {
                (&*tcp).write_all(&first_words(entry)[..4])?;
                tcp.shutdown(Shutdown::Write)?;
            }
            for _ in 0..count {
                peers.push(Peer::silent(entry)?);
                let mut peer = Peer::greeted(entry)?;
                peer.call(0, &log_in(&entry.user, &entry.password), (10, 30))?;
                peers.push(peer);
            }
            thread::sleep(duration() / 2);
            drop((silent, shut));
            Ok(())
        },
        ..LIMITED
    }
}

/// As much as the broker takes before it knows anything: with TLS, a handshake that announces a long message and does not end; without, a
/// frame.
fn handshakes_that_are_large_and_do_not_end() -> Row {
    Row {
        name: "4,000 handshakes of 60 KB that do not end",
        attack: |scene, _| {
            let mut kept = Vec::new();
            for _ in 0..size(4_000, 100) {
                let mut tcp = scene.attacker.tcp()?;
                tcp.set_write_timeout(Some(Duration::from_millis(100)))?;
                // The broker may refuse it at any place.
                let _refused = large_words(scene).chunks(4_096).try_for_each(|part| {
                    step_aside();
                    tcp.write_all(part)
                });
                kept.push(tcp);
            }
            thread::sleep(duration() / 10);
            Ok(())
        },
        ..LIMITED
    }
}

fn large_words(scene: &Scene) -> Vec<u8> {
    if scene.attacker.tls.is_none() {
        let mut words = [PROTOCOL_HEADER, &[METHOD, 0, 0, 0, 0, 0x1F, 0xF0]].concat();
        words.resize(8_000, 0);
        return words;
    }
    // A ClientHello of 65,535 octets, of which the last ones do not come, in records of 16 KB.
    let mut hello = vec![1, 0, 0xFF, 0xFF];
    hello.resize(60_000, 0);
    hello
        .chunks(16_384)
        .flat_map(|part| [&[0x16, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat())
        .collect()
}

const DRIP_INTERVAL: Duration = Duration::from_millis(20);
