//! `leveret fsck` as a process, on folders that a real broker left behind: what it prints, how it ends, and that it
//! changes nothing.
#![allow(clippy::unwrap_used, clippy::doc_markdown, reason = "tests")]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/client.rs"]
mod client;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use broker::Broker;
use client::{Ch, args};
use lapin::BasicProperties;
use tempfile::TempDir;

/// How a broker ends.
#[derive(Clone, Copy)]
enum Stop {
    Term,
    Kill,
}

/// Checks a folder; it must be as it was afterwards.
fn fsck(folder: &Path, options: &[&str]) -> Output {
    let before = contents(folder);
    let output = run(folder, options);
    assert!(before == contents(folder), "{} was changed", folder.display());
    output
}

fn run(folder: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leveret")).arg("fsck").args(options).arg(folder).output().unwrap()
}

/// All files below a folder but the lock.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.insert(path.clone(), Vec::new());
            all.extend(contents(&path));
        } else if entry.file_name() != "lock" {
            let bytes = fs::read(&path).unwrap();
            all.insert(path, bytes);
        }
    }
    all
}

fn assert_ends(output: &Output, code: i32, words: &[&str]) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    let text = if code == 2 { &stderr } else { &stdout };
    for word in words {
        assert!(text.contains(word), "{word} in\n{text}");
    }
    let silent = if code == 2 { stdout } else { stderr };
    assert!(silent.is_empty(), "{silent}");
}

/// A broker that was given every kind of record, and stopped. `None` when an external broker is tested.
async fn stored(stop: Stop) -> Option<TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start_on(folder.path().to_str().unwrap())?;
    let ch = Ch::open_to(broker.clone()).await.confirm().await;
    for queue in ["deep", "shallow", "empty"] {
        ch.declare(queue, "durable", args! {}).await.unwrap();
    }
    ch.exchange_declare("events", "topic", "durable", args! {}).await.unwrap();
    ch.bind("shallow", "events", "a.*").await.unwrap();
    for n in 0..30 {
        keep(&ch, "", "deep", &format!("message {n}")).await;
    }
    keep(&ch, "events", "a.b", "routed").await;
    let tags = [take(&ch).await, take(&ch).await, take(&ch).await];
    ch.ack(tags[0], "").await;
    ch.nack(tags[1], "requeue").await;
    // Its confirm says that they are on disk.
    keep(&ch, "", "shallow", "mark").await;
    match stop {
        Stop::Term => terminate(broker, ch).await,
        // The handles are the last ones: the child is killed.
        Stop::Kill => drop((ch, broker)),
    }
    Some(folder)
}

async fn keep(ch: &Ch, exchange: &str, key: &str, body: &str) {
    let properties = BasicProperties::default().with_delivery_mode(2);
    ch.publish_with(exchange, key, body, "", properties).await.unwrap();
}

async fn take(ch: &Ch) -> u64 {
    ch.get("deep", "").await.unwrap().unwrap().delivery.delivery_tag
}

async fn terminate(broker: Arc<Broker>, ch: Ch) {
    let pid = broker.pid().unwrap().to_string();
    ch.close_connection().await;
    drop(ch);
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(Arc::into_inner(broker).unwrap().wait(), Some(0));
}

fn first_segment(folder: &Path) -> PathBuf {
    folder.join("log").join("0000000000000001.seg")
}

