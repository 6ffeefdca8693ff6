//! What the queues and exchanges of a virtual host have seen, and how that outlives the process.
//!
//! Of a persistent message that a durable owner took, the key is remembered by a message of its own: an *entry*, in a
//! queue of the virtual host that no client can name. The journal gets it in one group with the message itself, so that
//! after a crash either both are there or neither; it is settled when the key is forgotten. The hidden queue is only a
//! number and a counter here: it has no consumers, and its messages are read once, when the broker starts.
//!
//! One lock of the shell is round all of it, and is held until the journal has the group: a session that comes with a duplicate
//! afterwards knows the [`Commit`] after which the first one is safe, and must not be told sooner.
//!
//! Values cannot be paged out. Where the memory for them is used up, the owner that takes one more forgets its oldest, as
//! if its bound were smaller; the last part of that memory is for owners that have little, and each may have one value.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use foldhash::quality::RandomState;

use super::{Deduplicator, Identity, Key, Owner, RecentKeys, recent_keys::Forgotten};
use crate::core::{
    change::{Change, Changes},
    clock::Millis,
    commit::Commit,
    memory::{Exceeded, Gauge, Held, Holder, Kind},
    message::{Message, Stage, View, build_image},
    pager::Loaded,
    placement::{Placement, QueueId, position_of},
};
use crate::limits::{DEDUPLICATION_CLEARED_AT_ONCE_MAX, DEDUPLICATION_ENTRY_BYTES};
use crate::protocol::ShortString;

/// The queue of each virtual host that holds what durable owners have seen.
pub const SEEN_QUEUE: &str = "amq.seen";

/// What deduplication remembers in one virtual host.
pub struct Seen {
    gauge: &'static Gauge,
    owners: HashMap<Owner, Remembered, RandomState>,
    /// Owners that are gone, until what they have seen is forgotten.
    closing: VecDeque<Remembered>,
    /// How many of them each exchange has left that is gone.
    clearing: HashMap<ShortString, usize, RandomState>,
    /// Where entries go, once there is a durable owner.
    queue: Option<QueueId>,
    next_counter: u64,
    /// What was remembered since the journal was last given something.
    fresh: Vec<(Owner, Key)>,
    /// Owners that had to forget early for the first time.
    cut: Vec<Cut>,
}

/// What one owner has seen, and what that takes.
struct Remembered {
    deduplicator: Arc<Deduplicator>,
    keys: RecentKeys<Note>,
    held: Held,
}

/// An owner has had to forget a value because the memory for all of them is used up.
#[derive(Debug)]
pub struct Cut {
    /// Whose it is.
    pub deduplicator: Arc<Deduplicator>,
    /// How many values it has now.
    pub remembered: usize,
    /// The bound.
    pub exceeded: Exceeded,
}

/// What is known of a key.
struct Note {
    /// Its first message is safe after this.
    commit: Commit,
    entry: Option<Kept>,
}

/// An entry in the hidden queue.
struct Kept {
    position: u64,
    /// Until it is on disk: see [`Change::Settle`].
    message: Option<Message>,
}

impl Remembered {
    fn new(deduplicator: &Arc<Deduplicator>, gauge: &'static Gauge) -> Self {
        let held = Held::new(&Holder::new(gauge), Kind::Deduplication);
        Self { deduplicator: deduplicator.clone(), keys: RecentKeys::new(deduplicator.rule.size), held }
    }

    fn bytes(&self) -> usize {
        self.keys.len() * DEDUPLICATION_ENTRY_BYTES
    }

    /// Remembers a key, and forgets what there is no room for. Tells when that is due to memory for the first time.
    fn remember(&mut self, identity: Identity, note: Note, now: Millis) -> (Forgotten<Note>, Option<Cut>) {
        let mut forgotten = self.keys.remember(identity, note, now);
        let (mut early, mut bound) = (0, None);
        while let Err(exceeded) = self.held.try_set(self.bytes())
            && self.keys.len() > 1
        {
            forgotten.extend(self.keys.forget_oldest());
            (early, bound) = (early + 1, Some(exceeded));
        }
        self.held.set(self.bytes());
        let is_first = self.deduplicator.count_forgotten_early(early);
        let cut = bound.filter(|_| is_first).map(|exceeded| Cut {
            deduplicator: self.deduplicator.clone(),
            remembered: self.keys.len(),
            exceeded,
        });
        (forgotten, cut)
    }
}

