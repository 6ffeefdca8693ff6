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
