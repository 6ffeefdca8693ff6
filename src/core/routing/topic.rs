//! The topic exchange: keys are words between dots, patterns may hold `*` and `#` (AMQP 0-9-1, 3.1.3.3).
//!
//! Owns a trie of patterns, a level for each word, and the table of the words in it. `*` stands for exactly one
//! word and `#` for any number, none included. An empty word is a word: `a..b` has three and `a.` two; only the
//! empty key has none (RabbitMQ). Wildcards in a message's key are plain words.
//!
//! Invariant: every node but the root leads to a binding, and every word is in use. A route visits a node at most
//! once for each word of the key, whatever the patterns, so its cost has a bound that is a product and not a power.
//! What follows a `#` waits for its word and is not asked at each word; between two `#` a single word counts once.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::num::NonZeroU32;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::destinations::Destinations;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
struct WordId(u32);

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

/// The words of all patterns, a number for each, so that an edge is small and a key's word is hashed only once.
#[derive(Debug, Default)]
struct Words {
    by_word: HashMap<Box<[u8]>, WordUse, RandomState>,
    free_ids: Vec<WordId>,
}

#[derive(Debug)]
struct WordUse {
    id: WordId,
    /// The number of edges that carry the word.
    edges: u32,
}

impl Words {
    fn id(&self, word: &[u8]) -> Option<WordId> {
        self.by_word.get(word).map(|word| word.id)
    }

