//! A journal that keeps everything in a map: what it is told of can be compared with what the queue has, and pages
//! come back from it.

use std::{collections::BTreeMap, ops::ControlFlow};

use parking_lot::Mutex;

use crate::core::{
    change::{Attempts, Change, Changes},
    clock::Millis,
    message::{Message, Stage},
    pager::{Loaded, Page, Pager},
    placement::QueueId,
};

/// A journal and pager that keeps everything in memory.
#[derive(Default)]
pub(super) struct Shelf {
    kept: Mutex<BTreeMap<u64, (Message, Attempts, Millis)>>,
    /// Taken over, and not on disk yet.
    unwritten: Mutex<Vec<Message>>,
}

impl Shelf {
    /// Takes changes over. What they name must be there.
    pub(super) fn absorb(&self, changes: &mut Changes) {
        let mut kept = self.kept.lock();
        // Two sessions may append in another order than their queue saw: publishes are noted first.
        let (publishes, others): (Vec<_>, Vec<_>) =
            changes.drain(..).partition(|change| matches!(change, Change::Publish { .. }));
        for change in publishes.into_iter().chain(others) {
            match change {
                Change::Publish { message, placements, .. } => {
                    let copy = Message::uncounted(message.view(), message.published_at());
                    let before = kept.insert(placements[0].position, (copy, Attempts::default(), 0));
                    assert!(before.is_none(), "a position is used once");
                    self.unwritten.lock().push(message);
                }
                Change::Settle { placement, .. } => {
                    assert!(kept.remove(&placement.position).is_some(), "{placement:?} was settled before");
                }
                Change::SettleRange { first, last, .. } => {
                    let gone: Vec<u64> = kept.range(first..=last).map(|(position, _)| *position).collect();
                    assert!(!gone.is_empty(), "nothing from {first} to {last}");
                    kept.retain(|position, _| !gone.contains(position));
                }
                Change::Return { placement, attempts, due, .. } => {
                    let (_, known, known_due) = kept.get_mut(&placement.position).unwrap();
                    // A transient message may have come back before it had to make room; one that is rescheduled does not come back.
                    let comes_back = attempts.returned > known.returned;
                    assert!(comes_back || (attempts == *known && due > 0), "{placement:?}");
                    (*known, *known_due) = (attempts, due);
                }
                Change::Topology { .. } | Change::Access(_) => {}
            }
        }
    }

    /// Takes settlements over that come after others, which may have been of the same messages.
    pub(super) fn absorb_late(&self, changes: &mut Changes) {
        let kept = |change: &Change| match change {
            Change::Settle { placement, .. } => self.kept.lock().contains_key(&placement.position),
            _ => true,
        };
        changes.retain(kept);
        self.absorb(changes);
    }

    /// Everything that was taken over is on disk.
    pub(super) fn write(&self) {
        self.unwritten.lock().drain(..).for_each(|message| message.set_stage(Stage::Written));
    }

    /// What was taken over and is not on disk yet.
    pub(super) fn unwritten(&self) -> Vec<Message> {
        self.unwritten.lock().clone()
    }

    /// What is kept.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.kept.lock().values().map(|(message, ..)| message.clone()).collect()
    }
}

impl Pager for Shelf {
    fn load(&self, _queue: QueueId, first: u64, last: u64, bytes_max: usize) -> Option<Page> {
        let mut page = Page::default();
        let mut bytes = 0;
        let kept = self.kept.lock();
        let _end = kept.range(first..=last).try_for_each(|(&position, (message, attempts, due))| {
            bytes += message.size_bytes();
            if bytes > bytes_max && !page.messages.is_empty() {
                page.rest_from = Some(position);
                return ControlFlow::Break(());
            }
            let message = Message::uncounted(message.view(), message.published_at());
            message.set_stage(Stage::Written);
            let (attempts, due) = (*attempts, *due);
            page.messages.push(Loaded { position, attempts, due, redelivered: false, message });
            ControlFlow::Continue(())
        });
        Some(page)
    }
}
