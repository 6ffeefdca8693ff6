//! Segments on a disk that fails as disks do.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]

mod versions;

use proptest::{collection::vec, prelude::*};

use super::{read::SlotError, scan::Scanned, *};
use crate::{
    core::{
        access::AccessChange,
        change::{Attempts, TopologyChange},
        message::{View, build_image},
        placement::{Placement, QueueId},
    },
    protocol::ShortString,
    store::{
        files::sim::{Operation, SimDisk},
        format::{Publish, Return, Returned, Settle, TopologyRecord, access},
    },
};

const ID: SegmentId = SegmentId(1);
const SALT: u32 = 0x5EED_5A17;

/// A segment that is being written, and what should be found in it.
struct Writer {
    segment: Segment,
    end: u32,
    records: Vec<(u32, Kind, Vec<u8>)>,
    slots: Vec<Slot>,
}

impl Writer {
    fn new(disk: &SimDisk, id: SegmentId, size_bytes: u64) -> Self {
        let segment = Segment::create(disk, id, SALT, size_bytes).unwrap();
        Self { segment, end: FIRST_RECORD_OFFSET, records: vec![], slots: vec![] }
    }

    fn put(&mut self, kind: Kind, flags: Flags, payload: &[u8]) -> u32 {
        let mut bytes = vec![];
        let begun = record::begin(&mut bytes, kind, flags);
        bytes.extend_from_slice(payload);
        record::finish(&mut bytes, begun, SALT, self.end);
        self.segment.write(&bytes, self.end).unwrap();
        let offset = self.end;
        self.records.push((offset, kind, payload.to_vec()));
        self.end += bytes.len() as u32;
        offset
    }

    fn publish(&mut self, position: u64, flags: Flags, body: &[u8]) {
        let placements = [1, 2].map(|queue| Placement { queue: QueueId(queue), position });
        let (layout, image) = build_image(b"ex", b"key", &[0, 0], &[body], true);
        let mut payload = vec![];
        Publish::encode(&mut payload, View::new(layout, &image), position, &placements);
        let offset = self.put(Kind::Publish, flags, &payload);
        let payload_bytes = payload.len() as u32;
        let transient = flags.contains(Flags::TRANSIENT);
        let slot = |placement| Slot { placement, offset, payload_bytes, transient };
        self.slots.extend(placements.map(slot));
        self.slots.sort_by_key(|slot| slot.placement);
    }

    /// One record of each kind, in groups of one and of three.
    fn fill(&mut self) {
        self.publish(1, Flags::SINGLE, b"one");
        let mut payload = vec![];
        let gone = TopologyChange::ExchangeDeleted(ShortString::from_static("ex"));
        TopologyRecord::encode(&mut payload, &ShortString::from_static("/"), &gone);
        self.put(Kind::Topology, Flags::SINGLE, &payload);
        self.publish(2, Flags::FIRST, b"two");
        let mut payload = vec![];
        Settle::encode(&mut payload, QueueId(1), [1..=1, 3..=9]);
        self.put(Kind::Settle, Flags::NONE, &payload);
        self.publish(3, Flags::LAST | Flags::MOVED, b"three");
        let mut payload = vec![];
        let attempts = Attempts { returned: 7, failed: 2 };
        Return::encode(&mut payload, QueueId(2), [(1, Returned { attempts, due: 9 })]);
        self.put(Kind::Return, Flags::SINGLE, &payload);
        self.publish(4, Flags::SINGLE | Flags::TRANSIENT, b"four");
        let mut payload = vec![];
        access::encode(&mut payload, &AccessChange::UserDeleted(ShortString::from_static("u")));
        self.put(Kind::Access, Flags::SINGLE, &payload);
        self.put(Kind::Shutdown, Flags::SINGLE, &[]);
    }

    fn others(&self) -> Vec<u32> {
        self.records.iter().filter(|record| record.1 != Kind::Publish).map(|record| record.0).collect()
    }

    fn seal(&self) -> io::Result<Footer> {
        self.segment.seal(self.end, self.slots.clone(), self.others())
    }
}