    /// The number of a word for one more edge.
    fn acquire(&mut self, word: &[u8]) -> WordId {
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
    fn release(&mut self, word: &[u8]) -> WordId {
        let known = self.by_word.get_mut(word).expect("a word on an edge is known");
        let id = known.id;
        known.edges -= 1;
        if known.edges == 0 {
            self.by_word.remove(word);
            super::shrink(&mut self.by_word);
            self.free_ids.push(id);
        }
        id
    }
}

/// The words of a key: what stands between dots; none in an empty key (RabbitMQ).
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = (!key.is_empty()).then(|| key.split(|octet| *octet == b'.'));
    all.into_iter().flatten()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn routed(topic: &Topic<u32>, key: &[u8]) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        topic.route(key, &mut |destination| {
            found.insert(*destination);
        });
        found
    }

    fn matches(pattern: &str, key: &str) -> bool {
        let mut topic = Topic::default();
        topic.bind(pattern.as_bytes(), 1);
        !routed(&topic, key.as_bytes()).is_empty()
    }

    fn is_pristine(topic: &Topic<u32>) -> bool {
        topic.is_empty()
            && topic.nodes.len() == 1
            && topic.free_nodes.is_empty()
            && topic.edges.is_empty()
            && topic.words.by_word.is_empty()
    }

    /// The definition: what is left of the pattern against what is left of the key.
    fn naive(pattern: &[&[u8]], key: &[&[u8]]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            ([b"#", rest @ ..], _) => (0..=key.len()).any(|taken| naive(rest, &key[taken..])),
            ([b"*", pattern @ ..], [_, key @ ..]) => naive(pattern, key),
            ([word, pattern @ ..], [first, key @ ..]) => word == first && naive(pattern, key),
            _ => false,
        }
    }

    #[test]
    fn a_star_is_exactly_one_word() {
        assert!(matches("*", "a"));
        assert!(matches("a.*.c", "a.b.c"));
        assert!(!matches("*", ""));
        assert!(!matches("*", "a.b"));
        assert!(!matches("a.*", "a"));
        assert!(!matches("a.*.c", "a.c"));
    }

    #[test]
    fn a_hash_is_any_number_of_words_none_included() {
        for key in ["", "a", "a.b", ".", "a.b.c.d"] {
            assert!(matches("#", key), "{key}");
        }
        for key in ["a", "a.b", "a.b.c"] {
            assert!(matches("a.#", key), "{key}");
        }
        for key in ["c", "b.c", "a.b.c"] {
            assert!(matches("#.c", key), "{key}");
        }
        assert!(matches("a.#.c", "a.c"));
        assert!(matches("a.#.c", "a.b.b.c"));
        assert!(!matches("a.#.c", "a"));
        assert!(!matches("a.#", "b.a"));
    }

    #[test]
    fn the_empty_key_has_no_word_and_matches_the_empty_pattern() {
        assert!(matches("", ""));
        assert!(!matches("", "a"));
        assert!(!matches("a", ""));
        assert!(matches("#.#", ""));
        assert!(!matches("#.*", ""));
    }

    #[test]
    fn empty_words_between_and_after_dots_count() {
        assert!(matches("a..b", "a..b"));
        assert!(matches("a.*.b", "a..b"));
        assert!(!matches("a.b", "a..b"));
        assert!(matches("a.*", "a."));
        assert!(!matches("a", "a."));
        assert!(!matches("a.", "a"));
        assert!(matches("*.*", "."));
        assert!(matches("*.a", ".a"));
        assert!(!matches("*", "."));
    }

    #[test]
    fn wildcards_are_wildcards_only_as_whole_words() {
        assert!(matches("a*", "a*"));
        assert!(!matches("a*", "ab"));
        assert!(!matches("a#", "a"));
        assert!(!matches("**", "a"));
        assert!(!matches("##", ""));
    }

    #[test]
    fn wildcards_in_a_routing_key_are_plain_words() {
        assert!(matches("*", "*"));
        assert!(matches("*", "#"));
        assert!(matches("#", "#.*"));
        assert!(!matches("a", "*"));
        assert!(!matches("a.b", "#"));
        assert!(!matches("a", "#"));
    }

    #[test]
    fn several_hashes_share_the_words_between_them() {
        assert!(matches("#.a.#.b.#", "a.b"));
        assert!(matches("#.a.#.b.#", "x.a.y.b.z"));
        assert!(!matches("#.a.#.b.#", "b.a"));
        assert!(matches("#.*.#.*", "a.b"));
        assert!(!matches("#.*.#.*", "a"));
    }

    #[test]
    fn runs_of_wildcards_are_kept_in_one_normal_form() {
        let normal = segments(b"a.*.#");
        for same in ["a.#.*", "a.#.#.*", "a.#.*.#", "a.*.#.#"] {
            assert_eq!(segments(same.as_bytes()), normal, "{same}");
        }
        assert_eq!(segments(b"#.#.#.#.#").as_slice(), [Segment::Many]);
        assert_eq!(segments(b"#.a.#").as_slice(), [Segment::Many, Segment::Word(b"a"), Segment::Many]);
    }

    #[test]
    fn patterns_that_say_the_same_are_unbound_one_by_one() {
        let mut topic = Topic::default();
        topic.bind(b"#.*", 1);
        topic.bind(b"*.#", 1);
        assert!(topic.unbind(b"#.*", &1));
        assert!(routed(&topic, b"a").contains(&1));
        assert!(topic.unbind(b"*.#", &1));
        assert!(is_pristine(&topic));
    }

    #[test]
    fn unbinding_leaves_the_patterns_above_below_and_beside() {
        let mut topic = Topic::default();
        for (pattern, destination) in [("a", 1), ("a.b", 2), ("a.b.c", 3), ("a.*", 4), ("a.#", 5)] {
            topic.bind(pattern.as_bytes(), destination);
        }
        assert!(topic.unbind(b"a.b", &2));
        assert_eq!(routed(&topic, b"a.b"), BTreeSet::from([4, 5]));
        assert_eq!(routed(&topic, b"a.b.c"), BTreeSet::from([3, 5]));
        assert!(topic.unbind(b"a.b.c", &3));
        assert_eq!(topic.words.by_word.len(), 1);
        assert_eq!(topic.edges.len(), 1);
        assert!(!topic.unbind(b"a.b.c", &3));
        assert!(!topic.unbind(b"a", &9));
        assert_eq!(routed(&topic, b"a"), BTreeSet::from([1, 5]));
    }

    #[test]
    fn a_hundred_thousand_bindings_come_match_and_go_without_trace() {
        let mut topic = Topic::default();
        let pattern = |n: u32| format!("sensor.{n}.temp");
        for n in 0..100_000 {
            topic.bind(pattern(n).as_bytes(), n % 10_000);
        }
        assert_eq!(topic.nodes.len(), 200_002);
        assert_eq!(topic.words.by_word.len(), 100_002);
        let mut found = Vec::new();
        assert!(topic.walk(b"sensor.77777.temp", &mut |destination| found.push(*destination)) <= 4);
        assert_eq!(found, [7_777]);
        for n in 0..100_000 {
            assert!(topic.unbind(pattern(n).as_bytes(), &(n % 10_000)));
        }
        assert!(is_pristine(&topic));
    }

    #[test]
    fn freed_nodes_and_word_numbers_are_used_again() {
        let mut topic = Topic::default();
        topic.bind(b"keep", 0);
        for round in 0..1_000_u32 {
            let pattern = format!("{round}.*.#.x{round}");
            topic.bind(pattern.as_bytes(), 1);
            assert!(topic.unbind(pattern.as_bytes(), &1));
        }
        assert_eq!(topic.nodes.len(), 6);
        assert_eq!(topic.words.by_word.len(), 1);
        assert!(topic.words.free_ids.len() <= 2);
        assert_eq!(routed(&topic, b"keep"), BTreeSet::from([0]));
    }

    #[test]
    fn a_node_is_small() {
        assert!(size_of::<Node<u32>>() <= 56);
        assert!(size_of::<Node<std::sync::Arc<u8>>>() <= 56);
    }

    #[test]
    fn hash_heavy_patterns_cost_at_most_nodes_times_words() {
        let mut topic = Topic::default();
        for n in 0..256_usize {
            let pairs = n % 60 + 1;
            let pattern = match n % 4 {
                0 => "#.a.".repeat(pairs) + "#",
                1 => "#.*.".repeat(pairs) + "z",
                2 => "#.a.*.".repeat(pairs / 2 + 1) + "#.z",
                _ => "*.#.a.#.".repeat(pairs / 3 + 1) + "b",
            };
            assert!(pattern.len() <= 255);
            topic.bind(pattern.as_bytes(), n as u32);
        }
        let key = "a.".repeat(127) + "a";
        assert_eq!(key.len(), 255);
        let mut calls = 0;
        let visited = topic.walk(key.as_bytes(), &mut |_| calls += 1);
        assert!(visited <= topic.nodes.len() * 129, "{visited} visits of {} nodes", topic.nodes.len());
        assert!(visited < 60_000, "{visited} visits");
        assert!(calls <= 256, "{calls} calls");
    }

    #[test]
    fn words_between_hashes_are_visited_once_however_often_they_come() {
        let mut topic = Topic::default();
        for n in 0..4_096_u32 {
            let levels: Vec<_> = (0..12).map(|bit| if n >> bit & 1 == 0 { "#.a" } else { "#.b" }).collect();
            topic.bind(levels.join(".").as_bytes(), n);
        }
        let key = vec!["a.b"; 60].join(".");
        let mut matched = 0;
        let visited = topic.walk(key.as_bytes(), &mut |_| matched += 1);
        assert_eq!(matched, 2_048, "those that end in b");
        assert!(visited < 8 * topic.nodes.len(), "{visited} visits of {} nodes", topic.nodes.len());
        // More words in the patterns than in the key, and the other way round.
        (0..1_000).for_each(|n| topic.bind(format!("#.x{n}").as_bytes(), n));
        let mut matched = 0;
        topic.walk(b"x7.x8.x9", &mut |_| matched += 1);
        assert_eq!(matched, 1);
    }

    #[test]
    fn nothing_is_visited_for_bindings_that_do_not_match() {
        let visits = |bindings: u32| {
            let mut topic = Topic::default();
            for n in 0..bindings {
                topic.bind(format!("a.{n}.#.end{n}").as_bytes(), n);
            }
            topic.walk(b"a.none.of.them", &mut |_| panic!("nothing matches"))
        };
        assert_eq!(visits(10), visits(10_000));
    }

    /// Few words, so that patterns and keys meet; empty ones among them.
    fn key_of(words: &'static [&'static str], words_max: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(words), 0..=words_max).prop_map(|words| words.join("."))
    }

    fn pattern() -> impl Strategy<Value = String> {
        key_of(&["a", "b", "", "*", "#", "#"], 6)
    }

    #[derive(Debug, Clone)]
    enum Change {
        Bind(String, u32),
        /// The binding at this place, modulo their number.
        Unbind(prop::sample::Index),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            3 => (pattern(), 0..8_u32).prop_map(|(pattern, destination)| Change::Bind(pattern, destination)),
            2 => any::<prop::sample::Index>().prop_map(Change::Unbind),
        ]
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_the_definition(
            changes in prop::collection::vec(change(), 1..40),
            keys in prop::collection::vec(key_of(&["a", "b", "", "c", "*", "#"], 7), 1..12),
        ) {
            let mut topic = Topic::default();
            let mut bindings: Vec<(String, u32)> = Vec::new();
            for change in changes {
                match change {
                    Change::Bind(pattern, destination) => {
                        topic.bind(pattern.as_bytes(), destination);
                        bindings.push((pattern, destination));
                    }
                    Change::Unbind(index) if !bindings.is_empty() => {
                        let (pattern, destination) = bindings.swap_remove(index.index(bindings.len()));
                        prop_assert!(topic.unbind(pattern.as_bytes(), &destination));
                    }
                    Change::Unbind(_) => {}
                }
                prop_assert_eq!(topic.is_empty(), bindings.is_empty());
                for key in &keys {
                    let key_words: Vec<&[u8]> = words(key.as_bytes()).collect();
                    let expected: BTreeSet<u32> = bindings
                        .iter()
                        .filter(|(pattern, _)| naive(&words(pattern.as_bytes()).collect::<Vec<_>>(), &key_words))
                        .map(|(_, destination)| *destination)
                        .collect();
                    prop_assert_eq!(routed(&topic, key.as_bytes()), expected, "key {:?}", key);
                }
            }
            for (pattern, destination) in bindings {
                prop_assert!(topic.unbind(pattern.as_bytes(), &destination));
            }
            prop_assert!(is_pristine(&topic));
        }
    }
}
