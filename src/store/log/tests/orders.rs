//! What waits for the log's writer, in many orders of what its threads do.
//!
//! `pending.rs` is compiled a second time here, with locks whose owner `shuttle` chooses: the threads of a scene run one after
//! the other, and at each lock, condition and waker it is drawn by chance which one goes on. A thread that nobody wakes is
//! found, because then none can go on. When a scene fails, `shuttle` prints the seed of its schedule, which
//! `SHUTTLE_RANDOM_SEED` runs again.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use shuttle::{
    Config, Runner,
    future::block_on,
    rand::{Rng, thread_rng},
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    thread,
};

use crate::core::{
    change::{Change, Changes},
    commit::{Commit, Done},
    message::{Message, View, build_image},
    outbox::{Outbox, SharedOutbox},
    placement::{Placements, QueueId},
};
use crate::limits::JOURNAL_WAITING_BYTES_MAX;
use pending::{Pending, Taken};

#[path = "../pending.rs"]
#[allow(dead_code, clippy::duplicate_mod, reason = "the same once more, with the locks that stand below")]
mod pending;

/// Locks as `parking_lot` has them, on those of `shuttle`.
mod sync {
    use std::{
        ops::{Deref, DerefMut},
        time::Duration,
    };

    use shuttle::{
        rand::{Rng, thread_rng},
        sync,
        thread::yield_now,
    };

    pub(super) struct Mutex<T>(sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard { mutex: &self.0, locked: Some(self.0.lock().unwrap()) }
        }
    }

    pub(super) struct MutexGuard<'a, T> {
        mutex: &'a sync::Mutex<T>,
        /// Nothing while a condition is waited for.
        locked: Option<sync::MutexGuard<'a, T>>,
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.locked.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.locked.as_mut().unwrap()
        }
    }

    pub(super) struct Condvar(sync::Condvar);

    pub(super) struct Waited {
        timed_out: bool,
    }

    impl Waited {
        pub(super) fn timed_out(&self) -> bool {
            self.timed_out
        }
    }

    impl Condvar {
        pub(super) fn new() -> Self {
            Self(sync::Condvar::new())
        }

        pub(super) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(super) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let locked = guard.locked.take().unwrap();
            guard.locked = Some(self.0.wait(locked).unwrap());
        }

        /// There is no clock: others go on for as long as chance has it. A wait that a notice ends is the same as one that ends
        /// without a reason, which the waiting thread has to expect.
        #[allow(clippy::unused_self, reason = "as parking_lot has it")]
        pub(super) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _time: Duration) -> Waited {
            drop(guard.locked.take());
            yield_now();
            guard.locked = Some(guard.mutex.lock().unwrap());
            Waited { timed_out: thread_rng().r#gen() }
        }
    }
}

const SEED: u64 = 0x01e4_e2e7;
const SCHEDULES: usize = 400;
const SESSIONS: u64 = 2;
const CHANGES: u64 = 3;
/// A change names its session as a queue. No client waits for these two.
const FLOOD: u64 = 100;
const RECLAIMER: u64 = 101;
const PARTS: usize = 4;

/// So many of these are too much.
static PART: LazyLock<Message> = LazyLock::new(|| {
    let (layout, image) =
        build_image(b"", b"", &[0, 0], &[&vec![7; JOURNAL_WAITING_BYTES_MAX / PARTS]], true);
    Message::uncounted(View::new(layout, &image), 0)
});

/// What the threads of a scene have in common.
struct Scene {
    pending: Pending,
    /// The commits that were told to be complete: a bit for each.
    complete: AtomicU64,
    /// The last commit that the log's writer has seen to.
    seen_to: AtomicU64,
}

/// The commit that a change is in, as its appender was told.
type Told = ((u64, u64), Commit);

/// The same as the writer found it.
type Found = BTreeMap<(u64, u64), Commit>;

#[test]
fn in_many_orders_nobody_sleeps_for_ever_nothing_is_told_early_and_the_order_is_kept() {
    println!("seed {SEED:#x}");
    run(RandomScheduler::new_from_seed(SEED, SCHEDULES));
    run(PctScheduler::new_from_seed(SEED, 4, SCHEDULES));
}

fn run(scheduler: impl Scheduler + 'static) {
    let mut config = Config::new();
    config.stack_size = 256 * 1024;
    Runner::new(scheduler, config).run(scene);
}

fn scene() {
    let scene = Arc::new(Scene {
        pending: Pending::new(usize::MAX),
        complete: AtomicU64::new(1),
        seen_to: AtomicU64::new(0),
    });
    let spawn = |act: fn(&Scene) -> Vec<Told>| {
        let scene = scene.clone();
        thread::spawn(move || act(&scene))
    };
    let writer = {
        let scene = scene.clone();
        thread::spawn(move || scene.write())
    };
    let mut sessions = vec![spawn(Scene::flood), spawn(Scene::reclaim)];
    for session in 0..SESSIONS {
        let outbox: SharedOutbox = Arc::new(parking_lot::Mutex::new(Outbox::new(4_096, true)));
        let (its, others) = ((scene.clone(), outbox.clone()), scene.clone());
        sessions.push(thread::spawn(move || its.0.session(session, &its.1)));
        sessions.push(thread::spawn(move || others.client(&outbox)));
    }
    let mut told = Vec::new();
    for session in sessions {
        told.extend(session.join().unwrap());
    }
    // Only the end releases this one.
    let late = spawn(|scene| {
        block_on(poll_fn(|cx| scene.pending.poll_seen_to(Commit(u64::MAX), cx)));
        Vec::new()
    });
    scene.pending.close();
    late.join().unwrap();
    let found = writer.join().unwrap();
    assert_eq!(told.len(), found.len(), "everything is written once");
    for (change, commit) in told {
        assert_eq!(found.get(&change), Some(&commit), "{change:?} is in the commit that was told");
    }
}

