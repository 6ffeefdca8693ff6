//! Which consumer gets the next message: priority first, then strict round robin among those that can take one.
//!
//! Only consumers that can take a message stand in the rotation, so choosing costs the same for two as for ten
//! thousand. A consumer leaves it when its prefetch is used up or its connection's outbox is full, and comes back
//! at the end of the line when that changes. Coming and going cost the logarithm of the number of priorities.

use super::by_priority::ByPriority;
use crate::core::{
    memory::Held,
    outbox::{Recipient, SharedOutbox, StarvedBy},
    source::ConsumerId,
};
use crate::protocol::{FieldTable, ShortString};

/// What `basic.consume` asked for, and the way to the client.
pub struct ConsumerSpec {
    /// `consumer-tag`, unique on its channel.
    pub tag: ShortString,
    /// Channel that it was opened on.
    pub channel: u16,
    /// Outbox of the connection.
    pub outbox: SharedOutbox,
    /// Deliveries need no acknowledgement.
    pub no_ack: bool,
    /// No other consumer is allowed.
    pub exclusive: bool,
    /// `x-priority`; higher ones are served first.
    pub priority: i32,
    /// Messages that may be unacknowledged at once; zero is without limit (`basic.qos`, `global=false`).
    pub prefetch: u32,
    /// Arguments of `basic.consume`, kept to be shown.
    pub arguments: FieldTable,
    /// What it takes.
    pub held: Option<Held>,
}

/// A consumer as its queue knows it.
pub struct Consumer {
    /// What it asked for.
    pub spec: ConsumerSpec,
    /// Messages that it holds unacknowledged.
    pub unacked: u32,
    id: ConsumerId,
    recipient: Recipient,
    state: State,
}

/// A consumer, to be shown.
#[derive(Clone)]
pub struct ConsumerShown {
    /// Its handle.
    pub id: ConsumerId,
    /// See [`ConsumerSpec::tag`].
    pub tag: ShortString,
    /// See [`ConsumerSpec::channel`].
    pub channel: u16,
    /// See [`ConsumerSpec::outbox`].
    pub outbox: SharedOutbox,
    /// See [`ConsumerSpec::no_ack`].
    pub no_ack: bool,
    /// See [`ConsumerSpec::exclusive`].
    pub exclusive: bool,
    /// See [`ConsumerSpec::priority`].
    pub priority: i32,
    /// See [`ConsumerSpec::prefetch`].
    pub prefetch: u32,
    /// See [`ConsumerSpec::arguments`].
    pub arguments: FieldTable,
    /// Messages that it holds unacknowledged.
    pub unacked: u32,
    /// It gets messages: no other one is the single active consumer.
    pub is_active: bool,
}

/// Where a consumer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the rotation.
    Waiting,
    /// Its prefetch is used up; a settlement brings it back.
    OutOfCredit,
    /// Its outbox or its channel holds it up; the same brings it back.
    Starved(StarvedBy),
    /// Another one is the single active consumer.
    Inactive,
}

impl Consumer {
    fn new(spec: ConsumerSpec, id: ConsumerId, state: State) -> Self {
        let recipient = Recipient::new(spec.channel, &spec.tag);
        Self { spec, unacked: 0, id, recipient, state }
    }

    /// To whom its deliveries go.
    #[inline]
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// Its handle.
    pub fn id(&self) -> ConsumerId {
        self.id
    }

    /// What has turned it away, and remembers it.
    pub fn starved_by(&self) -> Option<StarvedBy> {
        match self.state {
            State::Starved(why) => Some(why),
            State::Waiting | State::OutOfCredit | State::Inactive => None,
        }
    }

    fn has_credit(&self) -> bool {
        self.spec.no_ack || self.spec.prefetch == 0 || self.unacked < self.spec.prefetch
    }
}

/// The consumers of one queue.
#[derive(Default)]
pub struct Consumers {
    slots: Vec<Option<Consumer>>,
    free: Vec<u32>,
    /// Of the last one that came.
    generation: u32,
    /// Those that can take a message.
    rotation: ByPriority,
    /// All of them in order of arrival: the first one is the single active consumer's successor.
    succession: ByPriority,
    single_active: bool,
    active: Option<u32>,
    exclusive: Option<u32>,
    waiting_for_outboxes: usize,
}

