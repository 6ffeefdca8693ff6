//! What the queues and exchanges of a virtual host have seen, and how that outlives the process.
//!
//! Of a persistent message that a durable owner took, the key is remembered by a message of its own: an *entry*, in a
//! queue of the virtual host that no client can name. The journal gets it in one group with the message itself, so that
//! after a crash either both are there or neither; it is settled when the key is forgotten. The hidden queue is only a
//! number and a counter here: nobody waits in it, and its messages are read once, when the broker starts.
//!
//! One lock of the shell is round all of it, and is held until the journal has the group: whoever comes with a duplicate
//! afterwards knows the [`Commit`] after which the first one is safe, and must not be told sooner.

use std::{collections::HashMap, sync::Arc};

use foldhash::quality::RandomState;

use super::{Filter, Identity, Key, Owner, Window};
use crate::core::{
    clock::Millis,
    journal::{Change, Changes, Commit, Loaded, Placement, QueueId, position_of},
    memory::{Held, Holder, Kind},
    message::{Message, Stage, View, build_image},
};
use crate::limits::DEDUPLICATION_ENTRY_BYTES;
use crate::protocol::ShortString;

/// The queue of each virtual host that holds what durable owners have seen.
pub const SEEN_QUEUE: &str = "amq.seen";

/// See the module's text.
pub struct Seen {
    windows: HashMap<Owner, Window<Note>, RandomState>,
    /// Where entries go, once there is a durable owner.
    queue: Option<QueueId>,
    next_counter: u64,
    /// What was remembered since the journal was last given something.
    fresh: Vec<(Owner, Key)>,
    held: Held,
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

impl Seen {
    /// Nobody has seen anything. What is remembered is held by `holder`.
    pub fn new(holder: &Arc<Holder>) -> Self {
        let held = Held::new(holder, Kind::Deduplication);
        Self { windows: HashMap::default(), queue: None, next_counter: 0, fresh: Vec::new(), held }
    }

    /// The number of the hidden queue, and the counter of its next position if it is restored.
    pub fn keep_in(&mut self, queue: QueueId, next_counter: u64) {
        self.queue = Some(queue);
        self.next_counter = self.next_counter.max(next_counter);
    }

    /// An owner is there.
    pub fn open(&mut self, filter: &Filter) {
        self.windows.entry(filter.owner.clone()).or_insert_with(|| Window::new(filter.rule.size));
    }

    /// An owner is gone, and with it what it has seen.
    pub fn close(&mut self, owner: &Owner, changes: &mut Changes) {
        let Some(window) = self.windows.remove(owner) else { return };
        self.held.set(self.held.bytes() - window.len() * DEDUPLICATION_ENTRY_BYTES);
        for note in window.into_notes() {
            self.settle(note, changes);
        }
    }

    /// Whether an owner has seen a message: if so, the commit after which the first one is safe.
    pub fn find(&self, owner: &Owner, key: Key, now: Millis) -> Option<Commit> {
        self.windows.get(owner)?.find(key, now).map(|note| note.commit)
    }

    /// An owner has taken a message; nothing happens if the owner is gone. The journal must get `changes` in one group
    /// with the message, and [`Self::committed`] must be called then, before anybody else can ask.
    pub fn remember(
        &mut self,
        filter: &Filter,
        identity: Identity,
        persistent: bool,
        now: Millis,
        changes: &mut Changes,
    ) {
        let Some(window) = self.windows.get_mut(&filter.owner) else { return };
        let before = window.len();
        let queue = self.queue.filter(|_| persistent && filter.durable);
        let entry = queue.map(|queue| {
            let position = position_of(0, self.next_counter);
            self.next_counter += 1;
            let message = entry(&filter.owner, identity, now);
            changes.push(Change::Publish {
                message: message.clone(),
                placements: [Placement { queue, position }].into_iter().collect(),
                transient: false,
            });
            Kept { position, message: Some(message) }
        });
        let forgotten = window.remember(identity, Note { commit: Commit::default(), entry }, now);
        let after = window.len();
        self.held
            .set(self.held.bytes() + after * DEDUPLICATION_ENTRY_BYTES - before * DEDUPLICATION_ENTRY_BYTES);
        self.fresh.push((filter.owner.clone(), identity.key));
        for note in forgotten {
            self.settle(note, changes);
        }
    }

    /// The journal has what was remembered.
    pub fn committed(&mut self, commit: Commit) {
        for (owner, key) in self.fresh.drain(..) {
            if let Some(note) = self.windows.get_mut(&owner).and_then(|window| window.note_mut(key)) {
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
        let owned = entry.and_then(|(owner, identity)| Some((self.windows.get_mut(&owner)?, identity)));
        let Some((window, identity)) = owned else { return self.settle(note, changes) };
        let before = window.len();
        let forgotten = window.remember(identity, note, now);
        let after = window.len();
        self.held
            .set(self.held.bytes() + after * DEDUPLICATION_ENTRY_BYTES - before * DEDUPLICATION_ENTRY_BYTES);
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
