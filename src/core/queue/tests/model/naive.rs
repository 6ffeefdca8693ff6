//! What a queue is to do, as naively as the rules allow.

use std::collections::BTreeMap;

use super::{CHANNELS, CLIENTS, GetError, Received, What, Wish};

#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub(super) id: u64,
    pub(super) returned: bool,
}

pub(super) struct Held {
    pub(super) tag: u64,
    pub(super) message: Message,
    pub(super) consumer: Option<usize>,
}

#[derive(Default)]
pub(super) struct Channel {
    pub(super) last_tag: u64,
    pub(super) held: Vec<Held>,
    pub(super) limit: u32,
    pub(super) starved: Vec<usize>,
}

impl Channel {
    pub(super) fn is_full(&self) -> bool {
        let counted = self.held.iter().filter(|held| held.consumer.is_some()).count();
        self.limit > 0 && counted >= self.limit as usize
    }
}

/// What goes to a client.
#[derive(Default)]
pub(super) struct Bytes {
    pub(super) seen: Vec<Received>,
    /// More than an outbox holds stands among it.
    pub(super) full: bool,
}

#[derive(Default)]
pub(super) struct Connection {
    pub(super) channels: BTreeMap<u16, Channel>,
    pub(super) waiting: Bytes,
    pub(super) in_flight: Option<Bytes>,
    pub(super) starved: Vec<usize>,
}

impl Connection {
    pub(super) fn channel(&mut self, channel: u16) -> &mut Channel {
        self.channels.get_mut(&channel).unwrap()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.full || self.in_flight.as_ref().is_some_and(|bytes| bytes.full)
    }

    pub(super) fn send(&mut self, channel: u16, what: What, message: Message) -> u64 {
        let tag = self.channels[&channel].last_tag + 1;
        self.channel(channel).last_tag = tag;
        self.waiting.seen.push(Received {
            what,
            channel,
            tag,
            redelivered: message.returned,
            id: message.id,
        });
        tag
    }
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) client: usize,
    pub(super) wish: Wish,
    pub(super) unacked: u32,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    InLine,
    OutOfCredit,
    Starved,
    Inactive,
}

impl Consumer {
    pub(super) fn channel(&self) -> u16 {
        self.wish.channel.unwrap()
    }

    pub(super) fn has_credit(&self) -> bool {
        self.wish.no_ack || self.wish.prefetch == 0 || self.unacked < self.wish.prefetch
    }
}

pub(super) struct Model {
    pub(super) single_active: bool,
    /// By position, which is the number of the message.
    pub(super) ready: BTreeMap<u64, Message>,
    pub(super) clients: Vec<Connection>,
    /// By age.
    pub(super) consumers: BTreeMap<usize, Consumer>,
    pub(super) next_consumer: usize,
    pub(super) active: Option<usize>,
    /// Those that can take a message, whatever their priority: who has waited longest first.
    pub(super) line: Vec<usize>,
    /// Messages that are no more.
    pub(super) gone: u64,
}

impl Model {
    pub(super) fn new(single_active: bool) -> Self {
        let connection = || Connection {
            channels: CHANNELS.map(|it| (it, Channel::default())).into(),
            ..Connection::default()
        };
        Self {
            single_active,
            ready: BTreeMap::new(),
            clients: (0..CLIENTS).map(|_| connection()).collect(),
            consumers: BTreeMap::new(),
            next_consumer: 0,
            active: None,
            line: Vec::new(),
            gone: 0,
        }
    }

    pub(super) fn publish(&mut self, id: u64) {
        self.ready.insert(id, Message { id, returned: false });
        self.dispatch();
    }

    /// The oldest message goes to the first in line among those of the highest priority, again and again.
    pub(super) fn dispatch(&mut self) {
        while let Some((&position, &message)) = self.ready.first_key_value() {
            let priority = |key: &usize| self.consumers[key].wish.priority;
            let Some(highest) = self.line.iter().map(priority).max() else { return };
            let at = self.line.iter().position(|key| priority(key) == highest).unwrap();
            let key = self.line.remove(at);
            let consumer = self.consumers.get_mut(&key).unwrap();
            let channel = consumer.channel();
            let client = &mut self.clients[consumer.client];
            if client.is_full() {
                client.starved.push(key);
                consumer.state = State::Starved;
                continue;
            }
            let Some(window) = client.channels.get_mut(&channel) else {
                consumer.state = State::Starved;
                continue;
            };
            if window.is_full() {
                window.starved.push(key);
                consumer.state = State::Starved;
                continue;
            }
            self.ready.remove(&position);
            let tag = client.send(channel, What::Delivered(format!("c{key}")), message);
            if consumer.wish.no_ack {
                self.gone += 1;
            } else {
                consumer.unacked += 1;
                client.channel(channel).held.push(Held { tag, message, consumer: Some(key) });
            }
            self.enter(key);
        }
    }

    /// To the end of the line, if the consumer has credit.
    pub(super) fn enter(&mut self, key: usize) {
        let consumer = self.consumers.get_mut(&key).unwrap();
        consumer.state = if consumer.has_credit() { State::InLine } else { State::OutOfCredit };
        if consumer.state == State::InLine {
            self.line.push(key);
        }
    }

    pub(super) fn consume(&mut self, client: usize, wish: Wish) -> bool {
        let exclusive = self.consumers.values().any(|consumer| consumer.wish.exclusive);
        if exclusive || (wish.exclusive && (self.single_active || !self.consumers.is_empty())) {
            return false;
        }
        let key = self.next_consumer;
        self.next_consumer += 1;
        self.consumers.insert(key, Consumer { client, wish, unacked: 0, state: State::Inactive });
        if !self.single_active {
            self.enter(key);
        } else if self.active.is_none() {
            self.active = Some(key);
            self.enter(key);
        }
        self.dispatch();
        true
    }

