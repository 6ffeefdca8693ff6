//! What producers, consumers and churners share: the run they belong to, and how they tell of their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use super::clock::Clock;
use crate::cli::amqp::client::POLL;
use crate::cli::amqp::error::Error;

/// What the thread in charge is told.
#[derive(Debug)]
pub(super) enum Event {
    /// A worker of that kind has done all it should.
    Finished(Role),
    /// A worker gave up.
    Failed(Error),
    /// Something that people want to know, and that ends nothing.
    Notice(String),
    /// Ctrl-C, or SIGTERM.
    Interrupted,
}

/// The kinds of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Publishes, or churns.
    Producer,
    /// Consumes.
    Consumer,
}

/// The run a worker belongs to.
#[derive(Clone)]
pub(super) struct Context {
    /// The run's time.
    pub clock: Clock,
    /// Tells the run's messages from those of others.
    pub run_id: u64,
    /// Ends all workers, within [`POLL`].
    pub stop: Arc<AtomicBool>,
    /// To the thread in charge.
    pub events: Sender<Event>,
}

impl Context {
    /// Whether it is time to end.
    #[inline]
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Runs `work` in a thread, and tells of its end.
    pub(super) fn spawn(
        &self,
        role: Role,
        work: impl FnOnce() -> Result<(), Error> + Send + 'static,
    ) -> Result<JoinHandle<()>, Error> {
        let events = self.events.clone();
        let thread = Builder::new().stack_size(STACK_BYTES).spawn(move || {
            let event = work().map_or_else(Event::Failed, |()| Event::Finished(role));
            // Nobody listens any more when the run is over.
            let _ = events.send(event);
        })?;
        Ok(thread)
    }

    /// Sleeps until `due_ns`, or until the run stops.
    pub(super) fn sleep_until(&self, due_ns: u64) {
        while !self.stopped() && self.nap_until(due_ns) {}
    }

    /// Sleeps until `due_ns`, but no longer than [`POLL`]. False if it was not in the future.
    pub(super) fn nap_until(&self, due_ns: u64) -> bool {
        let remaining_ns = due_ns.saturating_sub(self.clock.now_ns());
        thread::sleep(Duration::from_nanos(remaining_ns).min(POLL));
        remaining_ns > 0
    }
}

/// Workers use little of it, and there may be thousands.
const STACK_BYTES: usize = 256 * 1024;
