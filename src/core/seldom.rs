//! Parts in which most of their owners never have anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Deref, DerefMut},
};

/// A part that takes no more than a pointer until it is first changed.
#[derive(Debug)]
pub(crate) struct Seldom<T>(Option<Box<T>>);

/// What is seen of a part that was never changed.
pub(crate) trait Empty: Default + 'static {
    /// Nothing in it.
    const EMPTY: &'static Self;
}

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Default> Seldom<T> {
    /// With this in it, unless that is nothing.
    pub(crate) fn of(part: T, is_nothing: impl FnOnce(&T) -> bool) -> Self {
        Self((!is_nothing(&part)).then(|| Box::new(part)))
    }

    /// The part, if it was ever changed.
    #[inline]
    pub(crate) fn part(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// What is in it; nothing is left.
    pub(crate) fn take(&mut self) -> T {
        self.0.take().map_or_else(T::default, |part| *part)
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

impl<T: 'static> Empty for Vec<T> {
    const EMPTY: &'static Self = &Self::new();
}

impl<K: 'static, V: 'static> Empty for BTreeMap<K, V> {
    const EMPTY: &'static Self = &Self::new();
}

impl<T: 'static> Empty for BTreeSet<T> {
    const EMPTY: &'static Self = &Self::new();
}
