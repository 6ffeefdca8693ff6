//! What became of messages that the broker moves from queue to queue: each confirmed one is in one place, and what was
//! taken out for good is in none. The moves themselves are the broker's affair.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    link::{Delivery, Event, Gone, Link},
    message::{self, Id},
    ranges::Ranges,
    wire::{basic_ack, confirm_select},
};

/// See the module's text.
#[derive(Default)]
pub struct Ledger {
    sent: u64,
    /// Sent and not confirmed: it may be there.
    pending: BTreeSet<u64>,
    /// Confirmed: it must be there.
    owed: BTreeSet<u64>,
    settled: Ranges,
    settled_count: u64,
    broken: Vec<String>,
}

impl Ledger {
    /// The next message's number, before it is sent.
    pub fn next(&mut self) -> u64 {
        self.sent += 1;
        self.pending.insert(self.sent);
        self.sent
    }

    pub fn confirmed(&mut self, sequence: u64) {
        if self.pending.remove(&sequence) {
            self.owed.insert(sequence);
        }
    }

    /// What was found in all places at one moment: nothing is missing, nothing is there twice, nothing has come back.
    pub fn census(&mut self, places: &[(&str, &[Delivery])]) {
        let found = self.found(places);
        let lost: Vec<u64> = self.owed.iter().copied().filter(|id| !found.contains(id)).collect();
        self.broken.extend(lost.iter().map(|sequence| format!("{sequence} is nowhere")));
    }

    /// What was found in one place; there may be more elsewhere.
    pub fn arrived(&mut self, place: &str, deliveries: &[Delivery]) {
        self.found(&[(place, deliveries)]);
    }

    fn found(&mut self, places: &[(&str, &[Delivery])]) -> BTreeSet<u64> {
        let mut found: BTreeMap<u64, &str> = BTreeMap::new();
        for (place, deliveries) in places {
            for delivery in *deliveries {
                let sequence = match message::identify_body(&delivery.content.body) {
                    Ok(id) => id.sequence,
                    Err(why) => {
                        self.broken.push(format!("{place}: {why}"));
                        continue;
                    }
                };
                if let Some(other) = found.insert(sequence, place) {
                    self.broken.push(format!("{sequence} is in {other} and in {place}"));
                }
                if self.settled.contains(sequence) {
                    self.broken.push(format!("{sequence} is in {place} again"));
                }
                // Whether or not it was confirmed: it has survived a kill.
                self.confirmed(sequence);
            }
        }
        found.into_keys().collect()
    }

    /// How many confirmed ones are not among these.
    pub fn missing(&self, places: &[&[Delivery]]) -> usize {
        let found: BTreeSet<u64> = places
            .iter()
            .flat_map(|deliveries| deliveries.iter())
            .filter_map(|delivery| message::identify_body(&delivery.content.body).ok())
            .map(|id| id.sequence)
            .collect();
        self.owed.iter().filter(|sequence| !found.contains(sequence)).count()
    }

    /// Takes these out for good; on a channel with confirms, of which the next is `confirm`.
    pub fn settle(&mut self, link: &mut Link, deliveries: &[Delivery]) -> Result<(), Gone> {
        for delivery in deliveries {
            link.send(1, &basic_ack(delivery.tag, false));
        }
        // Its confirm says that the acks before it are kept.
        link.publish("", MARKS, 0, Id { publisher: 0, sequence: 0 }, 1)?;
        let Event::Confirm { ack: true, .. } = link.next()? else {
            return Err(Gone::Broken("no confirm for a marker".into()));
        };
        for delivery in deliveries {
            if let Ok(Id { sequence, .. }) = message::identify_body(&delivery.content.body) {
                self.pending.remove(&sequence);
                self.owed.remove(&sequence);
                self.settled.insert(sequence);
                self.settled_count += 1;
            }
        }
        Ok(())
    }

    pub fn owed(&self) -> usize {
        self.owed.len()
    }

    pub fn settled(&self) -> u64 {
        self.settled_count
    }

    pub fn is_clean(&self) -> bool {
        self.broken.is_empty()
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sent {}, settled {}, owed {}", self.sent, self.settled_count, self.owed.len())?;
        write!(f, ", never confirmed {}, broken {}", self.pending.len(), self.broken.len())?;
        self.broken.iter().take(SAMPLES).try_for_each(|what| write!(f, "\n    {what}"))
    }
}

/// Publishes until the broker is gone, with at most `WINDOW` messages in flight; `send` puts one on the way.
pub fn publish(
    address: &str,
    ledger: &Mutex<Ledger>,
    mut send: impl FnMut(&mut Link, u64) -> Result<(), Gone>,
) -> Result<(), Gone> {
    let mut link = Link::open(address, 131_072)?;
    link.call(&confirm_select(), 85, 11)?;
    let mut in_flight: BTreeMap<u64, u64> = BTreeMap::new();
    let mut tag = 0;
    loop {
        while in_flight.len() < WINDOW {
            let sequence = lock(ledger).next();
            tag += 1;
            in_flight.insert(tag, sequence);
            send(&mut link, sequence)?;
        }
        if let Event::Confirm { tag, multiple, ack } = link.next()? {
            let later = in_flight.split_off(&(tag + 1));
            let mut done = std::mem::replace(&mut in_flight, later);
            if !multiple {
                let confirmed = done.remove(&tag);
                in_flight.append(&mut done);
                done.extend(confirmed.map(|sequence| (tag, sequence)));
            }
            if ack {
                let mut ledger = lock(ledger);
                for sequence in done.into_values() {
                    ledger.confirmed(sequence);
                }
            }
        }
    }
}

pub fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fails on anything but an end by the kill.
#[track_caller]
pub fn was_killed(result: &Result<(), Gone>) {
    assert!(matches!(result, Err(Gone::Lost)), "{result:?}");
}

/// Where markers go; nobody takes them.
pub const MARKS: &str = "marks";
const WINDOW: usize = 100;
const SAMPLES: usize = 10;
