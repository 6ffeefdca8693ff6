//! What all queues of a virtual host share.

use std::sync::Arc;

use super::SharedQueue;
use crate::core::{
    clock::{Clock, ManualClock, Millis},
    journal::Forgetful,
    memory::Holder,
    observing::Observers,
    pager::{Page, Pager},
    placement::{QueueId, QueueIds},
};

/// Calls queues when something is due in them.
pub trait Timetable: Send + Sync {
    /// [`SharedQueue::tick`] is to be called at that time.
    fn call(&self, queue: &Arc<SharedQueue>, at: Millis);
}

/// A timetable that never calls.
#[derive(Debug, Default, Clone, Copy)]
pub struct Uncalled;

impl Timetable for Uncalled {
    fn call(&self, _queue: &Arc<SharedQueue>, _at: Millis) {}
}

/// What all queues of a virtual host share.
pub struct Surroundings {
    /// Where memory counts; of what connections leave here, the broker itself is the holder.
    pub memory: Arc<Holder>,
    /// Where messages come back from.
    pub pager: Arc<dyn Pager>,
    /// Numbers for queues.
    pub ids: Arc<QueueIds>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who calls queues when it is time.
    pub timetable: Arc<dyn Timetable>,
    /// What is observed of single messages.
    pub observers: Arc<Observers>,
}

impl Surroundings {
    /// Reads messages back, which count as memory then; see [`Pager::load`].
    pub fn load(&self, queue: QueueId, first: u64, last: u64, bytes_max: usize) -> Option<Page> {
        let mut page = self.pager.load(queue, first, last, bytes_max)?;
        page.messages.iter_mut().for_each(|loaded| loaded.message.count_on(self.memory.gauge()));
        Some(page)
    }

    /// For queues without a journal, in tests.
    pub fn forgetful(memory: Arc<Holder>) -> Arc<Self> {
        Arc::new(Self {
            observers: Arc::new(Observers::new(&memory)),
            memory,
            pager: Arc::new(Forgetful),
            ids: Arc::default(),
            clock: Arc::new(ManualClock::default()),
            timetable: Arc::new(Uncalled),
        })
    }
}