impl Seen {
    /// Without any owner. What is remembered counts on `gauge`.
    pub fn new(gauge: &'static Gauge) -> Self {
        Self {
            gauge,
            owners: HashMap::default(),
            closing: VecDeque::new(),
            clearing: HashMap::default(),
            queue: None,
            next_counter: 0,
            fresh: Vec::new(),
            cut: Vec::new(),
        }
    }

    /// The number of the hidden queue, and the counter of its next position if it is restored.
    pub fn keep_in(&mut self, queue: QueueId, next_counter: u64) {
        self.queue = Some(queue);
        self.next_counter = self.next_counter.max(next_counter);
    }

    /// An owner is there. What a namesake has left is forgotten first: after a crash it would be this one's.
    pub fn open(&mut self, deduplicator: &Arc<Deduplicator>, changes: &mut Changes) {
        while let Owner::Exchange(name) = &deduplicator.owner
            && self.is_clearing(name)
        {
            self.clear_away(DEDUPLICATION_CLEARED_AT_ONCE_MAX, changes);
        }
        let Self { owners, gauge, .. } = self;
        owners.entry(deduplicator.owner.clone()).or_insert_with(|| Remembered::new(deduplicator, gauge));
    }

    /// An owner is gone: what it has seen cannot be found any more, and is forgotten by [`Self::clear_away`].
    pub fn close(&mut self, owner: &Owner) {
        let Some(remembered) = self.owners.remove(owner) else { return };
        if let Owner::Exchange(name) = owner {
            *self.clearing.entry(name.clone()).or_default() += 1;
        }
        self.closing.push_back(remembered);
    }

    /// Forgets up to so many values of owners that are gone. True if there are more.
    pub fn clear_away(&mut self, values_max: usize, changes: &mut Changes) -> bool {
        for _ in 0..values_max {
            let Some(first) = self.closing.front_mut() else { return false };
            match first.keys.forget_oldest() {
                Some(note) => self.settle(note, changes),
                None => self.end_first(),
            }
        }
        if let Some(first) = self.closing.front_mut() {
            first.held.set(first.bytes());
        }
        self.has_remains()
    }

    fn end_first(&mut self) {
        let Some(Remembered { deduplicator, .. }) = self.closing.pop_front() else { return };
        if let Owner::Exchange(name) = &deduplicator.owner
            && let Some(left) = self.clearing.get_mut(name)
        {
            *left -= 1;
            if *left == 0 {
                self.clearing.remove(name);
            }
        }
    }

    /// Whether something is left of owners that are gone.
    pub fn has_remains(&self) -> bool {
        !self.closing.is_empty()
    }

    /// Whether an exchange of this name has left something.
    pub fn is_clearing(&self, name: &ShortString) -> bool {
        self.clearing.contains_key(name)
    }

    /// Owners that had to forget early since this was last asked for, each once as long as it is there.
    pub fn take_cut(&mut self) -> Vec<Cut> {
        std::mem::take(&mut self.cut)
    }

    /// Whether an owner has seen a message: if so, the commit after which the first one is safe.
    pub fn find(&self, owner: &Owner, key: Key, now: Millis) -> Option<Commit> {
        self.owners.get(owner)?.keys.find(key, now).map(|note| note.commit)
    }

