//! Things by channel number: an index for the low numbers that clients use, a map for the high ones that they may use.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::limits::CHANNELS_PER_CONNECTION_MAX;

/// A value for each of some channels. As long as the highest low number in use; a high one costs its own place only.
pub struct ByChannel<T> {
    low: Vec<Option<T>>,
    high: HashMap<u16, T, RandomState>,
    count: usize,
}

impl<T> Default for ByChannel<T> {
    fn default() -> Self {
        Self { low: Vec::new(), high: HashMap::default(), count: 0 }
    }
}

impl<T> ByChannel<T> {
    /// How many channels have a value.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value of a channel.
    #[inline]
    pub fn get_mut(&mut self, channel: u16) -> Option<&mut T> {
        match self.low.get_mut(usize::from(channel)) {
            Some(slot) => slot.as_mut(),
            None => Self::high_mut(&mut self.high, channel),
        }
    }

    /// Apart from the low ones, whose way it would make long.
    #[cold]
    fn high_mut(high: &mut HashMap<u16, T, RandomState>, channel: u16) -> Option<&mut T> {
        high.get_mut(&channel)
    }

    /// Each value.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.iter_mut().map(|(_, value)| value)
    }

    /// All values with their channels, to be changed, in no order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u16, &mut T)> {
        let low =
            self.low.iter_mut().enumerate().filter_map(|(at, value)| Some((at as u16, value.as_mut()?)));
        low.chain(self.high.iter_mut().map(|(channel, value)| (*channel, value)))
    }

    /// All values with their channels, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &T)> {
        let low = self.low.iter().enumerate().filter_map(|(at, value)| Some((at as u16, value.as_ref()?)));
        low.chain(self.high.iter().map(|(channel, value)| (*channel, value)))
    }

    /// Gives a channel its value; gives back the one that it had.
    pub fn insert(&mut self, channel: u16, value: T) -> Option<T> {
        let before = if channel <= CHANNELS_PER_CONNECTION_MAX {
            let at = usize::from(channel);
            if self.low.len() <= at {
                self.low.resize_with(at + 1, || None);
            }
            self.low[at].replace(value)
        } else {
            self.high.insert(channel, value)
        };
        self.count += usize::from(before.is_none());
        before
    }

    /// Takes a channel's value.
    pub fn remove(&mut self, channel: u16) -> Option<T> {
        let value = match self.low.get_mut(usize::from(channel)) {
            Some(slot) => slot.take(),
            None => self.high.remove(&channel),
        };
        self.count -= usize::from(value.is_some());
        value
    }

    /// Takes all values, with their channels.
    pub fn take_all(&mut self) -> Vec<(u16, T)> {
        let Self { low, high, .. } = std::mem::take(self);
        let low = low.into_iter().enumerate().filter_map(|(at, value)| Some((at as u16, value?)));
        low.chain(high).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_and_the_highest_channel_are_kept_found_and_taken() {
        let mut names = ByChannel::default();
        for channel in [1, CHANNELS_PER_CONNECTION_MAX, CHANNELS_PER_CONNECTION_MAX + 1, u16::MAX] {
            assert_eq!(names.insert(channel, channel), None);
            assert_eq!(names.get_mut(channel), Some(&mut channel.clone()));
        }
        assert_eq!((names.insert(1, 7), names.len()), (Some(1), 4));
        assert_eq!((names.remove(2), names.remove(u16::MAX), names.len()), (None, Some(u16::MAX), 3));
        let mut all = names.take_all();
        all.sort_unstable();
        assert_eq!(all, [(1, 7), (2_047, 2_047), (2_048, 2_048)]);
        assert!(names.is_empty());
    }

    #[test]
    fn a_high_number_costs_no_room_for_those_below() {
        let mut names = ByChannel::default();
        names.insert(u16::MAX, ());
        assert_eq!(names.low.capacity(), 0);
    }
}
