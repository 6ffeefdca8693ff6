//! What counts for a queue, and what says so: an argument, a policy, an operator's policy, or nothing but the default.
//!
//! The rules are those of [`QueueSettings::of`](super::QueueSettings::of): of numbers the lowest counts, names and words by argument before
//! policy, and how returned messages wait by policy before argument.

use super::merge::{lower_limit, merged};
use crate::core::declared::{Definition, PolicyKind, QueueType};
use crate::protocol::{FieldTable, FieldValue, ShortString};

/// What says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An argument of the declaration.
    Argument,
    /// A policy.
    Policy(PolicyKind),
    /// Nothing: it is so unless something says otherwise.
    Default,
}

/// Something that counts for a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Counting {
    /// Its name, as policies call it; arguments have it behind `x-`.
    pub key: ShortString,
    /// What counts.
    pub value: FieldValue,
    /// What says so.
    pub origin: Origin,
}

/// All that counts for a queue of these arguments under a policy and an operator's policy, by name.
pub fn counting(
    arguments: &FieldTable,
    policy: Option<&Definition>,
    operator: Option<&Definition>,
) -> Vec<Counting> {
    let both = merged(policy, operator);
    let mut all: Vec<Counting> = Vec::new();
    for (name, value) in arguments.iter() {
        let key = name.strip_prefix(b"x-").and_then(|key| ShortString::try_from(key).ok());
        all.push(Counting {
            key: key.unwrap_or_else(|| name.clone()),
            value: value.clone(),
            origin: Origin::Argument,
        });
    }
    for (key, value) in both.iter() {
        let origin = Origin::Policy(kind_of(key, value, operator));
        let by_policy = Counting { key: key.clone(), value: value.clone(), origin };
        match all.iter_mut().find(|counting| counting.key == *key) {
            Some(by_argument) if !argument_counts(key, &by_argument.value, value) => *by_argument = by_policy,
            Some(_) => {}
            None => all.push(by_policy),
        }
    }
    let limit = QueueType::of(arguments).delivery_limit();
    if let Some(limit) = limit.filter(|_| !all.iter().any(|counting| *counting.key == *b"delivery-limit")) {
        let key = ShortString::from_static("delivery-limit");
        all.push(Counting { key, value: FieldValue::I64(limit.into()), origin: Origin::Default });
    }
    all.sort_by(|one, other| one.key.cmp(&other.key));
    all
}

/// Which of two policies a value of both together is of: the operators', if they say the same.
fn kind_of(key: &ShortString, value: &FieldValue, operator: Option<&Definition>) -> PolicyKind {
    let is_operators = operator.and_then(|definition| definition.get(key)).is_some_and(|its| its == value);
    if is_operators { PolicyKind::Operator } else { PolicyKind::User }
}

/// Whether an argument counts where a policy says something, too.
fn argument_counts(key: &[u8], argument: &FieldValue, policy: &FieldValue) -> bool {
    let is_policys =
        key.starts_with(b"delayed-retry-") && !matches!(key, b"delayed-retry-min" | b"delayed-retry-max");
    match (argument.as_i64(), policy.as_i64()) {
        _ if is_policys => false,
        (Some(argument), Some(policy)) if key == b"delivery-limit" => {
            lower_limit(argument, policy) == argument
        }
        (Some(argument), Some(policy)) => argument <= policy,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::policy::QueueSettings;

    /// A number of what counts.
    type Read = fn(&QueueSettings) -> Option<i64>;

    fn table() -> FieldTable {
        FieldTable::new()
    }

    fn shown(all: &[Counting]) -> Vec<(String, FieldValue, Origin)> {
        all.iter()
            .map(|counting| (counting.key.to_string(), counting.value.clone(), counting.origin))
            .collect()
    }

    #[test]
    fn each_thing_that_counts_tells_what_says_so() {
        let arguments = table()
            .with("x-max-length", 5)
            .with("x-overflow", "drop-head")
            .with("x-expires", 900)
            .with("x-single-active-consumer", true);
        let policy = table().with("max-length", 7).with("overflow", "reject-publish").with("expires", 500);
        let operator = table().with("expires", 400).with("message-ttl", 30);
        let all = counting(&arguments, Some(&policy), Some(&operator));
        let (argument, operators) = (Origin::Argument, Origin::Policy(PolicyKind::Operator));
        let wanted = [
            ("expires".into(), FieldValue::from(400), operators),
            ("max-length".into(), FieldValue::from(5), argument),
            ("message-ttl".into(), FieldValue::from(30), operators),
            ("overflow".into(), FieldValue::from("drop-head"), argument),
            ("single-active-consumer".into(), FieldValue::from(true), argument),
        ];
        assert_eq!(shown(&all), wanted);
        let quorum = counting(&table().with("x-queue-type", "quorum"), Some(&policy), None);
        let limit = quorum.iter().find(|counting| *counting.key == *b"delivery-limit").unwrap();
        assert_eq!((limit.origin, limit.value.as_i64()), (Origin::Default, Some(20)));
        assert!(quorum.iter().any(|counting| counting.origin == Origin::Policy(PolicyKind::User)));
        assert_eq!(counting(&table(), None, None), []);
    }

    /// What is told to count is what counts: the numbers of [`QueueSettings`].
    #[test]
    fn what_is_told_is_what_counts() {
        let values = [None, Some(-1_i64), Some(3), Some(8)];
        let keys: [(&str, &str, Read); 2] = [
            ("x-max-length", "max-length", |settings| settings.max_length.map(|length| length as i64)),
            ("x-delivery-limit", "delivery-limit", |settings| settings.delivery_limit.map(i64::from)),
        ];
        let all = || values.into_iter();
        let pairs = || all().flat_map(|one| all().map(move |two| (one, two)));
        for (argument, (policy, operator)) in all().flat_map(|one| pairs().map(move |pair| (one, pair))) {
            for (name, key, read) in keys {
                if key == "max-length" && [argument, policy, operator].contains(&Some(-1)) {
                    continue; // refused where it is declared
                }
                let of =
                    |name: &'static str, value: Option<i64>| value.map(|value| table().with(name, value));
                let arguments = of(name, argument).unwrap_or_default();
                let (policy, operator) = (of(key, policy), of(key, operator));
                let counts = read(&QueueSettings::of(&arguments, policy.as_ref(), operator.as_ref()));
                let all = counting(&arguments, policy.as_ref(), operator.as_ref());
                let told = all.iter().find(|counting| *counting.key == *key.as_bytes());
                let told = told.and_then(|counting| counting.value.as_i64()).filter(|value| *value >= 0);
                assert_eq!(told, counts, "{key}: {argument:?} {policy:?} {operator:?}");
            }
        }
    }
}