/// What a scan found.
#[derive(Debug, PartialEq, Default)]
struct Found {
    records: Vec<(u32, Kind, Vec<u8>)>,
    damaged: Vec<Range<u32>>,
    end: u32,
    dropped: u64,
}

impl Found {
    fn add(&mut self, scanned: &Scanned<'_>) {
        match *scanned {
            Scanned::Record { offset, kind, payload, .. } => {
                self.records.push((offset, kind, payload.to_vec()));
            }
            Scanned::Damaged { from, to } => self.damaged.push(from..to),
        }
    }
}

fn scanned(segment: &Segment) -> Found {
    let mut seen = Found::default();
    let mut scan = segment.scan(FIRST_RECORD_OFFSET).unwrap();
    while let Some(found) = scan.advance().unwrap() {
        seen.add(&found);
    }
    Found { end: scan.end(), dropped: scan.dropped(), ..seen }
}

/// What a sealed segment holds, by its footer.
fn read_by_footer(segment: &Segment, footer: &Footer) -> Found {
    let mut seen = Found::default();
    let mut others = segment.scan_sealed(footer).unwrap();
    while let Some(found) = others.advance().unwrap() {
        seen.add(&found);
    }
    let mut slots = footer.of(QueueId(1), 0, u64::MAX).to_vec();
    slots.sort_by_key(|slot| slot.offset);
    for (slot, answer) in slots.iter().zip(segment.read_publishes(&slots)) {
        match answer {
            Ok(found) => {
                let mut payload = vec![];
                let message = &found.message;
                let published_at = message.published_at();
                Publish::encode(&mut payload, message.view(), published_at, &found.placements);
                seen.records.push((slot.offset, Kind::Publish, payload));
            }
            Err(SlotError::Damaged { offset, length }) => seen.damaged.push(offset..offset + length),
            Err(SlotError::Io(error)) => panic!("{error}"),
        }
    }
    seen.records.sort_by_key(|record| record.0);
    seen
}

/// Everything that can be had from the segment, in the way that a starting broker reads it.
fn recovered(segment: &Segment) -> Found {
    match segment.footer() {
        Ok(Some(footer)) => read_by_footer(segment, &footer),
        Ok(None) | Err(SegmentError::FooterDamaged { .. }) => scanned(segment),
        Err(error) => panic!("{error}"),
    }
}

fn filled(disk: &SimDisk) -> Writer {
    let mut writer = Writer::new(disk, ID, 4096);
    writer.fill();
    writer.segment.sync().unwrap();
    writer
}

#[test]
fn what_was_written_is_scanned_in_order() {
    let disk = SimDisk::new();
    let writer = filled(&disk);
    let seen = scanned(&Segment::open(&disk, ID).unwrap());
    assert_eq!(seen, Found { records: writer.records.clone(), end: writer.end, ..Found::default() });
    assert!(writer.segment.footer().unwrap().is_none());
    assert_eq!((writer.segment.id(), writer.segment.salt()), (ID, SALT));
    assert_eq!(writer.segment.len_bytes().unwrap(), 4096);
}

#[test]
fn a_scan_begins_in_the_middle_when_it_is_told_to() {
    let disk = SimDisk::new();
    let writer = filled(&disk);
    let mut scan = writer.segment.scan(writer.records[5].0).unwrap();
    let first = scan.advance().unwrap().unwrap();
    assert!(matches!(first, Scanned::Record { kind: Kind::Return, .. }));
}

#[test]
fn a_sealed_segment_gives_its_records_by_the_footer_and_ends_with_its_trailer() {
    let disk = SimDisk::new();
    let writer = filled(&disk);
    let footer = writer.seal().unwrap();
    let segment = Segment::open(&disk, ID).unwrap();
    assert_eq!(segment.footer().unwrap().unwrap(), footer);
    assert!(segment.len_bytes().unwrap() < 4096);
    assert_eq!(read_by_footer(&segment, &footer).records, writer.records);
    assert_eq!(scanned(&segment).records, writer.records);
    let slot = footer.of(QueueId(2), 4, 4)[0];
    let found = segment.read_publishes(&[slot]).remove(0).unwrap();
    assert_eq!((found.message.view().body(), found.placements.len()), (b"four".to_vec(), 2));
    assert!(found.flags.contains(Flags::TRANSIENT | Flags::SINGLE) && slot.transient);
}

