//! Queues as clients see them: deliveries are read back from the bytes in each client's outbox.

mod lines;
mod memory;
mod model;
mod operator;
mod overdue;
mod readers;
mod shelf;
mod timed;
mod waiting;

use std::{
    cell::RefCell,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use shelf::Shelf;

use super::{ConsumeError, ConsumerSpec, Cursor, Enqueued, GetError, Origin, SharedQueue};
use crate::core::{
    change::note_published,
    clock::{ManualClock, Millis},
    declared::QueueSpec,
    effects::Effects,
    error::AmqpError,
    memory::{Gauge, Holder},
    message::{Publication, View, build_image},
    outbox::{Outbox, SharedOutbox, feed_by_channel, feed_by_outbox},
    placement::QueueIds,
    policy::QueueSettings,
    queue::{Surroundings, Timetable},
    source::{Comeback, ConsumerId, Unacked},
    turn::Turn,
    window::Window,
};
use crate::limits::OUTBOX_BYTES_MAX;
use crate::protocol::{
    ContentHeader, FRAME_BODY, FRAME_METHOD, FieldTable, Method, Properties, ShortString, basic, split,
    write_frame,
};

const FRAME_MAX: usize = 131_072;
/// When tests begin.
const NOW: Millis = 1_000_000;
/// A channel that no test opens: what stands on it only fills an outbox.
const CLOGGED_CHANNEL: u16 = 99;

// ---- prefetch ----

#[test]
fn prefetch_window_reopens_after_multiple_ack() {
    let (queue, mut client) = (Q::plain(), Client::new());
    queue.consume(&client, "c", Wish { prefetch: 3, ..Wish::default() });
    queue.publish(0..7);
    assert_eq!(client.read_ids(), [0, 1, 2]);
    queue.ack(&client, 2, true);
    assert_eq!(client.read_ids(), [3, 4]);
    queue.ack(&client, 0, true);
    assert_eq!(client.read_ids(), [5, 6]);
}

#[test]
fn a_channels_prefetch_counts_all_of_its_consumers_and_no_gets() {
    let (queue, mut client) = (Q::plain(), Client::new());
    client.outbox.lock().window(1).unwrap().limit_prefetch(2);
    queue.publish(0..1);
    queue.get(&client, false).unwrap();
    queue.consume(&client, "a", Wish::default());
    queue.consume(&client, "b", Wish::default());
    queue.publish(1..6);
    assert_eq!(client.read_ids(), [0, 1, 2]);
    queue.ack(&client, 1, false);
    assert!(client.read().is_empty(), "the message from basic.get had no part in the channel's limit");
    queue.ack(&client, 2, false);
    assert_eq!(client.read_ids(), [3]);
}

#[test]
fn a_consumer_without_acknowledgements_has_no_prefetch() {
    let (queue, mut client) = (Q::plain(), Client::new());
    client.outbox.lock().window(1).unwrap().limit_prefetch(1);
    queue.consume(&client, "c", Wish { prefetch: 1, no_ack: true, ..Wish::default() });
    queue.publish(0..5);
    assert_eq!(client.read_ids(), [0, 1, 2, 3, 4]);
    assert_eq!((queue.status().unacked, queue.used_bytes()), (0, 0));
}

// ---- who is next ----

#[test]
fn round_robin_is_strict_among_equal_priorities_and_higher_ones_go_first() {
    let (queue, mut client) = (Q::plain(), Client::new());
    for tag in ["a", "b", "c"] {
        queue.consume(&client, tag, Wish::default());
    }
    queue.consume(&client, "high", Wish { priority: 1, prefetch: 2, ..Wish::default() });
    queue.publish(0..9);
    assert_eq!(client.read_consumers(), ["high", "high", "a", "b", "c", "a", "b", "c", "a"]);
}

#[test]
fn single_active_consumer_succession_is_by_priority_then_age() {
    let (queue, mut client) = (Q::single_active(), Client::new());
    let first = queue.consume(&client, "first", Wish::default());
    queue.consume(&client, "second", Wish::default());
    let high = queue.consume(&client, "high", Wish { priority: 9, ..Wish::default() });
    queue.consume(&client, "high too", Wish { priority: 9, ..Wish::default() });
    queue.publish(0..2);
    queue.cancel(&client, "first", first);
    queue.publish(2..3);
    queue.cancel(&client, "high", high);
    queue.publish(3..4);
    assert_eq!(client.read_consumers(), ["first", "first", "high", "high too"]);
}

#[test]
fn a_single_active_consumers_successor_gets_returned_messages_in_their_order() {
    let (queue, mut client, mut next) = (Q::single_active(), Client::new(), Client::new());
    queue.consume(&client, "active", Wish { prefetch: 2, ..Wish::default() });
    queue.consume(&next, "next", Wish::default());
    queue.publish(0..4);
    assert_eq!(client.read_ids(), [0, 1]);
    queue.close_channel(&client, 1);
    assert_eq!(next.read_ids(), [0, 1, 2, 3]);
}

#[test]
fn a_queue_with_a_single_active_consumer_refuses_get() {
    let (queue, client) = (Q::single_active(), Client::new());
    queue.publish(0..1);
    assert_eq!(queue.get(&client, true), Err(GetError::SingleActiveConsumer));
}

#[test]
fn an_exclusive_consumer_refuses_others_and_wants_to_be_alone() {
    let (queue, client) = (Q::plain(), Client::new());
    let exclusive = || Wish { exclusive: true, ..Wish::default() };
    let first = queue.consume(&client, "a", exclusive());
    assert_eq!(queue.try_consume(&client, "b", Wish::default()), Err(ConsumeError::InExclusiveUse));
    queue.cancel(&client, "a", first);
    queue.consume(&client, "c", Wish::default());
    assert_eq!(queue.try_consume(&client, "d", exclusive()), Err(ConsumeError::InExclusiveUse));
}

// ---- back and forth ----

#[test]
fn a_requeued_message_returns_to_its_original_position_and_says_so() {
    let (queue, mut client) = (Q::plain(), Client::new());
    queue.publish(0..4);
    for _ in 0..3 {
        queue.get(&client, false).unwrap();
    }
    queue.requeue(&client, 2, false);
    queue.requeue(&client, 1, false);
    client.read();
    queue.consume(&client, "c", Wish::default());
    let seen: Vec<_> = client.read().into_iter().map(|seen| (seen.id, seen.redelivered)).collect();
    assert_eq!(seen, [(0, true), (1, true), (3, false)]);
}

#[test]
fn a_cancelled_consumers_unacked_messages_stay_with_the_channel() {
    let (queue, mut client) = (Q::plain(), Client::new());
    let id = queue.consume(&client, "c", Wish::default());
    queue.publish(0..3);
    queue.cancel(&client, "c", id);
    queue.publish(3..4);
    assert_eq!(client.read_ids(), [0, 1, 2]);
    assert_eq!((queue.status().ready, queue.status().unacked), (1, 3));
    queue.ack(&client, 3, true);
    assert_eq!(queue.status().unacked, 0);
}

#[test]
fn a_starved_consumer_is_fed_after_the_writer_has_drained() {
    let (queue, mut slow, mut quick) = (Q::plain(), Client::new(), Client::new());
    queue.consume(&slow, "slow", Wish::default());
    slow.clog();
    queue.publish(0..2);
    assert_eq!(queue.status().ready, 2, "nothing is delivered into a full outbox");
    queue.consume(&quick, "quick", Wish { prefetch: 1, ..Wish::default() });
    assert_eq!(quick.read_ids(), [0], "others do not wait for it");
    assert!(slow.read().is_empty(), "this was what filled the outbox");
    assert_eq!(slow.read_ids(), [1]);
}

#[test]
fn consumers_that_come_and_go_while_they_cannot_be_served_are_not_remembered() {
    let (queue, client) = (Q::plain(), Client::new());
    client.outbox.lock().window(1).unwrap().limit_prefetch(1);
    queue.consume(&client, "holds one", Wish::default());
    queue.publish(0..2);
    let references = Arc::strong_count(&queue.shared);
    for _ in 0..1_000 {
        let id = queue.consume(&client, "c", Wish::default());
        queue.cancel(&client, "c", id);
    }
    let more = Arc::strong_count(&queue.shared) - references;
    assert!(more < 50, "{more} references to consumers that are gone");
}

#[test]
fn consumers_that_come_and_go_while_the_client_does_not_read_are_not_remembered() {
    let (queue, client) = (Q::plain(), Client::new());
    client.clog();
    queue.publish(0..2);
    let references = Arc::strong_count(&queue.shared);
    for _ in 0..1_000 {
        let id = queue.consume(&client, "c", Wish::default());
        queue.cancel(&client, "c", id);
    }
    let more = Arc::strong_count(&queue.shared) - references;
    assert!(more < 50, "{more} references to consumers that are gone");
}

// ---- the end of a queue ----

#[test]
fn delete_tells_consumers_that_understand_basic_cancel_and_no_others() {
    for understands in [true, false] {
        let (queue, mut client) = (Q::plain(), Client::understanding_cancel(understands));
        queue.consume(&client, "c", Wish::default());
        queue.publish(0..1);
        let deleted = queue.shared.delete(|status| status.consumers == 1).unwrap();
        assert!(client.read().iter().all(|seen| seen.what != What::Cancelled), "an answer comes first");
        drop(deleted);
        let seen = client.read();
        assert_eq!(seen.iter().filter(|seen| seen.what == What::Cancelled).count(), usize::from(understands));
        assert!(client.outbox.lock().window(1).unwrap().consumers().len() == 0);
    }
}

#[test]
fn a_tag_that_was_used_again_is_not_cancelled_for_the_consumer_that_had_it() {
    let (gone, stays, mut client) = (Q::plain(), Q::plain(), Client::new());
    let id = gone.consume(&client, "c", Wish::default());
    let deleted = gone.shared.delete(|_| true).unwrap();
    gone.cancel(&client, "c", id);
    stays.consume(&client, "c", Wish::default());
    drop(deleted);
    assert!(client.read().is_empty());
    stays.publish(7..8);
    assert_eq!(client.read_ids(), [7]);
}

#[test]
fn consumers_that_are_turned_away_and_leave_are_fed_no_more_whichever_way_they_leave() {
    let (queue, other, mut client) = (Q::plain(), Q::plain(), Client::new());
    client.outbox.lock().window(1).unwrap().limit_prefetch(1);
    let first = queue.consume(&client, "a", Wish::default());
    queue.publish(0..1);
    queue.consume(&client, "b", Wish::default());
    other.consume(&client, "c", Wish::default());
    queue.publish(1..2);
    queue.publish(2..3);
    other.publish(3..4);
    assert_eq!(client.read_ids(), [0], "all three wait for the channel");
    queue.cancel(&client, "a", first);
    drop(queue.shared.delete(|_| true));
    assert_eq!(client.read().iter().map(|seen| seen.what.clone()).collect::<Vec<_>>(), [What::Cancelled]);
    queue.ack(&client, 1, false);
    assert_eq!(client.read_consumers(), ["c"]);
}

#[test]
fn messages_of_a_deleted_queue_can_be_settled_and_do_not_come_back() {
    let (queue, client) = (Q::plain(), Client::new());
    queue.consume(&client, "c", Wish { prefetch: 2, ..Wish::default() });
    queue.publish(0..5);
    let deleted = queue.shared.delete(|_| true).unwrap();
    assert_eq!(deleted.message_count(), 3);
    drop(deleted);
    queue.requeue(&client, 1, false);
    queue.ack(&client, 2, false);
    assert_eq!((queue.status().ready, queue.status().unacked, queue.used_bytes()), (0, 0, 0));
    assert_eq!(queue.try_consume(&client, "d", Wish::default()), Err(ConsumeError::Gone));
    assert!(queue.shared.delete(|_| true).is_none(), "it can be deleted once");
}

#[test]
fn auto_delete_is_due_only_after_the_last_of_some_consumers() {
    let (queue, client) = (Q::new(true, FieldTable::new()), Client::new());
    queue.publish(0..1);
    assert!(!queue.shared.is_deleted());
    let (a, b) = (queue.consume(&client, "a", Wish::default()), queue.consume(&client, "b", Wish::default()));
    assert!(!queue.cancel(&client, "a", a));
    assert!(queue.cancel(&client, "b", b));
    assert!(!queue.cancel(&client, "b", b), "a consumer leaves once");
    let plain = Q::plain();
    let only = plain.consume(&client, "c", Wish::default());
    assert!(!plain.cancel(&client, "c", only));
}

#[test]
fn purge_takes_what_is_ready_and_leaves_what_is_held() {
    let (queue, mut client) = (Q::plain(), Client::new());
    queue.consume(&client, "c", Wish { prefetch: 1, ..Wish::default() });
    queue.publish(0..4);
    assert_eq!(queue.purge(), 3);
    assert_eq!((queue.status().ready, queue.status().unacked), (0, 1));
    queue.requeue(&client, 1, false);
    assert_eq!(client.read_ids(), [0, 0]);
}

// ---- delivery tags ----

#[test]
fn an_unknown_delivery_tag_is_named_in_the_error() {
    let (queue, client) = (Q::plain(), Client::new());
    queue.consume(&client, "c", Wish::default());
    queue.publish(0..3);
    queue.ack(&client, 2, false);
    for (tag, multiple) in [(2, false), (0, false), (4, false), (4, true), (u64::MAX, true)] {
        let error = client.settle(1, tag, multiple).err().unwrap();
        assert_eq!(error.reply_text(), format!("PRECONDITION_FAILED - unknown delivery tag {tag}"));
    }
    queue.ack(&client, 3, true);
    let error = client.settle(1, 3, true).err().unwrap();
    assert_eq!(error.reply_text(), "PRECONDITION_FAILED - unknown delivery tag 3");
}

#[test]
fn tag_zero_with_multiple_is_fine_when_nothing_is_outstanding() {
    let client = Client::new();
    assert!(client.settle(1, 0, true).unwrap().is_empty());
}

#[test]
fn out_of_order_acks_do_not_make_the_window_grow() {
    let (queue, mut client) = (Q::plain(), Client::new());
    queue.consume(&client, "c", Wish::default());
    queue.publish(0..1);
    for tag in 2..20_000 {
        queue.publish(tag..=tag);
        queue.ack(&client, tag, false);
        client.read();
    }
    let held: Vec<_> = client.held(1);
    assert_eq!(held, [(1, 0)], "the first message is still there");
    // The upper bound counts the places of those that were settled out of turn, too.
    let places = client.outbox.lock().window(1).unwrap().unacked().size_hint().1.unwrap();
    assert!(places <= 2 + 16, "{places} places for one message");
}

// ---- helpers ----

/// A queue and what its messages are counted against.
struct Q {
    shared: Arc<SharedQueue>,
    gauge: &'static Gauge,
    /// What the journal has to be told.
    effects: RefCell<Effects>,
    clock: Arc<ManualClock>,
    shelf: Arc<Shelf>,
    calls: Arc<Calls>,
}

/// A timetable that notes when it is asked to call.
#[derive(Default)]
struct Calls(Mutex<Vec<Millis>>);

impl Timetable for Calls {
    fn call(&self, _queue: &Arc<SharedQueue>, at: Millis) {
        self.0.lock().push(at);
    }
}

/// What a consumer asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Wish {
    channel: Option<u16>,
    prefetch: u32,
    no_ack: bool,
    exclusive: bool,
    priority: i32,
}