    pub(super) fn remove(&mut self, key: usize) {
        self.consumers.remove(&key);
        self.line.retain(|&other| other != key);
        if self.active == Some(key) {
            let rank = |(key, it): (&usize, &Consumer)| (it.wish.priority, std::cmp::Reverse(*key));
            self.active = self.consumers.iter().max_by_key(|&it| rank(it)).map(|(&key, _)| key);
            if let Some(next) = self.active {
                self.enter(next);
            }
        }
    }

    pub(super) fn any_consumer(&self, at: usize) -> Option<usize> {
        self.consumers.keys().copied().nth(at % self.consumers.len().max(1))
    }

    pub(super) fn any_tag(&self, client: usize, channel: u16, at: usize) -> Option<u64> {
        let held = &self.clients[client].channels[&channel].held;
        held.get(at % held.len().max(1)).map(|held| held.tag)
    }

    pub(super) fn take(&mut self, client: usize, channel: u16, tag: u64, multiple: bool) -> Vec<Held> {
        let named = |held: &mut Held| held.tag == tag || (multiple && held.tag < tag);
        self.clients[client].channel(channel).held.extract_if(.., named).collect()
    }

    pub(super) fn take_all(&mut self, client: usize, channel: u16) -> Vec<Held> {
        std::mem::take(&mut self.clients[client].channel(channel).held)
    }

    /// The consumers of these have their credit back.
    pub(super) fn credit(&mut self, settled: &[Held]) {
        for key in settled.iter().filter_map(|held| held.consumer) {
            let Some(consumer) = self.consumers.get_mut(&key) else { continue };
            consumer.unacked -= 1;
            if consumer.state == State::OutOfCredit {
                self.enter(key);
            }
        }
    }

    pub(super) fn settle(&mut self, client: usize, settled: &[Held]) {
        self.gone += settled.len() as u64;
        self.credit(settled);
        self.dispatch();
        self.feed_channels(client);
    }

    pub(super) fn give_back(&mut self, client: usize, returned: Vec<Held>) {
        self.put_back(returned);
        self.feed_channels(client);
    }

    pub(super) fn put_back(&mut self, returned: Vec<Held>) {
        self.credit(&returned);
        for held in returned {
            self.ready.insert(held.message.id, Message { returned: true, ..held.message });
        }
        self.dispatch();
    }

    pub(super) fn get(&mut self, client: usize, channel: u16, no_ack: bool) -> Result<(), GetError> {
        if self.single_active {
            return Err(GetError::SingleActiveConsumer);
        }
        let Some((_, message)) = self.ready.pop_first() else { return Err(GetError::Empty) };
        let remaining = self.ready.len() as u32;
        let tag = self.clients[client].send(channel, What::Got(remaining), message);
        if no_ack {
            self.gone += 1;
        } else {
            self.clients[client].channel(channel).held.push(Held { tag, message, consumer: None });
        }
        Ok(())
    }

    pub(super) fn purge(&mut self) -> usize {
        let purged = std::mem::take(&mut self.ready).len();
        self.gone += purged as u64;
        purged
    }

    pub(super) fn close_channel(&mut self, client: usize, channel: u16) {
        let returned = self.clients[client].channels.remove(&channel).unwrap().held;
        self.put_back(returned);
        let its = |it: &Consumer| it.client == client && it.channel() == channel;
        let leaving: Vec<_> = self.consumers.iter().filter(|(_, it)| its(it)).map(|(&key, _)| key).collect();
        for key in leaving {
            self.remove(key);
            self.dispatch();
        }
    }

    /// Whom a channel's limit had turned away comes back, one by one while there is room.
    pub(super) fn feed_channels(&mut self, client: usize) {
        let numbers: Vec<_> = self.clients[client].channels.keys().copied().collect();
        for number in numbers {
            while let Some(channel) = self.clients[client].channels.get_mut(&number)
                && !channel.is_full()
                && !channel.starved.is_empty()
            {
                let key = channel.starved.remove(0);
                self.feed(key);
            }
        }
    }

    /// The writer has finished: whom the full outbox had turned away comes back, one by one while there is room.
    pub(super) fn written(&mut self, client: usize) {
        while !self.clients[client].is_full() && !self.clients[client].starved.is_empty() {
            let key = self.clients[client].starved.remove(0);
            self.feed(key);
        }
    }

    pub(super) fn feed(&mut self, key: usize) {
        if self.consumers.get(&key).is_some_and(|it| it.state == State::Starved) {
            self.enter(key);
            self.dispatch();
        }
    }

    /// What must hold of the model itself, or it is worth nothing.
    pub(super) fn check_credit(&self) {
        for (key, consumer) in &self.consumers {
            let held = self.clients.iter().flat_map(|it| it.channels.values()).flat_map(|it| &it.held);
            let count = held.filter(|held| held.consumer == Some(*key)).count();
            assert_eq!(count, consumer.unacked as usize);
            assert!(
                consumer.wish.no_ack
                    || consumer.wish.prefetch == 0
                    || consumer.unacked <= consumer.wish.prefetch
            );
            let waits_for_nothing = consumer.state == State::InLine && !self.ready.is_empty();
            assert!(!waits_for_nothing, "a message waits, and so does somebody who could take it");
        }
    }
}
