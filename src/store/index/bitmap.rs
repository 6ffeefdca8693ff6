//! A set of places in one block of 512 positions.

use std::{fmt, ops};

/// Positions in a block.
pub const BLOCK_POSITIONS: u16 = 512;

const WORDS: usize = BLOCK_POSITIONS as usize / 64;

/// Places in a block, from 0 to 511.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Bitmap([u64; WORDS]);

impl Bitmap {
    /// All places from `first` to `last`, both included; none if they are the wrong way round.
    pub fn range(first: u16, last: u16) -> Self {
        Self(std::array::from_fn(|word| {
            let base = word as u16 * 64;
            if last < base || first >= base + 64 || first > last {
                return 0;
            }
            let low = first.saturating_sub(base);
            let high = (last - base).min(63);
            (u64::MAX << low) & (u64::MAX >> (63 - high))
        }))
    }

    /// The set as words, the lowest place in the lowest bit of the first.
    pub fn from_words(words: [u64; WORDS]) -> Self {
        Self(words)
    }

    /// See [`from_words`](Self::from_words).
    pub fn words(&self) -> &[u64; WORDS] {
        &self.0
    }

    /// Whether a place is in it.
    pub fn contains(&self, at: u16) -> bool {
        self.0[usize::from(at / 64)] >> (at % 64) & 1 == 1
    }

    /// Adds a place.
    pub fn insert(&mut self, at: u16) {
        self.0[usize::from(at / 64)] |= 1 << (at % 64);
    }

    /// Takes a place out.
    pub fn remove(&mut self, at: u16) {
        self.0[usize::from(at / 64)] &= !(1 << (at % 64));
    }

    /// How many places there are.
    pub fn len(&self) -> u16 {
        self.0.iter().map(|word| word.count_ones() as u16).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().fold(0, |all, word| all | word) == 0
    }

    /// The lowest place.
    pub fn first(&self) -> Option<u16> {
        self.next_from(0)
    }

    /// The highest place.
    pub fn last(&self) -> Option<u16> {
        let word = self.0.iter().rposition(|&word| word != 0)?;
        Some(word as u16 * 64 + 63 - self.0[word].leading_zeros() as u16)
    }

    /// Places in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        let set = *self;
        let mut from = 0;
        std::iter::from_fn(move || {
            let at = set.next_from(from)?;
            from = at + 1;
            Some(at)
        })
    }

    /// Longest runs of places, each with its first and its last, in order.
    pub fn runs(&self) -> impl Iterator<Item = (u16, u16)> + use<> {
        let (set, holes) = (*self, !*self);
        let mut from = 0;
        std::iter::from_fn(move || {
            let first = set.next_from(from)?;
            from = holes.next_from(first).unwrap_or(BLOCK_POSITIONS);
            Some((first, from - 1))
        })
    }

    fn next_from(&self, from: u16) -> Option<u16> {
        let mut word = usize::from(from / 64);
        let mut bits = self.0.get(word)? & (u64::MAX << (from % 64));
        while bits == 0 {
            word += 1;
            bits = *self.0.get(word)?;
        }
        Some(word as u16 * 64 + bits.trailing_zeros() as u16)
    }
}

impl ops::Not for Bitmap {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

impl ops::BitAnd for Bitmap {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }
}

impl ops::BitOr for Bitmap {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }
}

impl fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.runs()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_hold_what_lies_between_their_ends() {
        for (first, last) in [(0, 0), (0, 511), (63, 64), (5, 500), (511, 511), (64, 127), (7, 6)] {
            let set = Bitmap::range(first, last);
            assert!(set.iter().eq(first..=last), "{first} to {last}");
            assert_eq!(usize::from(set.len()), (first..=last).count());
        }
    }

    #[test]
    fn an_empty_set_has_no_ends() {
        let set = Bitmap::default();
        assert!(set.is_empty() && set.first().is_none() && set.last().is_none());
        assert_eq!(set.runs().count(), 0);
    }

    proptest! {
        #[test]
        fn a_bitmap_is_a_set_of_places(places in prop::collection::vec((0..512_u16, any::<bool>()), 0..400)) {
            let (mut set, mut model) = (Bitmap::default(), BTreeSet::new());
            for (at, add) in places {
                if add { set.insert(at) } else { set.remove(at) }
                if add { model.insert(at) } else { model.remove(&at) };
            }
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert!((0..512).all(|at| set.contains(at) == model.contains(&at)));
            prop_assert_eq!((set.first(), set.last()), (model.first().copied(), model.last().copied()));
            prop_assert_eq!((usize::from(set.len()), set.is_empty()), (model.len(), model.is_empty()));
            let from_runs = set.runs().fold(Bitmap::default(), |all, (first, last)| all | Bitmap::range(first, last));
            prop_assert_eq!(from_runs, set);
            prop_assert_eq!(Bitmap::from_words(*set.words()), set);
        }
    }
}
