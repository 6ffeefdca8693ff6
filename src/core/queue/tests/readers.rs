//! Several threads read what comes first in a queue back from the disk, at once: each message leaves the queue once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::build_image;
use crate::core::{
    change::Attempts,
    clock::ManualClock,
    dead_letter::Reason,
    declared::QueueSpec,
    effects::{Cause, Effects},
    memory::{Gauge, Holder},
    message::{Message, Stage, View},
    observing::Observers,
    pager::{Loaded, Page, Pager, RestoredQueue, RestoredRange},
    placement::QueueId,
    policy::QueueSettings,
    queue::{GetError, SharedQueue, Surroundings, Uncalled},
    source::{Comeback, Unacked},
};
use crate::protocol::FieldTable;

const MESSAGES: u64 = 60;
const KEPT: u64 = 10;
/// What a page has room for: fewer than are asked for.
const PAGE: usize = 3;

/// All that was there at the start, now and then after a while.
struct Slow(AtomicU64);

impl Pager for Slow {
    fn load(&self, _: QueueId, first: u64, last: u64, _: usize) -> Option<Page> {
        let turn = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) >> 33;
        if turn.is_multiple_of(3) {
            thread::sleep(Duration::from_micros(turn % 200));
        }
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"x"], true);
        let loaded = |position| {
            let message = Message::uncounted(View::new(layout, &image), 0);
            message.set_stage(Stage::Written);
            Loaded { position, attempts: Attempts::default(), due: 0, redelivered: false, message }
        };
        let rest_from = Some(first + PAGE as u64).filter(|rest| *rest <= last);
        Some(Page { messages: (first..=last).take(PAGE).map(loaded).collect(), rest_from })
    }
}

/// A queue with more messages than it may have, all of them on disk.
fn overfull(seed: u64) -> Arc<SharedQueue> {
    let memory = Holder::new(Gauge::of_thread());
    let surroundings = Arc::new(Surroundings {
        observers: Arc::new(Observers::new(&memory)),
        memory,
        pager: Arc::new(Slow(AtomicU64::new(seed))),
        ids: Arc::default(),
        clock: Arc::new(ManualClock::at(1)),
        timetable: Arc::new(Uncalled),
    });
    let dead_letter_exchange = Some("x".try_into().unwrap());
    let settings = QueueSettings { max_length: Some(KEPT), dead_letter_exchange, ..QueueSettings::default() };
    let range = |first: u64| RestoredRange { first, last: first + 19, count: 20, bytes: 2_000 };
    let ranges = (0..MESSAGES / 20).map(|n| range(n * 20)).collect();
    let restored = RestoredQueue { id: QueueId(1), next_position: MESSAGES, ranges };
    let spec = QueueSpec {
        name: "q".try_into().unwrap(),
        durable: true,
        auto_delete: false,
        owner: None,
        arguments: FieldTable::default(),
    };
    Arc::new(SharedQueue::restored(spec, Arc::new(settings), &restored, surroundings))
}

/// Gets what there is, and gives it back, until nothing more is thrown out.
fn get_all(queue: &Arc<SharedQueue>, effects: &mut Effects) -> Vec<Unacked> {
    let (mut taken, mut tag) = (Vec::new(), 0);
    loop {
        tag += 1;
        let got = queue.get((1, false), effects, |entry, _, _| {
            taken.push(queue.handed_out(tag, None, entry));
            None
        });
        match got {
            Ok(()) => {}
            Err(GetError::Empty) => return taken,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn what_several_threads_read_at_once_leaves_the_queue_once() {
    for seed in 0..200 {
        let queue = overfull(seed);
        let work = |gives_back: bool| {
            let mut effects = Effects::default();
            let mut held = Vec::new();
            for _ in 0..4 {
                queue.make_room(&mut effects);
                held.extend(get_all(&queue, &mut effects));
                if gives_back {
                    queue.give_back(std::mem::take(&mut held), Comeback::Returned, &mut effects);
                }
            }
            let held: Vec<u64> = held.iter().map(|unacked| unacked.entry.position).collect();
            (held, effects)
        };
        let ended = thread::scope(|threads| {
            let working = [true, false, true].map(|gives_back| threads.spawn(move || work(gives_back)));
            working.map(|thread| thread.join().unwrap())
        });
        let mut times: BTreeMap<u64, usize> = BTreeMap::new();
        let mut count = |position: u64| *times.entry(position).or_default() += 1;
        for (held, effects) in ended {
            held.into_iter().for_each(&mut count);
            for departure in &effects.departures {
                assert_eq!(departure.cause, Cause::Dead(Reason::MaxLen));
                count(departure.entry.position);
            }
        }
        let mut effects = Effects::default();
        for unacked in get_all(&queue, &mut effects) {
            count(unacked.entry.position);
        }
        assert!(times.values().all(|times| *times == 1), "seed {seed}: {times:?}");
        assert_eq!(times.len() as u64, MESSAGES, "seed {seed}");
    }
}
