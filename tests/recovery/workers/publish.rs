//! Publishers with confirms, and transactions.

use std::collections::{HashSet, VecDeque};

use rand::{Rng as _, rngs::StdRng};

use super::{FAN, FANNED, MANDATORY, TRANSACTED};
use crate::{
    history::Rule,
    link::{Event, Gone, Link},
    load::{Load, Worker},
    message::{self, Id},
    wire::{self, confirm_select, method},
};

/// Where a publisher's messages go.
#[derive(Clone)]
pub struct Route {
    exchange: &'static str,
    key: &'static str,
    bits: u8,
    queues: Vec<&'static str>,
}

impl Route {
    pub fn to(queue: &'static str) -> Self {
        Self { exchange: "", key: queue, bits: 0, queues: vec![queue] }
    }

    pub fn fan_out() -> Self {
        Self { exchange: FAN, key: "", bits: wire::MANDATORY, queues: FANNED.to_vec() }
    }

    pub fn mandatory() -> Self {
        Self { bits: wire::MANDATORY, ..Self::to(MANDATORY) }
    }

    fn nowhere() -> Self {
        Self { exchange: "", key: "no-such-queue", bits: wire::MANDATORY, queues: Vec::new() }
    }
}

/// Publishes in bursts and keeps a window of messages that wait for their confirms.
pub struct Publisher {
    number: u32,
    sequence: u64,
    route: Route,
    size_max: usize,
    frame_max: u32,
    rng: StdRng,
}

/// Published in this session and not confirmed: delivery tag, message, queues.
#[derive(Default)]
pub struct Flight {
    tag: u64,
    waiting: VecDeque<(u64, Id, Vec<String>)>,
    returned: HashSet<Id>,
}

impl Publisher {
    pub fn new(number: u32, route: Route, size_max: usize, frame_max: u32, rng: StdRng) -> Self {
        Self { number, sequence: 0, route, size_max, frame_max, rng }
    }

    fn burst(&mut self, load: &Load, link: &mut Link, flight: &mut Flight) -> Result<(), Gone> {
        for _ in 0..self.rng.random_range(1..=20) {
            let to_nowhere = self.route.key == MANDATORY && self.rng.random_ratio(1, 4);
            let route = if to_nowhere { Route::nowhere() } else { self.route.clone() };
            self.sequence += 1;
            let id = Id { publisher: self.number, sequence: self.sequence };
            let size = size_up_to(self.size_max, &mut self.rng);
            flight.publish(load, link, id, &route, size)?;
        }
        Ok(())
    }
}

impl Worker for Publisher {
    fn session(&mut self, load: &Load, link: &mut Link) -> Result<(), Gone> {
        link.call(&confirm_select(), 85, 11)?;
        let mut flight = Flight::default();
        while !load.is_stopping() {
            load.wait_for_room();
            self.burst(load, link, &mut flight)?;
            flight.settle_down_to(WINDOW, load, link)?;
        }
        flight.settle_down_to(0, load, link)
    }

    fn frame_max(&self) -> u32 {
        self.frame_max
    }
}

impl Flight {
    pub fn publish(
        &mut self,
        load: &Load,
        link: &mut Link,
        id: Id,
        route: &Route,
        size: usize,
    ) -> Result<(), Gone> {
        let queues: Vec<String> = route.queues.iter().map(|queue| (*queue).to_owned()).collect();
        self.publish_to(load, link, id, (route.exchange, route.key, route.bits), queues, size)
    }

    pub fn publish_to(
        &mut self,
        load: &Load,
        link: &mut Link,
        id: Id,
        (exchange, key, bits): (&str, &str, u8),
        queues: Vec<String>,
        size: usize,
    ) -> Result<(), Gone> {
        load.history().sent(id, &queues);
        self.tag += 1;
        self.waiting.push_back((self.tag, id, queues));
        link.publish(exchange, key, bits, id, size)
    }

    /// Reads confirms until so many messages are without one.
    pub fn settle_down_to(&mut self, wanted: usize, load: &Load, link: &mut Link) -> Result<(), Gone> {
        while self.waiting.len() > wanted {
            match link.next()? {
                Event::Confirm { tag, multiple, ack } => self.on_confirm(load, tag, multiple, ack),
                Event::Returned(content) => match message::identify(&content) {
                    Ok(id) => drop(self.returned.insert(id)),
                    Err(why) => load.history().broke(Rule::TornMessage, format!("returned: {why}")),
                },
                Event::ChannelClosed(code, text) => return Err(Gone::Closed(code, text)),
                Event::Blocked(_) | Event::Unblocked => {}
                Event::Delivery(_) | Event::Reply(..) => return Err(Gone::Broken("unasked".into())),
            }
        }
        Ok(())
    }

    fn on_confirm(&mut self, load: &Load, tag: u64, multiple: bool, ack: bool) {
        let mut history = load.history();
        let (done, kept) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<VecDeque<_>, _>(|entry| entry.0 == tag || (multiple && entry.0 < tag));
        self.waiting = kept;
        if done.is_empty() {
            history.broke(Rule::Misbehaved, format!("a confirm for {tag}, which waits for none"));
        }
        for (_, id, queues) in done {
            if self.returned.remove(&id) != queues.is_empty() {
                history.broke(Rule::WrongReturn, format!("{id:?} for {queues:?}"));
            }
            if ack { history.confirmed(id, &queues) } else { history.refused(id, &queues) }
        }
    }
}

/// Publishes in transactions over two queues; some are rolled back.
pub struct Transactor {
    number: u32,
    sequence: u64,
    rng: StdRng,
}

impl Transactor {
    pub fn new(number: u32, rng: StdRng) -> Self {
        Self { number, sequence: 0, rng }
    }

    fn transaction(&mut self, load: &Load, link: &mut Link) -> Result<(), Gone> {
        let mut members = Vec::new();
        for _ in 0..self.rng.random_range(2..=8) {
            let queue = TRANSACTED[self.rng.random_range(0..2)];
            self.sequence += 1;
            let id = Id { publisher: self.number, sequence: self.sequence };
            load.history().sent(id, &[queue]);
            members.push((queue.to_owned(), id));
            let published = link.publish("", queue, 0, id, size_up_to(8_192, &mut self.rng));
            if published.is_err() {
                load.history().forbidden(&members);
                return published;
            }
        }
        if self.rng.random_ratio(1, 8) {
            // Whether or not the answer comes: what was not committed is never there.
            load.history().forbidden(&members);
            link.call(&method(90, 30), 90, 31)?;
            return Ok(());
        }
        let answer = link.call(&method(90, 20), 90, 21);
        let mut history = load.history();
        if answer.is_err() {
            history.undecided(link.broker(), members);
            return answer.map(drop);
        }
        history.totals.transactions += 1;
        for (queue, id) in members {
            history.confirmed(id, &[queue]);
        }
        Ok(())
    }
}

impl Worker for Transactor {
    fn session(&mut self, load: &Load, link: &mut Link) -> Result<(), Gone> {
        link.call(&method(90, 10), 90, 11)?;
        while !load.is_stopping() {
            load.wait_for_room();
            self.transaction(load, link)?;
        }
        Ok(())
    }
}

/// From one byte on, small ones more often.
pub fn size_up_to(most: usize, rng: &mut StdRng) -> usize {
    let most = if most > 1_000 && rng.random_ratio(3, 4) { 1_000 } else { most };
    rng.random_range(1..=most)
}

/// Messages without a confirm at which a publisher waits.
const WINDOW: usize = 100;
