//! What a task may do before others get theirs.
//!
//! A task that handles something of no bounded size counts what it does in *steps*, and yields when its turn is over. A step is
//! about a quarter of a microsecond: a message for one queue, a settlement, a kilobyte that is copied. Nothing is
//! timed: the same work is cut in the same places whatever the machine does beside it.

use crate::limits::{STEP_BYTES, TURN_STEPS_MAX};

/// The steps that a task has left in its turn.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    steps_left: usize,
}

impl Default for Turn {
    fn default() -> Self {
        Self::of(TURN_STEPS_MAX)
    }
}

impl Turn {
    /// A turn of so many steps.
    pub fn of(steps: usize) -> Self {
        Self { steps_left: steps }
    }

    /// Something was done that takes so many steps.
    #[inline]
    pub fn spend(&mut self, steps: usize) {
        self.steps_left = self.steps_left.saturating_sub(steps);
    }

    /// Something has to be put off: nothing more is begun, however small.
    pub fn end(&mut self) {
        self.steps_left = 0;
    }

    /// The steps that are left.
    #[inline]
    pub fn steps_left(&self) -> usize {
        self.steps_left
    }

    /// Whether others should get their turn now.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.steps_left == 0
    }

    /// How many of `wanted` pieces of work are done in this turn, when each takes so many steps: at least one, since what is
    /// put off altogether would never be done.
    #[inline]
    pub fn share(&self, wanted: usize, steps_each: usize) -> usize {
        (self.steps_left / steps_each.max(1)).clamp(1, wanted.max(1))
    }
}

/// Steps that it takes to copy so many bytes.
#[inline]
pub fn steps_of_bytes(bytes: usize) -> usize {
    bytes / STEP_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_over_when_its_steps_are_spent_and_more_is_not_owed() {
        let mut turn = Turn::of(10);
        turn.spend(9);
        assert!(!turn.is_over());
        turn.spend(100);
        assert!(turn.is_over());
    }

    #[test]
    fn a_share_is_what_the_turn_has_steps_for_and_at_least_one() {
        let turn = Turn::of(10);
        assert_eq!([1, 3, 11].map(|each| turn.share(100, each)), [10, 3, 1]);
        assert_eq!([turn.share(2, 1), turn.share(2, 0), Turn::of(0).share(5, 1)], [2, 2, 1]);
    }
}