#[test]
fn a_sync_stands_between_the_footer_and_the_cut_that_makes_it_count() {
    let disk = SimDisk::new();
    let writer = filled(&disk);
    let before = disk.journal().len();
    writer.seal().unwrap();
    let name = || ID.file_name();
    let len = writer.segment.len_bytes().unwrap();
    let footer_len = len - u64::from(writer.end);
    let expected = [
        Operation::Write { name: name(), offset: u64::from(writer.end), len: footer_len },
        Operation::Sync { name: name() },
        Operation::Truncate { name: name(), len },
        Operation::Sync { name: name() },
    ];
    assert_eq!(disk.journal()[before..], expected);
}

#[test]
fn a_crash_at_any_operation_of_sealing_loses_no_record_and_sealing_works_afterwards() {
    for size_bytes in [600, 4096] {
        for (n, seed) in (1..=5).flat_map(|n| (0..24).map(move |seed| (n, seed))) {
            let disk = SimDisk::new();
            let mut writer = Writer::new(&disk, ID, size_bytes);
            writer.fill();
            writer.segment.sync().unwrap();
            disk.crash_at(n);
            assert_eq!(writer.seal().is_err(), n <= 4);
            let left = disk.crash(seed);
            let segment = Segment::open(&left, ID).unwrap();
            assert_eq!(recovered(&segment).records, writer.records, "operation {n}, seed {seed}");
            let found = scanned(&segment);
            assert_eq!((found.end, found.damaged.len()), (writer.end, 0));
            segment.cut(found.end).unwrap();
            let footer = segment.seal(found.end, writer.slots.clone(), writer.others()).unwrap();
            assert_eq!(Segment::open(&left.crash(seed), ID).unwrap().footer().unwrap(), Some(footer));
        }
    }
}

#[test]
fn a_torn_tail_leaves_whole_groups_and_all_that_was_synced() {
    for seed in 0..300 {
        let disk = SimDisk::new();
        let mut writer = Writer::new(&disk, ID, 16_384);
        writer.fill();
        writer.segment.sync().unwrap();
        let synced = writer.records.len();
        for position in 5..9 {
            writer.publish(2 * position, Flags::FIRST, &[seed as u8; 700]);
            writer.publish(2 * position + 1, Flags::LAST, &[7; 400]);
        }
        let segment = Segment::open(&disk.crash(seed), ID).unwrap();
        let seen = scanned(&segment);
        assert_eq!(seen.records[..synced], writer.records[..synced]);
        let rest = &seen.records[synced..];
        assert!(rest.iter().all(|record| writer.records.contains(record)));
        let group = |offset| writer.records.iter().position(|record| record.0 == offset).unwrap() - synced;
        for pair in rest.chunks(2) {
            assert_eq!((group(pair[0].0) % 2, group(pair[0].0) + 1), (0, group(pair[1].0)), "seed {seed}");
        }
        assert!(seen.end <= writer.end);
    }
}

#[test]
fn a_group_without_its_end_is_dropped_whole() {
    let disk = SimDisk::new();
    let mut writer = filled(&disk);
    let (whole, end) = (writer.records.clone(), writer.end);
    writer.publish(8, Flags::FIRST, b"eight");
    writer.publish(9, Flags::NONE, b"nine");
    let seen = scanned(&writer.segment);
    assert_eq!(seen, Found { records: whole.clone(), end, dropped: 2, ..Found::default() });
    writer.publish(10, Flags::SINGLE, b"ten");
    let seen = scanned(&writer.segment);
    assert_eq!((seen.records.len(), seen.dropped, seen.end), (whole.len() + 1, 2, writer.end));
}

