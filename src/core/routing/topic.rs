//! The topic exchange: keys are words between dots, patterns may hold `*` and `#` (AMQP 0-9-1, 3.1.3.3).
//!
//! Owns a trie of patterns, a level for each word, and the table of the words in it. `*` stands for exactly one
//! word and `#` for any number, none included. An empty word is a word: `a..b` has three and `a.` two; only the
//! empty key has none (RabbitMQ). Wildcards in a message's key are plain words.
//!
//! Invariant: every node but the root leads to a binding, and every word is in use. A route visits a node at most
//! once for each word of the key, whatever the patterns, so its cost has a bound that is a product and not a power.
//! What follows a `#` waits for its word and is not asked at each word; between two `#` a single word counts once.

#[cfg(test)]
mod tests;
mod words;

use std::collections::HashSet;
use std::hash::Hash;
use std::num::NonZeroU32;

use foldhash::fast::RandomState;
use griddle::HashMap;
use smallvec::SmallVec;

use super::destinations::Destinations;
use words::{WordId, Words, words};

/// The bindings of a topic exchange.
///
/// A pattern is kept in its normal form: in a run of wildcards the `*` come first and one `#` stands for all of
/// them, since `#.*`, `*.#` and `#.#.*` say the same (at least one word). Patterns that say the same share a node.
///
/// Memory: a node is 56 bytes for a small handle, an edge 12, and each different word is stored once.
/// `sensor.17.temp` next to its likes thus takes two nodes, two edges and the word `17`.
#[derive(Debug)]
pub struct Topic<D> {
    nodes: Vec<Node<D>>,
    free_nodes: Vec<NodeId>,
    edges: HashMap<(NodeId, WordId), NodeId, RandomState>,
    words: Words,
}

#[derive(Debug)]
struct Node<D> {
    /// The child behind `*`.
    one: Option<NodeId>,
    /// The child behind `#`.
    many: Option<NodeId>,
    /// The first of the children behind words; each is also found in `edges`.
    first: Option<NodeId>,
    /// The word before it, if it is such a child,
    word: WordId,
    /// and its neighbours among the children of its parent.
    siblings: Siblings,
    /// What the pattern that ends here leads to.
    destinations: Destinations<D>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Siblings {
    before: Option<NodeId>,
    after: Option<NodeId>,
}

/// A place in `nodes`, counted from one, so that `Option` takes no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct NodeId(NonZeroU32);

/// One level of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment<'a> {
    Word(&'a [u8]),
    One,
    Many,
}

impl<D: Clone + Eq + Hash> Topic<D> {
    /// Adds one binding of `destination` under `pattern`.
    pub fn bind(&mut self, pattern: &[u8], destination: D) {
        let mut node = ROOT;
        for segment in segments(pattern) {
            node = match self.child(node, segment) {
                Some(child) => child,
                None => self.grow(node, segment),
            };
        }
        self.node_mut(node).destinations.add(destination);
    }

