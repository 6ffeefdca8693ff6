//! What clients did and saw, and the rules that a broker must have kept. Clients record a step before they take it (a
//! publish, an ack) or after they have seen its answer (a confirm, a delivery); what lies between is unknown and either
//! outcome is right. What is settled for good is forgotten but for its number, so a run of days fits in memory.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use crate::{
    link::Delivery,
    message::{self, Id},
    ranges::Ranges,
};

/// A rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A confirmed message that nobody acked is not in its queue.
    ConfirmedAndMissing,
    /// A body or its properties are not what was published.
    TornMessage,
    /// A message that was never sent to this queue.
    StrangeMessage,
    /// A second delivery that does not say so.
    UnflaggedDuplicate,
    /// An ack, purge, delete or rollback was known to be safe, and the message is there again.
    SettledCameBack,
    /// A publisher's messages in another order than it sent them.
    WrongOrder,
    /// A part of a transaction.
    TornTransaction,
    /// A queue that must be there is not, or the other way round.
    WrongTopology,
    /// A mandatory message that was returned, or was not, against the rules.
    WrongReturn,
    /// The broker closed a connection, sent nonsense or did not answer.
    Misbehaved,
}

/// What is known about one message in one queue.
#[derive(Debug, Default)]
struct Entry {
    confirmed: bool,
    deliveries: u32,
    /// The broker that it last came from.
    broker: u16,
    /// An ack was sent, and nothing has come since that proves that it was kept.
    acked: bool,
    /// A purge or delete without an answer, or a nack: it may be gone.
    expendable: bool,
}

#[derive(Debug, Default)]
struct Queue {
    open: BTreeMap<Id, Entry>,
    /// By publisher: numbers that must not be delivered again.
    settled: HashMap<u32, Ranges>,
    /// By publisher and consumer: the latest first delivery.
    latest: HashMap<(u32, u32), u64>,
}

#[derive(Debug, Default)]
pub struct History {
    queues: HashMap<String, Queue>,
    /// Transactions whose commit had no answer, and the broker that it was sent to.
    undecided: Vec<(u16, Vec<(String, Id)>)>,
    /// In the order of their first delivery.
    brokers: Vec<u16>,
    pub totals: Totals,
    broken: BTreeMap<Rule, (u64, Vec<String>)>,
}

#[derive(Debug, Default, Clone)]
pub struct Totals {
    pub published: u64,
    pub confirmed: u64,
    pub delivered: u64,
    /// Second deliveries that said so.
    pub duplicates_flagged: u64,
    pub acks_proven: u64,
    pub transactions: u64,
    pub purges: u64,
    pub deletes: u64,
}

impl History {
    // What clients record.

    /// Before it is sent.
    pub fn sent<Q: AsRef<str>>(&mut self, id: Id, queues: &[Q]) {
        self.totals.published += 1;
        for queue in queues {
            self.queue(queue.as_ref()).open.insert(id, Entry::default());
        }
    }

    pub fn confirmed<Q: AsRef<str>>(&mut self, id: Id, queues: &[Q]) {
        self.totals.confirmed += 1;
        for queue in queues {
            // It may have been delivered and settled meanwhile.
            if let Some(entry) = self.queue(queue.as_ref()).open.get_mut(&id) {
                entry.confirmed = true;
            }
        }
    }

    /// The broker refused it: it may be there, it need not.
    pub fn refused<Q: AsRef<str>>(&mut self, id: Id, queues: &[Q]) {
        for queue in queues {
            if let Some(entry) = self.queue(queue.as_ref()).open.get_mut(&id) {
                entry.expendable = true;
            }
        }
    }

    /// A commit was sent and its answer never came.
    pub fn undecided(&mut self, broker: u16, members: Vec<(String, Id)>) {
        self.undecided.push((broker, members));
    }

    /// A rollback was answered, or a commit never sent: none of these may ever be seen.
    pub fn forbidden(&mut self, members: &[(String, Id)]) {
        for (queue, id) in members {
            self.settle(queue, *id);
        }
    }

    /// A delivery arrived; which message it is, if it is one.
    pub fn delivered(&mut self, queue: &str, consumer: u32, delivery: &Delivery) -> Option<Id> {
        self.totals.delivered += 1;
        let id = match message::identify(&delivery.content) {
            Ok(id) => id,
            Err(why) => {
                self.broke(Rule::TornMessage, format!("{queue}: {why}"));
                return None;
            }
        };
        let flag = delivery.redelivered;
        if !self.brokers.contains(&delivery.broker) {
            self.brokers.push(delivery.broker);
        }
        let age = |broker: u16| self.brokers.iter().position(|other| *other == broker);
        let last = self.queues.get(queue).and_then(|held| held.open.get(&id)).map(|entry| entry.broker);
        // A client that lost its connection may look at what it had received after others have gone on.
        let is_late = last.is_some_and(|last| last != 0 && age(delivery.broker) < age(last));
        let held = self.queue(queue);
        let Some(entry) = held.open.get_mut(&id) else {
            let settled = held.settled.get(&id.publisher).is_some_and(|set| set.contains(id.sequence));
            let rule = if settled { Rule::SettledCameBack } else { Rule::StrangeMessage };
            self.broke(rule, format!("{queue}: {id:?}, redelivered: {flag}"));
            return Some(id);
        };
        entry.deliveries += 1;
        entry.broker = delivery.broker;
        entry.acked = false;
        let count = entry.deliveries;
        if flag {
            self.totals.duplicates_flagged += u64::from(count > 1);
        } else if is_late {
            entry.broker = last.unwrap_or_default();
        } else if count > 1 {
            self.broke(Rule::UnflaggedDuplicate, format!("{queue}: {id:?}, delivery {count}"));
        } else {
            let latest = held.latest.entry((id.publisher, consumer)).or_default();
            let before = std::mem::replace(latest, id.sequence);
            if before > id.sequence {
                self.broke(Rule::WrongOrder, format!("{queue}: {id:?} after {before}"));
            }
        }
        Some(id)
    }

