//! Maps that keep what was used last.

use std::{hash::Hash, num::NonZeroUsize};

use lru::LruCache;

/// An empty map for so many entries, one at least; it takes memory as it grows.
pub(super) fn at_most<K: Hash + Eq, V>(entries_max: usize) -> LruCache<K, V> {
    LruCache::sparse(NonZeroUsize::new(entries_max).unwrap_or(NonZeroUsize::MIN))
}