/// Kinds, offsets and lengths with their headers of the records of a segment.
fn records(segment: &Path) -> Vec<(u8, usize, usize)> {
    let bytes = fs::read(segment).unwrap();
    let (mut at, mut found) = (32, Vec::new());
    while at + 12 <= bytes.len() && (1..=8).contains(&bytes[at + 8]) {
        let length = 12 + u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        found.push((bytes[at + 8], at, length));
        at += length.next_multiple_of(8);
    }
    found
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x20;
    fs::write(file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_folder_after_sigterm_is_whole() {
    let Some(folder) = stored(Stop::Term).await else { return };
    let words = [
        "last stop    in order",
        "1 sealed, 0 unsealed",
        "32 publish",
        "1 settle",
        "2 return",
        "1 shutdown",
        "topology     1 exchanges, 3 queues, 1 bindings",
        "vhosts       1\n  /\n",
        "users        1\n  guest: leveret_password_hashing_argon2id, tags administrator\n",
        "guest in /: configure \".*\", write \".*\", read \".*\"",
        "2 access",
        "3 queues: 31 messages",
        "/ deep: 29 messages",
        "/ shallow: 2 messages",
        "/ empty: 0 messages",
        "The folder is whole.",
    ];
    let output = fsck(folder.path(), &[]);
    assert_ends(&output, 0, &words);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(!shown.contains("$argon2id$"), "a hash is shown: {shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_folder_after_sigkill_is_whole() {
    let Some(folder) = stored(Stop::Kill).await else { return };
    let words = ["not in order", "0 sealed", "/ deep: 29 messages", "/ shallow: 2 messages", "is whole."];
    assert_ends(&fsck(folder.path(), &[]), 0, &words);
    // A torn record behind the last one is what a crash leaves.
    let segment = first_segment(folder.path());
    let (_, at, length) = *records(&segment).last().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let behind = (at + length).next_multiple_of(8);
    bytes[behind..behind + 21].copy_from_slice(b"half of a record here");
    fs::write(&segment, bytes).unwrap();
    assert_ends(&fsck(folder.path(), &[]), 0, &["21 bytes of a torn tail", "/ deep: 29 messages"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flipped_byte_in_each_kind_of_record_is_named() {
    let Some(folder) = stored(Stop::Term).await else { return };
    let segment = first_segment(folder.path());
    let mut by_kind = BTreeMap::new();
    for (kind, offset, length) in records(&segment) {
        by_kind.entry(kind).or_insert((offset, length));
    }
    assert_eq!(by_kind.keys().copied().collect::<Vec<_>>(), [1, 2, 4, 5, 6, 7, 8]);
    for (kind, (offset, length)) in by_kind {
        // The last byte of the payload, or of the checksum where there is none.
        let at = if length > 12 { offset + length - 1 } else { offset + 3 };
        flip(&segment, at);
        let named = format!("damaged record at {offset}, ");
        let words = if kind == 6 { ["segment 1", "damaged footer"] } else { ["segment 1", &named] };
        assert_ends(&fsck(folder.path(), &[]), 1, &words);
        flip(&segment, at);
    }
    assert_ends(&fsck(folder.path(), &[]), 0, &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_header_or_trailer_is_named_and_another_version_is_not_checked() {
    let Some(folder) = stored(Stop::Term).await else { return };
    let segment = first_segment(folder.path());
    let bytes = fs::read(&segment).unwrap();
    flip(&segment, 20);
    assert_ends(&fsck(folder.path(), &[]), 1, &["segment 1: one bit of the header is wrong"]);
    fs::write(&segment, &bytes).unwrap();
    flip(&segment, bytes.len() - 10);
    assert_ends(&fsck(folder.path(), &[]), 1, &["segment 1: damaged trailer"]);
    let mut other = bytes.clone();
    other[8..12].copy_from_slice(&99_u32.to_le_bytes());
    let sum = crc32c::crc32c(&other[..28]);
    other[28..32].copy_from_slice(&sum.to_le_bytes());
    fs::write(&segment, &other).unwrap();
    assert_ends(&fsck(folder.path(), &[]), 2, &["unknown version 99"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn damaged_state_and_definitions_are_named() {
    let Some(folder) = stored(Stop::Term).await else { return };
    flip(&folder.path().join("definitions"), 40);
    assert_ends(&fsck(folder.path(), &[]), 1, &["definitions file: "]);
    flip(&folder.path().join("definitions"), 40);
    fs::remove_dir_all(folder.path().join("state")).unwrap();
    assert_ends(&fsck(folder.path(), &[]), 1, &["key-value store: it is empty", "3 queues: "]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_definitions_file_of_a_later_version_is_refused_by_fsck_and_by_the_broker() {
    let Some(folder) = stored(Stop::Term).await else { return };
    let definitions = folder.path().join("definitions");
    let mut bytes = fs::read(&definitions).unwrap();
    bytes[8] = 99;
    fs::write(&definitions, &bytes).unwrap();
    assert_ends(&fsck(folder.path(), &[]), 2, &["definitions of version 99"]);
    let serving = Command::new(env!("CARGO_BIN_EXE_leveret"))
        .args(["serve", "--amqp-listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .env("LEVERET_HTTP_LISTEN", "none")
        .env("LEVERET_METRICS_LISTEN", "none")
        .output()
        .unwrap();
    assert!(!serving.status.success());
    let told = String::from_utf8_lossy(&serving.stderr).into_owned();
    let told = told + &String::from_utf8_lossy(&serving.stdout);
    assert!(told.contains("definitions of version 99"), "{told}");
    assert!(fs::read(&definitions).unwrap() == bytes, "it was replaced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn many_queues_are_summed_up_unless_all_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::start_on(folder.path().to_str().unwrap()) else { return };
    let ch = Ch::open_to(broker.clone()).await.confirm().await;
    for n in 0..25 {
        ch.declare(&format!("queue {n:02}"), "durable", args! {}).await.unwrap();
    }
    keep(&ch, "", "queue 24", "only one").await;
    terminate(broker, ch).await;
    let short = fsck(folder.path(), &[]);
    assert_ends(&short, 0, &["/ queue 24: 1 messages", "/ queue 18: 0", "and 5 more: 0 messages"]);
    assert!(!String::from_utf8_lossy(&short.stdout).contains("queue 19"));
    assert_ends(&fsck(folder.path(), &["--all"]), 0, &["/ queue 19: 0", "/ queue 23: 0"]);
}

#[test]
fn a_running_brokers_folder_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_broker) = Broker::start_on(folder.path().to_str().unwrap()) else { return };
    assert_ends(&run(folder.path(), &[]), 2, &["in use"]);
}

#[test]
fn a_folder_that_is_missing_or_holds_no_log_is_not_made_into_one() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    assert_ends(&run(&missing, &[]), 2, &["missing"]);
    assert_ends(&run(folder.path(), &[]), 2, &["is no data folder"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_folder_may_be_the_one_of_the_brokers_environment() {
    let named = |folder: &Path, more: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_leveret"));
        program.arg("fsck").args(more).env("LEVERET_DATA_DIR", folder).output().unwrap()
    };
    let empty = TempDir::new().unwrap();
    assert_ends(&named(empty.path(), &[]), 2, &[empty.path().to_str().unwrap(), "is no data folder"]);
    assert_ends(&named(empty.path(), &["/no/such/folder"]), 2, &["/no/such/folder"]);
}