impl Q {
    fn plain() -> Self {
        Self::new(false, FieldTable::new())
    }

    fn single_active() -> Self {
        Self::new(false, FieldTable::new().with("x-single-active-consumer", true))
    }

    fn new(auto_delete: bool, arguments: FieldTable) -> Self {
        Self::kept(false, auto_delete, arguments)
    }

    /// With a shelf for a journal.
    fn kept(durable: bool, auto_delete: bool, arguments: FieldTable) -> Self {
        Self::named("q", durable, auto_delete, arguments)
    }

    fn named(name: &'static str, durable: bool, auto_delete: bool, arguments: FieldTable) -> Self {
        let name = ShortString::from_static(name);
        let spec = QueueSpec { name, durable, auto_delete, owner: None, arguments };
        let gauge = Gauge::new(usize::MAX);
        let shelf = Arc::new(Shelf::default());
        let clock = Arc::new(ManualClock::at(NOW));
        let calls = Arc::new(Calls::default());
        let surroundings = Surroundings {
            memory: Holder::new(gauge),
            pager: shelf.clone(),
            ids: Arc::new(QueueIds::default()),
            timetable: calls.clone(),
            clock: clock.clone(),
        };
        let settings = Arc::new(QueueSettings::of(&spec.arguments, None, None));
        let shared = Arc::new(SharedQueue::new(spec, settings, Arc::new(surroundings)));
        Self { shared, gauge, effects: RefCell::default(), shelf, clock, calls }
    }

