//! A policy and an operator policy together (RabbitMQ's rules).

use crate::core::declared::Definition;
use crate::protocol::FieldValue;

/// What both say. Where both have a key, the lower number counts, or the operator's word; an operator's first wait of returned
/// messages can only be longer.
pub fn merged(policy: Option<&Definition>, operator: Option<&Definition>) -> Definition {
    let mut both = policy.cloned().unwrap_or_default();
    for (key, limit) in operator.into_iter().flat_map(Definition::iter) {
        let chosen = match both.get(key) {
            Some(wished) => choose(key, wished, limit),
            None => limit,
        };
        both.insert(key.clone(), chosen.clone());
    }
    both
}

/// Of two delivery limits the lower one; a negative one is none and gives way.
pub fn lower_limit(one: i64, other: i64) -> i64 {
    if one < 0 || other < 0 { one.max(other) } else { one.min(other) }
}

fn choose<'a>(key: &[u8], wished: &'a FieldValue, limit: &'a FieldValue) -> &'a FieldValue {
    let (Some(wish), Some(most)) = (wished.as_i64(), limit.as_i64()) else { return limit };
    let chosen = match key {
        b"delivery-limit" => lower_limit(wish, most),
        b"delayed-retry-min" => wish.max(most),
        b"queue-version" | b"delayed-retry-multiplier" | b"delayed-retry-jitter" => most,
        _ => wish.min(most),
    };
    if chosen == wish { wished } else { limit }
}
