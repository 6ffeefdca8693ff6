//! What a channel holds, in the order of its delivery tags: a list in pieces, so that a long one grows without being moved, and
//! gives memory back as it becomes shorter. A short one is a single piece.

use std::{collections::VecDeque, iter, mem};

use crate::core::source::Unacked;
use crate::limits::WINDOW_PIECE_DELIVERIES;

/// A delivery tag, and what is held by it: nothing if it was settled out of turn.
pub(super) type Tagged = (u64, Option<Unacked>);

/// Deliveries that wait for an acknowledgement, by their tags.
#[derive(Default)]
pub(super) struct ByTag {
    /// Few channels have any of these.
    older: Option<Box<Older>>,
    last: VecDeque<Tagged>,
}

/// Pieces that were full once, none of them empty.
#[derive(Default)]
struct Older {
    pieces: VecDeque<VecDeque<Tagged>>,
    len: usize,
}

impl ByTag {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.older.as_ref().map_or(0, |older| older.len) + self.last.len()
    }

    /// What they take.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        let older = self.older.as_ref().map_or(0, |older| older.pieces.len());
        (older * WINDOW_PIECE_DELIVERIES + self.last.capacity()) * size_of::<Tagged>()
    }

    /// Adds one behind all others: its tag is the highest.
    #[inline]
    pub(super) fn push(&mut self, unacked: Unacked) {
        if self.last.len() >= WINDOW_PIECE_DELIVERIES {
            self.begin_piece();
        }
        self.last.push_back((unacked.tag, Some(unacked)));
    }

    #[cold]
    fn begin_piece(&mut self) {
        let full = mem::replace(&mut self.last, VecDeque::with_capacity(WINDOW_PIECE_DELIVERIES));
        let older = self.older.get_or_insert_default();
        older.len += full.len();
        older.pieces.push_back(full);
    }

    /// The one with the lowest tag.
    #[inline]
    pub(super) fn front(&self) -> Option<&Tagged> {
        self.older.as_ref().and_then(|older| older.pieces.front()).unwrap_or(&self.last).front()
    }

    /// Takes it.
    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<Tagged> {
        let first = self.oldest().pop_front()?;
        self.fewer(1);
        Some(first)
    }

    /// Takes those of the oldest piece with tags up to this one, in order, `max` at most. Gives how many there are fewer: those that
    /// were settled out of turn count, too.
    pub(super) fn take_some(&mut self, up_to: u64, max: usize, taken: &mut Vec<Unacked>) -> usize {
        let oldest = self.oldest();
        let count = oldest.partition_point(|(tag, _)| *tag <= up_to).min(max);
        taken.extend(oldest.drain(..count).filter_map(|(_, unacked)| unacked));
        self.fewer(count);
        count
    }

    #[inline]
    fn oldest(&mut self) -> &mut VecDeque<Tagged> {
        self.older.as_mut().and_then(|older| older.pieces.front_mut()).unwrap_or(&mut self.last)
    }

    /// There are fewer in the oldest piece, which goes if nothing is left in it.
    #[inline]
    fn fewer(&mut self, count: usize) {
        let Some(older) = &mut self.older else { return };
        older.len -= count;
        if older.pieces.front().is_some_and(VecDeque::is_empty) {
            older.pieces.pop_front();
        }
        if older.pieces.is_empty() {
            self.older = None;
        }
    }

    /// The one of a tag.
    #[inline]
    pub(super) fn find(&mut self, tag: u64) -> Option<&mut Tagged> {
        let older = self
            .older
            .as_mut()
            .and_then(|older| older.pieces.get_mut(older.first_behind(tag.saturating_sub(1))));
        let piece = older.unwrap_or(&mut self.last);
        let at = piece.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        piece.get_mut(at)
    }

    /// Those with tags above this one, in order.
    pub(super) fn behind(&self, tag: u64) -> impl Iterator<Item = &Tagged> {
        let older = self.older.iter().flat_map(move |older| older.pieces.range(older.first_behind(tag)..));
        older
            .chain(iter::once(&self.last))
            .flat_map(move |piece| piece.range(piece.partition_point(|(its, _)| *its <= tag)..))
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Tagged> {
        self.older.iter().flat_map(|older| older.pieces.iter().flatten()).chain(&self.last)
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Tagged> {
        self.older.iter_mut().flat_map(|older| older.pieces.iter_mut().flatten()).chain(&mut self.last)
    }

    /// Takes all that is held, in order.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Unacked> + use<> {
        let Self { older, last, .. } = mem::take(self);
        older
            .into_iter()
            .flat_map(|older| older.pieces.into_iter().flatten())
            .chain(last)
            .filter_map(|(_, unacked)| unacked)
    }

    /// Drops those that were settled.
    pub(super) fn drop_settled(&mut self) {
        if self.older.is_none() {
            self.last.retain(|(_, unacked)| unacked.is_some());
        } else {
            self.take_all().for_each(|unacked| self.push(unacked));
        }
    }
}

impl Older {
    /// The first piece with tags above this one; their number if there is none.
    fn first_behind(&self, tag: u64) -> usize {
        self.pieces.partition_point(|piece| piece.back().is_none_or(|(last, _)| *last <= tag))
    }
}
