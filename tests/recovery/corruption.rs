//! Files that were damaged while the broker was away. One bad record costs that record; the keyed state can always be
//! made again from the log; what cannot be understood is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rand::RngCore as _;

use crate::{
    client::args,
    link::{Event, Link},
    message::{self, Id},
    node::{Node, Stop},
    restart::facts,
    wire::{DURABLE, basic_ack, basic_get, confirm_select, queue_bind, queue_declare},
};

facts! {
    a_flipped_byte_in_a_body_costs_that_message_alone,
    a_last_segment_cut_in_its_middle_keeps_what_stands_before,
    a_deleted_state_folder_is_made_again,
    an_emptied_state_folder_is_made_again,
    a_state_folder_of_noise_is_made_again,
    a_deleted_definitions_file_is_not_missed,
    an_unknown_format_version_is_refused_with_one_line,
}

async fn a_flipped_byte_in_a_body_costs_that_message_alone(stop: Stop) {
    let mut node = stored();
    node.stop(stop);
    let places = places(&node);
    // What is damaged at the very end cannot be told from what a crash has left unfinished.
    let bad = [450, 451].into_iter().find(|bad| places.get(bad) < places.values().max()).unwrap();
    let (segment, offset) = places[&bad].clone();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[offset + 500] ^= 0x10;
    fs::write(&segment, bytes).unwrap();
    node.up();
    let found = drain(&node);
    let wanted: BTreeSet<u64> = live().filter(|n| *n != bad).collect();
    assert_eq!(keys(&found), wanted);
    assert_topology(&node).await;
    await_quarantine(&node);
    // Nor does it come back.
    node.restart(Stop::Term);
    assert!(drain(&node).is_empty());
}

async fn a_last_segment_cut_in_its_middle_keeps_what_stands_before(stop: Stop) {
    let mut node = stored();
    node.stop(stop);
    let mut places = places(&node);
    places.retain(|n, _| *n > ACKED);
    assert_eq!(places.len() as u64, MESSAGES - ACKED, "messages whose bodies are in the log");
    let newest = places.values().map(|(segment, _)| segment.clone()).max().unwrap();
    let mut in_last: Vec<usize> =
        places.values().filter(|(segment, _)| *segment == newest).map(|(_, at)| *at).collect();
    in_last.sort_unstable();
    let cut = in_last[in_last.len() / 2] + BODY_BYTES / 2;
    fs::File::options().write(true).open(&newest).unwrap().set_len(cut as u64).unwrap();
    node.up();
    let found = keys(&drain(&node));
    let stands = |(segment, at): &(PathBuf, usize)| *segment != newest || at + BODY_BYTES <= cut;
    let lost: Vec<u64> = live().filter(|n| stands(&places[n]) && !found.contains(n)).collect();
    assert!(lost.is_empty(), "cut at {cut}, and these stood before: {lost:?}");
    assert!(live().any(|n| !found.contains(&n)), "nothing was cut off");
    assert_topology(&node).await;
}

async fn a_deleted_state_folder_is_made_again(stop: Stop) {
    comes_up_whole_after(stop, |state| fs::remove_dir_all(state).unwrap()).await;
}

async fn an_emptied_state_folder_is_made_again(stop: Stop) {
    comes_up_whole_after(stop, |state| {
        fs::remove_dir_all(state).unwrap();
        fs::create_dir(state).unwrap();
    })
    .await;
}

async fn a_state_folder_of_noise_is_made_again(stop: Stop) {
    comes_up_whole_after(stop, |state| {
        let mut damaged = 0;
        for file in files_below(state) {
            let mut noise = vec![0; fs::metadata(&file).unwrap().len() as usize];
            rand::rng().fill_bytes(&mut noise);
            fs::write(&file, noise).unwrap();
            damaged += 1;
        }
        assert!(damaged > 0, "{} holds no file", state.display());
    })
    .await;
}

async fn a_deleted_definitions_file_is_not_missed(stop: Stop) {
    let mut node = stored();
    // An orderly stop has written it; a kill may come before the first checkpoint.
    node.restart(Stop::Term);
    node.stop(stop);
    fs::remove_file(node.data().join("definitions")).unwrap();
    node.up();
    let found = drain(&node);
    assert_eq!(keys(&found), live().collect(), "the keyed state is whole: nothing else comes");
    assert_topology(&node).await;
}

async fn an_unknown_format_version_is_refused_with_one_line(stop: Stop) {
    let mut node = stored();
    node.stop(stop);
    // The last one may have been made ahead, and be blank.
    let is_begun = |path: &PathBuf| fs::read(path).unwrap().starts_with(b"LEVERLOG");
    let segment = segments(&node).into_iter().rfind(is_begun).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let untouched = bytes.clone();
    bytes[8..12].copy_from_slice(&99_u32.to_le_bytes());
    // A header that is whole, from a broker of another time.
    let sum = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&sum.to_le_bytes());
    fs::write(&segment, &bytes).unwrap();
    let output = node.run_to_its_end();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.status.code().is_some(), "{:?}", output.status);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("version") && stderr.contains("99"), "{stderr}");
    assert_eq!(fs::read(&segment).unwrap(), bytes, "what is not understood is not touched");
    // The right broker finds everything.
    fs::write(&segment, untouched).unwrap();
    node.up();
    assert_eq!(keys(&drain(&node)), live().collect());
}

