//! A mixed load on a broker that comes and goes: the clients' threads, where the broker is now, and the final drain.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    history::{History, Rule},
    link::{Event, Gone, Link, exchange_declare},
    message::Id,
    wire::{DURABLE, basic_ack, basic_get, confirm_select, queue_bind, queue_declare},
    workers,
};

/// What the clients share.
#[derive(Default)]
pub struct Load {
    history: Mutex<History>,
    room: Condvar,
    place: Mutex<Place>,
    moved: Condvar,
    stopping: AtomicBool,
}

/// Where the broker is; each start is a new generation.
#[derive(Default)]
struct Place {
    generation: u64,
    address: Option<String>,
}

/// Clients at work. They end with `finish`, or when this is dropped.
pub struct Running {
    load: Arc<Load>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Declares what the clients need and lets them loose.
    pub fn begin(address: &str, seed: u64) -> Self {
        declare_all(&mut Link::open(address, 131_072).unwrap()).unwrap();
        let load = Arc::new(Load::default());
        load.is_at(Some(address));
        let threads = workers::all(seed)
            .into_iter()
            .map(|mut worker| {
                let load = load.clone();
                thread::spawn(move || load.drive(&mut *worker))
            })
            .collect();
        Self { load, threads }
    }

    /// The broker is about to go.
    pub fn down(&self) {
        self.load.is_at(None);
    }

    /// It is back.
    pub fn up(&self, address: &str) {
        self.load.is_at(Some(address));
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        self.load.history()
    }

    /// Publishers wait for their confirms; then all clients end.
    pub fn finish(mut self) -> Arc<Load> {
        self.load.stop();
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.load.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.load.stop();
    }
}

/// A client: one session lasts until its connection ends or the load stops.
pub trait Worker: Send {
    fn session(&mut self, load: &Load, link: &mut Link) -> Result<(), Gone>;

    fn frame_max(&self) -> u32 {
        131_072
    }
}

impl Load {
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Publishers stand here while consumers are far behind.
    pub fn wait_for_room(&self) {
        let mut history = self.history();
        while history.open() > OPEN_MAX && !self.is_stopping() {
            let waited = self.room.wait_timeout(history, Duration::from_millis(50));
            history = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn made_room(&self) {
        self.room.notify_all();
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _place = self.place.lock();
        self.moved.notify_all();
        self.room.notify_all();
    }

    fn is_at(&self, address: Option<&str>) {
        let mut place = self.place.lock().unwrap();
        place.generation += u64::from(address.is_some());
        place.address = address.map(str::to_owned);
        self.moved.notify_all();
    }

    /// The address of a start that this client has not seen; `None` when the load ends.
    fn next_place(&self, seen: u64) -> Option<(u64, String)> {
        let mut place = self.place.lock().unwrap();
        loop {
            match &place.address {
                _ if self.is_stopping() => return None,
                Some(address) if place.generation > seen => return Some((place.generation, address.clone())),
                _ => place = self.moved.wait(place).unwrap(),
            }
        }
    }

    /// Session after session, one for each start of the broker.
    fn drive(&self, worker: &mut dyn Worker) {
        let mut seen = 0;
        while let Some((generation, address)) = self.next_place(seen) {
            seen = generation;
            let opened = Link::open(&address, worker.frame_max());
            match opened.and_then(|mut link| worker.session(self, &mut link)) {
                Ok(()) | Err(Gone::Lost | Gone::Closed(320, _)) => {}
                Err(other) => self.history().broke(Rule::Misbehaved, format!("{other:?}")),
            }
        }
    }
}

/// Takes everything out of all queues, acks it, proves the acks and closes the history.
pub fn drain(load: &Load, address: &str) {
    let mut link = Link::open(address, 131_072).unwrap();
    link.call(&confirm_select(), 85, 11).unwrap();
    for queue in workers::all_queues() {
        match link.depth(&queue).unwrap() {
            Some(_) => drain_queue(load, &mut link, &queue).unwrap(),
            None if load.history().owed(&queue) > 0 => {
                load.history().broke(Rule::WrongTopology, format!("{queue} is gone"));
            }
            None => {}
        }
    }
    load.history().finish();
}

fn drain_queue(load: &Load, link: &mut Link, queue: &str) -> Result<(), Gone> {
    let mut ids = Vec::new();
    loop {
        link.send(1, &basic_get(queue, false));
        match link.next()? {
            Event::Delivery(delivery) => {
                let mut history = load.history();
                if let Some(id) = history.delivered(queue, DRAINER, &delivery) {
                    history.acked(queue, id);
                    ids.push(id);
                }
                link.send(1, &basic_ack(delivery.tag, false));
            }
            Event::Reply(60, 72, _) => break,
            _ => return Err(Gone::Broken("neither get-ok nor get-empty".into())),
        }
    }
    // One message that is never taken: its confirm says that the acks before it are kept.
    link.publish("", workers::DRAIN_MARKS, 0, Id { publisher: DRAINER, sequence: 0 }, 1)?;
    match link.next()? {
        Event::Confirm { ack: true, .. } => load.history().proven(queue, &ids),
        _ => return Err(Gone::Broken("no confirm for the last marker".into())),
    }
    Ok(())
}

/// After the drain and one more restart: nothing may be left.
pub fn assert_empty(load: &Load, address: &str) {
    let mut link = Link::open(address, 131_072).unwrap();
    for queue in workers::all_queues() {
        if let Some(left) = link.depth(&queue).unwrap().filter(|left| *left > 0) {
            load.history().broke(Rule::SettledCameBack, format!("{left} in {queue} after the drain"));
        }
    }
}

fn declare_all(link: &mut Link) -> Result<(), Gone> {
    for queue in workers::fixed_queues() {
        link.call(&queue_declare(&queue, DURABLE), 50, 11)?;
    }
    link.call(&exchange_declare(workers::FAN, "fanout"), 40, 11)?;
    for queue in workers::FANNED {
        link.call(&queue_bind(queue, workers::FAN, ""), 50, 21)?;
    }
    Ok(())
}

/// The drainer's number as a consumer and as a publisher of markers.
const DRAINER: u32 = 1_000;

/// Unsettled messages in all queues above which publishers wait.
const OPEN_MAX: usize = 5_000;
