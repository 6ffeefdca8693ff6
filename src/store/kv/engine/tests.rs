//! Facts of the store on disk.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]

mod pieces;

use rand::{Rng, SeedableRng, rngs::StdRng};
use tempfile::TempDir;

use super::*;
use crate::core::placement::QueueId;

fn put(batch: &mut Batch, queue: u64, value: &[u8]) {
    batch.put(&Key::Queue(QueueId(queue)), value.to_vec());
}

/// Keys and values.
type State = Vec<(Vec<u8>, Vec<u8>)>;

fn all(kv: &dyn KeyValue) -> State {
    kv.scan(KeyKind::Queue).map(Result::unwrap).collect()
}

/// A store with some thousand keys, closed again.
fn filled() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("kv");
    let mut kv = SledKv::open(&folder).unwrap();
    for round in 0..20 {
        let mut batch = Batch::default();
        (0..200).for_each(|queue| put(&mut batch, queue * 7 + round, &[round as u8; 100]));
        kv.apply(batch).unwrap();
        kv.flush().unwrap();
    }
    drop(kv);
    (parent, folder)
}

/// Everything there is, after which the store is written to. Whatever comes of it, it is no panic.
fn survey(folder: &Path) -> Result<State, KvError> {
    let mut kv = SledKv::open(folder)?;
    let found = kv.scan(KeyKind::Queue).collect::<Result<_, _>>()?;
    let mut batch = Batch::default();
    put(&mut batch, 1, &[1]);
    kv.apply(batch)?;
    kv.flush()?;
    Ok(found)
}

/// Many batches of puts and deletes; gives what was there before each of them, and in the end.
fn write_history(folder: &Path) -> Vec<State> {
    let mut random = StdRng::seed_from_u64(1);
    let mut kv = SledKv::open(folder).unwrap();
    let mut states = vec![State::new()];
    for round in 0..100_u64 {
        let mut batch = Batch::default();
        put(&mut batch, 0, &round.to_be_bytes());
        for _ in 0..150 {
            let queue = random.random_range(1..3000);
            if random.random_bool(0.2) {
                batch.delete(&Key::Queue(QueueId(queue)));
            } else {
                put(&mut batch, queue, &round.to_be_bytes().repeat(12));
            }
        }
        kv.apply(batch).unwrap();
        kv.flush().unwrap();
        states.push(all(&kv));
    }
    states
}

/// Cuts, empties, garbles or flips some of a file's bytes, or none.
fn damaged(mut bytes: Vec<u8>, random: &mut StdRng) -> Vec<u8> {
    let at = random.random_range(0..bytes.len());
    let up_to = |size: usize| at..(at + size).min(bytes.len());
    let (page, many, some) = (up_to(4096), up_to(600_000), up_to(64));
    match random.random_range(0..7) {
        0 => bytes.truncate(at),
        1 => bytes[page].fill(0),
        2 => bytes[many].fill(0),
        3 => random.fill(&mut bytes[some]),
        4 => bytes[at] ^= 1 << random.random_range(0..8),
        _ => {}
    }
    bytes
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

#[test]
fn what_was_flushed_is_there_when_it_is_opened_again() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("deep/kv");
    let mut kv = SledKv::open(&folder).unwrap();
    let mut batch = Batch::default();
    (1..4).for_each(|queue| put(&mut batch, queue, &[queue as u8]));
    batch.put(&Key::Meta, vec![9]);
    kv.apply(batch).unwrap();
    let mut batch = Batch::default();
    put(&mut batch, 2, &[22]);
    batch.delete(&Key::Queue(QueueId(3)));
    assert_eq!((batch.len(), batch.is_empty()), (2, false));
    kv.apply(batch).unwrap();
    kv.flush().unwrap();
    let before = all(&kv);
    drop(kv);
    let kv = SledKv::open(&folder).unwrap();
    assert_eq!(all(&kv), before);
    assert_eq!(before.iter().map(|(_, value)| value[0]).collect::<Vec<_>>(), [1, 22]);
    assert_eq!(kv.get(&Key::Meta).unwrap(), Some(vec![9]));
    assert_eq!(kv.get(&Key::Queue(QueueId(3))).unwrap(), None);
}

#[test]
fn the_last_write_of_a_key_in_a_batch_holds() {
    let parent = tempfile::tempdir().unwrap();
    let mut kv = SledKv::open(parent.path()).unwrap();
    let mut batch = Batch::default();
    put(&mut batch, 1, &[1]);
    batch.delete(&Key::Queue(QueueId(1)));
    put(&mut batch, 2, &[1]);
    put(&mut batch, 2, &[2]);
    kv.apply(batch).unwrap();
    drop(kv);
    let kv = SledKv::open(parent.path()).unwrap();
    assert_eq!(all(&kv), [(Key::Queue(QueueId(2)).to_bytes(), vec![2])]);
}

