//! Large batches: a stop at each place, and what becomes of the redo file.

use std::{collections::BTreeMap, os::unix::fs::symlink};

use super::*;
use crate::store::checkpoint::{LoadError, load};

/// All keys but the sum.
type Content = BTreeMap<Vec<u8>, Vec<u8>>;

const LARGE: u64 = CHECKPOINT_BATCH_KEYS_MAX as u64 + 9;

fn content(kv: &dyn KeyValue) -> Content {
    KeyKind::ALL.into_iter().flat_map(|kind| kv.scan(kind)).map(Result::unwrap).collect()
}

fn after(before: &Content, batch: &Batch) -> Content {
    let mut content = before.clone();
    for (key, value) in batch.iter() {
        match value {
            Some(value) => content.insert(key.into(), value.into()),
            None => content.remove(key),
        };
    }
    content
}

/// Puts and deletes of so many keys, and a stamp.
fn batch(keys: u64, round: u8) -> Batch {
    let mut batch = Batch::default();
    batch.put(&Key::Meta, vec![2, round]);
    for queue in 0..keys {
        if queue % 5 == u64::from(round) % 5 {
            batch.delete(&Key::Queue(QueueId(queue)));
        } else {
            put(&mut batch, queue, &[round; 20]);
        }
    }
    batch
}

/// A store with some keys on disk: of those that a large batch changes every third, and some more.
fn begun() -> (TempDir, PathBuf, Content) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("kv");
    let mut kv = SledKv::open(&folder).unwrap();
    let mut first = Batch::default();
    first.put(&Key::Meta, vec![2, 0]);
    (0..20).for_each(|number| put(&mut first, number * 3, &[1; 20]));
    kv.apply(first).unwrap();
    kv.flush().unwrap();
    let content = content(&kv);
    (parent, folder, content)
}

fn writes(batch: &Batch) -> Writes {
    batch.writes.iter().cloned().collect()
}

/// Stops after so many pieces of a batch; tells how many there are.
fn stop_after(folder: &Path, batch: &Batch, pieces: usize) -> usize {
    let mut kv = SledKv::open(folder).unwrap();
    let (redo, sums) = kv.prepared(writes(batch)).unwrap();
    redo.place(folder).unwrap();
    let count = sums.len();
    redo.pieces(sums).take(pieces).for_each(|(piece, sum)| kv.write(piece, sum).unwrap());
    count
}

fn has_redo(folder: &Path) -> bool {
    folder.join("redo").exists() || folder.join("redo.tmp").exists()
}

/// Opens it twice: the first time may have had to mend something, the second one finds it mended.
fn assert_holds(folder: &Path, expected: &Content, what: &str) {
    for _ in 0..2 {
        let kv = SledKv::open(folder).unwrap();
        assert_eq!(content(&kv), *expected, "{what}");
        assert!(!has_redo(folder), "{what}");
    }
}

