//! Folders as a broker leaves them, whole and damaged.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::config::StoreConfig;
use crate::core::{
    access::{AccessChange, HashAlgorithm, PasswordHash, UserSpec},
    change::{Attempts, Change, TopologyChange},
    message::{Message, View, build_image},
    placement::{Placement, QueueId},
};
use crate::protocol::{FieldTable, ShortString};
use crate::store::{
    Opened, Store,
    checkpoint::Entity,
    files::disk::DiskFiles,
    format::{Flags, Kind, Publish, Settle, TopologyRecord, record},
    kv::{Batch, Key, KeyKind, KeyValue},
    segment::scan::Scanned,
    tests::declared::{changes_of_version_3, settings, user},
};

/// A folder, and what was put into it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Runs a store on it for some changes, each a batch of its own.
    fn run(&self, segment_bytes: u32, batches: Vec<Vec<Change>>) {
        let config = StoreConfig { segment_bytes, disk_free_limit: 0 };
        let (store, Opened { journal, .. }) = Store::open(self.0.path(), &config).unwrap();
        for mut batch in batches {
            journal.append(&mut batch, false);
        }
        store.close(crate::limits::STORE_CLOSE_TIMEOUT).unwrap();
    }

    /// Three queues, messages in two of them, and every kind of record.
    fn filled() -> Self {
        let folder = Self::new();
        let returned = message(b"returned");
        let back = Change::Return {
            placement: place(1, 4),
            attempts: Attempts { returned: 1, failed: 1 },
            due: 0,
            message: Some(returned.clone()),
        };
        let mut changes: Vec<Change> = (1..=3).map(declared).collect();
        changes.extend((1..=3).map(|position| published(message(b"body"), &[place(1, position)])));
        changes.push(published(message(b"fan-out"), &[place(1, 5), place(2, 1)]));
        changes.extend([published(returned, &[place(1, 4)]), back, settled(1, 1, 2)]);
        folder.run(1 << 20, vec![changes]);
        folder
    }

    fn check(&self) -> Report {
        check(&DataDir::open_used(self.0.path()).unwrap(), |_| {}).unwrap()
    }

    fn flaws(&self) -> Vec<Flaw> {
        self.check().flaws
    }

    fn segment(&self, id: u64) -> PathBuf {
        self.0.path().join("log").join(SegmentId(id).file_name())
    }

    /// Kinds and offsets of the records of the first segment.
    fn records(&self) -> Vec<(Kind, u32)> {
        let files = ReadOnlyFiles::new(self.0.path().join("log"));
        let segment = Segment::open(&files, SegmentId(1)).unwrap();
        let footer = segment.footer().unwrap().unwrap();
        let mut listed = segment.scan_listed(&footer).unwrap();
        let mut records = Vec::new();
        while let Some(scanned) = listed.advance().unwrap() {
            let Scanned::Record { offset, kind, .. } = scanned else { panic!("{scanned:?}") };
            records.push((kind, offset));
        }
        records
    }

    /// A segment with records of raw payloads, as a broker that was killed leaves it.
    fn unsealed(&self, id: u64, records: &[(Kind, Flags, Vec<u8>)]) -> u32 {
        let files = DiskFiles::open(self.0.path().join("log")).unwrap();
        let segment = Segment::create(&files, SegmentId(id), 7, 1 << 20).unwrap();
        let mut bytes = Vec::new();
        for (kind, flags, payload) in records {
            let begun = record::begin(&mut bytes, *kind, *flags);
            bytes.extend_from_slice(payload);
            record::finish(&mut bytes, begun, segment.salt(), FIRST_RECORD_OFFSET + begun as u32);
        }
        segment.write(&bytes, FIRST_RECORD_OFFSET).unwrap();
        FIRST_RECORD_OFFSET + bytes.len() as u32
    }
}

