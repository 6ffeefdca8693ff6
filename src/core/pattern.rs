//! Patterns that operators give: of names in policies and permissions, of routing keys in topic permissions.
//!
//! RabbitMQ has Perl's regular expressions. Those here take time in proportion to a name's length whatever the pattern, and so
//! know no look-around; but the one that RabbitMQ's manuals made common, `^(?!amq\.)...`, is understood.

use regex::bytes::Regex;

/// A regular expression, ready to be looked for anywhere in a name.
#[derive(Debug, Clone)]
pub struct Pattern {
    wanted: Regex,
    /// Names that begin like this are left out.
    unwanted: Option<Regex>,
}

impl Pattern {
    /// Reads an expression. An error says what is wrong with it, in one line.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        Self::compile(pattern).map_err(|error| {
            let why = error.to_string();
            BadPattern(why.split_whitespace().collect::<Vec<_>>().join(" "))
        })
    }

    fn compile(pattern: &str) -> Result<Self, regex::Error> {
        if let Some((unwanted, wanted)) = split_exclusion(pattern) {
            let unwanted = Some(Regex::new(&format!("^(?:{unwanted})"))?);
            return Ok(Self { wanted: Regex::new(&format!("^{wanted}"))?, unwanted });
        }
        Ok(Self { wanted: Regex::new(pattern)?, unwanted: None })
    }

    /// Whether it is found in a name.
    pub fn is_match(&self, name: &[u8]) -> bool {
        self.wanted.is_match(name) && !self.unwanted.as_ref().is_some_and(|unwanted| unwanted.is_match(name))
    }
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
}
