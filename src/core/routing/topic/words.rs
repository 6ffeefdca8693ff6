//! The words of patterns and keys.

use foldhash::fast::RandomState;
use griddle::HashMap;

use crate::core::routing::shrink;

/// The number of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct WordId(u32);

/// The words of all patterns, a number for each, so that an edge is small and a key's word is hashed only once.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) by_word: HashMap<Box<[u8]>, WordUse, RandomState>,
    pub(super) free_ids: Vec<WordId>,
}

#[derive(Debug)]
pub(super) struct WordUse {
    id: WordId,
    /// The number of edges that carry the word.
    edges: u32,
}

impl Words {
    pub(super) fn id(&self, word: &[u8]) -> Option<WordId> {
        self.by_word.get(word).map(|word| word.id)
    }

    /// The number of a word for one more edge.
    pub(super) fn acquire(&mut self, word: &[u8]) -> WordId {
        if let Some(known) = self.by_word.get_mut(word) {
            known.edges += 1;
            return known.id;
        }
        // Numbers in use and free ones are all those ever given out.
        let id = self.free_ids.pop().unwrap_or(WordId(self.by_word.len() as u32));
        self.by_word.insert(word.into(), WordUse { id, edges: 1 });
        id
    }

    /// The number of a word that one edge less carries; with the last of them it is forgotten.
    pub(super) fn release(&mut self, word: &[u8]) -> WordId {
        let known = self.by_word.get_mut(word).expect("a word on an edge is known");
        let id = known.id;
        known.edges -= 1;
        if known.edges == 0 {
            self.by_word.remove(word);
            shrink(&mut self.by_word);
            self.free_ids.push(id);
        }
        id
    }
}

/// The words of a key: what stands between dots; none in an empty key (RabbitMQ).
pub(super) fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = (!key.is_empty()).then(|| key.split(|octet| *octet == b'.'));
    all.into_iter().flatten()
}
