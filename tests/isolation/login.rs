//! What somebody does who cannot log in: take up descriptors, and write into the log.

use std::{io, time::Instant};

use crate::{
    entry::Entry,
    methods::publish_with,
    node::{Node, Stop},
    peer::{Peer, log_in},
    scene::{patience, size},
    victim::Victims,
    wire::{DURABLE, PROTOCOL_HEADER, method, queue_declare},
};

#[test]
fn silent_sockets_leave_descriptors_to_the_store() {
    silent_sockets(150, 256);
}

#[test]
fn silent_sockets_beyond_all_descriptors_stop_nobody_who_is_logged_in() {
    silent_sockets(size(5_000, 1_200), size(1_024, 512) as u32);
}

/// Clients that are logged in go on, and write more segments than there are descriptors left; so does a broker that is
/// started again.
fn silent_sockets(count: usize, descriptors: u32) {
    let mut node = Node::with_descriptors(descriptors, &[]);
    for start in ["first", "second"] {
        let entry = Entry::guest(node.address());
        let victims = Victims::beside(&entry).unwrap();
        let (mut publisher, began) = (Peer::open(&entry).unwrap(), Instant::now());
        let silent: Vec<Peer> = (0..count).filter_map(|_| Peer::silent(&entry).ok()).collect();
        let written = publish_persistent(&mut publisher, size(91, 40));
        let (felt, outcome) = victims.finish(began);
        println!(
            "\n| {} silent sockets, {descriptors} descriptors, {start} start | longest wait {:?} | p99 {:?} |",
            silent.len(),
            felt.during.longest,
            felt.during.p99
        );
        written
            .and(outcome)
            .unwrap_or_else(|error| panic!("{start} start: {error}; it says\n{}", node.stderr()));
        node.assert_running();
        node.restart(Stop::Term);
    }
}

/// So many megabytes in a durable queue, a segment for each.
fn publish_persistent(peer: &mut Peer, megabytes: usize) -> io::Result<()> {
    peer.call(1, &queue_declare("backlog", DURABLE), (50, 11))?;
    peer.repeat(megabytes, &publish_with("", "backlog", b"\x10\x00\x02", &[b'x'; 1_000_000]))?;
    peer.call(1, &method(90, 10), (90, 11))?;
    peer.repeat(1, &publish_with("", "backlog", b"\x10\x00\x02", b"x"))?;
    // The commit is on disk, and so is all before it.
    peer.call(1, &method(90, 20), (90, 21)).map(drop)
}

#[test]
fn what_peers_call_themselves_is_escaped_bounded_and_not_written_each_time() {
    let node = Node::with(&["--password-hashing", "sha256"]);
    let tries = size(20_000, 1_000);
    let name = format!("eve\n2026-01-01T00:00:00Z  INFO forged\u{1b}[31m\r{}", "x".repeat(6_000));
    // Many at once: the answers to failed logins come later and later.
    for _ in 0..tries / AT_ONCE {
        let logins: Vec<Peer> = (0..AT_ONCE).map(|_| refused_login(&node, &name).unwrap()).collect();
        logins.into_iter().for_each(hear_why);
    }
    let log = node.log();
    println!("\n| {tries} refused logins | {} bytes of log |", log.len());
    assert!(!log.contains(&0x1b), "an escape character is written as it came");
    let lines: Vec<&[u8]> = log.split(|&byte| byte == b'\n').collect();
    assert!(!lines.iter().any(|line| line.starts_with(b"2026-01-01T00:00:00Z")), "a line is forged");
    let longest = lines.iter().map(|line| line.len()).max().unwrap();
    assert!(longest < LOG_LINE_BYTES, "a line of {longest} bytes");
    assert!(lines.len() < tries / 2, "{} lines for {tries} tries", lines.len());
    Victims::beside(&Entry::guest(node.address())).unwrap().finish(Instant::now()).1.unwrap();
}

/// A client that has sent what will be refused.
fn refused_login(node: &Node, user: &str) -> io::Result<Peer> {
    let mut peer = Peer::silent(&Entry::guest(node.address()))?;
    peer.send(PROTOCOL_HEADER)?;
    peer.method(0, &log_in(user, "wrong"))?;
    Ok(peer)
}

/// Why it was refused, then the end of the socket.
fn hear_why(mut peer: Peer) {
    while let Ok(Some(_)) = peer.next(patience()) {
        let _ = peer.method(0, &method(10, 51));
    }
}

/// Failed logins at once.
const AT_ONCE: usize = 500;
/// Longer than any line of the broker's own.
const LOG_LINE_BYTES: usize = 2_000;
