//! One channel's deliveries: the next delivery tag, what is unacknowledged, and the channel's share of credit.
//!
//! Lives inside its connection's [`Outbox`](super::outbox::Outbox), under the same lock, because a delivery tag
//! must be drawn and written in one step.

mod by_tag;

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use foldhash::fast::RandomState;

use crate::core::{
    clock::Millis,
    confirms::Confirms,
    counts::{ChannelTally, MessageCounts},
    error::{AmqpError, precondition_failed},
    memory::{Exceeded, Held, Holder, Kind},
    overdue::{Overdue, Watch},
    source::{ConsumerId, ConsumerRef, Source, Unacked, is_same},
    starved::Starved,
};
use crate::limits::{HELD_LOOKED_AT_ONCE_MAX, WINDOW_UNCOUNTED_BYTES_MAX};
use crate::protocol::ShortString;
use by_tag::ByTag;

/// The channel's reply consumer (direct reply-to).
#[derive(Debug, Clone)]
pub struct ReplyConsumer {
    /// Its consumer tag.
    pub tag: ShortString,
    /// Second half of the generated name `amq.rabbitmq.reply-to.<token>`.
    pub token: ShortString,
}

/// Delivery state of one channel.
#[derive(Default)]
pub struct Window {
    last_tag: u64,
    unacked: ByTag,
    unacked_count: usize,
    counters: Counters,
    /// What its client has published, as the session counts it.
    tally: Arc<ChannelTally>,
    /// Of these, deliveries to consumers: they count against the channel's prefetch.
    consumer_unacked: u32,
    /// Settled in a transaction that is not committed: they count until it is.
    uncommitted: u32,
    prefetch_global: u32,
    /// Consumers of this channel by tag.
    consumers: HashMap<ShortString, ConsumerRef, RandomState>,
    pub(super) watch: Watch,
    /// Direct reply-to, when consumed.
    pub reply: Option<Box<ReplyConsumer>>,
    /// Publisher confirms that are not sent yet.
    pub confirms: Confirms,
    memory: Option<Memory>,
    /// Bytes of the messages that are unacknowledged.
    unacked_bytes: usize,
    /// Turned away because the channel's prefetch was used up, or the memory for what it holds.
    pub(super) starved: Starved,
}

/// What a channel has handed out and got back.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    /// Deliveries and answers to `basic.get` that are to be acknowledged.
    held: u64,
    /// Those of them that `basic.get` asked for.
    got: u64,
    /// Answers to `basic.get` that are not to be acknowledged.
    got_no_ack: u64,
    got_nothing: u64,
    redelivered: u64,
    acknowledged: u64,
}

/// A channel's figures at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelFigures {
    /// Its consumers.
    pub consumers: usize,
    /// Messages that its client holds and has not settled, those of `basic.get` too.
    pub unacked: usize,
    /// Publishes that wait for their confirm.
    pub unconfirmed: usize,
    /// `basic.qos` with `global=true`; zero is without limit.
    pub prefetch_global: u32,
    /// Settled in a transaction that is not committed.
    pub uncommitted_acks: u32,
    /// `basic.qos` with `global=false`: for consumers that come; zero is without limit.
    pub prefetch: u32,
    /// It is in confirm mode.
    pub confirms: bool,
    /// It has transactions.
    pub is_transactional: bool,
    /// What has happened on it.
    pub counts: MessageCounts,
}

/// The memory that a window takes.
struct Memory {
    entries: Held,
    messages: Held,
    /// Whether there was room when the charge last changed: it is not asked for again for each message.
    had_room: bool,
}

impl Memory {
    #[cold]
    fn count(&mut self, entries_bytes: usize, messages_bytes: Option<usize>) {
        self.entries.set(entries_bytes);
        if let Some(bytes) = messages_bytes {
            self.messages.set(bytes);
        }
        self.had_room = self.room().is_ok();
    }

    /// Whether its holder may use more of both kinds.
    fn room(&self) -> Result<(), Exceeded> {
        self.messages.holder().may_have(Kind::Unacked, 1)?;
        self.entries.holder().may_have(Kind::Windows, 1)
    }
}

