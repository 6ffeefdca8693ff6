//! A virtual host for tests, whose journal can be read.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;

use super::{Calls, Vhost};
use crate::core::{
    ConnectionId,
    change::{Changes, note_published},
    clock::ManualClock,
    commit::{Commit, Done, Waiter},
    declared::{Binding, Destination},
    effects::Effects,
    journal::{Forgetful, Journal},
    memory::{Gauge, Holder},
    message::{Publication, View, build_image},
    observing::Observers,
    outgoing::Outgoing,
    placement::QueueIds,
    queue::{Cursor, Enqueued, Origin, SharedQueue, Surroundings},
    source::Unacked,
    topology::{ExchangeDeclaration, QueueDeclaration, Topology},
};
use crate::protocol::{FieldTable, Properties, ShortString};

const ME: ConnectionId = ConnectionId(1);
pub(super) const NOW: u64 = 1_000_000;

/// A journal that remembers what it was given together, and is quick or waits to be told.
#[derive(Default)]
pub(super) struct Notebook {
    pub(super) groups: Mutex<Vec<(Changes, bool)>>,
    pub(super) waiting: Mutex<Vec<Arc<dyn Waiter>>>,
    pub(super) is_slow: bool,
}

impl Notebook {
    /// Tells those who wait.
    pub(super) fn complete(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(tell);
    }
}

fn tell(waiter: Arc<dyn Waiter>) {
    waiter.committed(&Done::up_to(Commit(u64::MAX)), &mut Outgoing::default());
}

impl Journal for Notebook {
    fn append(&self, changes: &mut Changes, atomic: bool) -> Commit {
        let mut groups = self.groups.lock();
        groups.push((std::mem::take(changes), atomic));
        Commit(groups.len() as u64)
    }

    fn notify(&self, _commit: Commit, waiter: Arc<dyn Waiter>) {
        if self.is_slow {
            self.waiting.lock().push(waiter);
        } else {
            tell(waiter);
        }
    }

    fn poll_room(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// A virtual host.
pub(super) struct Host {
    pub(super) vhost: Vhost,
    pub(super) notebook: Arc<Notebook>,
    pub(super) gauge: &'static Gauge,
}

impl Host {
    pub(super) fn new() -> Self {
        Self::with(Notebook::default())
    }

    pub(super) fn with(notebook: Notebook) -> Self {
        let notebook = Arc::new(notebook);
        let clock = Arc::new(ManualClock::at(NOW));
        let calls = Arc::new(Calls::default());
        let gauge = Gauge::new(usize::MAX);
        let memory = Holder::new(gauge);
        let surroundings = Arc::new(Surroundings {
            observers: Arc::new(Observers::new(&memory)),
            memory,
            pager: Arc::new(Forgetful),
            ids: Arc::new(QueueIds::default()),
            clock: clock.clone(),
            timetable: calls.clone(),
        });
        let topology = Topology::new(name("/"), surroundings);
        Self { vhost: Vhost::new(name("/"), topology, notebook.clone(), clock, calls), notebook, gauge }
    }

    /// `work` is bound to `orders` for every key that begins with `new`, and dies to `dead`.
    pub(super) fn with_work(self) -> Self {
        let dies_to =
            FieldTable::new().with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", "dead");
        self.queue("dead", FieldTable::new());
        self.queue("work", dies_to);
        self.exchange("orders", "topic");
        self.bind("orders", "work", "new.#");
        self
    }

    pub(super) fn queue(&self, queue: &'static str, arguments: FieldTable) -> Arc<SharedQueue> {
        let declaration = QueueDeclaration {
            name: name(queue),
            server_named: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments,
        };
        self.vhost.change(|topology| topology.declare_queue(declaration, ME)).0.unwrap()
    }

    pub(super) fn exchange(&self, exchange: &'static str, kind: &'static str) {
        let declaration = ExchangeDeclaration {
            name: name(exchange),
            kind: name(kind),
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: FieldTable::new(),
        };
        self.vhost.change(|topology| topology.declare_exchange(declaration).map(drop)).0.unwrap();
    }

    pub(super) fn bind(&self, source: &'static str, queue: &'static str, key: &'static str) {
        let destination = Destination::Queue(name(queue));
        let binding =
            Binding { source: name(source), destination, key: name(key), arguments: FieldTable::new() };
        self.vhost.change(|topology| topology.bind(binding, ME)).0.unwrap();
    }

    pub(super) fn find(&self, queue: &str) -> Arc<SharedQueue> {
        self.vhost.read(|topology| topology.queue(queue.as_bytes()).unwrap().clone())
    }

    /// Publishes messages whose bodies are their numbers and whose header `even` says whether they are.
    pub(super) fn publish(&self, exchange: &str, key: &str, ids: impl IntoIterator<Item = u8>) {
        for id in ids {
            let headers = FieldTable::new().with("even", id % 2 == 0);
            let properties = Properties { headers: Some(headers), ..Properties::default() };
            let mut encoded = Vec::new();
            properties.encode(&mut encoded);
            let (layout, image) = build_image(exchange.as_bytes(), key.as_bytes(), &encoded, &[&[id]], true);
            let route = self.vhost.route_by_key(exchange.as_bytes(), key.as_bytes()).unwrap();
            let mut run = [Publication::new(View::new(layout, &image))];
            let (mut enqueued, mut effects) = (Enqueued::default(), Effects::default());
            for queue in &route.queues {
                queue.publish(&mut run, Origin::Client, &mut enqueued, &mut effects);
            }
            let placed = &mut enqueued.placed;
            note_published(&mut run, placed, &mut effects.changes);
            self.vhost.append(&mut effects, false);
        }
    }

    /// Somebody gets so many messages of a queue.
    pub(super) fn get(&self, queue: &str, count: usize) -> Vec<Unacked> {
        let (queue, mut effects, mut taken) = (self.find(queue), Effects::default(), Vec::new());
        for tag in 0..count {
            let hold = |entry, _, _| {
                taken.push(queue.handed_out(tag as u64, None, entry));
                None
            };
            queue.get((1, false), &mut effects, hold).unwrap();
        }
        taken
    }

    /// Messages are published to `orders` and rejected by who gets them from `work`.
    pub(super) fn fail(&self, key: &str, ids: impl IntoIterator<Item = u8>) {
        self.publish("orders", key, ids);
        let (work, mut effects) = (self.find("work"), Effects::default());
        work.reject(self.get("work", work.status().ready), &mut effects);
        self.vhost.append(&mut effects, false);
        self.take_all_turns();
    }

    pub(super) fn ids(&self, queue: &str) -> Vec<u8> {
        let peek = self.find(queue).peek_ready(Cursor::default(), usize::MAX);
        peek.messages.iter().map(|peeked| peeked.entry.message.view().body()[0]).collect()
    }
}

pub(super) fn name(name: &'static str) -> ShortString {
    ShortString::from_static(name)
}