    /// Takes one such binding away; false if there is none.
    ///
    /// The key may be another one that says the same (`#.*` for `*.#`): the two bindings cannot be told apart
    /// here, and it makes no difference which of them goes first.
    pub fn unbind(&mut self, pattern: &[u8], destination: &D) -> bool {
        let mut path = SmallVec::<[(NodeId, Segment<'_>); 16]>::new();
        let mut node = ROOT;
        for segment in segments(pattern) {
            let Some(child) = self.child(node, segment) else { return false };
            path.push((node, segment));
            node = child;
        }
        let removed = self.node_mut(node).destinations.remove(destination);
        while self.node(node).leads_nowhere()
            && let Some((parent, segment)) = path.pop()
        {
            self.cut(parent, segment, node);
            node = parent;
        }
        removed
    }

    /// Calls `found` with each destination of a message with this routing key: once for each of its patterns
    /// (normal forms) that match. Gives how many nodes it visited.
    pub fn route(&self, key: &[u8], found: &mut dyn FnMut(&D)) -> usize {
        self.walk(key, found)
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.node(ROOT).leads_nowhere()
    }

    /// Follows all patterns at once, one word of the key at a time. Returns how many nodes it visited.
    ///
    /// The state is the set of nodes that the words so far lead to. A node behind a word or a `*` has one
    /// parent and one way in, so it cannot come up twice for the same word. A node behind `#`, once reached,
    /// stays: any further word is one of its own. So it is entered once, and what follows it waits in `after_many` for
    /// its word. (In normal form that is always a word.)
    fn walk(&self, key: &[u8], found: &mut dyn FnMut(&D)) -> usize {
        let words: KeyWords = words(key).map(|word| self.words.id(word)).collect();
        let mut after_many = AfterMany::default();
        let mut reached = SmallVec::<[NodeId; 32]>::from_slice(&[ROOT]);
        let mut next = SmallVec::new();
        let mut visited = 1 + self.enter_many(&reached, &words, &mut after_many, found);
        for (at, word) in words.iter().enumerate() {
            for &node in &reached {
                self.step(node, *word, &mut next);
            }
            if let Some(word) = word {
                after_many.step(*word, at + 1 == words.len(), &mut next);
            }
            std::mem::swap(&mut reached, &mut next);
            next.clear();
            visited += reached.len() + self.enter_many(&reached, &words, &mut after_many, found);
            if reached.is_empty() && after_many.is_empty() {
                break;
            }
        }
        for &node in &reached {
            self.node(node).destinations.iter().for_each(&mut *found);
        }
        visited
    }

    /// Where one more word leads from a node. A word that no pattern holds has no id.
    fn step(&self, node: NodeId, word: Option<WordId>, next: &mut SmallVec<[NodeId; 32]>) {
        let Node { one, first, .. } = self.node(node);
        next.extend(*one);
        if first.is_some()
            && let Some(word) = word
        {
            next.extend(self.edges.get(&(node, word)).copied());
        }
    }

    /// Enters the `#` behind each of these nodes: no word at all is enough for it. What is bound to it is found
    /// at once, since all words that remain are its own. A node after it is reached through it by later words. Returns how
    /// many nodes it visited.
    fn enter_many(
        &self,
        reached: &[NodeId],
        words: &KeyWords,
        after_many: &mut AfterMany,
        found: &mut dyn FnMut(&D),
    ) -> usize {
        let mut visited = 0;
        for &node in reached {
            if let Some(many) = self.node(node).many
                && after_many.entered.insert(many)
            {
                self.node(many).destinations.iter().for_each(&mut *found);
                visited += 1 + self.wait_after(many, words, after_many);
            }
        }
        visited
    }

    /// Has the children of a `#` wait for their words, as far as those are in the key: looks through the children or
    /// through the words, whatever is less. Returns how many that were.
    fn wait_after(&self, many: NodeId, words: &KeyWords, after_many: &mut AfterMany) -> usize {
        if self.node(many).first.is_none() {
            return 0;
        }
        after_many.know(words);
        let different = after_many.words.len();
        let few = self.children(many).take(different + 1).count() <= different;
        if few {
            for child in self.children(many) {
                if let Ok(at) = after_many.words.binary_search(&self.node(child).word) {
                    after_many.wait(at, child, self.is_between_many(child));
                }
            }
        } else {
            for at in 0..different {
                if let Some(child) = self.edges.get(&(many, after_many.words[at])) {
                    after_many.wait(at, *child, self.is_between_many(*child));
                }
            }
        }
        different
    }

    /// Whether nothing but a `#` follows a node: once that is entered, only the key's last word can lead to something new.
    fn is_between_many(&self, node: NodeId) -> bool {
        let Node { one, first, .. } = self.node(node);
        one.is_none() && first.is_none()
    }

    /// The children behind words.
    fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(self.node(node).first, |child| self.node(*child).siblings.after)
    }

    fn child(&self, node: NodeId, segment: Segment<'_>) -> Option<NodeId> {
        match segment {
            Segment::Word(word) => self.edges.get(&(node, self.words.id(word)?)).copied(),
            Segment::One => self.node(node).one,
            Segment::Many => self.node(node).many,
        }
    }

    fn grow(&mut self, parent: NodeId, segment: Segment<'_>) -> NodeId {
        let child = self.free_nodes.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            NodeId::at(self.nodes.len() - 1)
        });
        match segment {
            Segment::One => self.node_mut(parent).one = Some(child),
            Segment::Many => self.node_mut(parent).many = Some(child),
            Segment::Word(word) => {
                let word = self.words.acquire(word);
                self.edges.insert((parent, word), child);
                self.link(parent, child, word);
            }
        }
        child
    }

    /// Removes a child that leads nowhere. What is left of it in `nodes` equals a new node.
    fn cut(&mut self, parent: NodeId, segment: Segment<'_>, child: NodeId) {
        match segment {
            Segment::One => self.node_mut(parent).one = None,
            Segment::Many => self.node_mut(parent).many = None,
            Segment::Word(word) => {
                let word = self.words.release(word);
                self.edges.remove(&(parent, word));
                super::shrink(&mut self.edges);
                self.unlink(parent, child);
            }
        }
        self.free_nodes.push(child);
        if self.free_nodes.len() + 1 == self.nodes.len() {
            *self = Self { nodes: vec![std::mem::take(&mut self.nodes[0])], ..Self::default() };
        }
    }

