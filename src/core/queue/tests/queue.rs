//! A queue on its own, with a manual clock, and what a session would do to it.

use std::{cell::RefCell, sync::Arc};

use parking_lot::Mutex;

use super::{NOW, client::Client, shelf::Shelf};
use crate::core::{
    change::note_published,
    clock::{ManualClock, Millis},
    declared::QueueSpec,
    effects::Effects,
    memory::{Gauge, Holder},
    message::{Publication, View, build_image},
    observing::Observers,
    placement::QueueIds,
    policy::QueueSettings,
    queue::{
        ConsumeError, ConsumerSpec, Enqueued, GetError, Origin, QueueStatus, SharedQueue, Surroundings,
        Timetable,
    },
    source::{Comeback, ConsumerId, Unacked},
    window::Window,
};
use crate::protocol::{FieldTable, Properties, ShortString, basic};

/// A queue and what its messages are counted against.
pub(super) struct Q {
    pub(super) shared: Arc<SharedQueue>,
    pub(super) gauge: &'static Gauge,
    /// What the journal has to be told.
    pub(super) effects: RefCell<Effects>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) calls: Arc<Calls>,
}

/// A timetable that notes when it is asked to call.
#[derive(Default)]
pub(super) struct Calls(pub(super) Mutex<Vec<Millis>>);

impl Timetable for Calls {
    fn call(&self, _queue: &Arc<SharedQueue>, at: Millis) {
        self.0.lock().push(at);
    }
}

/// What a consumer asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Wish {
    pub(super) channel: Option<u16>,
    pub(super) prefetch: u32,
    pub(super) no_ack: bool,
    pub(super) exclusive: bool,
    pub(super) priority: i32,
}

impl Q {
    pub(super) fn plain() -> Self {
        Self::new(false, FieldTable::new())
    }

    pub(super) fn single_active() -> Self {
        Self::new(false, FieldTable::new().with("x-single-active-consumer", true))
    }

    pub(super) fn new(auto_delete: bool, arguments: FieldTable) -> Self {
        Self::kept(false, auto_delete, arguments)
    }

    /// With a shelf for a journal.
    pub(super) fn kept(durable: bool, auto_delete: bool, arguments: FieldTable) -> Self {
        Self::named("q", durable, auto_delete, arguments)
    }

    pub(super) fn named(name: &'static str, durable: bool, auto_delete: bool, arguments: FieldTable) -> Self {
        let name = ShortString::from_static(name);
        let spec = QueueSpec { name, durable, auto_delete, owner: None, arguments };
        let gauge = Gauge::new(usize::MAX);
        let shelf = Arc::new(Shelf::default());
        let clock = Arc::new(ManualClock::at(NOW));
        let calls = Arc::new(Calls::default());
        let memory = Holder::new(gauge);
        let surroundings = Surroundings {
            observers: Arc::new(Observers::new(&memory)),
            memory,
            pager: shelf.clone(),
            ids: Arc::new(QueueIds::default()),
            timetable: calls.clone(),
            clock: clock.clone(),
        };
        let settings = Arc::new(QueueSettings::of(&spec.arguments, None, None));
        let shared = Arc::new(SharedQueue::new(spec, settings, Arc::new(surroundings)));
        Self { shared, gauge, effects: RefCell::default(), shelf, clock, calls }
    }

    pub(super) fn status(&self) -> QueueStatus {
        self.shared.status()
    }

    /// Publishes messages whose bodies are their numbers, in one run.
    pub(super) fn publish(&self, ids: impl IntoIterator<Item = u64>) {
        self.publish_with(ids, &Properties::default());
    }

    pub(super) fn publish_with(&self, ids: impl IntoIterator<Item = u64>, properties: &Properties) {
        let persistent = self.shared.spec.durable;
        let mut encoded = Vec::new();
        properties.encode(&mut encoded);
        let image = |id: u64| build_image(b"", b"q", &encoded, &[&id.to_be_bytes()], persistent);
        let images: Vec<_> = ids.into_iter().map(image).collect();
        let views = images.iter().map(|(layout, image)| View::new(*layout, image));
        let mut run: Vec<_> = views.map(Publication::new).collect();
        let mut enqueued = Enqueued::default();
        let mut effects = self.effects.borrow_mut();
        self.shared.publish(&mut run, Origin::Client, &mut enqueued, &mut effects);
        note_published(&mut run, &mut enqueued.placed, &mut effects.changes);
    }

