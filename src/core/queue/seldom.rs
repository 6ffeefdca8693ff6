//! Parts of a queue in which most queues never have anything.

use std::ops::{Deref, DerefMut};

/// A part that takes no more than a pointer until it is first changed.
pub(super) struct Seldom<T>(Option<Box<T>>);

/// What is seen of a part that was never changed.
pub(super) trait Empty: Default + 'static {
    /// Nothing in it.
    const EMPTY: &'static Self;
}

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> Deref for Seldom<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> DerefMut for Seldom<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}