/// Changes the bytes of a file.
fn edit(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    edit(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn place(queue: u64, position: u64) -> Placement {
    Placement { queue: QueueId(queue), position }
}

fn message(body: &[u8]) -> Message {
    let (layout, image) = build_image(b"", b"key", &[0, 0], &[body], true);
    Message::uncounted(View::new(layout, &image), 1)
}

fn published(message: Message, placements: &[Placement]) -> Change {
    Change::Publish { message, placements: placements.into(), transient: false }
}

fn settled(queue: u64, first: u64, last: u64) -> Change {
    Change::SettleRange { queue: QueueId(queue), first, last }
}

fn declared(queue: u64) -> Change {
    let name = ShortString::try_from(format!("q{queue}").as_bytes()).unwrap();
    let change = TopologyChange::QueueDeclared {
        id: QueueId(queue),
        name,
        auto_delete: false,
        arguments: FieldTable::new(),
    };
    Change::Topology { vhost: ShortString::from_static("/"), change }
}

fn publish_payload(body: &[u8], placement: Placement) -> Vec<u8> {
    let mut payload = Vec::new();
    Publish::encode(&mut payload, message(body).view(), 1, &[placement]);
    payload
}

fn settle_payload(queue: u64, position: u64) -> Vec<u8> {
    let mut payload = Vec::new();
    Settle::encode(&mut payload, QueueId(queue), [position..=position]);
    payload
}

#[test]
fn a_whole_folder_is_told_by_kind_and_by_queue() {
    let report = Folder::filled().check();
    assert!(report.is_whole() && report.clean, "{report:#?}");
    let records =
        Records { publish: 5, settle: 1, returned: 1, topology: 3, shutdown: 1, ..Records::default() };
    assert_eq!(report.records, records);
    let sizes = report.sizes;
    assert_eq!((sizes.sealed, sizes.unsealed, sizes.blank, sizes.reserved_bytes()), (1, 0, 0, 0));
    let queues: Vec<_> =
        report.queues.iter().map(|queue| (&*queue.vhost, &*queue.name, queue.messages)).collect();
    assert_eq!(queues, [("/", "q1", 3), ("/", "q2", 1), ("/", "q3", 0)]);
    // A fan-out is on disk once and counts in both queues.
    let bytes: u64 = report.queues.iter().map(|queue| queue.bytes).sum();
    assert!(sizes.live_bytes > 0 && bytes > sizes.live_bytes, "{report:#?}");
    assert!(matches!(report.checkpoint, Checkpoint::Whole(_)));
    assert_eq!((report.definitions, report.torn_bytes, report.dropped_records), (Some(3), 0, 0));
}

#[test]
fn progress_reaches_no_further_than_the_log_is_long() {
    let folder = Folder::filled();
    let mut last = 0;
    let used = DataDir::open_used(folder.0.path()).unwrap();
    check(&used, |progress| {
        assert!((last..=progress.total_bytes).contains(&progress.done_bytes));
        last = progress.done_bytes;
    })
    .unwrap();
    assert!(last > 0);
}

#[test]
fn a_flipped_byte_in_any_record_names_that_record() {
    let folder = Folder::filled();
    let records = folder.records();
    assert_eq!(records.len(), 11);
    for (at, (kind, offset)) in records.iter().enumerate() {
        let flip = |bytes: &mut Vec<u8>| bytes[*offset as usize + 2] ^= 0x10;
        edit(&folder.segment(1), flip);
        let flaws = folder.flaws();
        let [Flaw::Record { segment: SegmentId(1), offset: found, length, live }] = flaws[..] else {
            panic!("{kind:?}: {flaws:?}");
        };
        let next = records.get(at + 1).map_or(offset + length, |(_, next)| *next);
        assert_eq!((found, found + length), (*offset, next), "{kind:?}");
        if *kind != Kind::Publish {
            assert_eq!(live, 0);
        }
        edit(&folder.segment(1), flip);
    }
    assert!(folder.flaws().is_empty());
}

#[test]
fn header_footer_and_trailer_are_checked() {
    let folder = Folder::filled();
    let segment = SegmentId(1);
    let file_bytes = fs::metadata(folder.segment(1)).unwrap().len();
    let flip = |at: usize| edit(&folder.segment(1), |bytes| bytes[at] ^= 1);
    flip(17);
    assert_eq!(folder.flaws(), [Flaw::Header { segment }]);
    flip(17);
    flip(file_bytes as usize - 1);
    assert_eq!(folder.flaws(), [Flaw::Trailer { segment, offset: file_bytes - 16 }]);
    flip(file_bytes as usize - 1);
    flip(file_bytes as usize - 24);
    assert!(matches!(folder.flaws()[..], [Flaw::Footer { segment: SegmentId(1), .. }]));
    flip(file_bytes as usize - 24);
    flip(3);
    flip(30);
    assert!(matches!(folder.flaws()[..], [Flaw::NotASegment { .. }, Flaw::State { .. }, ..]));
}

#[test]
fn a_segment_of_another_version_is_an_error() {
    let folder = Folder::filled();
    edit(&folder.segment(1), |bytes| {
        bytes[8] = 9;
        let sum = crc32c::crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&sum.to_le_bytes());
    });
    let used = DataDir::open_used(folder.0.path()).unwrap();
    let error = check(&used, |_| {}).unwrap_err().to_string();
    assert!(error.contains("unknown version 9"), "{error}");
}

#[test]
fn what_a_crash_leaves_is_told_and_is_no_flaw() {
    let folder = Folder::filled();
    let end = folder.unsealed(
        2,
        &[
            (Kind::Publish, Flags::SINGLE, publish_payload(b"new", place(3, 1))),
            (Kind::Settle, Flags::SINGLE, settle_payload(1, 3)),
            (Kind::Publish, Flags::FIRST, publish_payload(b"half", place(3, 2))),
            (Kind::Settle, Flags::NONE, settle_payload(1, 5)),
        ],
    );
    edit(&folder.segment(2), |bytes| bytes[end as usize..end as usize + 40].fill(0xEE));
    let report = folder.check();
    assert!(report.is_whole() && !report.clean, "{report:#?}");
    assert_eq!((report.sizes.sealed, report.sizes.unsealed), (1, 1));
    assert_eq!(report.dropped_records, 2);
    assert!(report.torn_bytes > 40 && report.sizes.reserved_bytes() > 1_000_000, "{report:#?}");
    let queues: Vec<_> = report.queues.iter().map(|queue| (&*queue.name, queue.messages)).collect();
    assert_eq!(queues, [("q1", 2), ("q2", 1), ("q3", 1)]);
}

#[test]
fn damage_inside_an_unsealed_segment_or_at_the_end_of_an_earlier_one_is_a_flaw() {
    let folder = Folder::filled();
    let settle = |position| (Kind::Settle, Flags::SINGLE, settle_payload(1, position));
    let end = folder.unsealed(2, &[settle(3), settle(4), settle(5)]);
    let record_bytes = (end - FIRST_RECORD_OFFSET) / 3;
    let flip = |at: u32| edit(&folder.segment(2), |bytes| bytes[at as usize] ^= 1);
    let segment = SegmentId(2);
    let (second, third) = (FIRST_RECORD_OFFSET + record_bytes, FIRST_RECORD_OFFSET + 2 * record_bytes);
    flip(second);
    assert_eq!(folder.flaws(), [Flaw::Record { segment, offset: second, length: record_bytes, live: 0 }]);
    flip(second);
    flip(third);
    assert!(folder.flaws().is_empty(), "it may be a torn tail");
    folder.unsealed(3, &[settle(3)]);
    assert!(
        matches!(folder.flaws()[..], [Flaw::End { segment: SegmentId(2), offset, .. }] if offset == third)
    );
}

#[test]
fn a_footer_that_leaves_a_record_out_differs() {
    let folder = Folder::filled();
    let files = DiskFiles::open(folder.0.path().join("log")).unwrap();
    let segment = Segment::open(&files, SegmentId(1)).unwrap();
    let Footer { slots, mut others, end } = segment.footer().unwrap().unwrap();
    let offset = others.remove(1);
    segment.cut(end).unwrap();
    segment.seal(end, slots, others).unwrap();
    assert_eq!(folder.flaws(), [Flaw::FooterDiffers { segment: SegmentId(1), offset }]);
}

#[test]
fn a_record_that_makes_no_sense_is_a_flaw_though_its_checksum_holds() {
    let folder = Folder::filled();
    folder.unsealed(2, &[(Kind::Settle, Flags::SINGLE, vec![1, 2, 3])]);
    assert!(matches!(
        folder.flaws()[..],
        [Flaw::Payload { segment: SegmentId(2), offset: 32, length: 15, .. }]
    ));
}

#[test]
fn a_segment_that_is_gone_with_messages_in_queues_is_missed() {
    let folder = Folder::new();
    let mut batches = vec![vec![declared(1)]];
    batches.extend((1..=40).map(|position| vec![published(message(&[7; 8_000]), &[place(1, position)])]));
    folder.run(65_536, batches);
    let before = folder.check();
    assert!(before.is_whole() && before.sizes.sealed > 3, "{before:#?}");
    fs::remove_file(folder.segment(2)).unwrap();
    let flaws = folder.flaws();
    assert!(matches!(flaws[..], [Flaw::Missing { segment: SegmentId(2), messages: 1.. }]), "{flaws:?}");
}

#[test]
fn a_lost_state_folder_and_damaged_definitions_are_flaws() {
    let folder = Folder::filled();
    let state = folder.0.path().join("state");
    let definitions = folder.0.path().join(DEFINITIONS);
    let aside = folder.0.path().join("aside");
    fs::rename(&state, &aside).unwrap();
    let report = folder.check();
    assert!(matches!(report.flaws[..], [Flaw::State { .. }]) && report.checkpoint == Checkpoint::Lost);
    assert_eq!(report.queues[0].messages, 3, "the log has everything");
    assert!(!state.exists());
    fs::rename(&aside, &state).unwrap();
    edit(&definitions, |bytes| bytes[20] ^= 1);
    assert_eq!(folder.flaws(), [Flaw::Definitions(DefinitionsError::Damaged)]);
    fs::remove_file(&definitions).unwrap();
    let report = folder.check();
    assert!(report.is_whole() && report.definitions.is_none());
}

#[test]
fn a_folder_without_a_checkpoint_is_whole_when_the_log_has_everything() {
    let folder = Folder::new();
    let declared = {
        let mut payload = Vec::new();
        let Change::Topology { vhost, change } = declared(1) else { unreachable!() };
        TopologyRecord::encode(&mut payload, &vhost, &change);
        (Kind::Topology, Flags::SINGLE, payload)
    };
    folder.unsealed(1, &[declared, (Kind::Publish, Flags::SINGLE, publish_payload(b"m", place(1, 1)))]);
    let report = folder.check();
    assert!(report.is_whole() && report.checkpoint == Checkpoint::None, "{report:#?}");
    assert_eq!((&*report.queues[0].name, report.queues[0].messages), ("q1", 1));
}

#[test]
fn users_virtual_hosts_and_parameters_are_told_without_a_secret() {
    let folder = Folder::new();
    let changes = changes_of_version_3().into_iter().filter_map(|entity| match entity {
        Entity::Topology { vhost, change } => Some(Change::Topology { vhost, change }),
        Entity::Access(change) => Some(change.into()),
        Entity::UsersSetUp => None,
    });
    folder.run(1 << 20, vec![changes.collect(), vec![declared(1)]]);
    let report = folder.check();
    assert!(report.is_whole(), "{report:#?}");
    assert_eq!((report.records.access, report.records.topology), (12, 11));
    let name = ShortString::from_static;
    let Declared { users, permissions, topic_permissions, vhosts, parameters, .. } = &report.declared;
    let UserSpec { tags, limits, .. } = user("u");
    let algorithm = Some(HashAlgorithm::Sha256);
    assert_eq!(users[..], [UserReport { name: name("u"), tags, algorithm, limits }]);
    let permitted: Vec<_> =
        permissions.iter().map(|spec| (&*spec.configure, &*spec.write, &*spec.read)).collect();
    assert_eq!((permitted, topic_permissions.len()), (vec![("^own", ".*", "")], 1));
    let expected = [
        (name("/"), VhostReport { settings: settings(), is_deleted: false }),
        (name("half"), VhostReport { is_deleted: true, ..VhostReport::default() }),
    ];
    assert_eq!(vhosts, &BTreeMap::from(expected));
    let of = |vhost| Some((name(vhost), name("shovel")));
    let expected = [(None, "cluster_name"), (of("/"), "p"), (of("half"), "p")];
    let expected = expected.map(|(of, text)| ParameterReport { of, name: name(text) });
    assert_eq!(parameters[..], expected);
    let shown = format!("{report:?}");
    assert!(!shown.contains("saltandhash") && !shown.contains("amqp://"), "{shown}");
}

#[test]
fn a_password_that_is_not_there_is_told() {
    let folder = Folder::new();
    let password = PasswordHash { algorithm: HashAlgorithm::Sha256, bytes: Box::default() };
    let spec = UserSpec { password, ..user("u") };
    folder.run(1 << 20, vec![vec![AccessChange::UserSet(spec).into()]]);
    assert_eq!(folder.check().declared.users[0].algorithm, None);
}

#[test]
fn state_and_definitions_of_a_later_version_and_a_queue_of_an_unknown_type_are_errors() {
    let error = |folder: &Folder| {
        let used = DataDir::open_used(folder.0.path()).unwrap();
        check(&used, |_| {}).unwrap_err().to_string()
    };
    let folder = Folder::filled();
    edit(&folder.0.path().join(DEFINITIONS), |bytes| bytes[8] = 9);
    assert_eq!(error(&folder), "definitions of version 9, which this version cannot read");

    let folder = Folder::filled();
    let mut batch = Batch::default();
    batch.put(&Key::UsersSetUp, vec![9, 0]);
    let mut kv = SledKv::open(&folder.0.path().join("state")).unwrap();
    kv.apply(batch).unwrap();
    kv.flush().unwrap();
    drop(kv);
    assert!(error(&folder).starts_with("the key-value store has version 9 at UsersSetUp"));

    let folder = Folder::new();
    let Change::Topology { vhost, mut change } = declared(1) else { unreachable!() };
    if let TopologyChange::QueueDeclared { arguments, .. } = &mut change {
        *arguments = FieldTable::new().with("x-queue-type", "stream");
    }
    folder.run(1 << 20, vec![vec![Change::Topology { vhost, change }]]);
    assert_eq!(error(&folder), "queue 'q1' in vhost '/' is of a type that this version does not know");
}

#[test]
fn a_checkpoint_that_was_stopped_halfway_is_no_flaw_and_its_redo_file_stays() {
    let folder = Folder::new();
    folder.run(1 << 20, vec![(1..=40).map(declared).collect()]);
    let state = folder.0.path().join("state");
    let redo = state.join("redo");
    let mut kv = SledKv::open(&state).unwrap();
    let mut large = Batch::default();
    for pair in [KeyKind::Meta, KeyKind::Queue].into_iter().flat_map(|kind| kv.scan(kind)) {
        let (key, value) = pair.unwrap();
        large.put(&Key::from_bytes(&key).unwrap(), value);
    }
    kv.apply(large).unwrap();
    let bytes = fs::read(&redo).unwrap();
    let mut half = Batch::default();
    half.put(&Key::Meta, vec![255]);
    kv.apply(half).unwrap();
    drop(kv);
    let is_lost = || matches!(folder.flaws()[..], [Flaw::State { .. }, ..]);
    assert!(is_lost(), "the redo file is gone");
    fs::write(&redo, &bytes).unwrap();
    assert!(folder.flaws().is_empty());
    assert_eq!(fs::read(&redo).unwrap(), bytes);
    edit(&redo, |bytes| bytes[30] ^= 1);
    assert!(is_lost(), "the redo file is damaged");

    let mut later = bytes[..bytes.len() - 4].to_vec();
    later[8] = 2;
    later.extend(crc32c::crc32c(&later).to_le_bytes());
    fs::write(&redo, &later).unwrap();
    let used = DataDir::open_used(folder.0.path()).unwrap();
    let error = check(&used, |_| {}).unwrap_err().to_string();
    assert!(error.contains("redo file of version 2"), "{error}");
}

#[test]
fn a_log_of_version_1_is_no_flaw() {
    let folder = Folder::new();
    folder.run(1 << 20, vec![(1..=2).map(declared).collect()]);
    for id in [1, 2] {
        let name = SegmentId(id).file_name();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/log-v1");
        fs::copy(fixtures.join(name), folder.segment(id)).unwrap();
    }
    let report = folder.check();
    assert_eq!((report.records.publish, report.records.returned), (8, 2));
    // The key-value store beside it may be taken for that of another log.
    let of_state = |flaw: &Flaw| matches!(flaw, Flaw::State { .. });
    assert!(report.flaws.iter().all(of_state), "{:?}", report.flaws);
}
