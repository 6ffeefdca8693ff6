//! Arguments that nothing here knows, and which known ones may have been meant.
//!
//! They are accepted, as in RabbitMQ, and do nothing: a spelling mistake is found out late. So the log tells of them. Only names that
//! begin with `x-` are looked at, for others are the clients' own business.

use super::arguments;
use crate::core::dedup;
use crate::limits::SPELLING_MISTAKES_MAX;
use crate::protocol::FieldTable;

/// What is declared with arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// A queue.
    Queue,
    /// An exchange.
    Exchange,
    /// A consumer.
    Consumer,
}

/// An argument that is not known.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// Its name, as it came.
    pub name: &'a [u8],
    /// The known name that is most like it, if one is.
    pub nearest: Option<&'static str>,
}

impl Declared {
    /// The arguments that are not known.
    pub fn unknown(self, arguments: &FieldTable) -> impl Iterator<Item = Unknown<'_>> {
        let names = arguments.iter().map(|(name, _)| name.as_bytes());
        let unknown = names.filter(move |name| {
            name.get(..2).is_some_and(|front| front.eq_ignore_ascii_case(b"x-"))
                && !self.names().any(|known| known.as_bytes() == *name)
        });
        unknown.map(move |name| Unknown { name, nearest: self.nearest(name) })
    }

    /// The arguments that mean something, those that are refused or belong to queue types that are not here too.
    fn names(self) -> impl Iterator<Item = &'static str> {
        let (of_queues, of_others): (_, &[&str]) = match self {
            Self::Queue => (Some(arguments::names()), &["x-queue-type", "x-name-prefix"]),
            Self::Exchange => (None, &["x-delayed-type", "x-hash-on", "x-recent-history-length"]),
            Self::Consumer => (None, CONSUMER),
        };
        let deduplication = (self == Self::Exchange).then_some(dedup::ARGUMENTS);
        of_queues
            .into_iter()
            .flatten()
            .chain(of_others.iter().copied())
            .chain(deduplication.into_iter().flatten())
    }

    fn nearest(self, name: &[u8]) -> Option<&'static str> {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let near = self.names().filter(|known| known.len().abs_diff(name.len()) <= SPELLING_MISTAKES_MAX);
        let counted = near.map(|known| (strsim::levenshtein(&name, known), known));
        counted.filter(|(mistakes, _)| *mistakes <= SPELLING_MISTAKES_MAX).min().map(|(_, known)| known)
    }
}

const CONSUMER: &[&str] = &[
    "x-priority",
    "x-consumer-timeout",
    "x-cancel-on-ha-failover",
    "x-stream-offset",
    "x-stream-filter",
    "x-stream-match-unfiltered",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(declared: Declared, names: &[&'static str]) -> Vec<(String, Option<&'static str>)> {
        let arguments = names.iter().fold(FieldTable::new(), |table, name| table.with(name, 1));
        let unknown = declared.unknown(&arguments);
        unknown.map(|it| (String::from_utf8_lossy(it.name).into_owned(), it.nearest)).collect()
    }

    #[test]
    fn a_spelling_mistake_is_told_with_the_name_that_was_meant() {
        for (declared, name, meant) in [
            (Declared::Queue, "x-max-lenght", Some("x-max-length")),
            (Declared::Queue, "x-mesage-ttl", Some("x-message-ttl")),
            (Declared::Queue, "X-Expires", Some("x-expires")),
            (Declared::Queue, "x-delay-retry-min", Some("x-delayed-retry-min")),
            (Declared::Queue, "x-queuetype", Some("x-queue-type")),
            (Declared::Queue, "x-something-of-theirs", None),
            (Declared::Queue, "x-", None),
            (Declared::Exchange, "x-delayed-typ", Some("x-delayed-type")),
            (Declared::Exchange, "x-max-length", None),
            (Declared::Consumer, "x-prioritty", Some("x-priority")),
            (Declared::Consumer, "x-message-ttl", None),
        ] {
            assert_eq!(found(declared, &[name]), [(name.to_owned(), meant)], "{declared:?}");
        }
    }

    #[test]
    fn what_is_known_or_a_clients_own_is_not_told() {
        assert_eq!(
            found(Declared::Queue, &["x-max-length", "x-queue-type", "x-max-age", "x-cache-size"]),
            []
        );
        assert_eq!(
            found(Declared::Exchange, &["x-delayed-type", "x-message-deduplication", "hash-hedaer"]),
            []
        );
        assert_eq!(found(Declared::Consumer, &["x-priority", "x-consumer-timeout", "note"]), []);
        assert_eq!(found(Declared::Queue, &["max-lenght", "", "x"]), []);
    }
}
