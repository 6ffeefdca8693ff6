//! Positions of a line whose messages were taken out before their turn.
//!
//! A page that is read back may still show such a message for as long as the journal has not carried out its settlement;
//! it must not be delivered then. A bit for each position, in words that are made when they are needed: less than a byte
//! for each message among which some were taken.

use std::collections::BTreeMap;

/// The positions whose messages were taken out early, as bits.
#[derive(Default)]
pub(super) struct Holes(BTreeMap<u64, u64>);

impl Holes {
    pub(super) fn insert(&mut self, position: u64) {
        *self.0.entry(position / 64).or_default() |= bit(position);
    }

    pub(super) fn contains(&self, position: u64) -> bool {
        !self.0.is_empty() && self.0.get(&(position / 64)).is_some_and(|word| word & bit(position) != 0)
    }

    /// Forgets those below a position, up to the last few.
    pub(super) fn forget_below(&mut self, position: u64) {
        while let Some(first) = self.0.first_entry()
            && *first.key() < position / 64
        {
            first.remove();
        }
    }

    /// The positions between two, both included, that are none: rows of them, by their first and last.
    pub(super) fn rows_between(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> {
        let mut next = Some(first);
        std::iter::from_fn(move || {
            let mut first = next.filter(|first| *first <= last)?;
            while self.contains(first) {
                first = first.checked_add(1).filter(|first| *first <= last)?;
            }
            let words = self.0.range(first / 64..=last / 64);
            let mut holes = words.flat_map(|(word, bits)| places(*bits).map(move |place| word * 64 + place));
            let end = holes.find(|hole| *hole > first).filter(|hole| *hole <= last);
            next = end;
            Some((first, end.map_or(last, |end| end - 1)))
        })
    }

    /// About what they take.
    #[inline]
    pub(super) fn memory_bytes(&self) -> usize {
        self.0.len() * WORD_BYTES
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A word with its part of the map's nodes.
const WORD_BYTES: usize = 24;

/// Where bits are set, lowest first.
fn places(bits: u64) -> impl Iterator<Item = u64> {
    (0..64).filter(move |place| bits & (1 << place) != 0)
}

fn bit(position: u64) -> u64 {
    1 << (position % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_holes_is_told_in_rows() {
        let mut holes = Holes::default();
        assert!(holes.rows_between(3, 9).eq([(3, 9)]));
        for hole in [3, 5, 6, 64, 70, 200] {
            holes.insert(hole);
        }
        assert!(holes.rows_between(3, 70).eq([(4, 4), (7, 63), (65, 69)]));
        assert!(holes.rows_between(5, 6).eq([]));
        assert!(holes.rows_between(100, u64::MAX).eq([(100, 199), (201, u64::MAX)]));
    }

    #[test]
    fn a_hole_is_known_until_the_front_is_a_word_behind_it() {
        let mut holes = Holes::default();
        for position in [0, 63, 64, u64::MAX] {
            assert!(!holes.contains(position));
            holes.insert(position);
            assert!(holes.contains(position));
        }
        assert!(!holes.contains(1) && !holes.contains(65));
        holes.forget_below(64);
        assert_eq!([0, 63, 64].map(|position| holes.contains(position)), [false, false, true]);
        holes.forget_below(u64::MAX);
        assert!(holes.contains(u64::MAX) && !holes.contains(64));
        holes.clear();
        assert!(!holes.contains(u64::MAX));
    }
}
