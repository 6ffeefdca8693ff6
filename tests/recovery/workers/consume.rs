//! Consumers that ack in every way there is, and prove their acks: an ack has no answer, but a marker that was
//! published after it on the same channel has one, and its confirm covers the ack.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use rand::{Rng as _, rngs::StdRng};

use super::marks;
use crate::{
    history::Rule,
    link::{Delivery, Event, Gone, Link, basic_nack, basic_qos, queue_purge},
    load::{Load, Worker},
    message::Id,
    wire::{basic_ack, basic_consume, basic_get, confirm_select},
};

/// How deliveries are settled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One ack each, in any order.
    Single,
    /// One ack for all up to the last.
    Multiple,
    /// Some go back to the queue.
    Requeue,
}

/// What a session holds: it starts anew on each connection.
#[derive(Default)]
struct Holding {
    /// By delivery tag; `None` for what could not be read.
    unacked: BTreeMap<u64, Option<Id>>,
    /// By the marker's tag: acks that its confirm proves.
    proofs: VecDeque<(u64, Vec<Id>)>,
    markers: u64,
}

/// Who consumes, and from where.
struct Part {
    queue: String,
    number: u32,
    style: Style,
    rng: StdRng,
}

pub struct Consumer {
    part: Part,
    prefetch: u16,
}

impl Consumer {
    pub fn new(queue: &str, number: u32, prefetch: u16, style: Style, rng: StdRng) -> Self {
        Self { part: Part { queue: queue.into(), number, style, rng }, prefetch }
    }
}

impl Worker for Consumer {
    fn session(&mut self, load: &Load, link: &mut Link) -> Result<(), Gone> {
        let part = &mut self.part;
        link.call(&confirm_select(), 85, 11)?;
        link.call(&basic_qos(self.prefetch), 60, 11)?;
        link.call(&basic_consume(&part.queue, "c", 0), 60, 21)?;
        let mut holding = Holding::default();
        let mut batch = usize::from(self.prefetch);
        while !load.is_stopping() {
            let event = link.poll(PATIENCE)?;
            let idle = event.is_none();
            match event {
                Some(Event::Delivery(delivery)) => part.take(load, &mut holding, &delivery),
                Some(event) => part.on_other(load, &mut holding, event)?,
                None => {}
            }
            if holding.unacked.len() >= batch || (idle && !holding.unacked.is_empty()) {
                part.settle(load, link, &mut holding)?;
                batch = part.rng.random_range(1..=usize::from(self.prefetch));
            }
        }
        Ok(())
    }
}

/// Takes messages one by one with basic.get.
pub struct Getter {
    part: Part,
}

impl Getter {
    pub fn new(queue: &str, number: u32, rng: StdRng) -> Self {
        Self { part: Part { queue: queue.into(), number, style: Style::Requeue, rng } }
    }
}

impl Worker for Getter {
    fn session(&mut self, load: &Load, link: &mut Link) -> Result<(), Gone> {
        let part = &mut self.part;
        link.call(&confirm_select(), 85, 11)?;
        let mut holding = Holding::default();
        while !load.is_stopping() {
            // Several at once: a round trip for each would not keep up.
            let asked = part.rng.random_range(1..=30);
            for _ in 0..asked {
                link.send(1, &basic_get(&part.queue, false));
            }
            let (mut answered, mut empty) = (0, false);
            while answered < asked {
                match link.next()? {
                    Event::Delivery(delivery) => part.take(load, &mut holding, &delivery),
                    Event::Reply(60, 72, _) => empty = true,
                    event => {
                        part.on_other(load, &mut holding, event)?;
                        continue;
                    }
                }
                answered += 1;
            }
            part.settle(load, link, &mut holding)?;
            if empty && let Some(event) = link.poll(PATIENCE)? {
                part.on_other(load, &mut holding, event)?;
            }
        }
        Ok(())
    }
}

impl Part {
    fn take(&self, load: &Load, holding: &mut Holding, delivery: &Delivery) {
        let id = load.history().delivered(&self.queue, self.number, delivery);
        holding.unacked.insert(delivery.tag, id);
    }

    fn on_other(&self, load: &Load, holding: &mut Holding, event: Event) -> Result<(), Gone> {
        match event {
            Event::Confirm { tag, multiple, ack } => self.on_confirm(load, holding, tag, multiple, ack),
            Event::Blocked(_) | Event::Unblocked => {}
            Event::ChannelClosed(code, text) => return Err(Gone::Closed(code, text)),
            Event::Returned(_) => load.history().broke(Rule::WrongReturn, "a marker".into()),
            Event::Delivery(_) | Event::Reply(..) => return Err(Gone::Broken("unasked".into())),
        }
        Ok(())
    }

    fn on_confirm(&self, load: &Load, holding: &mut Holding, tag: u64, multiple: bool, ack: bool) {
        let mut history = load.history();
        holding.proofs.retain(|(marker, ids)| {
            let meant = *marker == tag || (multiple && *marker < tag);
            if meant && ack {
                history.proven(&self.queue, ids);
            }
            !meant
        });
        load.made_room();
    }

    /// Settles all that is held, then publishes a marker.
    fn settle(&mut self, load: &Load, link: &mut Link, holding: &mut Holding) -> Result<(), Gone> {
        let mut held: Vec<(u64, Option<Id>)> = std::mem::take(&mut holding.unacked).into_iter().collect();
        let mut back = Vec::new();
        match self.style {
            Style::Single => {
                let middle = self.rng.random_range(0..=held.len());
                held.rotate_left(middle);
            }
            Style::Multiple => {}
            Style::Requeue => {
                (back, held) = held.into_iter().partition(|_| self.rng.random_ratio(1, 8));
            }
        }
        let ids: Vec<Id> = held.iter().filter_map(|(_, id)| *id).collect();
        {
            let mut history = load.history();
            for id in &ids {
                history.acked(&self.queue, *id);
            }
        }
        if self.style == Style::Multiple {
            if let Some((last, _)) = held.last() {
                link.send(1, &basic_ack(*last, true));
            }
        } else {
            for (tag, _) in held {
                link.send(1, &basic_ack(tag, false));
            }
        }
        for (tag, _) in back {
            link.send(1, &basic_nack(tag));
        }
        self.mark(load, link, holding, ids)
    }

    fn mark(
        &mut self,
        load: &Load,
        link: &mut Link,
        holding: &mut Holding,
        ids: Vec<Id>,
    ) -> Result<(), Gone> {
        let queue = marks(self.number);
        holding.markers += 1;
        holding.proofs.push_back((holding.markers, ids));
        let id = Id { publisher: MARKERS + self.number, sequence: holding.markers };
        link.publish("", &queue, 0, id, 1)?;
        if holding.markers.is_multiple_of(MARKERS_KEPT) {
            // Only what is confirmed is purged, or a marker would be settled before it was written.
            while !holding.proofs.is_empty() {
                match link.next()? {
                    Event::Delivery(delivery) => self.take(load, holding, &delivery),
                    event => self.on_other(load, holding, event)?,
                }
            }
            link.call(&queue_purge(&queue), 50, 31)?;
        }
        link.flush()
    }
}

/// How long a consumer that has nothing to do waits before it settles what it holds.
const PATIENCE: Duration = Duration::from_millis(20);

/// Publishers' numbers of markers begin here.
const MARKERS: u32 = 10_000;

/// Markers between two purges of their queue.
const MARKERS_KEPT: u64 = 500;
