//! What the service says: `allow`, for a user with its tags behind, or `deny`, perhaps with a reason (RabbitMQ's newer versions).

use crate::limits::TAGS_MAX;
use crate::protocol::ShortString;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Yes. A user has these tags.
    Allow(Vec<ShortString>),
    /// No, and why, if that is said.
    Deny(Option<String>),
}

impl Answer {
    /// Reads what the service has sent. `None` if it is neither. Capitals make no difference (RabbitMQ), nor does space round it.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?.trim();
        let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        match word.to_ascii_lowercase().as_str() {
            "allow" => {
                let tags = rest.split_ascii_whitespace().map(|tag| ShortString::try_from(tag.to_lowercase()));
                let tags: Vec<_> = tags.collect::<Result<_, _>>().ok()?;
                (tags.len() <= TAGS_MAX).then_some(Self::Allow(tags))
            }
            "deny" => Some(Self::Deny(Some(rest.trim().to_owned()).filter(|reason| !reason.is_empty()))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_allow_with_tags_or_deny_with_a_reason_and_nothing_else() {
        let allow = |tags: &[&'static str]| {
            Some(Answer::Allow(tags.iter().map(|tag| ShortString::from_static(tag)).collect()))
        };
        let deny = |reason: Option<&str>| Some(Answer::Deny(reason.map(String::from)));
        for (body, answer) in [
            ("allow", allow(&[])),
            (" Allow \r\n", allow(&[])),
            ("allow administrator management", allow(&["administrator", "management"])),
            ("ALLOW\tAdministrator", allow(&["administrator"])),
            ("deny", deny(None)),
            ("DENY\n", deny(None)),
            ("deny it is too late", deny(Some("it is too late"))),
            ("", None),
            ("allowed", None),
            ("allow\nmanagement", None),
            ("denied", None),
            ("yes", None),
            ("true", None),
            ("\"allow\"", None),
            ("<html>allow</html>", None),
            ("all", None),
        ] {
            assert_eq!(Answer::parse(body.as_bytes()), answer, "{body:?}");
        }
        assert_eq!(Answer::parse(b"allow \xff"), None, "no UTF-8");
        assert_eq!(Answer::parse(format!("allow {}", "x".repeat(256)).as_bytes()), None, "no tag");
        let many = |tags: usize| Answer::parse(format!("allow{}", " t".repeat(tags)).as_bytes());
        assert!(many(TAGS_MAX).is_some() && many(TAGS_MAX + 1).is_none());
    }
}