    fn link(&mut self, parent: NodeId, child: NodeId, word: WordId) {
        let after = self.node_mut(parent).first.replace(child);
        if let Some(after) = after {
            self.node_mut(after).siblings.before = Some(child);
        }
        let node = self.node_mut(child);
        node.word = word;
        node.siblings = Siblings { before: None, after };
    }

    fn unlink(&mut self, parent: NodeId, child: NodeId) {
        let Siblings { before, after } = std::mem::take(&mut self.node_mut(child).siblings);
        match before {
            Some(before) => self.node_mut(before).siblings.after = after,
            None => self.node_mut(parent).first = after,
        }
        if let Some(after) = after {
            self.node_mut(after).siblings.before = before;
        }
    }

    fn node(&self, id: NodeId) -> &Node<D> {
        &self.nodes[id.index()]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<D> {
        &mut self.nodes[id.index()]
    }
}

impl<D> Default for Topic<D> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free_nodes: Vec::new(),
            edges: HashMap::default(),
            words: Words::default(),
        }
    }
}

impl<D: Clone + Eq + Hash> Node<D> {
    fn leads_nowhere(&self) -> bool {
        self.destinations.is_empty() && self.first.is_none() && self.one.is_none() && self.many.is_none()
    }
}

impl<D> Default for Node<D> {
    fn default() -> Self {
        Self {
            one: None,
            many: None,
            first: None,
            word: WordId::default(),
            siblings: Siblings::default(),
            destinations: Destinations::default(),
        }
    }
}

impl NodeId {
    fn at(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("four billion nodes do not fit memory"))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// The words of a key; `None` for one that no pattern holds.
type KeyWords = SmallVec<[Option<WordId>; 16]>;

/// The `#` nodes that a walk has entered, and their children.
#[derive(Default)]
struct AfterMany {
    entered: Entered,
    /// The different words of the key, sorted; not before something waits for one.
    words: Vec<WordId>,
    /// For each of them the nodes behind it.
    waiting: Vec<Waiting>,
}

/// Nodes that wait for a word.
#[derive(Default, Clone)]
struct Waiting {
    /// Each time that it comes.
    always: Vec<NodeId>,
    /// When it comes first, and if it is the key's last.
    once: Vec<NodeId>,
    /// So many of those have had it.
    done: usize,
}

impl AfterMany {
    fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    fn know(&mut self, words: &KeyWords) {
        if self.words.is_empty() {
            self.words.extend(words.iter().flatten());
            self.words.sort_unstable();
            self.words.dedup();
            self.waiting.resize(self.words.len(), Waiting::default());
        }
    }

    fn wait(&mut self, at: usize, node: NodeId, once: bool) {
        let Waiting { always, once: first_time, .. } = &mut self.waiting[at];
        if once { first_time.push(node) } else { always.push(node) }
    }

    fn step(&mut self, word: WordId, is_last: bool, next: &mut SmallVec<[NodeId; 32]>) {
        let Ok(at) = self.words.binary_search(&word) else { return };
        let Waiting { always, once, done } = &mut self.waiting[at];
        next.extend_from_slice(always);
        next.extend_from_slice(&once[if is_last { 0 } else { *done }..]);
        *done = once.len();
    }
}

/// A set of nodes that only grows.
#[derive(Default)]
struct Entered {
    nodes: SmallVec<[NodeId; ENTERED_SCANNED_MAX]>,
    /// The same nodes, once there are too many to look through.
    set: Option<HashSet<NodeId, RandomState>>,
}

impl Entered {
    /// False if it is there already.
    fn insert(&mut self, node: NodeId) -> bool {
        if let Some(set) = &mut self.set {
            return set.insert(node);
        }
        if self.nodes.contains(&node) {
            return false;
        }
        self.nodes.push(node);
        if self.nodes.len() == ENTERED_SCANNED_MAX {
            self.set = Some(self.nodes.iter().copied().collect());
        }
        true
    }
}

/// The levels of a pattern in normal form.
fn segments(pattern: &[u8]) -> SmallVec<[Segment<'_>; 16]> {
    let mut segments = SmallVec::new();
    let mut many = false; // whether the run of wildcards that ends here holds a `#`
    for word in words(pattern) {
        match word {
            b"#" => many = true,
            b"*" => segments.push(Segment::One),
            word => {
                segments.extend(std::mem::take(&mut many).then_some(Segment::Many));
                segments.push(Segment::Word(word));
            }
        }
    }
    segments.extend(many.then_some(Segment::Many));
    segments
}

const ROOT: NodeId = NodeId(NonZeroU32::MIN);

/// Up to so many `#` nodes of a walk are looked through one by one.
const ENTERED_SCANNED_MAX: usize = 16;