    fn status(&self) -> super::QueueStatus {
        self.shared.status()
    }

    /// Publishes messages whose bodies are their numbers, in one run.
    fn publish(&self, ids: impl IntoIterator<Item = u64>) {
        self.publish_with(ids, &Properties::default());
    }

    fn publish_with(&self, ids: impl IntoIterator<Item = u64>, properties: &Properties) {
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

    fn try_consume(&self, client: &Client, tag: &str, wish: Wish) -> Result<ConsumerId, ConsumeError> {
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

    fn consume(&self, client: &Client, tag: &str, wish: Wish) -> ConsumerId {
        self.try_consume(client, tag, wish).unwrap()
    }

    fn cancel(&self, client: &Client, tag: &str, id: ConsumerId) -> bool {
        client.forget_consumer(tag);
        self.shared.cancel(id, &mut self.effects.borrow_mut())
    }

    fn get(&self, client: &Client, no_ack: bool) -> Result<(), GetError> {
        self.get_on(client, 1, no_ack)
    }

    /// As `basic.get` does it.
    fn get_on(&self, client: &Client, channel: u16, no_ack: bool) -> Result<(), GetError> {
        self.shared.get(no_ack, &mut self.effects.borrow_mut(), |entry, _shown, remaining| {
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

    fn ack(&self, client: &Client, tag: u64, multiple: bool) {
        let settled = client.settle(1, tag, multiple).unwrap();
        self.settle(client, settled);
    }

    /// Drops what is ready, in pieces; gives how many messages that were.
    fn purge(&self) -> usize {
        let mut purged = self.shared.purge();
        while purged.settle_some(2, &mut self.effects.borrow_mut().changes) {}
        purged.message_count()
    }

    fn settle(&self, client: &Client, settled: Vec<Unacked>) {
        self.shared.settle(settled, &mut self.effects.borrow_mut());
        client.feed_channels();
    }

    fn requeue(&self, client: &Client, tag: u64, multiple: bool) {
        let returned = client.settle(1, tag, multiple).unwrap();
        self.shared.requeue(returned, Comeback::Failed, &mut self.effects.borrow_mut());
        client.feed_channels();
    }

    /// As `channel.close` does it: what is held goes back before the consumers leave.
    fn close_channel(&self, client: &Client, channel: u16) {
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
fn taken_all(window: &mut Window) -> Vec<Unacked> {
    let mut taken = Vec::new();
    assert!(!window.take_up_to(u64::MAX, usize::MAX, &mut taken));
    taken
}

/// A connection with two open channels.
struct Client {
    outbox: SharedOutbox,
    /// What the journal has to be told of what this client was fed.
    effects: RefCell<Effects>,
    spare: Vec<u8>,
}

/// What a client reads.
#[derive(Debug, Clone, PartialEq)]
struct Received {
    what: What,
    channel: u16,
    tag: u64,
    redelivered: bool,
    /// The number in the body.
    id: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    /// With the consumer's tag.
    Delivered(String),
    /// With the count of those that remain.
    Got(u32),
    Cancelled,
}

impl Client {
    fn new() -> Self {
        Self::understanding_cancel(true)
    }

    fn understanding_cancel(understands: bool) -> Self {
        let mut outbox = Outbox::new(FRAME_MAX, understands);
        outbox.open_window(1);
        outbox.open_window(2);
        Self { outbox: Arc::new(Mutex::new(outbox)), spare: Vec::new(), effects: RefCell::default() }
    }

    /// Fills the outbox, as a client does that does not read.
    fn clog(&self) {
        let mut frames = Vec::new();
        while frames.len() < OUTBOX_BYTES_MAX {
            write_frame(&mut frames, FRAME_BODY, CLOGGED_CHANNEL, &vec![0; 100_000]);
        }
        self.outbox.lock().send_frames(&frames);
    }

    /// One turn of the writer: what the client reads of it.
    fn read(&mut self) -> Vec<Received> {
        let seen = self.take();
        self.written();
        seen
    }

    /// The first half of the writer's turn.
    fn take(&mut self) -> Vec<Received> {
        let mut context = Context::from_waker(Waker::noop());
        match self.outbox.lock().poll_take(&mut self.spare, &mut context) {
            Poll::Ready(true) => decode(&self.spare),
            _ => Vec::new(),
        }
    }

    /// The second half.
    fn written(&mut self) {
        self.spare.clear();
        let _reader = self.outbox.lock().written();
        let turn = &mut Turn::of(usize::MAX);
        feed_by_outbox(&self.outbox, &mut self.effects.borrow_mut(), turn);
    }

    fn read_ids(&mut self) -> Vec<u64> {
        self.read().into_iter().map(|seen| seen.id).collect()
    }

    fn read_consumers(&mut self) -> Vec<String> {
        let consumer = |seen: Received| match seen.what {
            What::Delivered(tag) => Some(tag),
            What::Got(_) | What::Cancelled => None,
        };
        self.read().into_iter().filter_map(consumer).collect()
    }

    fn settle(&self, channel: u16, tag: u64, multiple: bool) -> Result<Vec<Unacked>, AmqpError> {
        let mut taken = Vec::new();
        self.outbox.lock().window(channel).unwrap().settle(tag, multiple, usize::MAX, &mut taken)?;
        Ok(taken)
    }

    fn feed_channels(&self) {
        for channel in [1, 2] {
            let turn = &mut Turn::of(usize::MAX);
            feed_by_channel(&self.outbox, channel, &mut self.effects.borrow_mut(), turn);
        }
    }

    fn forget_consumer(&self, tag: &str) {
        let mut outbox = self.outbox.lock();
        for channel in [1, 2] {
            outbox.window(channel).unwrap().remove_consumer(tag.as_bytes());
        }
    }

    /// Delivery tags and messages that a channel holds.
    fn held(&self, channel: u16) -> Vec<(u64, u64)> {
        let mut outbox = self.outbox.lock();
        let held = outbox.window(channel).unwrap();
        held.unacked().map(|unacked| (unacked.tag, number(&unacked.entry.message.view().body()))).collect()
    }
}

/// Deliveries, answers to `basic.get` and cancellations in a client's bytes.
fn decode(mut bytes: &[u8]) -> Vec<Received> {
    let mut seen: Vec<Received> = Vec::new();
    while let Some((frame, size)) = split(bytes, FRAME_MAX).unwrap() {
        bytes = &bytes[size..];
        if frame.channel == CLOGGED_CHANNEL {
            continue;
        }
        assert_eq!(frame.kind, FRAME_METHOD);
        let (what, tag, redelivered) = match Method::decode(frame.payload).unwrap() {
            Method::BasicDeliver(it) => {
                (What::Delivered(it.consumer_tag.as_str_lossy().into()), it.delivery_tag, it.redelivered)
            }
            Method::BasicGetOk(it) => (What::Got(it.message_count), it.delivery_tag, it.redelivered),
            Method::BasicCancel(_) => (What::Cancelled, 0, false),
            other => panic!("{other:?}"),
        };
        let id = if what == What::Cancelled { 0 } else { content(&mut bytes, frame.channel) };
        seen.push(Received { what, channel: frame.channel, tag, redelivered, id });
    }
    assert!(bytes.is_empty(), "the writer takes whole frames");
    seen
}

fn content(bytes: &mut &[u8], channel: u16) -> u64 {
    let mut next = || {
        let (frame, size) = split(bytes, FRAME_MAX).unwrap().unwrap();
        *bytes = &bytes[size..];
        assert_eq!(frame.channel, channel);
        frame.payload
    };
    assert_eq!(ContentHeader::parse(next()).unwrap().body_size, 8);
    number(next())
}

fn number(body: &[u8]) -> u64 {
    u64::from_be_bytes(body.try_into().unwrap())
}