    /// Before the ack is sent.
    pub fn acked(&mut self, queue: &str, id: Id) {
        if let Some(entry) = self.queue(queue).open.get_mut(&id) {
            entry.acked = true;
        }
    }

    /// A marker that was published after these acks on their channel was confirmed.
    pub fn proven(&mut self, queue: &str, ids: &[Id]) {
        self.totals.acks_proven += ids.len() as u64;
        for id in ids {
            self.settle(queue, *id);
        }
    }

    /// Before a purge or a delete is sent.
    pub fn clearing(&mut self, queue: &str) {
        for entry in self.queue(queue).open.values_mut() {
            entry.expendable = true;
        }
    }

    /// purge-ok or delete-ok came.
    pub fn cleared(&mut self, queue: &str) {
        let ids: Vec<Id> = self.queue(queue).open.keys().copied().collect();
        for id in ids {
            self.settle(queue, id);
        }
    }

    pub fn broke(&mut self, rule: Rule, what: String) {
        let (count, samples) = self.broken.entry(rule).or_default();
        *count += 1;
        if samples.len() < SAMPLES {
            samples.push(what);
        }
    }

    // What the test asks.

    /// Messages in queues that are not settled for good.
    pub fn open(&self) -> usize {
        self.queues.values().map(|queue| queue.open.len()).sum()
    }

    /// Messages that some consumer must still see.
    pub fn owed(&self, queue: &str) -> usize {
        self.queues.get(queue).map_or(0, |queue| queue.open.values().filter(|entry| entry.owed()).count())
    }

    pub fn is_clean(&self) -> bool {
        self.broken.is_empty()
    }

    pub fn count(&self, rule: Rule) -> u64 {
        self.broken.get(&rule).map_or(0, |(count, _)| *count)
    }

    /// All queues were drained and all was acked: what did not come is missing.
    pub fn finish(&mut self) {
        let mut missing = Vec::new();
        for (name, queue) in &self.queues {
            let owed = queue.open.iter().filter(|(_, entry)| entry.owed());
            missing.extend(owed.map(|(id, entry)| format!("{name}: {id:?} {entry:?}")));
        }
        for what in missing {
            self.broke(Rule::ConfirmedAndMissing, what);
        }
        for (broker, members) in std::mem::take(&mut self.undecided) {
            let seen = members.iter().filter(|(queue, id)| self.was_seen(queue, *id)).count();
            // Deliveries do not wait for the disk: what came before the crash alone says nothing of what was kept.
            let was_kept = members.iter().any(|(queue, id)| self.was_kept(queue, *id, broker));
            if was_kept && seen != members.len() {
                self.broke(Rule::TornTransaction, format!("{seen} of {members:?}"));
            }
        }
    }

    fn was_seen(&self, queue: &str, id: Id) -> bool {
        self.queues.get(queue).is_some_and(|queue| {
            queue.settled.get(&id.publisher).is_some_and(|set| set.contains(id.sequence))
                || queue.open.get(&id).is_some_and(|entry| entry.deliveries > 0)
        })
    }

    /// Its ack was proven, or another broker than this one delivered it.
    fn was_kept(&self, queue: &str, id: Id, broker: u16) -> bool {
        self.was_seen(queue, id)
            && self.queues[queue].open.get(&id).is_none_or(|entry| entry.broker != broker)
    }

    fn settle(&mut self, queue: &str, id: Id) {
        let queue = self.queue(queue);
        queue.open.remove(&id);
        queue.settled.entry(id.publisher).or_default().insert(id.sequence);
    }

    fn queue(&mut self, name: &str) -> &mut Queue {
        if !self.queues.contains_key(name) {
            self.queues.insert(name.to_owned(), Queue::default());
        }
        self.queues.get_mut(name).expect("it was made if it was missing")
    }
}

impl Entry {
    fn owed(&self) -> bool {
        self.confirmed && !self.acked && !self.expendable
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = &self.totals;
        write!(f, "published {}, confirmed {}, delivered {}, ", t.published, t.confirmed, t.delivered)?;
        write!(f, "duplicates flagged {}, acks proven {}, ", t.duplicates_flagged, t.acks_proven)?;
        write!(f, "transactions {}, purges {}, deletes {}", t.transactions, t.purges, t.deletes)?;
        for (rule, (count, samples)) in &self.broken {
            write!(f, "\n{rule:?}: {count}, such as")?;
            for sample in samples {
                write!(f, "\n    {sample}")?;
            }
        }
        Ok(())
    }
}

/// Examples of a broken rule that are kept for people.
const SAMPLES: usize = 5;
