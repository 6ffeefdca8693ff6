//! What the disk in memory does.

use std::collections::BTreeSet;

use super::*;

fn content(disk: &SimDisk) -> Vec<u8> {
    disk.read("f").unwrap().unwrap()
}

/// A file of two sectors, the first synced as ones.
fn half_synced() -> (SimDisk, Arc<dyn File>) {
    let disk = SimDisk::new();
    let file = disk.create("f", 1024).unwrap();
    file.write_at(&[1; 512], 0).unwrap();
    file.sync().unwrap();
    (disk, file)
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_any_sectors_of_the_rest() {
    let (disk, file) = half_synced();
    file.write_at(&[2; 1024], 0).unwrap();
    let outcomes: BTreeSet<_> =
        (0..64).map(|seed| content(&disk.crash(seed))).map(|bytes| (bytes[0], bytes[1023])).collect();
    assert_eq!(outcomes, BTreeSet::from([(1, 0), (1, 2), (2, 0), (2, 2)]));
    assert_eq!(content(&disk.kill()), [2; 1024]);
    file.sync().unwrap();
    assert_eq!(content(&disk.crash(1)), [2; 1024]);
}

#[test]
fn a_truncation_may_be_lost_until_it_is_synced() {
    let (disk, file) = half_synced();
    file.truncate(100).unwrap();
    let lengths: BTreeSet<_> = (0..32).map(|seed| content(&disk.crash(seed)).len()).collect();
    assert_eq!(lengths, BTreeSet::from([100, 1024]));
    file.sync().unwrap();
    assert!((0..32).all(|seed| content(&disk.crash(seed)).len() == 100));
}

#[test]
fn after_a_failed_sync_no_later_one_makes_the_bytes_durable() {
    let (disk, file) = half_synced();
    file.write_at(&[2; 512], 0).unwrap();
    disk.fail_at(1, io::ErrorKind::Other);
    assert!(file.sync().is_err());
    file.write_at(&[3; 512], 512).unwrap();
    file.sync().unwrap();
    let outcomes: BTreeSet<_> =
        (0..32).map(|seed| content(&disk.crash(seed))).map(|bytes| (bytes[0], bytes[512])).collect();
    assert_eq!(outcomes, BTreeSet::from([(1, 3), (2, 3)]));
}

#[test]
fn new_names_are_durable_and_removed_ones_may_come_back() {
    let (disk, _) = half_synced();
    disk.replace("small", b"x").unwrap();
    disk.remove("f").unwrap();
    let lists: BTreeSet<_> = (0..32).map(|seed| disk.crash(seed).list().unwrap().len()).collect();
    assert_eq!(lists, BTreeSet::from([1, 2]));
    disk.create("g", 1).unwrap();
    assert!((0..32).all(|seed| disk.crash(seed).list().unwrap() == ["g", "small"]));
}

#[test]
fn after_the_power_went_nothing_works_and_the_last_operation_is_open() {
    let (disk, file) = half_synced();
    disk.crash_at(2);
    file.write_at(&[2], 0).unwrap();
    assert!(disk.replace("f", b"new").is_err());
    assert!(file.sync().is_err() && file.len().is_err() && disk.list().is_err());
    let lengths: BTreeSet<_> = (0..32).map(|seed| content(&disk.crash(seed)).len()).collect();
    assert_eq!(lengths, BTreeSet::from([3, 1024]));
}

#[test]
fn operations_fail_once_or_from_then_on() {
    let (disk, file) = half_synced();
    disk.fail_at(2, io::ErrorKind::StorageFull);
    assert!(file.sync().is_ok());
    assert_eq!(file.write_at(&[9; 4], 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(content(&disk)[..4], [9, 9, 1, 1]);
    assert!(file.sync().is_ok());
    disk.fail_from(1, io::ErrorKind::Other);
    assert!(file.sync().is_err() && file.sync().is_err());
    assert_eq!(file.len().unwrap(), 1024);
}

#[test]
fn a_full_disk_takes_no_files_and_no_growth() {
    let (disk, file) = half_synced();
    disk.set_capacity(2000);
    assert_eq!(disk.free_bytes().unwrap(), 976);
    assert_eq!(disk.create("g", 977).map(|_| ()).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.write_at(&[1; 977], 1024).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(file.write_at(&[1; 976], 1024).is_ok());
    assert_eq!(disk.list().unwrap(), ["f"]);
}

#[test]
fn what_cannot_be_read_is_not_lost() {
    let (disk, file) = half_synced();
    let read = |from, len| {
        let mut bytes = vec![0; len];
        file.read_at(&mut bytes, from).map(|()| bytes).map_err(|error| error.kind())
    };
    let unreadable = io::Error::from(Errno::IO).kind();
    disk.fail_reads("f", 100..200);
    assert_eq!(read(100, 1), Err(unreadable));
    assert_eq!(read(199, 10), Err(unreadable));
    assert_eq!(read(0, 512), Err(unreadable));
    assert_eq!((read(90, 10), read(200, 10)), (Ok(vec![1; 10]), Ok(vec![1; 10])));
    assert_eq!(disk.read("f").unwrap_err().kind(), unreadable);
    assert!(file.write_at(&[2; 10], 100).is_ok() && file.sync().is_ok());
    assert_eq!(content(&disk.kill())[99..111], [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
    disk.heal();
    assert_eq!(read(100, 1), Ok(vec![2]));
}

#[test]
fn what_is_there_fills_a_disk_that_is_full() {
    let (disk, file) = half_synced();
    disk.fill();
    assert_eq!(disk.free_bytes().unwrap(), 0);
    assert!(disk.create("g", 1).is_err() && file.write_at(&[3; 512], 512).is_ok());
    disk.remove("f").unwrap();
    assert_eq!(disk.create("g", 1_025).map(|_| ()).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(disk.create("g", 1_024).is_ok());
}

#[test]
fn operations_are_counted_and_told() {
    let (disk, file) = half_synced();
    disk.corrupt("f", 0);
    assert_eq!((content(&disk)[0], content(&disk.crash(0))[0]), (0x11, 0x11));
    file.truncate(7).unwrap();
    disk.remove("f").unwrap();
    let name = || "f".to_owned();
    let told = [
        Operation::Create { name: name(), size_bytes: 1024 },
        Operation::Write { name: name(), offset: 0, len: 512 },
        Operation::Sync { name: name() },
        Operation::Truncate { name: name(), len: 7 },
        Operation::Remove { name: name() },
    ];
    assert_eq!(disk.journal(), told);
    assert_eq!(disk.operations(), 5);
    disk.replace("h", b"").unwrap();
    assert_eq!(disk.journal()[5], Operation::Replace { name: "h".to_owned() });
}