#[test]
fn a_group_with_damage_in_its_middle_is_dropped_whole_and_the_next_one_is_not() {
    let disk = SimDisk::new();
    let writer = filled(&disk);
    let (damaged, behind) = (writer.records[3].0, writer.records[4].0);
    disk.corrupt(&ID.file_name(), u64::from(damaged) + 13);
    let seen = scanned(&writer.segment);
    let expected = [&writer.records[..2], &writer.records[5..]].concat();
    assert_eq!(seen.records, expected);
    assert_eq!((seen.damaged, seen.dropped), (Vec::from_iter(Some(damaged..behind)), 2));
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_harms_one_record_at_most() {
    let disk = SimDisk::new();
    let writer = filled(&disk);
    writer.seal().unwrap();
    for at in 0..writer.segment.len_bytes().unwrap() {
        let rotten = disk.kill();
        rotten.corrupt(&ID.file_name(), at);
        let seen = recovered(&Segment::open(&rotten, ID).unwrap());
        let hit = |record: &(u32, Kind, Vec<u8>)| {
            (u64::from(record.0)..u64::from(record.0) + 12 + record.2.len() as u64).contains(&at)
        };
        let kept: Vec<_> = writer.records.iter().filter(|record| !hit(record)).cloned().collect();
        assert_eq!(seen.records, kept, "byte {at}");
        assert_eq!(seen.damaged.len(), writer.records.len() - kept.len(), "byte {at}");
        assert!(seen.damaged.iter().all(|range| u64::from(range.start) <= at && at < u64::from(range.end)));
    }
}

#[test]
fn a_flipped_bit_in_an_unsealed_segment_harms_one_group_at_most() {
    let disk = SimDisk::new();
    let writer = filled(&disk);
    let group_of = [0, 1, 2, 2, 2, 3, 4, 5, 6];
    for at in 0..4096 {
        let rotten = disk.kill();
        rotten.corrupt(&ID.file_name(), at);
        let seen = scanned(&Segment::open(&rotten, ID).unwrap());
        let hit = writer.records.iter().position(|record| {
            (u64::from(record.0)..u64::from(record.0) + 12 + record.2.len() as u64).contains(&at)
        });
        let lost = hit.map(|hit| group_of[hit]);
        let kept = writer.records.iter().zip(group_of).filter(|(_, group)| Some(*group) != lost);
        assert_eq!(seen.records, kept.map(|(record, _)| record.clone()).collect::<Vec<_>>(), "byte {at}");
        assert!(seen.damaged.iter().all(|range| u64::from(range.start) <= at && at < u64::from(range.end)));
    }
}

#[test]
fn a_damaged_footer_is_told_apart_from_a_missing_one() {
    let disk = SimDisk::new();
    let writer = filled(&disk);
    writer.seal().unwrap();
    let (name, len) = (ID.file_name(), writer.segment.len_bytes().unwrap());
    let rotten = disk.kill();
    rotten.corrupt(&name, u64::from(writer.end) + 20);
    let error = Segment::open(&rotten, ID).unwrap().footer().unwrap_err();
    assert!(matches!(error, SegmentError::FooterDamaged { damage: Damage::Checksum, .. }), "{error}");
    let rotten = disk.kill();
    rotten.corrupt(&name, len - 10);
    assert!(Segment::open(&rotten, ID).unwrap().footer().unwrap().is_none());
}

#[test]
fn a_body_that_holds_a_whole_segment_is_not_taken_for_records() {
    let disk = SimDisk::new();
    filled(&disk);
    let copy = disk.read(&ID.file_name()).unwrap().unwrap();
    let id = SegmentId(2);
    let mut writer = Writer::new(&disk, id, 65_536);
    for lead in 0..8 {
        let body = [&vec![0; lead], copy.as_slice()].concat();
        writer.publish(lead as u64 + 1, Flags::SINGLE, &body);
    }
    let last = writer.records.len() - 1;
    for victim in [0, 3, last] {
        let rotten = disk.kill();
        rotten.corrupt(&id.file_name(), u64::from(writer.records[victim].0) + 5);
        let seen = scanned(&Segment::open(&rotten, id).unwrap());
        let mut expected = writer.records.clone();
        let removed = expected.remove(victim).0;
        assert_eq!(seen.records, expected);
        let next = writer.records.get(victim + 1).map(|record| removed..record.0);
        assert_eq!(seen.damaged, Vec::from_iter(next), "a damaged last record is a torn tail");
    }
}

/// If each claim were summed up to its end, this would be 400 GB of sums.
#[test]
fn a_damaged_body_full_of_lengths_does_not_hold_up_the_search_for_the_next_record() {
    for claimed_bytes in [3_000_000_u32, 4_000] {
        let disk = SimDisk::new();
        let mut writer = Writer::new(&disk, ID, 64);
        writer.publish(1, Flags::SINGLE, b"before");
        let mut claim = vec![Kind::Publish as u8, 3, 0, 0];
        claim.extend_from_slice(&claimed_bytes.to_le_bytes());
        let payload = [vec![0; 4], claim.repeat(500_000)].concat();
        let damaged = writer.put(Kind::Publish, Flags::SINGLE, &payload);
        writer.publish(2, Flags::SINGLE, &vec![7; 100_000]);
        writer.publish(3, Flags::SINGLE, b"after");
        disk.corrupt(&ID.file_name(), u64::from(damaged) + 1);
        let seen = scanned(&writer.segment);
        let next = writer.records[2].0;
        writer.records.remove(1);
        assert!(seen.records == writer.records && seen.end == writer.end);
        assert_eq!(seen.damaged, Vec::from_iter(Some(damaged..next)));
    }
}

#[test]
fn records_larger_than_a_step_and_on_its_edges_are_read() {
    let disk = SimDisk::new();
    let mut writer = Writer::new(&disk, ID, 64);
    for (position, size) in [100, 5_000_000, 3, 1_048_000, 400, 20_000, 0, 300_000].into_iter().enumerate() {
        let flags = [Flags::FIRST, Flags::LAST][position % 2];
        writer.publish(position as u64 + 1, flags, &vec![position as u8; size]);
    }
    let seen = scanned(&writer.segment);
    assert!(seen.records == writer.records && seen.end == writer.end);
    let footer = writer.seal().unwrap();
    assert!(read_by_footer(&writer.segment, &footer).records == writer.records);
}

#[test]
fn a_length_beyond_the_file_is_damage_and_allocates_nothing() {
    let disk = SimDisk::new();
    let writer = filled(&disk);
    let mut huge = vec![];
    record::begin(&mut huge, Kind::Publish, Flags::SINGLE);
    huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    writer.segment.write(&huge, writer.end).unwrap();
    assert_eq!(scanned(&writer.segment).end, writer.end);
    let slot = Slot { offset: u32::MAX - 7, payload_bytes: (1 << 31) - 1, ..writer.slots[0] };
    let answers = writer.segment.read_publishes(&[writer.slots[0], slot]);
    assert!(answers[0].is_ok() && matches!(answers[1], Err(SlotError::Damaged { .. })));
}

#[test]
fn a_slot_that_names_another_message_is_damage() {
    let disk = SimDisk::new();
    let writer = filled(&disk);
    let elsewhere = Placement { queue: QueueId(1), position: 77 };
    let slot = Slot { placement: elsewhere, ..writer.slots[0] };
    assert!(matches!(writer.segment.read_publishes(&[slot])[0], Err(SlotError::Damaged { .. })));
}

#[test]
fn files_that_are_no_segments_are_refused_in_one_line() {
    let disk = SimDisk::new();
    let name = ID.file_name();
    let told = |disk: &SimDisk| Segment::open(disk, ID).unwrap_err().to_string();
    assert!(matches!(Segment::open(&disk, ID), Err(SegmentError::Io { .. })));
    disk.replace(&name, &[0; 500]).unwrap();
    assert_eq!(told(&disk), "segment 1 is blank");
    disk.replace(&name, &[b'x'; 500]).unwrap();
    assert_eq!(told(&disk), "0000000000000001.seg is not segment 1 of a log");
    disk.replace(&name, &SegmentHeader { id: SegmentId(2), salt: 1 }.encode()).unwrap();
    assert!(matches!(Segment::open(&disk, ID), Err(SegmentError::NotASegment(_))));
    let mut header = SegmentHeader { id: ID, salt: 1 }.encode();
    header[8] = 7;
    let checksum = crc32c::crc32c(&header[..28]);
    header[28..].copy_from_slice(&checksum.to_le_bytes());
    disk.replace(&name, &header).unwrap();
    assert!(told(&disk).starts_with("segment 1 is of unknown version 7"));
    assert!(Segment::create(&disk, ID, 1, 64).is_err());
}

#[test]
fn an_error_of_the_disk_is_not_taken_for_damage() {
    let disk = SimDisk::new();
    let writer = filled(&disk);
    disk.crash_at(1);
    assert!(writer.segment.sync().is_err());
    assert!(matches!(writer.segment.footer(), Err(SegmentError::Io { .. })));
    assert!(writer.segment.scan(FIRST_RECORD_OFFSET).is_err());
    assert!(matches!(writer.segment.read_publishes(&writer.slots[..1])[0], Err(SlotError::Io(_))));
}

/// A file with one byte that cannot be read.
struct Unreadable(Arc<dyn File>, u64);

impl File for Unreadable {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let is_hit = (offset..offset + buffer.len() as u64).contains(&self.1);
        if is_hit { Err(io::Error::other("bad sector")) } else { self.0.read_at(buffer, offset) }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.0.reserve(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
}

#[test]
fn a_bad_sector_harms_its_own_message_and_not_its_neighbours() {
    let disk = SimDisk::new();
    let mut writer = filled(&disk);
    writer.slots.retain(|slot| slot.placement.queue == QueueId(1));
    let at = u64::from(writer.slots[1].offset) + 20;
    writer.segment.file = Arc::new(Unreadable(writer.segment.file, at));
    let failed = writer.segment.read_publishes(&writer.slots).into_iter().map(|answer| match answer {
        Ok(_) => false,
        Err(SlotError::Io(_)) => true,
        Err(damaged) => panic!("{damaged}"),
    });
    assert_eq!(failed.collect::<Vec<_>>(), [false, true, false, false]);
}

#[test]
fn damaged_bytes_are_set_aside_once() {
    let (disk, folder) = (SimDisk::new(), SimDisk::new());
    let writer = filled(&disk);
    let name = quarantine::set_aside(&folder, &writer.segment, 32..64).unwrap();
    assert_eq!(name, "0000000000000001-00000020.damaged");
    let first = folder.read(&name).unwrap().unwrap();
    assert_eq!(first, disk.read(&ID.file_name()).unwrap().unwrap()[32..64]);
    disk.corrupt(&ID.file_name(), 33);
    assert_eq!(quarantine::set_aside(&folder, &writer.segment, 32..64).unwrap(), name);
    assert_eq!(folder.read(&name).unwrap().unwrap(), first);
    let at_end = quarantine::set_aside(&folder, &writer.segment, 4090..8000).unwrap();
    assert_eq!(folder.read(&at_end).unwrap().unwrap().len(), 6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_damage_leaves_records_that_were_written_and_nothing_else(
        bodies in vec(vec(any::<u8>(), 0..60), 1..12),
        damage in vec((any::<prop::sample::Index>(), vec(any::<u8>(), 1..40)), 0..4),
        is_sealed: bool,
    ) {
        let disk = SimDisk::new();
        let mut writer = Writer::new(&disk, ID, 8192);
        for (position, body) in bodies.iter().enumerate() {
            writer.publish(position as u64 + 1, Flags::SINGLE, body);
        }
        if is_sealed {
            writer.seal().unwrap();
        }
        let room = writer.segment.len_bytes().unwrap() as usize - 40;
        for (at, bytes) in damage {
            let at = FIRST_RECORD_OFFSET as usize + at.index(room - FIRST_RECORD_OFFSET as usize);
            writer.segment.write(&bytes, at as u32).unwrap();
        }
        let seen = recovered(&writer.segment);
        prop_assert!(seen.records.iter().all(|record| writer.records.contains(record)));
        prop_assert!(seen.records.is_sorted_by_key(|record| record.0));
    }
}