impl Consumers {
    /// Consumers of a queue with or without `x-single-active-consumer`.
    pub fn new(single_active: bool) -> Self {
        Self { single_active, ..Self::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one of them asked to be the only one.
    pub fn has_exclusive(&self) -> bool {
        self.exclusive.is_some()
    }

    /// Adds one at the end of the line.
    pub fn add(&mut self, spec: ConsumerSpec) -> ConsumerId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        if spec.exclusive {
            self.exclusive = Some(slot);
        }
        self.generation = self.generation.wrapping_add(1).max(1);
        let id = ConsumerId::new(slot, self.generation);
        let waits = self.single_active && self.active.is_some();
        self.succession.enter(slot, spec.priority);
        let state = if waits { State::Inactive } else { State::OutOfCredit };
        self.slots[slot as usize] = Some(Consumer::new(spec, id, state));
        if !waits {
            if self.single_active {
                self.active = Some(slot);
            }
            self.enter(slot);
        }
        id
    }

    /// Removes one; when it was the single active consumer, the next one is it.
    pub fn remove(&mut self, id: ConsumerId) -> Option<Consumer> {
        self.find(id)?;
        let consumer = self.slots[id.slot as usize].take()?;
        self.free.push(id.slot);
        self.succession.leave(id.slot, consumer.spec.priority);
        match consumer.state {
            State::Waiting => self.rotation.leave(id.slot, consumer.spec.priority),
            State::Starved(StarvedBy::Outbox(_)) => self.waiting_for_outboxes -= 1,
            State::Starved(_) | State::OutOfCredit | State::Inactive => {}
        }
        if self.exclusive == Some(id.slot) {
            self.exclusive = None;
        }
        if self.active == Some(id.slot) {
            // Highest priority first, then the oldest (RabbitMQ).
            self.active = self.succession.first();
            if let Some(next) = self.active {
                self.enter(next);
            }
        }
        if self.is_empty() && self.slots.len() > SLOTS_KEPT_MAX {
            *self = Self { generation: self.generation, ..Self::new(self.single_active) };
        }
        Some(consumer)
    }

    /// Removes the one that would be the next single active consumer.
    pub fn pop(&mut self) -> Option<Consumer> {
        let slot = self.succession.first()?;
        let id = self.slots[slot as usize].as_ref()?.id;
        self.remove(id)
    }

    /// The consumer behind a handle, if it is still there.
    pub fn find(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.slots.get_mut(id.slot as usize)?.as_mut().filter(|consumer| consumer.id == id)
    }

    /// All of them, to be shown.
    pub fn shown(&self) -> Vec<ConsumerShown> {
        let shown = |consumer: &Consumer| ConsumerShown {
            id: consumer.id,
            tag: consumer.spec.tag.clone(),
            channel: consumer.spec.channel,
            outbox: consumer.spec.outbox.clone(),
            no_ack: consumer.spec.no_ack,
            exclusive: consumer.spec.exclusive,
            priority: consumer.spec.priority,
            prefetch: consumer.spec.prefetch,
            arguments: consumer.spec.arguments.clone(),
            unacked: consumer.unacked,
            is_active: consumer.state != State::Inactive,
        };
        self.slots.iter().flatten().map(shown).collect()
    }

    /// The consumer that gets the next message, if one can take it.
    #[inline]
    pub fn next(&self) -> Option<(ConsumerId, &Consumer)> {
        let consumer = self.slots[self.rotation.first()? as usize].as_ref()?;
        Some((consumer.id, consumer))
    }

    /// Books the delivery to the consumer that [`Self::next`] named and moves the line on.
    #[inline]
    pub fn delivered(&mut self, id: ConsumerId) {
        let Some(consumer) = self.slots[id.slot as usize].as_mut() else { return };
        if !consumer.spec.no_ack {
            consumer.unacked += 1;
            if !consumer.has_credit() {
                consumer.state = State::OutOfCredit;
                let priority = consumer.spec.priority;
                self.rotation.leave(id.slot, priority);
                return;
            }
        }
        self.rotation.advance();
    }

    /// Takes the consumer out of the rotation until [`Self::fed`].
    pub fn starved(&mut self, id: ConsumerId, why: StarvedBy) {
        if let Some(consumer) = self.find(id)
            && consumer.state == State::Waiting
        {
            consumer.state = State::Starved(why);
            let priority = consumer.spec.priority;
            self.waiting_for_outboxes += usize::from(matches!(why, StarvedBy::Outbox(_)));
            self.rotation.leave(id.slot, priority);
        }
    }

    /// What held a starved consumer up has room again; tells what it was.
    pub fn fed(&mut self, id: ConsumerId) -> Option<StarvedBy> {
        let consumer = self.find(id)?;
        let why = consumer.starved_by()?;
        consumer.state = State::OutOfCredit;
        self.waiting_for_outboxes -= usize::from(matches!(why, StarvedBy::Outbox(_)));
        self.enter(id.slot);
        Some(why)
    }

    /// `count` messages of the consumer were acknowledged or returned.
    pub fn settled(&mut self, id: ConsumerId, count: u32) {
        if let Some(consumer) = self.find(id) {
            consumer.unacked = consumer.unacked.saturating_sub(count);
            if consumer.state == State::OutOfCredit {
                self.enter(id.slot);
            }
        }
    }

    /// Whether no consumer can take a message now, but one could if its outbox drained.
    pub fn held_back_by_outboxes(&self) -> bool {
        self.rotation.first().is_none() && self.waiting_for_outboxes > 0
    }

    /// Puts a consumer that has credit at the end of its priority's line.
    fn enter(&mut self, slot: u32) {
        let Some(consumer) = self.slots[slot as usize].as_mut() else { return };
        if !consumer.has_credit() {
            consumer.state = State::OutOfCredit;
            return;
        }
        consumer.state = State::Waiting;
        self.rotation.enter(slot, consumer.spec.priority);
    }
}

/// A queue that has had more consumers than that at once gives their places' memory back with the last of them.
const SLOTS_KEPT_MAX: usize = 64;

#[cfg(test)]
mod tests;
