//! Random operations on a queue, compared after each with a model that is as naive as the rules allow: plain lists,
//! searched from the front.
//!
//! The model says who gets which message under which delivery tag, so a message that is lost, doubled, out of order,
//! wrongly marked as redelivered or beyond somebody's credit is a difference; so is one that is given to the wrong one
//! of two consumers.

mod naive;

use std::collections::{BTreeMap, BTreeSet};

use naive::{Channel, Model};
use proptest::{collection::vec, prelude::*};

use super::{
    Client, Comeback, ConsumeError, ConsumerId, Cursor, FieldTable, GetError, Q, Received, What, Wish,
};
use crate::core::ConnectionId;
use crate::core::{
    change::Changes,
    queue::{Peek, Peeked},
};

const CLIENTS: usize = 2;
const CHANNELS: [u16; 2] = [1, 2];

/// What can happen. Indices are taken modulo what there is.
#[derive(Debug, Clone)]
enum Operation {
    Publish(u64),
    Consume {
        client: usize,
        wish: Wish,
    },
    Cancel {
        consumer: usize,
    },
    Ack {
        client: usize,
        channel: u16,
        at: usize,
        multiple: bool,
    },
    Requeue {
        client: usize,
        channel: u16,
        at: usize,
        multiple: bool,
    },
    UnknownTag {
        client: usize,
        channel: u16,
    },
    Get {
        client: usize,
        channel: u16,
        no_ack: bool,
    },
    Purge,
    Recover {
        client: usize,
        channel: u16,
    },
    CloseChannel {
        client: usize,
        channel: u16,
    },
    LimitChannel {
        client: usize,
        channel: u16,
        count: u32,
    },
    /// The client stops reading.
    Clog {
        client: usize,
    },
    /// The writer takes what waits.
    Take {
        client: usize,
    },
    /// What the writer took has reached the client.
    Written {
        client: usize,
    },
    /// What the journal was told is on disk.
    Journal,
    /// Memory is short.
    PageOut {
        everything: bool,
    },
    /// An operator takes a message from anywhere in the line.
    TakeOut {
        at: usize,
        /// And finds that it had better stay.
        back: bool,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let place = || (0..CLIENTS, prop::sample::select(&CHANNELS[..]));
    let settlement = || (place(), 0..8_usize, any::<bool>());
    prop_oneof![
        6 => (1..=5_u64).prop_map(Operation::Publish),
        5 => (0..CLIENTS, wish()).prop_map(|(client, wish)| Operation::Consume { client, wish }),
        2 => (0..8_usize).prop_map(|consumer| Operation::Cancel { consumer }),
        5 => settlement().prop_map(|((client, channel), at, multiple)| Operation::Ack { client, channel, at, multiple }),
        4 => settlement()
            .prop_map(|((client, channel), at, multiple)| Operation::Requeue { client, channel, at, multiple }),
        1 => place().prop_map(|(client, channel)| Operation::UnknownTag { client, channel }),
        3 => (place(), any::<bool>())
            .prop_map(|((client, channel), no_ack)| Operation::Get { client, channel, no_ack }),
        1 => Just(Operation::Purge),
        1 => place().prop_map(|(client, channel)| Operation::Recover { client, channel }),
        1 => place().prop_map(|(client, channel)| Operation::CloseChannel { client, channel }),
        2 => (place(), 0..4_u32)
            .prop_map(|((client, channel), count)| Operation::LimitChannel { client, channel, count }),
        1 => (0..CLIENTS).prop_map(|client| Operation::Clog { client }),
        3 => (0..CLIENTS).prop_map(|client| Operation::Take { client }),
        3 => (0..CLIENTS).prop_map(|client| Operation::Written { client }),
        3 => Just(Operation::Journal),
        4 => any::<bool>().prop_map(|everything| Operation::PageOut { everything }),
        4 => (0..12_usize, prop::bool::weighted(0.2)).prop_map(|(at, back)| Operation::TakeOut { at, back }),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let rarely = || prop::bool::weighted(0.1);
    let priority = prop_oneof![3 => Just(0), 1 => -1..=1];
    (prop::sample::select(&CHANNELS[..]), 0..=5_u32, prop::bool::weighted(0.2), rarely(), priority).prop_map(
        |(channel, prefetch, no_ack, exclusive, priority)| Wish {
            channel: Some(channel),
            prefetch,
            no_ack,
            exclusive,
            priority,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_queue_does_what_the_model_does(
        single_active: bool,
        durable: bool,
        operations in vec(operation(), 1..80),
    ) {
        let mut pair = Pair::new(single_active, durable);
        for operation in operations {
            pair.perform(&operation);
            pair.compare();
        }
        pair.end();
    }
}

/// The queue with its clients, and the model of all of them.
struct Pair {
    queue: Q,
    clients: Vec<Client>,
    ids: BTreeMap<usize, ConsumerId>,
    model: Model,
    published: u64,
    /// Settlements that the journal is slow with.
    late: Changes,
    late_ids: BTreeSet<u64>,
}

impl Pair {
    fn new(single_active: bool, durable: bool) -> Self {
        let arguments = FieldTable::new().with("x-single-active-consumer", single_active);
        Self {
            queue: Q::kept(durable, true, arguments),
            clients: (0..CLIENTS).map(|_| Client::new()).collect(),
            ids: BTreeMap::new(),
            model: Model::new(single_active),
            published: 0,
            late: Changes::new(),
            late_ids: BTreeSet::new(),
        }
    }

    fn perform(&mut self, operation: &Operation) {
        match *operation {
            Operation::Publish(count) => {
                let ids = self.published..self.published + count;
                self.published += count;
                self.queue.publish(ids.clone());
                ids.for_each(|id| self.model.publish(id));
            }
            Operation::Consume { client, wish } => self.consume(client, wish),
            Operation::Cancel { consumer } => self.cancel(consumer),
            Operation::Ack { client, channel, at, multiple } => {
                self.settle(client, channel, at, multiple, false);
            }
            Operation::Requeue { client, channel, at, multiple } => {
                self.settle(client, channel, at, multiple, true);
            }
            Operation::UnknownTag { client, channel } => {
                let tag = self.model.clients[client].channels[&channel].last_tag + 1;
                assert!(self.clients[client].settle(channel, tag, true).is_err());
                assert!(self.clients[client].settle(channel, tag, false).is_err());
            }
            Operation::Get { client, channel, no_ack } => {
                let got = self.queue.get_on(&self.clients[client], channel, no_ack);
                assert_eq!(got, self.model.get(client, channel, no_ack));
            }
            Operation::Purge => {
                assert_eq!(self.queue.purge(), self.model.purge());
            }
            Operation::Recover { client, channel } => {
                let all = super::taken_all(self.clients[client].outbox.lock().window(channel).unwrap());
                self.queue.shared.requeue(all, Comeback::Failed, &mut self.queue.effects.borrow_mut());
                self.clients[client].feed_channels();
                let all = self.model.take_all(client, channel);
                self.model.give_back(client, all);
            }
            Operation::CloseChannel { client, channel } => self.close_channel(client, channel),
            Operation::LimitChannel { client, channel, count } => {
                self.clients[client].outbox.lock().window(channel).unwrap().limit_prefetch(count);
                self.clients[client].feed_channels();
                self.model.clients[client].channel(channel).limit = count;
                self.model.feed_channels(client);
            }
            Operation::Clog { client } => {
                self.clients[client].clog();
                self.model.clients[client].waiting.full = true;
            }
            Operation::Journal => {
                self.queue.shelf.absorb_late(&mut self.late);
                self.late_ids.clear();
                self.queue.shelf.write();
            }
            Operation::TakeOut { at, back } => self.take_out(at, back),
            Operation::PageOut { everything } => {
                let changes = &mut self.queue.effects.borrow_mut().changes;
                let _more = self.queue.shared.page_out(everything, changes);
            }
            Operation::Take { client } => self.take(client),
            Operation::Written { client } => self.written(client),
        }
    }

    fn consume(&mut self, client: usize, wish: Wish) {
        let key = self.model.next_consumer;
        let accepted = self.queue.try_consume(&self.clients[client], &format!("c{key}"), wish);
        let expected = self.model.consume(client, wish);
        assert_eq!(accepted.is_ok(), expected);
        match accepted {
            Ok(id) => drop(self.ids.insert(key, id)),
            Err(error) => assert_ne!(error, ConsumeError::Gone),
        }
    }

    fn cancel(&mut self, consumer: usize) {
        let Some(key) = self.model.any_consumer(consumer) else { return };
        let client = self.model.consumers[&key].client;
        let last = self.queue.cancel(&self.clients[client], &format!("c{key}"), self.ids[&key]);
        self.model.remove(key);
        assert_eq!(
            last,
            self.model.consumers.is_empty(),
            "the queue is one that goes with its last consumer"
        );
        if !last {
            self.model.dispatch();
        }
    }

    fn settle(&mut self, client: usize, channel: u16, at: usize, multiple: bool, back: bool) {
        let Some(tag) = self.model.any_tag(client, channel, at) else { return };
        let taken = self.clients[client].settle(channel, tag, multiple).unwrap();
        let expected = self.model.take(client, channel, tag, multiple);
        assert!(taken.iter().map(|unacked| unacked.tag).eq(expected.iter().map(|held| held.tag)));
        if back {
            self.queue.shared.requeue(taken, Comeback::Failed, &mut self.queue.effects.borrow_mut());
            self.clients[client].feed_channels();
            self.model.give_back(client, expected);
        } else {
            self.queue.settle(&self.clients[client], taken);
            self.model.settle(client, &expected);
        }
    }

    fn take_out(&mut self, at: usize, back: bool) {
        let ready = all_of(|from| self.queue.shared.peek_ready(from, usize::MAX));
        let Some(seen) = ready.get(at % ready.len().max(1)).map(|peeked| &peeked.entry) else { return };
        let taken = self.queue.shared.take_out(seen).unwrap();
        assert!(self.queue.shared.take_out(seen).is_none(), "nobody takes it twice");
        if back {
            self.queue.shared.put_back(taken, &mut self.queue.effects.borrow_mut());
            return;
        }
        let id = super::number(&taken.message.view().body());
        self.late_ids.insert(id);
        taken.settle(self.queue.shared.id, &mut self.late);
        self.model.ready.remove(&id).unwrap();
        self.model.gone += 1;
    }

    fn close_channel(&mut self, client: usize, channel: u16) {
        self.queue.close_channel(&self.clients[client], channel);
        self.model.close_channel(client, channel);
        self.clients[client].outbox.lock().open_window(channel);
        self.model.clients[client].channels.insert(channel, Channel::default());
    }

    fn take(&mut self, client: usize) {
        if self.model.clients[client].in_flight.is_some() {
            return;
        }
        let seen = self.clients[client].take();
        let expected = std::mem::take(&mut self.model.clients[client].waiting);
        assert_eq!(seen, expected.seen);
        self.model.clients[client].in_flight = Some(expected);
    }

    fn written(&mut self, client: usize) {
        if self.model.clients[client].in_flight.take().is_some() {
            self.clients[client].written();
            self.model.written(client);
        }
    }

    /// The journal has what the queue has, and nothing else.
    fn compare_journal(&self) {
        self.queue.shelf.absorb(&mut self.queue.effects.borrow_mut().changes);
        for client in &self.clients {
            self.queue.shelf.absorb(&mut client.effects.borrow_mut().changes);
        }
        let held = self.model.clients.iter().flat_map(|client| client.channels.values());
        let held = held.flat_map(|it| &it.held).map(|it| it.message.id);
        let live: BTreeSet<u64> = held.chain(self.model.ready.keys().copied()).collect();
        let kept = self.queue.shelf.messages();
        let kept = kept.iter().map(|message| super::number(&message.view().body()));
        let kept: BTreeSet<u64> = kept.filter(|id| !self.late_ids.contains(id)).collect();
        assert!(kept.is_subset(&live), "settled and kept: {:?}", kept.difference(&live));
        assert!(!self.queue.shared.spec.durable || kept == live, "not kept: {:?}", live.difference(&kept));
    }

    fn compare(&self) {
        self.compare_journal();
        let (status, model) = (self.queue.status(), &self.model);
        assert_eq!(status.ready, model.ready.len());
        assert_eq!(status.consumers, model.consumers.len());
        let held =
            || model.clients.iter().flat_map(|client| client.channels.values()).flat_map(|it| &it.held);
        assert_eq!(status.unacked, held().count());
        if self.late.is_empty() {
            assert_eq!(self.queue.used_bytes(), self.queue.walked_bytes(&self.clients));
        }
        assert_eq!(status.bytes == 0, status.ready + status.unacked == 0);
        assert_eq!(status.counters.published, self.published);
        let once: BTreeSet<_> = held().map(|it| it.message.id).chain(model.ready.keys().copied()).collect();
        assert_eq!(once.len(), status.ready + status.unacked, "each message is in one place");
        for (client, expected) in self.clients.iter().zip(&model.clients) {
            for (&channel, expected) in &expected.channels {
                let expected: Vec<_> = expected.held.iter().map(|held| (held.tag, held.message.id)).collect();
                assert_eq!(client.held(channel), expected);
            }
        }
        model.check_credit();
        self.compare_peeks();
    }

    /// An operator sees what is there, and that changes nothing.
    fn compare_peeks(&self) {
        let before = (self.queue.status(), self.queue.used_bytes());
        let ready = all_of(|from| self.queue.shared.peek_ready(from, 3));
        let expected = self.model.ready.values().map(|message| (message.id, message.returned));
        assert!(ready.iter().map(shown).eq(expected), "{:?}", ready.iter().map(shown).collect::<Vec<_>>());
        let outboxes = || self.clients.iter().map(|client| (ConnectionId(1), client.outbox.clone()));
        let unacked = all_of(|from| self.queue.shared.peek_unacked(outboxes(), from, 2));
        let held = self.model.clients.iter().flat_map(|client| client.channels.values());
        let held: BTreeSet<u64> = held.flat_map(|it| &it.held).map(|it| it.message.id).collect();
        assert!(unacked.iter().map(|peeked| shown(peeked).0).eq(held));
        drop((ready, unacked));
        assert_eq!((self.queue.status(), self.queue.used_bytes()), before);
    }

    /// Everybody leaves; what is left is counted and purged.
    fn end(mut self) {
        for client in 0..CLIENTS {
            for _ in 0..2 {
                self.written(client);
                self.take(client);
            }
            for channel in CHANNELS {
                self.close_channel(client, channel);
                self.compare();
            }
        }
        let status = self.queue.status();
        assert_eq!((status.consumers, status.unacked), (0, 0));
        let gone = self.model.gone + self.queue.purge() as u64;
        assert_eq!(gone, self.published, "every message that was published is accounted for");
        self.queue.shelf.absorb_late(&mut self.late);
        self.queue.shelf.absorb(&mut self.queue.effects.borrow_mut().changes);
        self.queue.shelf.write();
        assert_eq!((self.queue.used_bytes(), self.queue.status().bytes), (0, 0));
    }
}

/// Everything that looking again and again shows.
fn all_of(peek: impl Fn(Cursor) -> Peek) -> Vec<Peeked> {
    let mut all = Vec::new();
    let mut next = Some(Cursor::default());
    while let Some(from) = next {
        let seen = peek(from);
        all.extend(seen.messages);
        assert!(seen.next.is_none_or(|next| next > from));
        next = seen.next;
    }
    all
}

/// What a message's body and flag say.
fn shown(peeked: &Peeked) -> (u64, bool) {
    (super::number(&peeked.entry.message.view().body()), peeked.entry.redelivered)
}