impl Scene {
    fn is_complete(&self, commit: Commit) -> bool {
        self.complete.load(Ordering::Relaxed) & (1 << commit.0) != 0
    }

    /// A session's changes, one at a time, each with an answer that waits for it. The answer is the number of the commit.
    fn session(&self, session: u64, outbox: &SharedOutbox) -> Vec<Told> {
        let append = |number| {
            let commit = self.pending.append(&mut vec![change(session, number)], false);
            {
                let mut open = outbox.lock();
                open.hold_back(commit);
                open.send_frames(&[commit.0 as u8]);
            }
            self.pending.notify(commit, outbox.clone());
            ((session, number), commit)
        };
        (0..CHANGES).map(append).collect()
    }

    /// The client of a session, with the writer of its connection.
    fn client(&self, outbox: &SharedOutbox) -> Vec<Told> {
        let (mut answers, mut taken, mut last) = (0, Vec::new(), Commit::default());
        while answers < CHANGES {
            assert!(block_on(poll_fn(|cx| outbox.lock().poll_take(&mut taken, cx))));
            outbox.lock().written();
            for commit in taken.drain(..).map(|commit| Commit(commit.into())) {
                assert!(self.is_complete(commit), "{commit:?} is answered before it is complete");
                assert!(commit >= last, "answers are out of order");
                last = commit;
                answers += 1;
            }
        }
        Vec::new()
    }

    /// A publisher that brings too much, and waits for room.
    fn flood(&self) -> Vec<Told> {
        let mut changes: Changes = vec![change(FLOOD, 0)];
        changes.extend((0..PARTS).map(|_| Change::Publish {
            message: PART.clone(),
            placements: Placements::new(),
            transient: false,
        }));
        let commit = self.pending.append(&mut changes, false);
        block_on(poll_fn(|cx| self.pending.poll_room(cx)));
        assert!(self.is_complete(commit), "there is no room yet");
        vec![((FLOOD, 0), commit)]
    }

    /// Waits until the writer has seen to what it brought.
    fn reclaim(&self) -> Vec<Told> {
        let commit = self.pending.append(&mut vec![change(RECLAIMER, 0)], false);
        block_on(poll_fn(|cx| self.pending.poll_seen_to(commit, cx)));
        assert!(self.seen_to.load(Ordering::Relaxed) >= commit.0, "the writer has not seen to it");
        vec![((RECLAIMER, 0), commit)]
    }

    /// The log's writer; a full disk keeps it from completing some commits in their turn.
    fn write(&self) -> Found {
        let mut found = Found::new();
        let mut last = Commit::default();
        let mut kept_waiting = None;
        loop {
            let is_in_haste = kept_waiting.is_some() || thread_rng().r#gen();
            match self.pending.take(is_in_haste.then_some(Duration::ZERO)) {
                Taken::Batch(batch, commit) => {
                    assert_eq!(commit.0, last.0 + 1, "commits are counted");
                    last = commit;
                    for change in &batch.changes {
                        let Change::SettleRange { queue, first, .. } = change else { continue };
                        let later = found.range((queue.0, *first)..=(queue.0, u64::MAX)).next();
                        assert_eq!(later, None, "changes are out of order");
                        found.insert((queue.0, *first), commit);
                    }
                    self.seen_to.store(commit.0, Ordering::Relaxed);
                    self.pending.seen_to(commit);
                    if kept_waiting.is_none() && thread_rng().gen_ratio(1, 4) {
                        kept_waiting = Some((commit, batch.load));
                    } else {
                        let held_back = kept_waiting.as_ref().map(|(commit, _)| *commit);
                        self.complete(commit, &Done::except(last, held_back.as_slice()), batch.load);
                    }
                }
                Taken::Nothing => {
                    if let Some((commit, load)) = kept_waiting.take() {
                        self.complete(commit, &Done::up_to(last), load);
                    }
                }
                Taken::End => {
                    if let Some((commit, load)) = kept_waiting.take() {
                        self.complete(commit, &Done::up_to(last), load);
                    }
                    return found;
                }
            }
        }
    }

    fn complete(&self, commit: Commit, done: &Done, load: pending::Load) {
        self.complete.fetch_or(1 << commit.0, Ordering::Relaxed);
        self.pending.complete(done, load);
    }
}

/// A change that can be told from all others.
fn change(whose: u64, number: u64) -> Change {
    Change::SettleRange { queue: QueueId(whose), first: number, last: number }
}