impl Window {
    /// A window without deliveries, whose memory counts on `holder`.
    pub fn of(holder: &Arc<Holder>) -> Self {
        let memory = Memory {
            entries: Held::new(holder, Kind::Windows),
            messages: Held::new(holder, Kind::Unacked),
            had_room: true,
        };
        Self { memory: Some(memory), ..Self::default() }
    }

    /// What its client publishes is counted there.
    pub fn count_by(&mut self, tally: &Arc<ChannelTally>) {
        self.tally = tally.clone();
    }

    /// Counts the memory that it takes by now.
    #[inline]
    fn count(&mut self) {
        let Some(memory) = &mut self.memory else { return };
        let entries_bytes = self.unacked.bytes();
        let is_counted = self.unacked_bytes.abs_diff(memory.messages.bytes()) <= WINDOW_UNCOUNTED_BYTES_MAX;
        if !is_counted || entries_bytes != memory.entries.bytes() {
            memory.count(entries_bytes, (!is_counted).then_some(self.unacked_bytes));
        }
    }

    /// Whether there is memory for one more that is held. A channel that holds nothing may always hold one.
    pub fn room(&self) -> Result<(), Exceeded> {
        match &self.memory {
            Some(memory) if self.unacked_count > 0 => memory.room(),
            _ => Ok(()),
        }
    }

    /// Its figures now.
    pub fn figures(&self) -> ChannelFigures {
        ChannelFigures {
            consumers: self.consumers.len(),
            unacked: self.unacked_count,
            unconfirmed: self.confirms.count(),
            prefetch_global: self.prefetch_global,
            uncommitted_acks: self.uncommitted,
            prefetch: self.tally.prefetch(),
            confirms: self.tally.confirms(),
            is_transactional: self.tally.is_transactional(),
            counts: self.counts(),
        }
    }

    /// What has happened on the channel so far.
    pub fn counts(&self) -> MessageCounts {
        let Counters { held, got, got_no_ack, got_nothing, redelivered, acknowledged } = self.counters;
        MessageCounts {
            confirm: self.confirms.confirmed(),
            deliver: held - got,
            deliver_no_ack: self.last_tag - held - got_no_ack,
            get: got,
            get_no_ack: got_no_ack,
            get_empty: got_nothing,
            redeliver: redelivered,
            ack: acknowledged,
            ..self.tally.counts()
        }
    }

    /// A delivery says `redelivered`.
    #[inline]
    pub fn count_redelivery(&mut self) {
        self.counters.redelivered += 1;
    }

    /// Messages were acknowledged.
    #[inline]
    pub fn count_acknowledged(&mut self, messages: usize) {
        self.counters.acknowledged += messages as u64;
    }

    /// `basic.get` was answered without a message, or with one that is not to be acknowledged.
    pub fn count_get(&mut self, is_empty: bool) {
        if is_empty {
            self.counters.got_nothing += 1;
        } else {
            self.counters.got_no_ack += 1;
        }
    }

    /// Draws the next delivery tag.
    #[inline]
    pub fn next_tag(&mut self) -> u64 {
        self.last_tag += 1;
        self.last_tag
    }

    /// Whether the channel may have another delivery, to be acknowledged or not (RabbitMQ); if not, the consumer is remembered
    /// for [`Self::next_starved`], under the number that the error gives.
    #[inline]
    pub fn admit(&mut self, who: impl FnOnce() -> ConsumerRef) -> Result<(), u64> {
        if self.is_full() { Err(self.starved.add(who())) } else { Ok(()) }
    }

    /// Keeps a delivered message until it is settled.
    #[inline]
    pub fn hold(&mut self, unacked: Unacked) {
        self.unacked_count += 1;
        self.consumer_unacked += u32::from(unacked.consumer.is_some());
        self.unacked_bytes += unacked.entry.message.size_bytes();
        self.counters.held += 1;
        self.counters.got += u64::from(unacked.consumer.is_none());
        self.unacked.push(unacked);
        self.count();
    }

