//! A full disk is an alarm and no crash. The disk is a small tmpfs, which needs root: said and skipped without.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    link::{Event, Link, queue_purge},
    message::{self, Id},
    mounts::Mount,
    node::{Node, Stop},
    wire::{DURABLE, basic_ack, basic_consume, basic_get, confirm_select, queue_declare},
};

/// A small disk with a broker on it and one durable queue. Fields are dropped in this order: the broker first.
struct Small {
    node: Node,
    _mount: Mount,
    _folder: TempDir,
}

impl Small {
    fn with_free_limit(bytes: &str) -> Option<Self> {
        Self::with(&["--disk-free-limit", bytes])
    }

    fn with(arguments: &[&str]) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mount = Mount::tmpfs(folder.path(), "48m")?;
        let node = Node::on(&mount.at().join("data"), arguments);
        node.link().call(&queue_declare(QUEUE, DURABLE), 50, 11).unwrap();
        Some(Self { node, _mount: mount, _folder: folder })
    }
}

/// A publisher with confirms that counts what was confirmed.
struct Filler {
    link: Link,
    sent: u64,
    /// Sequence of the first message of this connection's delivery tag 1, less one.
    base: u64,
    waiting: BTreeSet<u64>,
    confirmed: BTreeSet<u64>,
    refused: u64,
    blocked: bool,
    /// Why it was blocked, each time.
    reasons: Vec<String>,
}

impl Filler {
    fn new(node: &Node, base: u64) -> Self {
        let mut link = node.link();
        link.call(&confirm_select(), 85, 11).unwrap();
        Self {
            link,
            sent: 0,
            base,
            waiting: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            refused: 0,
            blocked: false,
            reasons: Vec::new(),
        }
    }

    fn publish(&mut self) {
        self.sent += 1;
        self.waiting.insert(self.sent);
        let id = Id { publisher: 1, sequence: self.base + self.sent };
        self.link.publish("", QUEUE, 0, id, BODY_BYTES).unwrap();
    }

    /// Handles what comes next; false when nothing came for a while.
    fn hear(&mut self, patience: Duration) -> bool {
        match self.link.poll(patience).unwrap() {
            None => return false,
            Some(Event::Confirm { tag, multiple, ack }) => {
                let first = if multiple { 1 } else { tag };
                let done: Vec<u64> = self.waiting.range(first..=tag).copied().collect();
                for tag in done {
                    self.waiting.remove(&tag);
                    self.refused += u64::from(!ack);
                    if ack {
                        self.confirmed.insert(self.base + tag);
                    }
                }
            }
            Some(Event::Blocked(reason)) => {
                self.blocked = true;
                self.reasons.push(reason);
            }
            Some(Event::Unblocked) => self.blocked = false,
            Some(_) => panic!("neither a confirm nor an alarm"),
        }
        true
    }

    /// Publishes until the broker blocks or refuses; waits for what is on its way.
    fn fill(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        while !self.blocked && self.refused == 0 {
            assert!(Instant::now() < deadline, "{} messages and no end of the disk", self.confirmed.len());
            assert!(self.sent < ENOUGH, "{} messages fit on a disk of 48 MiB", self.sent);
            while self.waiting.len() < WINDOW {
                self.publish();
            }
            self.hear(DEADLINE);
        }
        // What the broker had read before it blocked is confirmed still; the rest waits in the socket.
        while !self.waiting.is_empty() && self.hear(Duration::from_millis(500)) {}
    }

    /// Publishes until so many more are confirmed.
    fn go_on(&mut self, more: usize) {
        let (deadline, wanted) = (Instant::now() + DEADLINE, self.confirmed.len() + more);
        while self.confirmed.len() < wanted {
            assert!(Instant::now() < deadline, "publishing does not go on; blocked: {}", self.blocked);
            if self.waiting.len() < WINDOW && !self.blocked {
                self.publish();
            }
            self.hear(Duration::from_millis(20));
        }
    }
}

#[test]
fn publishers_are_blocked_while_the_disk_is_low_and_go_on_after_it_was_drained() {
    let Some(mut small) = Small::with_free_limit("8388608") else { return };
    let mut filler = Filler::new(&small.node, 0);
    filler.fill();
    assert_eq!((filler.reasons.as_slice(), filler.refused), (&["low on disk".to_owned()][..], 0));
    assert!(filler.confirmed.len() > 1_000, "only {} fit", filler.confirmed.len());
    assert!(small.node.disk() < 48 << 20);
    let found = drain(&small.node);
    assert_all_there(&filler, &found);
    let deadline = Instant::now() + DEADLINE;
    while filler.blocked || !filler.waiting.is_empty() {
        assert!(Instant::now() < deadline, "the alarm stays, or a publish was forgotten");
        filler.hear(Duration::from_millis(20));
    }
    filler.go_on(500);
    // Once more around: space was really given back.
    filler.fill();
    assert_eq!((filler.reasons.last().map(String::as_str), filler.refused), (Some("low on disk"), 0));
    small.node.assert_running();
}

