//! Patterns that operators give: of names in policies and permissions, of routing keys in topic permissions.
//!
//! RabbitMQ has Perl's regular expressions. Those here are made into automata when they are set, so that a name is matched by one look at
//! each of its octets whatever the pattern: a pattern whose automaton would be too large is refused. So they know no look-around; but the
//! one that RabbitMQ's manuals made common, `^(?!amq\.)...`, is understood. Letters are octets, as in RabbitMQ, unless the pattern only
//! makes sense with characters.

use std::{error::Error, fmt, sync::Arc};

use regex_automata::{
    Input, MatchKind,
    dfa::{Automaton, StartKind, dense, sparse},
    nfa::thompson::{self, WhichCaptures},
    util::syntax,
};

use crate::limits::{PATTERN_AUTOMATON_BYTES_MAX, PATTERN_MAKING_BYTES_MAX};

/// A regular expression, ready to be looked for anywhere in a name.
#[derive(Clone)]
pub struct Pattern {
    wanted: Finder,
    /// Names that begin like this are left out.
    unwanted: Option<Finder>,
}

impl Pattern {
    /// Reads an expression. An error says what is wrong with it, in one line.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        if let Some((unwanted, wanted)) = split_exclusion(pattern) {
            let unwanted = Some(Finder::new(&format!("^(?:{unwanted})"))?);
            return Ok(Self { wanted: Finder::new(&format!("^{wanted}"))?, unwanted });
        }
        Ok(Self { wanted: Finder::new(pattern)?, unwanted: None })
    }

    /// Whether it is found in a name.
    pub fn is_match(&self, name: &[u8]) -> bool {
        self.wanted.finds(name) && !self.unwanted.as_ref().is_some_and(|unwanted| unwanted.finds(name))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern").finish_non_exhaustive()
    }
}

/// An automaton.
#[derive(Clone)]
struct Finder(Arc<sparse::DFA<Vec<u8>>>);

impl Finder {
    fn new(pattern: &str) -> Result<Self, BadPattern> {
        let automaton = match automaton(pattern, false) {
            Err(Unfit::Unreadable(_)) => automaton(pattern, true),
            made => made,
        };
        let small = automaton.and_then(|automaton| automaton.to_sparse().map_err(|error| Unfit::of(&error)));
        match small {
            Ok(small) => Ok(Self(Arc::new(small))),
            Err(Unfit::TooMuch) => Err(BadPattern("it takes too much to be matched".to_owned())),
            Err(Unfit::Unreadable(why)) => Err(BadPattern(why)),
        }
    }

    fn finds(&self, name: &[u8]) -> bool {
        let found = self.0.try_search_fwd(&Input::new(name).earliest(true));
        found.expect("it gives up at no octet, and may begin anywhere").is_some()
    }
}

/// Why there is no automaton.
enum Unfit {
    TooMuch,
    Unreadable(String),
}

impl Unfit {
    fn of(error: &dense::BuildError) -> Self {
        if error.is_size_limit_exceeded() { Self::TooMuch } else { Self::unreadable(error) }
    }

    /// In the words of the first cause, which is what people can change, in one line.
    fn unreadable(error: &dyn Error) -> Self {
        let mut cause = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        Self::Unreadable(cause.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn automaton(pattern: &str, of_characters: bool) -> Result<dense::DFA<Vec<u32>>, Unfit> {
    let bytes_max = Some(PATTERN_AUTOMATON_BYTES_MAX);
    let parsed = thompson::Compiler::new()
        .syntax(syntax::Config::new().utf8(false).unicode(of_characters))
        .configure(thompson::Config::new().nfa_size_limit(bytes_max).which_captures(WhichCaptures::None))
        .build(pattern)
        .map_err(|error| match error.size_limit() {
            Some(_) => Unfit::TooMuch,
            None => Unfit::unreadable(&error),
        })?;
    let config = dense::Config::new()
        .start_kind(StartKind::Unanchored)
        .match_kind(MatchKind::All)
        .dfa_size_limit(bytes_max)
        .determinize_size_limit(Some(PATTERN_MAKING_BYTES_MAX));
    dense::Builder::new().configure(config).build_from_nfa(&parsed).map_err(|error| Unfit::of(&error))
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(String);

/// The two parts of `^(?!unwanted)wanted`. None where an alternative at the top makes it mean something else.
fn split_exclusion(pattern: &str) -> Option<(&str, &str)> {
    let rest = pattern.strip_prefix("^(?!")?;
    let end = end_of_group(rest)?;
    let (unwanted, wanted) = (&rest[..end], &rest[end + 1..]);
    (!wanted.contains('|')).then_some((unwanted, wanted))
}

/// Where the parenthesis is that closes a group whose content begins the text.
fn end_of_group(text: &str) -> Option<usize> {
    let (mut depth, mut escaped, mut in_class) = (0_usize, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => in_class = false,
            _ if in_class => {}
            '[' => in_class = true,
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_looked_for_anywhere_in_a_name() {
        for (pattern, name, found) in [
            ("", "", true),
            ("b", "abc", true),
            ("^b", "abc", false),
            ("^abc$", "abc", true),
            (r"^\d+\.", "17.q", true),
            ("(?i)ABC", "abc", true),
            ("^é$", "é", true),
            (r"^(?!amq\.).*", "amq.gen-1", false),
            (r"^(?!amq\.).*", "orders", true),
            (r"^(?!amq\.|x(y)\)[)]).*s$", "orders", true),
            (r"^(?!amq\.|x(y)\)[)]).*s$", "xy))s", false),
            (r"^(?!amq\.)orders", "orders", true),
            (r"^(?!amq\.)orders", "my orders", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).unwrap().is_match(name.as_bytes()),
                found,
                "{pattern} in {name}"
            );
        }
        assert!(Pattern::new("^a").unwrap().is_match(b"a\xFF"), "a name need not be UTF-8");
    }

    #[test]
    fn letters_are_octets_unless_that_makes_no_sense() {
        for (pattern, name, found) in [(r"^\w$", "é", false), (r"^..$", "é", true), ("^[é]$", "é", true)]
        {
            let is_match = Pattern::new(pattern).map(|pattern| pattern.is_match(name.as_bytes()));
            assert_eq!(is_match, Ok(found), "{pattern} in {name}");
        }
    }

    #[test]
    fn a_pattern_that_takes_too_much_is_refused_and_large_ones_of_every_day_are_not() {
        for pattern in [
            "[a-d]*a[a-d]{200}b$",
            "(a|b)*a(a|b|c|d){60}b$",
            r"(?:.*a.{100}){100}b$",
            "(((x{100}){100}){100}){100}",
        ] {
            let error = Pattern::new(pattern).unwrap_err().to_string();
            assert_eq!(error, "it takes too much to be matched", "{pattern}");
        }
        let names: Vec<_> = (0..700).map(|n| format!("service-{n}.orders")).collect();
        let any = Pattern::new(&format!("^({})$", names.join("|"))).unwrap();
        assert!(any.is_match(b"service-699.orders") && !any.is_match(b"service-700.orders"));
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        for (pattern, words) in
            [("(", "unclosed group"), ("a{2,1}", "invalid repetition"), ("(?=a)", "look-around")]
        {
            let error = Pattern::new(pattern).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains('\n'), "{error}");
        }
    }
}
