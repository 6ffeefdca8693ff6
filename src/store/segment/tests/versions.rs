//! Files that earlier programs wrote.

use std::{fs, path::PathBuf};

use super::*;
use crate::store::{checkpoint::Entity, tests::declared::changes_of_version_3};

/// A segment of an earlier program.
fn fixture(disk: &SimDisk, version: &str, id: SegmentId) -> Segment {
    let bytes = fs::read(fixture_path(version, id)).unwrap();
    disk.replace(&id.file_name(), &bytes).unwrap();
    Segment::open(disk, id).unwrap()
}

fn fixture_path(version: &str, id: SegmentId) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version).join(id.file_name())
}

/// A record of everything that came with version 3.
fn fill_declared(writer: &mut Writer) {
    for change in changes_of_version_3() {
        let mut payload = vec![];
        let kind = match &change {
            Entity::Topology { vhost, change } => {
                TopologyRecord::encode(&mut payload, vhost, change);
                Kind::Topology
            }
            Entity::Access(change) => {
                access::encode(&mut payload, change);
                Kind::Access
            }
            Entity::UsersSetUp => panic!("there is no record of it"),
        };
        writer.put(kind, Flags::SINGLE, &payload);
    }
}

/// Files of version 3, which every later version must read. `LEVERET_REGENERATE_FIXTURES=1` writes them anew, which only a
/// change of the version allows.
#[test]
fn files_of_version_3_are_read_for_ever() {
    let disk = SimDisk::new();
    let ids = [SegmentId(1), SegmentId(2), SegmentId(3)];
    let mut writers = ids.map(|id| Writer::new(&disk, id, 1024));
    writers[..2].iter_mut().for_each(Writer::fill);
    fill_declared(&mut writers[2]);
    writers[1..].iter().for_each(|writer| drop(writer.seal().unwrap()));
    for (id, writer) in ids.into_iter().zip(&writers) {
        let written = disk.read(&id.file_name()).unwrap().unwrap();
        if std::env::var_os("LEVERET_REGENERATE_FIXTURES").is_some_and(|value| value == "1") {
            fs::create_dir_all(fixture_path("log-v3", id).parent().unwrap()).unwrap();
            fs::write(fixture_path("log-v3", id), &written).unwrap();
        }
        let segment = fixture(&disk, "log-v3", id);
        assert_eq!(disk.read(&id.file_name()).unwrap().unwrap(), written, "what is written has changed");
        assert_eq!(segment.footer().unwrap().is_some(), id != ids[0]);
        assert_eq!(recovered(&segment).records, writer.records);
    }
}

/// Nothing writes them any more. They hold what those of version 3 do, but for what came with it.
#[test]
fn files_of_version_2_are_read_for_ever() {
    use Kind::{Publish as P, Return as R, Settle as S, Shutdown, Topology};
    let disk = SimDisk::new();
    for id in [SegmentId(1), SegmentId(2)] {
        let segment = fixture(&disk, "log-v2", id);
        assert!(segment.has_sound_header().unwrap());
        assert_eq!(segment.footer().unwrap().is_some(), id == SegmentId(2));
        let records = scanned(&segment).records;
        assert_eq!(recovered(&segment).records, records);
        let kinds: Vec<Kind> = records.iter().map(|record| record.1).collect();
        assert_eq!(kinds, [P, Topology, P, S, P, R, P, Shutdown]);
        let publishes = records.iter().filter(|record| record.1 == P);
        for ((_, _, payload), (body, at)) in
            publishes.zip(["one", "two", "three", "four"].into_iter().zip(1..))
        {
            let publish = Publish::decode(payload).unwrap();
            assert_eq!((publish.view().body(), publish.published_at), (body.as_bytes().to_vec(), at));
        }
        let returned = Return::decode(&records[5].2).unwrap();
        let attempts = Attempts { returned: 7, failed: 2 };
        assert!(returned.entries().eq([(1, Returned { attempts, due: 9 })]));
    }
}

/// Nothing writes them any more. They hold what those of version 2 do, but for what version 1 does not know.
#[test]
fn files_of_version_1_are_read_for_ever() {
    use Kind::{Publish as P, ReturnV1, Settle as S, Shutdown, Topology};
    let disk = SimDisk::new();
    for id in [SegmentId(1), SegmentId(2)] {
        let segment = fixture(&disk, "log-v1", id);
        assert!(segment.has_sound_header().unwrap());
        assert_eq!(segment.footer().unwrap().is_some(), id == SegmentId(2));
        let records = scanned(&segment).records;
        let kinds: Vec<Kind> = records.iter().map(|record| record.1).collect();
        assert_eq!(kinds, [P, Topology, P, S, P, ReturnV1, P, Shutdown]);
        let publishes = records.iter().filter(|record| record.1 == P);
        for ((_, _, payload), body) in publishes.zip(["one", "two", "three", "four"]) {
            let publish = Publish::decode(payload).unwrap();
            assert_eq!((publish.view().body(), publish.published_at), (body.as_bytes().to_vec(), 0));
        }
        let returned = Return::decode_v1(&records[5].2).unwrap();
        assert!(returned.entries().eq([(1, Returned::counted(7))]));
        if let Some(footer) = segment.footer().unwrap() {
            let mut slots = footer.of(QueueId(1), 0, u64::MAX).to_vec();
            slots.sort_by_key(|slot| slot.offset);
            let stored = segment.read_publishes(&slots);
            assert!(stored.into_iter().all(|stored| stored.unwrap().message.published_at() == 0));
        }
    }
}