    pub(super) fn try_consume(
        &self,
        client: &Client,
        tag: &str,
        wish: Wish,
    ) -> Result<ConsumerId, ConsumeError> {
        let tag = ShortString::try_from(tag).unwrap();
        let channel = wish.channel.unwrap_or(1);
        let spec = ConsumerSpec {
            tag: tag.clone(),
            channel,
            outbox: client.outbox.clone(),
            no_ack: wish.no_ack,
            exclusive: wish.exclusive,
            priority: wish.priority,
            prefetch: wish.prefetch,
            arguments: FieldTable::new(),
            held: None,
        };
        let mut accepted = None;
        self.shared.consume(spec, &mut self.effects.borrow_mut(), |id| {
            let mut outbox = client.outbox.lock();
            outbox.window(channel).unwrap().add_consumer(tag, (self.shared.clone(), id), None);
            accepted = Some(id);
        })?;
        Ok(accepted.unwrap())
    }

    pub(super) fn consume(&self, client: &Client, tag: &str, wish: Wish) -> ConsumerId {
        self.try_consume(client, tag, wish).unwrap()
    }

    pub(super) fn cancel(&self, client: &Client, tag: &str, id: ConsumerId) -> bool {
        client.forget_consumer(tag);
        self.shared.cancel(id, &mut self.effects.borrow_mut())
    }

    pub(super) fn get(&self, client: &Client, no_ack: bool) -> Result<(), GetError> {
        self.get_on(client, 1, no_ack)
    }

    /// As `basic.get` does it.
    pub(super) fn get_on(&self, client: &Client, channel: u16, no_ack: bool) -> Result<(), GetError> {
        self.shared.get((channel, no_ack), &mut self.effects.borrow_mut(), |entry, _shown, remaining| {
            let mut outbox = client.outbox.lock();
            let tag = outbox.window(channel).unwrap().next_tag();
            let answer = basic::GetOk {
                delivery_tag: tag,
                redelivered: entry.redelivered,
                exchange: ShortString::new(),
                routing_key: ShortString::from_static("q"),
                message_count: remaining as u32,
            };
            outbox.send_content(channel, &answer, &entry.message.view());
            if no_ack {
                return Some(entry);
            }
            let unacked = self.shared.handed_out(tag, None, entry);
            outbox.window(channel).unwrap().hold(unacked);
            None
        })
    }

    pub(super) fn ack(&self, client: &Client, tag: u64, multiple: bool) {
        let settled = client.settle(1, tag, multiple).unwrap();
        self.settle(client, settled);
    }

    /// Drops what is ready, in pieces; gives how many messages that were.
    pub(super) fn purge(&self) -> usize {
        let mut purged = self.shared.purge();
        while purged.settle_some(2, &mut self.effects.borrow_mut().changes) {}
        purged.message_count()
    }

    pub(super) fn settle(&self, client: &Client, settled: Vec<Unacked>) {
        self.shared.settle(settled, &mut self.effects.borrow_mut());
        client.feed_channels();
    }

    pub(super) fn requeue(&self, client: &Client, tag: u64, multiple: bool) {
        let returned = client.settle(1, tag, multiple).unwrap();
        self.shared.requeue(returned, Comeback::Failed, &mut self.effects.borrow_mut());
        client.feed_channels();
    }

    /// As `channel.close` does it: what is held goes back before the consumers leave.
    pub(super) fn close_channel(&self, client: &Client, channel: u16) {
        let mut window = client.outbox.lock().close_window(channel).unwrap();
        self.shared.requeue(taken_all(&mut window), Comeback::Failed, &mut self.effects.borrow_mut());
        let mut consumers: Vec<_> = window.consumers().collect();
        consumers.sort_by(|one, other| one.0.cmp(other.0));
        for (_, (source, id)) in consumers {
            source.clone().cancel(*id, &mut self.effects.borrow_mut());
        }
    }
}

/// Everything that a channel's client has not settled.
pub(super) fn taken_all(window: &mut Window) -> Vec<Unacked> {
    let mut taken = Vec::new();
    assert!(!window.take_up_to(u64::MAX, usize::MAX, &mut taken));
    taken
}