/// Damages the keyed state: topology and unacked messages are there, and acked ones, if they come, say redelivered.
async fn comes_up_whole_after(stop: Stop, damage: fn(&Path)) {
    for checkpointed in [true, false] {
        let mut node = stored();
        if checkpointed {
            node.restart(Stop::Term);
        }
        node.stop(stop);
        damage(&node.data().join("state"));
        node.up();
        let found = drain(&node);
        let lost: Vec<u64> = live().filter(|n| !found.contains_key(n)).collect();
        assert!(lost.is_empty(), "{} messages are lost: {:?}", lost.len(), &lost[..lost.len().min(10)]);
        let silent: Vec<&u64> =
            found.iter().filter(|(n, flag)| **n <= ACKED && !**flag).map(|(n, _)| n).collect();
        assert!(silent.is_empty(), "acked messages came back as if new: {silent:?}");
        assert_topology(&node).await;
        // And it is whole for the next start.
        node.restart(Stop::Kill);
        assert_topology(&node).await;
    }
}

/// A broker with a queue of which the first messages were acked, and more topology.
fn stored() -> Node {
    let node = Node::new();
    let mut link = node.link();
    link.call(&queue_declare(QUEUE, DURABLE), 50, 11).unwrap();
    link.call(&queue_declare("bound", DURABLE), 50, 11).unwrap();
    link.call(&queue_declare("marks", DURABLE), 50, 11).unwrap();
    link.call(&queue_bind("bound", "amq.topic", "a.*"), 50, 21).unwrap();
    link.call(&confirm_select(), 85, 11).unwrap();
    for n in 1..=MESSAGES {
        link.publish("", QUEUE, 0, id(n), BODY_BYTES).unwrap();
    }
    await_confirms(&mut link, 1..=MESSAGES);
    for _ in 0..ACKED {
        link.send(1, &basic_get(QUEUE, false));
    }
    for _ in 0..ACKED {
        match link.next().unwrap() {
            Event::Delivery(delivery) => drop(link.send(1, &basic_ack(delivery.tag, false))),
            _ => panic!("no message"),
        }
    }
    // Its confirm says that the acks are on disk.
    link.publish("", "marks", 0, id(MESSAGES + 1), 1).unwrap();
    await_confirms(&mut link, MESSAGES + 1..=MESSAGES + 1);
    node
}

fn await_confirms(link: &mut Link, tags: RangeInclusive<u64>) {
    let mut waiting: BTreeSet<u64> = tags.collect();
    while !waiting.is_empty() {
        match link.next().unwrap() {
            Event::Confirm { tag, multiple, ack: true } => {
                waiting.retain(|other| *other != tag && !(multiple && *other < tag));
            }
            _ => panic!("no confirm"),
        }
    }
}

/// Takes and acks what is in the queue: sequences and redelivered flags. Every body must be whole.
fn drain(node: &Node) -> BTreeMap<u64, bool> {
    let mut link = node.link();
    let mut found = BTreeMap::new();
    loop {
        link.send(1, &basic_get(QUEUE, false));
        match link.next().unwrap() {
            Event::Delivery(delivery) => {
                let id = message::identify(&delivery.content).unwrap();
                let twice = found.insert(id.sequence, delivery.redelivered);
                assert!(twice.is_none(), "{id:?} is in the queue twice");
                link.send(1, &basic_ack(delivery.tag, false));
            }
            Event::Reply(60, 72, _) => return found,
            _ => panic!("neither get-ok nor get-empty"),
        }
    }
}

async fn assert_topology(node: &Node) {
    let ch = node.channel().await;
    for queue in [QUEUE, "bound", "marks"] {
        ch.declare(queue, "passive", args! {}).await.unwrap_or_else(|error| panic!("{queue}: {error}"));
    }
    ch.keep("amq.topic", "a.b", ["routed"]).await;
    assert_eq!(ch.drain("bound").await, ["routed"]);
    // Its confirm says that the acks are on disk.
    ch.keep("", "marks", ["drained"]).await;
}

/// Damage may be noticed when the record is read, or later.
fn await_quarantine(node: &Node) {
    let (folder, deadline) = (node.data().join("quarantine"), Instant::now() + Duration::from_secs(10));
    while files_below(&folder).is_empty() {
        assert!(Instant::now() < deadline, "nothing in {}", folder.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// For each message the last segment that holds it, and where its body begins there.
fn places(node: &Node) -> BTreeMap<u64, (PathBuf, usize)> {
    let mut found = BTreeMap::new();
    // Bodies begin with publisher and sequence.
    let begins = &message::body(id(0), BODY_BYTES)[..10];
    for segment in segments(node) {
        let bytes = fs::read(&segment).unwrap();
        for (at, window) in bytes.windows(64).enumerate().filter(|(_, window)| window.starts_with(begins)) {
            let sequence = u64::from(u16::from_be_bytes([window[10], window[11]]));
            if message::body(id(sequence), BODY_BYTES).starts_with(window) {
                found.insert(sequence, (segment.clone(), at));
            }
        }
    }
    found
}

/// In order, oldest first.
fn segments(node: &Node) -> Vec<PathBuf> {
    let mut files = files_below(&node.data().join("log"));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    assert!(!files.is_empty(), "no segment in {}", node.data().join("log").display());
    files
}

/// Sorted by name; none when the folder is not there.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn keys(found: &BTreeMap<u64, bool>) -> BTreeSet<u64> {
    found.keys().copied().collect()
}

/// What is confirmed and not acked.
fn live() -> impl Iterator<Item = u64> {
    ACKED + 1..=MESSAGES
}

fn id(sequence: u64) -> Id {
    Id { publisher: 1, sequence }
}

const QUEUE: &str = "stored";
/// In all more than two segments of 1 MiB.
const MESSAGES: u64 = 600;
const BODY_BYTES: usize = 4_000;
const ACKED: u64 = 100;