    /// Takes what `delivery-tag` and `multiple` name, in order, into `taken`: `max` of them at most. If there are more, gives the
    /// tag for [`Self::take_up_to`].
    ///
    /// Tag 0 with `multiple` is everything (AMQP 1.8.3.13). An unknown tag is RabbitMQ's 406.
    pub fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        max: usize,
        taken: &mut Vec<Unacked>,
    ) -> Result<Option<u64>, AmqpError> {
        let unknown = || precondition_failed(format!("unknown delivery tag {tag}"));
        if multiple && tag == 0 {
            let last = self.last_tag;
            return Ok(self.take_up_to(last, max, taken).then_some(last));
        }
        let (_, held) = self.unacked.find(tag).ok_or_else(unknown)?;
        if multiple {
            if held.is_none() {
                return Err(unknown());
            }
            return Ok(self.take_up_to(tag, max, taken).then_some(tag));
        }
        let unacked = held.take().ok_or_else(unknown)?;
        self.forget(&unacked);
        taken.push(unacked);
        self.compact();
        Ok(None)
    }

    /// The tag that was drawn last.
    pub fn last_tag(&self) -> u64 {
        self.last_tag
    }

    /// A consumer is still at work on a delivery, or with tag 0 on all of the channel: its time begins anew. Unknown tags
    /// are ignored.
    pub fn renew(&mut self, tag: u64, now: Millis) {
        if tag == 0 {
            self.watch.renewed_at = now;
        } else if let Some((_, Some(unacked))) = self.unacked.find(tag) {
            unacked.since = now;
        }
    }

    /// Looks at what has come since the last time, or at all of it when something may be overdue; no more than
    /// [`HELD_LOOKED_AT_ONCE_MAX`]. Gives how many it looked at. `default` is the timeout of consumers that have no other.
    pub fn look(&mut self, now: Millis, default: Option<Millis>) -> usize {
        if self.watch.next_overdue_at.is_some_and(|at| at <= now) {
            self.watch.look_anew();
        }
        let mut looked = 0;
        for (tag, unacked) in self.unacked.behind(self.watch.looked_up_to).take(HELD_LOOKED_AT_ONCE_MAX) {
            self.watch.looked_up_to = *tag;
            self.watch.note(unacked.as_ref(), now, default);
            looked += 1;
        }
        looked
    }

    /// Takes what [`Self::look`] found overdue, one message of each consumer, if it still is.
    pub fn take_overdue(&mut self, now: Millis, default: Option<Millis>) -> Vec<Overdue> {
        let mut overdue = self.watch.take_overdue();
        overdue.retain(|it| {
            let held = self.unacked.find(it.tag).and_then(|(_, held)| held.as_ref());
            held.and_then(|held| self.watch.overdue_at(held, default)).is_some_and(|at| at <= now)
        });
        overdue
    }

    /// A consumer has come; `timeout` is what it asked for itself.
    pub fn add_consumer(&mut self, tag: ShortString, who: ConsumerRef, timeout: Option<Millis>) {
        self.watch.set_timeout(&who, timeout);
        self.consumers.insert(tag, who);
    }

    /// A consumer is cancelled.
    pub fn remove_consumer(&mut self, tag: &[u8]) -> Option<ConsumerRef> {
        let who = self.consumers.remove(tag)?;
        self.watch.set_timeout(&who, None);
        Some(who)
    }

    /// The consumer of a tag.
    pub fn consumer(&self, tag: &[u8]) -> Option<&ConsumerRef> {
        self.consumers.get(tag)
    }

    /// The consumers of a channel that ends.
    pub fn into_consumers(self) -> hash_map::IntoValues<ShortString, ConsumerRef> {
        self.consumers.into_values()
    }

    /// The consumers of this channel, with their tags, in no order.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (&ShortString, &ConsumerRef)> {
        self.consumers.iter()
    }

    /// Takes what a consumer holds, oldest first.
    pub fn take_held_by(&mut self, id: ConsumerId, source: &Arc<dyn Source>) -> Vec<Unacked> {
        let its = |held: &mut Unacked| held.consumer == Some(id) && is_same(&held.source, source);
        let taken: Vec<_> = self.unacked.iter_mut().filter_map(|(_, held)| held.take_if(its)).collect();
        for unacked in &taken {
            self.forget(unacked);
        }
        self.compact();
        taken
    }

    /// What is unacknowledged, oldest first.
    pub fn unacked(&self) -> impl Iterator<Item = &Unacked> {
        self.unacked.iter().filter_map(|(_, unacked)| unacked.as_ref())
    }

    /// `basic.qos` with `global=true`: messages that the whole channel may hold; zero is without limit.
    pub fn limit_prefetch(&mut self, count: u32) {
        self.prefetch_global = count;
    }

    /// The consumer that has waited longest for the channel's prefetch, if there is room now. One at a time, so that
    /// consumers of several queues take turns.
    pub fn next_starved(&mut self) -> Option<ConsumerRef> {
        if self.is_full() { None } else { self.starved.pop() }
    }

    /// Whether a consumer was turned away and could have a delivery now: others have given memory back meanwhile.
    pub fn may_be_fed(&self) -> bool {
        !self.starved.is_empty() && !self.is_full()
    }

    /// Puts back what a transaction had settled and then rolled back; in the time that it takes to go through both once.
    pub fn restore(&mut self, mut settled: Vec<Unacked>) {
        if !settled.is_sorted_by_key(|unacked| unacked.tag) {
            settled.sort_by_key(|unacked| unacked.tag);
        }
        let Some(first) = settled.first().map(|unacked| unacked.tag) else { return };
        self.watch.looked_up_to = self.watch.looked_up_to.min(first.saturating_sub(1));
        for unacked in &settled {
            self.unacked_count += 1;
            self.consumer_unacked += u32::from(unacked.consumer.is_some());
            self.unacked_bytes += unacked.entry.message.size_bytes();
        }
        let mut held = self.unacked.take_all().peekable();
        for unacked in settled {
            while let Some(before) = held.next_if(|held| held.tag < unacked.tag) {
                self.unacked.push(before);
            }
            self.unacked.push(unacked);
        }
        held.for_each(|behind| self.unacked.push(behind));
        self.count();
    }

    /// Messages that a transaction has settled count against the prefetch until it ends (RabbitMQ).
    pub fn settled_in_transaction(&mut self, settled: &[Unacked]) {
        self.uncommitted += settled.iter().filter(|unacked| unacked.consumer.is_some()).count() as u32;
    }

    /// The transaction has ended: they count no more.
    pub fn transaction_ended(&mut self) {
        self.uncommitted = 0;
    }

    fn is_full(&self) -> bool {
        let is_used_up =
            self.prefetch_global > 0 && self.consumer_unacked + self.uncommitted >= self.prefetch_global;
        is_used_up || (self.unacked_count > 0 && self.is_crowded())
    }

    /// Whether there is no memory for one more that is held. What others hold is noticed when the charge changes.
    #[inline]
    fn is_crowded(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| !memory.had_room && memory.room().is_err())
    }

    /// Takes what is unacknowledged up to and with a tag, oldest first, `max` of them at most. Whether there may be more.
    pub fn take_up_to(&mut self, up_to: u64, max: usize, taken: &mut Vec<Unacked>) -> bool {
        let mut left = max;
        while self.unacked.front().is_some_and(|(tag, _)| *tag <= up_to) {
            if left == 0 {
                return true;
            }
            let first = taken.len();
            left -= self.unacked.take_some(up_to, left, taken);
            for unacked in &taken[first..] {
                self.forget(unacked);
            }
        }
        self.count();
        false
    }

    fn forget(&mut self, unacked: &Unacked) {
        self.unacked_count -= 1;
        self.consumer_unacked -= u32::from(unacked.consumer.is_some());
        self.unacked_bytes -= unacked.entry.message.size_bytes();
    }

    /// Drops those that are settled: at the front at once, elsewhere when they outnumber the rest, so that a settlement
    /// costs O(log n) however the client settles.
    fn compact(&mut self) {
        while matches!(self.unacked.front(), Some((_, None))) {
            self.unacked.pop_front();
        }
        if self.unacked.len() > 2 * self.unacked_count + 16 {
            self.unacked.drop_settled();
        }
        self.count();
    }
}