#[test]
fn a_mixture_of_new_and_old_values_is_an_error() {
    let (_parent, folder) = filled();
    let mut kv = SledKv::open(&folder).unwrap();
    kv.ask(|engine| engine.insert(Key::Queue(QueueId(7)).to_bytes(), &[1])).unwrap();
    drop(kv);
    assert!(matches!(SledKv::open(&folder), Err(KvError::Damaged(text)) if text.contains("sum")));
}

#[test]
fn values_of_many_megabytes_are_kept() {
    let parent = tempfile::tempdir().unwrap();
    let mut kv = SledKv::open(parent.path()).unwrap();
    let mut batch = Batch::default();
    put(&mut batch, 1, &vec![7; 5_000_000]);
    kv.apply(batch).unwrap();
    kv.flush().unwrap();
    drop(kv);
    let kv = SledKv::open(parent.path()).unwrap();
    assert_eq!(all(&kv)[0].1, vec![7; 5_000_000]);
}

#[test]
fn a_snapshot_that_a_kill_has_left_unfinished_costs_nothing() {
    let (_parent, folder) = filled();
    survey(&folder).unwrap();
    let wanted = survey(&folder).unwrap();
    let snapshot =
        files_of(&folder).into_iter().find(|path| path.to_string_lossy().contains("snap.")).unwrap();
    let whole = fs::read(snapshot).unwrap();
    for left in [0, 1, 12, 13, whole.len() / 2, whole.len() - 1, whole.len()] {
        let unfinished = folder.join("snap.7FFFFFFFFFFFFFFF.generating");
        fs::write(&unfinished, &whole[..left]).unwrap();
        assert!(survey(&folder).unwrap() == wanted, "{left} of {} octets", whole.len());
        assert!(!unfinished.exists());
    }
}

#[test]
fn nothing_is_written_beside_the_folder() {
    let (parent, folder) = filled();
    let beside: Vec<_> = fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(beside, [folder]);
}

#[test]
fn a_file_in_place_of_the_folder_is_an_error() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("kv");
    fs::write(&folder, b"no folder").unwrap();
    assert!(SledKv::open(&folder).is_err());
    assert!(all(&SledKv::reset(&folder).unwrap()).is_empty());
    assert_eq!(fs::read(parent.path().join("kv.damaged")).unwrap(), b"no folder");
}

#[test]
fn a_folder_in_place_of_the_database_is_an_error() {
    let (_parent, folder) = filled();
    fs::remove_file(folder.join("db")).unwrap();
    fs::create_dir(folder.join("db")).unwrap();
    assert!(SledKv::open(&folder).is_err());
}

#[test]
fn a_store_that_was_reset_is_empty_and_the_old_one_lies_beside_it() {
    let (parent, folder) = filled();
    for _ in 0..2 {
        assert!(all(&SledKv::reset(&folder).unwrap()).is_empty());
        assert!(parent.path().join("kv.damaged/db").exists());
    }
    fs::remove_dir_all(&folder).unwrap();
    assert!(SledKv::reset(&folder).is_ok(), "there is nothing to move");
}

#[test]
fn damage_gives_an_error_or_the_state_after_some_batch_and_never_a_panic_or_a_mixture() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("kv");
    let states = write_history(&folder);
    let files: Vec<_> = files_of(&folder).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    let mut random = StdRng::seed_from_u64(3);
    let mut opened = 0;
    for round in 0..80 {
        for (bytes, path) in &files {
            fs::write(path, damaged(bytes.clone(), &mut random)).unwrap();
        }
        if let Ok(found) = survey(&folder) {
            assert!(states.contains(&found), "round {round}: {} keys of no batch", found.len());
            opened += 1;
        }
        assert!(SledKv::reset(&folder).is_ok());
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir_all(folder.join("blobs")).unwrap();
    }
    assert!((1..80).contains(&opened), "some damage is found and some is not");
}

#[test]
fn missing_and_emptied_files_are_no_panic() {
    for emptied in [false, true] {
        for name in files_of(&filled().1).iter().filter_map(|path| path.file_name()) {
            let (_parent, folder) = filled();
            let path = folder.join(name);
            if emptied {
                fs::write(path, b"").unwrap();
            } else if path.exists() {
                fs::remove_file(path).unwrap();
            }
            let _ = survey(&folder);
        }
    }
}

#[test]
fn a_store_that_has_failed_refuses_work() {
    let parent = tempfile::tempdir().unwrap();
    let mut kv = SledKv::open(parent.path()).unwrap();
    let failed: Result<(), _> = kv.ask(|_| panic!("as it does on damaged files"));
    assert!(matches!(failed, Err(KvError::Damaged(text)) if text.contains("as it does")));
    assert!(matches!(kv.apply(Batch::default()), Err(KvError::Failed)));
    assert!(matches!(kv.flush(), Err(KvError::Failed)));
    assert!(matches!(kv.get(&Key::Meta), Err(KvError::Failed)));
    assert!(matches!(kv.scan(KeyKind::Queue).next(), Some(Err(KvError::Failed))));
}
