//! Shares queues out among some that empty them at once.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use indicatif::ProgressBar;
use parking_lot::Mutex;

use super::{
    emptying::{Emptying, Way},
    inventory::Queue,
    peer::Peer,
    stop,
};
use crate::cli::operate::{client::Client, error::Error};
use crate::limits::MOVED_PASSES_MAX;

/// Empties all queues that are not skipped, so many at once, until it is told to stop. When all were looked at, they are looked at
/// again: what died or expired in one may have come to another. An error is the first that concerns all queues; it ends everything.
pub fn empty(
    peer: &Peer,
    here: &Client,
    queues: &mut [Queue],
    at_once: u8,
    bar: &ProgressBar,
) -> Result<(), Error> {
    let stop = stop::watch()?;
    for _ in 0..MOVED_PASSES_MAX {
        let before = moved(queues);
        pass(peer, here, queues, at_once, bar, &stop)?;
        if moved(queues) == before || stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

fn moved(queues: &[Queue]) -> u64 {
    queues.iter().map(|queue| queue.moved).sum()
}

fn pass(
    peer: &Peer,
    here: &Client,
    queues: &mut [Queue],
    at_once: u8,
    bar: &ProgressBar,
    stop: &AtomicBool,
) -> Result<(), Error> {
    let open = queues.iter_mut().filter(|queue| queue.skipped.is_none() && queue.why.is_none());
    let waiting: Mutex<VecDeque<&mut Queue>> = Mutex::new(open.filter(|queue| queue.refused == 0).collect());
    let first: Mutex<Option<Error>> = Mutex::default();
    let progress = |messages: u64| bar.inc(messages);
    let way = Way { peer, here, progress: &progress, stop };
    let work = || {
        let mut emptying = Emptying::new(way);
        while !stop.load(Ordering::Relaxed) {
            let Some(queue) = waiting.lock().pop_front() else { break };
            if let Err(error) = emptying.empty(queue) {
                stop.store(true, Ordering::Relaxed);
                first.lock().get_or_insert(error);
            }
        }
        emptying.leave();
    };
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(work);
        }
    });
    match first.into_inner() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
