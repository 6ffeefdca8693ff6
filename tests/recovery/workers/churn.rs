//! Queues that are purged, and queues that are deleted and declared again.

use rand::{Rng as _, rngs::StdRng};

use super::{
    CHURNED, PURGED, churned,
    publish::{Flight, Route, size_up_to},
};
use crate::{
    history::Rule,
    link::{Gone, Link, queue_delete, queue_purge},
    load::{Load, Worker},
    message::Id,
    wire::{DURABLE, confirm_select, queue_declare},
};

/// The only client of a queue: fills it and purges it.
pub struct Purger {
    number: u32,
    sequence: u64,
    rng: StdRng,
}

impl Purger {
    pub fn new(number: u32, rng: StdRng) -> Self {
        Self { number, sequence: 0, rng }
    }
}

impl Worker for Purger {
    fn session(&mut self, load: &Load, link: &mut Link) -> Result<(), Gone> {
        link.call(&confirm_select(), 85, 11)?;
        let mut flight = Flight::default();
        while !load.is_stopping() {
            for _ in 0..self.rng.random_range(1..=40) {
                self.sequence += 1;
                let id = Id { publisher: self.number, sequence: self.sequence };
                let size = size_up_to(4_096, &mut self.rng);
                flight.publish(load, link, id, &Route::to(PURGED), size)?;
            }
            // Sometimes what is not yet confirmed is purged too.
            let left = if self.rng.random() { 0 } else { 10 };
            flight.settle_down_to(left, load, link)?;
            if self.rng.random_ratio(1, 3) {
                load.history().clearing(PURGED);
                link.call(&queue_purge(PURGED), 50, 31)?;
                let mut history = load.history();
                history.cleared(PURGED);
                history.totals.purges += 1;
            }
        }
        flight.settle_down_to(0, load, link)
    }
}

/// The only client of some queues: declares, fills and deletes them.
pub struct Churner {
    number: u32,
    sequence: u64,
    queues: [Existence; CHURNED],
    rng: StdRng,
}

/// What is known about a queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existence {
    /// Never declared, or deleted and answered.
    Absent,
    /// Declared and answered.
    There,
    /// Asked for one or the other, and not answered.
    Unknown,
}

impl Churner {
    pub fn new(number: u32, rng: StdRng) -> Self {
        Self { number, sequence: 0, queues: [Existence::Absent; CHURNED], rng }
    }

    /// What was answered before the broker went must hold now.
    fn look(&mut self, load: &Load, link: &mut Link) -> Result<(), Gone> {
        for n in 0..CHURNED {
            let queue = churned(n);
            let depth = link.depth(&queue)?;
            match (self.queues[n], depth) {
                (Existence::Absent, Some(depth)) => {
                    load.history().broke(Rule::WrongTopology, format!("{queue} came back with {depth}"));
                }
                (Existence::There, None) => {
                    load.history().broke(Rule::WrongTopology, format!("{queue} is gone"));
                }
                _ => {}
            }
            self.queues[n] = if depth.is_some() { Existence::There } else { Existence::Absent };
        }
        Ok(())
    }

    fn declare(&mut self, load: &Load, link: &mut Link, n: usize) -> Result<(), Gone> {
        let (queue, was) = (churned(n), self.queues[n]);
        if was == Existence::Absent {
            self.queues[n] = Existence::Unknown;
        }
        let mut declared = link.call(&queue_declare(&queue, DURABLE), 50, 11)?;
        declared.short();
        let depth = declared.u32();
        if was == Existence::Absent && depth > 0 {
            let what = format!("{queue} was declared anew and holds {depth}");
            load.history().broke(Rule::SettledCameBack, what);
        }
        self.queues[n] = Existence::There;
        Ok(())
    }

    fn delete(&mut self, load: &Load, link: &mut Link, n: usize) -> Result<(), Gone> {
        let queue = churned(n);
        load.history().clearing(&queue);
        self.queues[n] = Existence::Unknown;
        link.call(&queue_delete(&queue), 50, 41)?;
        self.queues[n] = Existence::Absent;
        let mut history = load.history();
        history.cleared(&queue);
        history.totals.deletes += 1;
        Ok(())
    }
}

impl Worker for Churner {
    fn session(&mut self, load: &Load, link: &mut Link) -> Result<(), Gone> {
        link.call(&confirm_select(), 85, 11)?;
        self.look(load, link)?;
        let mut flight = Flight::default();
        while !load.is_stopping() {
            let n = self.rng.random_range(0..CHURNED);
            self.declare(load, link, n)?;
            let queue = churned(n);
            for _ in 0..self.rng.random_range(0..=10) {
                self.sequence += 1;
                let id = Id { publisher: self.number, sequence: self.sequence };
                let size = size_up_to(2_000, &mut self.rng);
                flight.publish_to(load, link, id, ("", &queue, 0), vec![queue.clone()], size)?;
            }
            flight.settle_down_to(0, load, link)?;
            if self.rng.random_ratio(1, 2) {
                self.delete(load, link, n)?;
            }
        }
        Ok(())
    }
}
