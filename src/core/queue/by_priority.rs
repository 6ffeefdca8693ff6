//! Lines of slots, one for each priority: the order in which consumers are served, or succeed each other.
//!
//! A line is a ring through a table of neighbours, so that a slot enters, leaves and moves on in constant time wherever it
//! stands; only another priority than the highest one costs a look-up. Knows slots by their number, and nothing of consumers.

use std::collections::BTreeMap;

use crate::core::seldom::Seldom;

/// Slots in rings, one ring for each priority.
#[derive(Debug, Default)]
pub(super) struct ByPriority {
    /// The highest priority that has a line, and the first slot of that.
    top: Option<(i32, u32)>,
    /// The first slots of the other lines.
    lower: Seldom<BTreeMap<i32, u32>>,
    /// By slot; of those that stand in no line it means nothing.
    neighbours: Vec<Neighbours>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Neighbours {
    before: u32,
    after: u32,
}

impl ByPriority {
    /// The first of the highest priority.
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        self.top.map(|(_, slot)| slot)
    }

    /// The first one of all goes to the end of its line.
    #[inline]
    pub(super) fn advance(&mut self) {
        if let Some((_, first)) = &mut self.top {
            *first = self.neighbours[*first as usize].after;
        }
    }

    /// Appends a slot, which stands in no line, to the line of a priority.
    pub(super) fn enter(&mut self, slot: u32, priority: i32) {
        if self.neighbours.len() <= slot as usize {
            self.neighbours.resize(slot as usize + 1, Neighbours::default());
        }
        if let Some(first) = self.line(priority).map(|first| *first) {
            self.insert_before(first, slot);
        } else {
            self.neighbours[slot as usize] = Neighbours { before: slot, after: slot };
            self.begin(slot, priority);
        }
    }

    /// Takes a slot out of the line of its priority, in which it must stand.
    pub(super) fn leave(&mut self, slot: u32, priority: i32) {
        let Neighbours { before, after } = self.neighbours[slot as usize];
        if after == slot {
            self.end(priority);
            return;
        }
        self.neighbours[before as usize].after = after;
        self.neighbours[after as usize].before = before;
        if let Some(first) = self.line(priority)
            && *first == slot
        {
            *first = after;
        }
    }

    /// The first slot of a line.
    fn line(&mut self, priority: i32) -> Option<&mut u32> {
        match &mut self.top {
            Some((top, first)) if *top == priority => Some(first),
            _ => self.lower.part()?.get_mut(&priority),
        }
    }

    fn insert_before(&mut self, first: u32, slot: u32) {
        let last = self.neighbours[first as usize].before;
        self.neighbours[slot as usize] = Neighbours { before: last, after: first };
        self.neighbours[last as usize].after = slot;
        self.neighbours[first as usize].before = slot;
    }

    fn begin(&mut self, slot: u32, priority: i32) {
        let (highest, other) = match self.top {
            Some(top) if top.0 > priority => (top, Some((priority, slot))),
            top => ((priority, slot), top),
        };
        self.top = Some(highest);
        if let Some((priority, slot)) = other {
            self.lower.insert(priority, slot);
        }
    }

    fn end(&mut self, priority: i32) {
        if self.top.is_some_and(|(top, _)| top == priority) {
            self.top = self.lower.part().and_then(BTreeMap::pop_last);
        } else {
            self.lower.part().and_then(|lower| lower.remove(&priority));
        }
    }
}
