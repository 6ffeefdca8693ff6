//! The pattern of a policy.
//!
//! RabbitMQ has Perl's regular expressions. Those here take time in proportion to a name's length whatever the pattern, and so
//! know no look-around; but the one that RabbitMQ's manuals made common, `^(?!amq\.)...`, is understood.

use regex::bytes::Regex;

/// The pattern of a policy, ready to match names.
#[derive(Debug)]
pub(super) struct Pattern {
    wanted: Regex,
    /// Names that begin like this are left out.
    unwanted: Option<Regex>,
}

impl Pattern {
    pub(super) fn new(pattern: &str) -> Result<Self, regex::Error> {
        if let Some((unwanted, wanted)) = split_exclusion(pattern) {
            let unwanted = Some(Regex::new(&format!("^(?:{unwanted})"))?);
            return Ok(Self { wanted: Regex::new(&format!("^{wanted}"))?, unwanted });
        }
        Ok(Self { wanted: Regex::new(pattern)?, unwanted: None })
    }

    /// Whether it is found in a name.
    pub(super) fn is_match(&self, name: &[u8]) -> bool {
        self.wanted.is_match(name) && !self.unwanted.as_ref().is_some_and(|unwanted| unwanted.is_match(name))
    }
}

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