#[test]
fn a_disk_that_is_really_full_loses_no_confirmed_message_and_the_broker_lives() {
    let Some(mut small) = Small::with_free_limit("0") else { return };
    let mut filler = Filler::new(&small.node, 0);
    filler.fill();
    small.node.assert_running();
    let found = drain(&small.node);
    assert_all_there(&filler, &found);
    filler.go_on(500);
    small.node.assert_running();
    let mut later = drain(&small.node);
    later.extend(found);
    assert_all_there(&filler, &later);
}

#[test]
fn a_broker_that_was_killed_on_a_full_disk_starts_and_has_what_it_confirmed() {
    for limit in ["0", "8388608"] {
        let Some(mut small) = Small::with_free_limit(limit) else { return };
        let mut filler = Filler::new(&small.node, 0);
        filler.fill();
        small.node.restart(Stop::Kill);
        // And again: starting takes no space that it does not give back.
        small.node.restart(Stop::Kill);
        assert_all_there(&filler, &drain(&small.node));
        let mut second = Filler::new(&small.node, 1_000_000);
        second.go_on(500);
        small.node.restart(Stop::Term);
        assert_all_there(&second, &drain(&small.node));
    }
}

#[test]
fn a_broker_whose_segments_fit_into_the_reserve_is_killed_on_a_full_disk_and_starts() {
    for segment_bytes in ["1048576", "4194304"] {
        let arguments = ["--disk-free-limit", "0", "--segment-bytes", segment_bytes];
        let Some(mut small) = Small::with(&arguments) else { return };
        let mut filler = Filler::new(&small.node, 0);
        filler.fill();
        for _ in 0..5 {
            small.node.restart(Stop::Kill);
        }
        assert_all_there(&filler, &drain(&small.node));
        Filler::new(&small.node, 1_000_000).go_on(500);
    }
}

#[test]
fn queues_are_purged_on_a_full_disk_and_that_makes_room() {
    let Some(small) = Small::with_free_limit("0") else { return };
    let mut filler = Filler::new(&small.node, 0);
    filler.fill();
    let mut purged = small.node.link().call(&queue_purge(QUEUE), 50, 31).unwrap();
    assert!(purged.u32() as usize >= filler.confirmed.len());
    filler.go_on(500);
}

/// Consumes and acks all that is there; sequences of what came, each checked for being whole.
fn drain(node: &Node) -> BTreeSet<u64> {
    let mut link = node.link();
    link.call(&basic_consume(QUEUE, "c", 0), 60, 21).unwrap();
    let mut found = BTreeSet::new();
    let mut take = |delivery: &crate::link::Delivery| {
        found.insert(message::identify(&delivery.content).unwrap().sequence);
    };
    // Twice: a publisher may have been let go on meanwhile.
    while let Some(event) = link.poll(Duration::from_millis(500)).unwrap() {
        if let Event::Delivery(delivery) = event {
            take(&delivery);
            link.send(1, &basic_ack(delivery.tag, false));
        }
    }
    link.send(1, &basic_get(QUEUE, false));
    match link.next().unwrap() {
        Event::Delivery(delivery) => take(&delivery),
        Event::Reply(60, 72, _) => {}
        _ => panic!("neither get-ok nor get-empty"),
    }
    found
}

#[track_caller]
fn assert_all_there(filler: &Filler, found: &BTreeSet<u64>) {
    let missing: Vec<&u64> = filler.confirmed.difference(found).collect();
    let (confirmed, some) = (filler.confirmed.len(), &missing[..missing.len().min(10)]);
    assert!(missing.is_empty(), "{} of {confirmed} confirmed messages are missing: {some:?}", missing.len());
}

const QUEUE: &str = "filled";
/// Small enough that a window of them fits in the socket's buffers while the broker does not read.
const BODY_BYTES: usize = 4_000;
const WINDOW: usize = 20;
/// More than fit.
const ENOUGH: u64 = 20_000;
const DEADLINE: Duration = Duration::from_mins(1);
