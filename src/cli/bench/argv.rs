//! Spellings of PerfTest that clap cannot express: one dash and two or three letters, and `-h` for the URI.
//!
//! They are rewritten before clap sees the command line: `-qp`, `-qpf`, `-qpt` and `-ad`, also as `-qp=VALUE`, and
//! `-h amqp://...`. Only the arguments of `bench` are touched, and nothing after `--`.

use std::ffi::OsString;

/// The command line with the spellings that clap knows.
pub(in crate::cli) fn rewrite(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_none_or(|command| command != "bench") {
        return arguments;
    }
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    for at in 2..end {
        let next_is_uri = arguments.get(at + 1).is_some_and(is_uri);
        if let Some(long) = arguments[at].to_str().and_then(|short| long_form(short, next_is_uri)) {
            arguments[at] = long.into();
        }
    }
    arguments
}

fn long_form(argument: &str, next_is_uri: bool) -> Option<String> {
    let (name, value) = match argument.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (argument, None),
    };
    let long = match name {
        "-qp" => "--queue-pattern",
        "-qpf" => "--queue-pattern-from",
        "-qpt" => "--queue-pattern-to",
        "-ad" => "--auto-delete",
        "-h" if next_is_uri && value.is_none() => "--uri",
        _ => return None,
    };
    Some(value.map_or_else(|| long.to_owned(), |value| format!("{long}={value}")))
}

fn is_uri(argument: &OsString) -> bool {
    argument.to_str().is_some_and(|text| text.starts_with("amqp://") || text.starts_with("amqps://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let arguments = rewrite(line.split(' ').map(OsString::from));
        arguments.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn two_letter_options_become_long_ones() {
        assert_eq!(
            rewritten("leveret bench -qp perf-%d -qpf 1 -qpt 10 -ad false -q 5 -x 2"),
            "leveret bench --queue-pattern perf-%d --queue-pattern-from 1 --queue-pattern-to 10 --auto-delete false -q 5 -x 2"
        );
        assert_eq!(
            rewritten("leveret bench -qp=a-%d -qpf=3"),
            "leveret bench --queue-pattern=a-%d --queue-pattern-from=3"
        );
    }

    #[test]
    fn the_short_h_is_the_uri_before_a_uri_and_help_elsewhere() {
        assert_eq!(rewritten("leveret bench -h amqp://a -x 1"), "leveret bench --uri amqp://a -x 1");
        assert_eq!(rewritten("leveret bench -h"), "leveret bench -h");
    }

    #[test]
    fn other_commands_and_what_follows_two_dashes_stay_as_they_are() {
        for line in ["leveret", "leveret serve -qp 1", "leveret --data-dir bench -ad", "leveret bench -- -qp"]
        {
            assert_eq!(rewritten(line), line);
        }
    }
}
