//! Shares that follow weights, and what moves when bindings change.

use std::collections::BTreeMap;

use proptest::{collection::btree_map, prelude::*};

use super::*;

/// Destinations and their weights.
type Weights = BTreeMap<u32, u64>;

const KEYS: u64 = 4_000;

fn bound(weights: &Weights) -> ConsistentHash<u32> {
    let mut router = ConsistentHash::new(&FieldTable::new());
    for (destination, weight) in weights {
        router.bind(weight.to_string().as_bytes(), *destination);
    }
    router
}

fn routed(router: &ConsistentHash<u32>, message: &Addressing<'_>) -> Vec<u32> {
    let mut found = Vec::new();
    router.route(message, &mut |destination| found.push(*destination));
    found
}

/// Where each of many keys goes; each goes to exactly one destination.
fn assignment(router: &ConsistentHash<u32>) -> Vec<u32> {
    let one = |key: u64| match routed(router, &Addressing::by_keys(&[key.to_string().as_bytes()]))[..] {
        [destination] => destination,
        ref other => panic!("{other:?} for {key}"),
    };
    (0..KEYS).map(one).collect()
}

fn weights() -> impl Strategy<Value = Weights> {
    btree_map(any::<u32>(), 1..=20_u64, 1..8)
}

proptest! {
    #[test]
    fn shares_follow_the_weights(weights in weights()) {
        let assigned = assignment(&bound(&weights));
        let total: u64 = weights.values().sum();
        for (destination, weight) in &weights {
            let share = *weight as f64 / total as f64;
            let expected = share * KEYS as f64;
            let deviation = (expected * (1.0 - share)).sqrt();
            let count = assigned.iter().filter(|assigned| *assigned == destination).count() as f64;
            prop_assert!(
                (count - expected).abs() <= 6.0 * deviation,
                "{} messages instead of {} for {} in {:?}", count, expected, destination, weights
            );
        }
    }

    #[test]
    fn a_binding_that_comes_takes_only_its_share_and_one_that_goes_gives_it_back(
        weights in weights(), newcomer: u32, weight in 1..=20_u64,
    ) {
        prop_assume!(!weights.contains_key(&newcomer));
        let mut router = bound(&weights);
        let before = assignment(&router);
        router.bind(weight.to_string().as_bytes(), newcomer);
        let with_it = assignment(&router);
        let stays = |(before, after): (&u32, &u32)| before == after || *after == newcomer;
        prop_assert!(before.iter().zip(&with_it).all(stays));
        prop_assert!(router.unbind(weight.to_string().as_bytes(), &newcomer));
        prop_assert_eq!(assignment(&router), before);
    }

    #[test]
    fn the_order_of_bindings_makes_no_difference(weights in weights()) {
        let mut reversed = ConsistentHash::new(&FieldTable::new());
        for (destination, weight) in weights.iter().rev() {
            reversed.bind(weight.to_string().as_bytes(), *destination);
        }
        prop_assert_eq!(assignment(&bound(&weights)), assignment(&reversed));
    }
}

#[test]
fn bindings_of_one_destination_add_up() {
    let mut router = bound(&[(1, 1), (2, 5)].into());
    router.bind(b"+4", 1);
    assert_eq!(assignment(&router), assignment(&bound(&[(1, 5), (2, 5)].into())));
    assert!(router.unbind(b"1", &1));
    assert_eq!(assignment(&router), assignment(&bound(&[(1, 4), (2, 5)].into())));
    assert!(router.unbind(b"4", &1));
    assert!(!router.unbind(b"4", &1));
    assert!(router.unbind(b"5", &2));
    assert!(router.is_empty());
    assert_eq!(routed(&router, &Addressing::by_keys(&[b"a"])), [0_u32; 0]);
}

#[test]
fn draws_lie_strictly_between_0_and_1() {
    for bits in [0, 1, u64::MAX / 2, u64::MAX] {
        let draw = unit_interval(bits);
        assert!(draw > 0.0 && draw < 1.0, "{draw} for {bits}");
    }
}

#[test]
fn a_weight_is_a_positive_integer_in_text() {
    for key in ["1", "007", "+3", "4294967296", "99999999999999999999999999"] {
        assert_eq!(validate_key(key.as_bytes()), Ok(()), "{key}");
    }
    for key in ["0", "-1", "-0", "-99999999999999999999999999"] {
        assert_eq!(validate_key(key.as_bytes()), Err(BindingError::WeightNotPositive), "{key}");
    }
    assert_eq!(validate_key(b"").unwrap_err().to_string(), "The binding key must be an integer: <<>>");
    for key in ["+", "-", "a", "1.5", " 1", "1 ", "0x1"] {
        let text = format!("The binding key must be an integer: <<\"{key}\">>");
        assert_eq!(validate_key(key.as_bytes()).unwrap_err().to_string(), text);
    }
}

#[test]
fn a_header_or_a_property_decides_instead_of_the_key() {
    for (name, value) in [("hash-header", "user"), ("hash-property", "message_id")] {
        let mut router = ConsistentHash::new(&FieldTable::new().with(name, value));
        (0..10_u32).for_each(|destination| router.bind(b"1", destination));
        assert!(!router.is_by_key());
        for user in 0..20 {
            let headers = FieldTable::new().with("user", user);
            let id = user.to_string();
            let message = |key| {
                let known = Addressing { headers: Some(&headers), ..Addressing::by_keys(key) };
                routed(&router, &Addressing { message_id: Some(id.as_bytes()), ..known })
            };
            assert_eq!(message(&[b"a"]), message(&[b"b"]));
        }
    }
}