fn damage_of(folder: &Path) -> String {
    match SledKv::open(folder) {
        Err(KvError::Damaged(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_large_batch_is_there_whole_when_it_is_opened_again() {
    for is_flushed in [true, false] {
        let (_parent, folder, before) = begun();
        let large = batch(LARGE, 1);
        let expected = after(&before, &large);
        let mut kv = SledKv::open(&folder).unwrap();
        kv.apply(large).unwrap();
        assert_eq!(content(&kv), expected);
        assert!(has_redo(&folder));
        if is_flushed {
            kv.flush().unwrap();
            assert!(!has_redo(&folder));
        }
        drop(kv);
        assert_holds(&folder, &expected, "it was applied");
    }
}

#[test]
fn a_batch_that_is_not_large_makes_no_redo_file() {
    let (_parent, folder, before) = begun();
    let mut kv = SledKv::open(&folder).unwrap();
    let small = batch(CHECKPOINT_BATCH_KEYS_MAX as u64 - 1, 1);
    assert_eq!(small.len(), CHECKPOINT_BATCH_KEYS_MAX);
    kv.apply(small.clone()).unwrap();
    assert!(!has_redo(&folder));
    assert_eq!(content(&kv), after(&before, &small));
}

#[test]
fn a_stop_after_any_piece_costs_nothing_of_the_batch() {
    for keys in [LARGE - 2, LARGE - 1, LARGE, LARGE + 7] {
        let large = batch(keys, 1);
        let all = (keys as usize).div_ceil(CHECKPOINT_PIECE_KEYS);
        for pieces in 0..=all {
            let (_parent, folder, before) = begun();
            assert_eq!(stop_after(&folder, &large, pieces), all);
            let what = format!("{pieces} of {all} pieces of {keys} keys");
            assert_holds(&folder, &after(&before, &large), &what);
        }
    }
}

#[test]
fn a_stop_while_a_batch_is_applied_again_costs_nothing_of_it() {
    let large = batch(LARGE, 1);
    for (first, second) in [(0, 1), (1, 1), (3, 1), (3, 4), (4, 2), (6, 1), (6, 5), (6, 6)] {
        let (_parent, folder, before) = begun();
        let mut kv = SledKv::open(&folder).unwrap();
        let (redo, sums) = kv.prepared(writes(&large)).unwrap();
        assert_eq!(sums.len(), 6);
        redo.place(&folder).unwrap();
        redo.clone().pieces(sums).take(first).for_each(|(piece, sum)| kv.write(piece, sum).unwrap());
        let sum = kv.sum;
        let sums = kv.ask(|engine| sums_of_pieces(engine, sum, &redo)).unwrap();
        redo.pieces(sums).take(second).for_each(|(piece, sum)| kv.write(piece, sum).unwrap());
        drop(kv);
        assert_holds(&folder, &after(&before, &large), &format!("{first} pieces, then {second}"));
    }
}

#[test]
fn a_redo_file_that_comes_back_changes_nothing() {
    let (_parent, folder, before) = begun();
    let large = batch(LARGE, 1);
    let mut kv = SledKv::open(&folder).unwrap();
    kv.apply(large.clone()).unwrap();
    let redo = fs::read(folder.join("redo")).unwrap();
    kv.flush().unwrap();
    drop(kv);
    fs::write(folder.join("redo"), &redo).unwrap();
    let expected = after(&before, &large);
    assert_holds(&folder, &expected, "as it was");

    // As after a program that knows of no redo file.
    let mut small = Batch::default();
    put(&mut small, 1_000, &[7]);
    let mut kv = SledKv::open(&folder).unwrap();
    kv.apply(small.clone()).unwrap();
    drop(kv);
    fs::write(folder.join("redo"), &redo).unwrap();
    assert_holds(&folder, &after(&expected, &small), "with the later batch");
}

#[test]
fn the_redo_file_is_gone_before_another_batch_is_applied() {
    let (_parent, folder, before) = begun();
    let mut kv = SledKv::open(&folder).unwrap();
    let mut expected = before;
    for (keys, round) in [(LARGE, 1), (3, 2), (LARGE, 3), (LARGE + 3, 4), (1, 5)] {
        let next = batch(keys, round);
        expected = after(&expected, &next);
        kv.apply(next).unwrap();
        assert_eq!(has_redo(&folder), keys >= LARGE);
    }
    drop(kv);
    assert_holds(&folder, &expected, "all of them");
}

#[test]
fn a_batch_without_a_stamp_leaves_it_and_one_that_deletes_it_does() {
    for stamp in [None, Some(None), Some(Some(vec![2, 9]))] {
        for pieces in 0..=6 {
            let (_parent, folder, before) = begun();
            let mut large = Batch::default();
            (0..LARGE).for_each(|queue| put(&mut large, queue, &[5]));
            match stamp.clone() {
                None => {}
                Some(None) => large.delete(&Key::Meta),
                Some(Some(value)) => large.put(&Key::Meta, value),
            }
            stop_after(&folder, &large, pieces);
            assert_holds(&folder, &after(&before, &large), "the stamp");
        }
    }
}

#[test]
fn a_program_that_knows_of_no_redo_file_refuses_what_is_half_applied() {
    let (_parent, folder, _) = begun();
    let mut kv = SledKv::open(&folder).unwrap();
    let (redo, sums) = kv.prepared(writes(&batch(LARGE, 1))).unwrap();
    let last = sums.len();
    for (number, (piece, sum)) in (1..).zip(redo.pieces(sums)) {
        kv.write(piece, sum).unwrap();
        let is_refused = matches!(load(&kv), Err(LoadError::Version { version: 255, .. }));
        assert_eq!(is_refused, number < last);
    }
}

#[test]
fn what_is_half_applied_without_its_redo_file_is_damaged() {
    for pieces in 1..=5 {
        let (_parent, folder, _) = begun();
        stop_after(&folder, &batch(LARGE, 1), pieces);
        fs::remove_file(folder.join("redo")).unwrap();
        assert!(damage_of(&folder).contains("is gone"));
        assert!(SledKv::reset(&folder).is_ok());
    }
}

#[test]
fn what_is_half_applied_with_the_redo_file_of_another_batch_is_damaged() {
    let (_parent, folder, _) = begun();
    let mut kv = SledKv::open(&folder).unwrap();
    let (other, _) = kv.prepared(writes(&batch(LARGE, 2))).unwrap();
    drop(kv);
    stop_after(&folder, &batch(LARGE + 20, 1), 6);
    other.place(&folder).unwrap();
    assert!(damage_of(&folder).contains("of another"));
}

#[test]
fn a_damaged_redo_file_is_damage_and_nothing_of_it_is_applied() {
    let (_parent, folder, before) = begun();
    let large = batch(LARGE, 1);
    stop_after(&folder, &large, 2);
    let redo = fs::read(folder.join("redo")).unwrap();
    for at in (0..redo.len()).step_by(redo.len() / 20) {
        let mut flipped = redo.clone();
        flipped[at] ^= 1 << (at % 8);
        for bytes in [&flipped[..], &redo[..at]] {
            fs::write(folder.join("redo"), bytes).unwrap();
            assert!(damage_of(&folder).contains("redo file is damaged"), "octet {at}");
        }
    }
    fs::write(folder.join("redo"), &redo).unwrap();
    assert_holds(&folder, &after(&before, &large), "it was left as it was");
}

#[test]
fn an_unfinished_redo_file_is_removed() {
    let (_parent, folder, before) = begun();
    let mut kv = SledKv::open(&folder).unwrap();
    kv.apply(batch(LARGE, 1)).unwrap();
    let redo = fs::read(folder.join("redo")).unwrap();
    kv.apply(undone(&before, &batch(LARGE, 1))).unwrap();
    kv.flush().unwrap();
    drop(kv);
    for bytes in [&redo[..], &redo[..9], b""] {
        fs::write(folder.join("redo.tmp"), bytes).unwrap();
        assert_holds(&folder, &before, "as it was");
    }
}

/// What brings back what was there before a batch.
fn undone(before: &Content, batch: &Batch) -> Batch {
    let mut back = batch.clone();
    back.writes.iter_mut().for_each(|(key, value)| *value = before.get(key).cloned());
    back
}

#[test]
fn a_redo_file_that_cannot_be_written_is_an_error_and_the_next_batch_is_applied() {
    let (_parent, folder, before) = begun();
    let mut kv = SledKv::open(&folder).unwrap();
    for in_the_way in ["redo.tmp", "redo"] {
        fs::create_dir(folder.join(in_the_way)).unwrap();
        assert!(matches!(kv.apply(batch(LARGE, 1)), Err(KvError::Io(_))), "{in_the_way}");
        assert_eq!(content(&kv), before);
        let next = batch(3, 2);
        kv.apply(next.clone()).unwrap();
        assert_eq!(content(&kv), after(&before, &next));
        kv.apply(undone(&before, &next)).unwrap();
    }
    let large = batch(LARGE, 1);
    kv.apply(large.clone()).unwrap();
    drop(kv);
    assert_holds(&folder, &after(&before, &large), "the last one");
}

#[test]
fn without_room_for_the_redo_file_a_batch_is_applied_at_once() {
    let (_parent, folder, before) = begun();
    let large = batch(LARGE, 1);
    let mut kv = SledKv::open(&folder).unwrap();
    kv.flush().unwrap();
    symlink("/dev/full", folder.join("redo.tmp")).unwrap();
    kv.apply(large.clone()).unwrap();
    assert!(!has_redo(&folder) && Path::new("/dev/full").exists());
    kv.flush().unwrap();
    drop(kv);
    assert_holds(&folder, &after(&before, &large), "at once");
}

/// Some writes of few keys, mostly with a stamp.
fn random_batch(random: &mut StdRng, round: u64) -> Batch {
    let mut batch = Batch::default();
    let writes = if random.random_bool(0.4) { 0..9 } else { 20..200 };
    for _ in 0..random.random_range(writes) {
        let queue = random.random_range(0..120);
        if random.random_bool(0.3) {
            batch.delete(&Key::Queue(QueueId(queue)));
        } else {
            put(&mut batch, queue, &round.to_le_bytes().repeat(random.random_range(0..5)));
        }
    }
    if random.random_bool(0.8) {
        batch.put(&Key::Meta, [&[2], &round.to_le_bytes()[..]].concat());
    }
    batch
}

#[test]
fn batches_of_any_size_give_what_a_map_gives() {
    let mut random = StdRng::seed_from_u64(5);
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("kv");
    let mut kv = SledKv::open(&folder).unwrap();
    let mut expected = Content::new();
    for round in 0..150 {
        let next = random_batch(&mut random, round);
        expected = after(&expected, &next);
        match random.random_range(0..4) {
            0 if writes(&next).len() > CHECKPOINT_BATCH_KEYS_MAX => {
                drop(kv);
                stop_after(&folder, &next, random.random_range(0..16));
                kv = SledKv::open(&folder).unwrap();
            }
            1 => {
                kv.apply(next).unwrap();
                drop(kv);
                kv = SledKv::open(&folder).unwrap();
            }
            2 => {
                kv.apply(next).unwrap();
                kv.flush().unwrap();
            }
            _ => kv.apply(next).unwrap(),
        }
        assert_eq!(content(&kv), expected, "round {round}");
    }
}
