//! Scopes of a token: `read:vhost/name`, `write:vhost/name/routing-key`, `configure:vhost/name`, `tag:administrator`.
//!
//! Virtual host, name and key are patterns: `*` stands for anything, also for nothing, and what is percent-encoded for itself, so that
//! `%2F` is the virtual host `/` and `%2A` an asterisk (RabbitMQ). A scope that cannot be read permits nothing.

use crate::core::access::Permission;
use crate::protocol::ShortString;

/// What one scope says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// Something may be done.
    Permits(Permitted),
    /// The user has a tag.
    Tag(ShortString),
}

/// Something may be done with what the patterns match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Permitted {
    permission: Permission,
    vhost: Wildcard,
    name: Wildcard,
    key: Wildcard,
}

impl Scope {
    /// Reads a scope without the resource server's prefix.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let permission = match kind {
            "configure" => Permission::Configure,
            "write" => Permission::Write,
            "read" => Permission::Read,
            "tag" => return Some(Self::Tag(ShortString::try_from(rest).ok().filter(|tag| !tag.is_empty())?)),
            _ => return None,
        };
        let mut parts = rest.split('/');
        let (vhost, name, key) = (parts.next()?, parts.next()?, parts.next().unwrap_or("*"));
        if parts.next().is_some() {
            return None;
        }
        let [vhost, name, key] = [vhost, name, key].map(Wildcard::parse);
        Some(Self::Permits(Permitted { permission, vhost: vhost?, name: name?, key: key? }))
    }
}

impl Permitted {
    /// Whether anything is permitted in a virtual host: then it may be opened.
    pub(super) fn in_vhost(&self, vhost: &[u8]) -> bool {
        self.vhost.matches(vhost)
    }

    /// Whether something may be done with the queue or exchange of this name, whatever the key.
    pub(super) fn permits(&self, permission: Permission, vhost: &[u8], name: &[u8]) -> bool {
        self.permission == permission && self.vhost.matches(vhost) && self.name.matches(name)
    }

    /// Whether a key may be used with the topic exchange of this name.
    pub(super) fn permits_topic(
        &self,
        permission: Permission,
        vhost: &[u8],
        name: &[u8],
        key: &[u8],
    ) -> bool {
        self.permits(permission, vhost, name) && self.key.matches(key)
    }
}

/// Literal pieces with anything in between.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wildcard(Vec<Vec<u8>>);

impl Wildcard {
    fn parse(text: &str) -> Option<Self> {
        text.split('*').map(percent_decoded).collect::<Option<_>>().map(Self)
    }

    /// In time that grows with the text and the pattern, not faster: each piece is taken at the first place where it fits.
    fn matches(&self, text: &[u8]) -> bool {
        let [first, middle @ .., last] = &self.0[..] else {
            return self.0.first().is_some_and(|only| only == text);
        };
        let Some(rest) = text.strip_prefix(&first[..]) else { return false };
        let Some(mut rest) = rest.strip_suffix(&last[..]) else { return false };
        middle.iter().all(|piece| match memchr::memmem::find(rest, piece) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    }
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(text: &str) -> Permitted {
        match Scope::parse(text) {
            Some(Scope::Permits(permitted)) => permitted,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_name_with_anything_for_an_asterisk() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "ba", false),
            ("*", "", true),
            ("*", "anything/at.all", true),
            ("**", "", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("*ab*ab*", "ab", false),
            ("*ab*ab*", "abab", true),
            ("ab*bc", "abc", false),
            ("%2F", "/", true),
            ("%2f", "/", true),
            ("%2A", "*", true),
            ("%2A", "x", false),
            ("a%20b", "a b", true),
            ("a+b", "a+b", true),
            ("%C3%A4", "ä", true),
        ] {
            assert_eq!(
                Wildcard::parse(pattern).unwrap().matches(text.as_bytes()),
                matches,
                "{pattern} {text}"
            );
        }
        assert!(!Wildcard::parse("A").unwrap().matches(b"a"), "letters are what they are");
        assert!(Wildcard::parse("*").unwrap().matches(b"\xFF"));
    }

    #[test]
    fn a_pattern_takes_no_more_time_than_its_length() {
        let pattern = "*a".repeat(2_000) + "b";
        assert!(!Wildcard::parse(&pattern).unwrap().matches(&b"a".repeat(8_000)));
    }

    #[test]
    fn what_is_no_scope_permits_nothing() {
        for text in [
            "",
            ":",
            "read",
            "read:",
            "read:vhost",
            "read:a/b/c/d",
            "reads:a/b",
            "READ:a/b",
            "read :a/b",
            "a/b",
            "read:%/b",
            "read:a/%2",
            "read:a/b/%zz",
            "read:a/%+2",
            "tag",
            "tag:",
            "tags:administrator",
        ] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
        assert_eq!(Scope::parse(&format!("tag:{}", "x".repeat(256))), None);
        assert_eq!(
            Scope::parse("tag:administrator"),
            Some(Scope::Tag(ShortString::from_static("administrator")))
        );
        assert_eq!(Scope::parse("tag:a:b"), Some(Scope::Tag(ShortString::from_static("a:b"))));
    }

    #[test]
    fn a_scope_permits_one_thing_with_what_all_its_patterns_match() {
        for (text, own) in [
            ("configure:v*/q*", Permission::Configure),
            ("write:v*/q*", Permission::Write),
            ("read:v*/q*", Permission::Read),
            ("read:v*/q*/*", Permission::Read),
        ] {
            let scope = permitted(text);
            for permission in [Permission::Configure, Permission::Write, Permission::Read] {
                for (vhost, name, matches) in [
                    ("v", "q", true),
                    ("vhost", "queue", true),
                    ("x", "q", false),
                    ("v", "x", false),
                    ("", "", false),
                ] {
                    let permits = scope.permits(permission, vhost.as_bytes(), name.as_bytes());
                    assert_eq!(permits, matches && permission == own, "{text} {permission:?} {vhost} {name}");
                    let topic =
                        scope.permits_topic(permission, vhost.as_bytes(), name.as_bytes(), b"any.key");
                    assert_eq!(topic, permits, "without a key all are permitted");
                }
            }
            assert!(scope.in_vhost(b"vhost") && !scope.in_vhost(b"other"));
        }
    }

    #[test]
    fn a_key_counts_for_topics_alone() {
        let scope = permitted("write:%2F/x/a.*");
        for (key, permits) in [("a.", true), ("a.b", true), ("a", false), ("b.a", false)] {
            assert_eq!(scope.permits_topic(Permission::Write, b"/", b"x", key.as_bytes()), permits, "{key}");
        }
        assert!(!scope.permits_topic(Permission::Read, b"/", b"x", b"a.b"));
        assert!(scope.permits(Permission::Write, b"/", b"x"));
    }
}
