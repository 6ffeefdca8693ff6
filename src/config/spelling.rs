//! Keys that are not known, and which known ones may have been meant.

use crate::limits::SPELLING_MISTAKES_MAX;

/// The known name that is most like this one, if one is.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    let counted = known.into_iter().map(|known| (strsim::levenshtein(&name, known), known));
    // Short names are like each other by chance.
    let is_near = |(mistakes, known): &(usize, &str)| *mistakes <= SPELLING_MISTAKES_MAX.min(known.len() / 2);
    counted.filter(is_near).min().map(|(_, known)| known)
}

/// What to say of a key that the parser does not know; `None` if that is not what it says.
pub(super) fn unknown_key(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let key = quoted.next()?;
    let hint = match nearest(key, quoted) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "`leveret config example` lists those there are".into(),
    };
    Some(format!("unknown key `{key}`: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told_if_it_is_near() {
        const KNOWN: [&str; 4] = ["heartbeat", "channel-max", "connection-max", "log"];
        for (name, meant) in [
            ("haertbeat", Some("heartbeat")),
            ("HEARTBEAT", Some("heartbeat")),
            ("channel_max", Some("channel-max")),
            ("connection.max", Some("connection-max")),
            ("logs", Some("log")),
            ("no-such-key", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, KNOWN), meant, "{name}");
        }
        assert_eq!(nearest("heartbeat", []), None);
    }

    #[test]
    fn the_parsers_words_are_taken_apart() {
        for (message, told) in [
            (
                "unknown field `loga`, expected one of `log`, `heartbeat`",
                Some("unknown key `loga`: did you mean `log`?"),
            ),
            (
                "unknown field `a-key`, expected `b`",
                Some("unknown key `a-key`: `leveret config example` lists those there are"),
            ),
            (
                "unknown field `a-key`, there are no fields",
                Some("unknown key `a-key`: `leveret config example` lists those there are"),
            ),
            ("missing field `pattern`", None),
            ("unknown field", None),
        ] {
            assert_eq!(unknown_key(message).as_deref(), told, "{message}");
        }
    }
}