    /// An owner has taken a message; nothing happens if the owner is gone. The journal must get `changes` in one group
    /// with the message, and [`Self::committed`] must be called then, before another session can ask.
    pub fn remember(
        &mut self,
        deduplicator: &Deduplicator,
        identity: Identity,
        persistent: bool,
        now: Millis,
        changes: &mut Changes,
    ) {
        let Some(remembered) = self.owners.get_mut(&deduplicator.owner) else { return };
        let queue = self.queue.filter(|_| deduplicator.keeps.has(persistent));
        let entry = queue.map(|queue| {
            let position = position_of(0, self.next_counter);
            self.next_counter += 1;
            let message = entry(&deduplicator.owner, identity, now);
            changes.push(Change::Publish {
                message: message.clone(),
                placements: [Placement { queue, position }].into_iter().collect(),
                transient: false,
            });
            Kept { position, message: Some(message) }
        });
        let note = Note { commit: Commit::default(), entry };
        let (forgotten, cut) = remembered.remember(identity, note, now);
        self.fresh.push((deduplicator.owner.clone(), identity.key));
        self.cut.extend(cut);
        for note in forgotten {
            self.settle(note, changes);
        }
    }

    /// The journal has what was remembered.
    pub fn committed(&mut self, commit: Commit) {
        for (owner, key) in self.fresh.drain(..) {
            let its = self.owners.get_mut(&owner);
            if let Some(note) = its.and_then(|remembered| remembered.keys.note_mut(key)) {
                note.commit = commit;
            }
        }
    }

    /// An entry was read back; they must come in order. One that is over, or whose owner is gone, is settled.
    pub fn restore(&mut self, loaded: &Loaded, now: Millis, changes: &mut Changes) {
        let note = Note {
            commit: Commit::default(),
            entry: Some(Kept { position: loaded.position, message: None }),
        };
        let entry = decode(&loaded.message.view()).filter(|(_, identity)| identity.until > now);
        let owned = entry.and_then(|(owner, identity)| Some((self.owners.get_mut(&owner)?, identity)));
        let Some((remembered, identity)) = owned else { return self.settle(note, changes) };
        let (forgotten, cut) = remembered.remember(identity, note, now);
        self.cut.extend(cut);
        for note in forgotten {
            self.settle(note, changes);
        }
    }

    fn settle(&self, note: Note, changes: &mut Changes) {
        if let (Some(queue), Some(Kept { position, message })) = (self.queue, note.entry) {
            let message = message.filter(|message| message.stage() != Stage::Written);
            changes.push(Change::Settle { placement: Placement { queue, position }, message });
        }
    }
}

/// An entry: the exchange's name in its place, or the queue's number, and in the body, big endian, the key (16 octets), the
/// time when it is over (8) and the number (8; zero for an exchange).
fn entry(owner: &Owner, identity: Identity, now: Millis) -> Message {
    let (exchange, queue) = match owner {
        Owner::Exchange(name) => (&**name, 0),
        Owner::Queue(id) => (&[][..], id.0),
    };
    let mut body = Vec::with_capacity(ENTRY_BODY_BYTES);
    body.extend_from_slice(&identity.key.0.to_be_bytes());
    body.extend_from_slice(&identity.until.to_be_bytes());
    body.extend_from_slice(&queue.to_be_bytes());
    let (layout, image) = build_image(exchange, b"", &NO_PROPERTIES, &[&body], true);
    // It counts with what is remembered.
    Message::uncounted(View::new(layout, &image), now)
}

fn decode(view: &View<'_>) -> Option<(Owner, Identity)> {
    let body: [u8; ENTRY_BODY_BYTES] = view.body().try_into().ok()?;
    let (key, rest) = body.split_first_chunk()?;
    let (until, queue) = rest.split_first_chunk()?;
    let queue = u64::from_be_bytes(queue.try_into().ok()?);
    let owner = match view.exchange() {
        [] => Owner::Queue(QueueId(queue)),
        name => Owner::Exchange(ShortString::try_from(name).ok()?),
    };
    let key = Key(u128::from_be_bytes(*key));
    Some((owner, Identity { key, until: u64::from_be_bytes(*until) }))
}

const ENTRY_BODY_BYTES: usize = 32;
const NO_PROPERTIES: [u8; 2] = [0, 0];
