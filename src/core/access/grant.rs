//! What one user may do in one virtual host.

use std::collections::HashMap;

use super::{PermissionsSpec, TopicPermissionsSpec};
use crate::core::pattern::{BadPattern, Pattern};
use crate::protocol::ShortString;

/// What may be permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// To make, change and delete it.
    Configure,
    /// To put messages into it.
    Write,
    /// To take messages from it.
    Read,
}

impl Permission {
    /// The word in the texts of refusals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// The permissions of a user in a virtual host, ready to be asked.
#[derive(Debug, Clone)]
pub struct Grant {
    configure: Pattern,
    write: Pattern,
    read: Pattern,
    topics: HashMap<ShortString, Topics>,
}

/// Keys of one topic exchange.
#[derive(Debug, Clone)]
struct Topics {
    write: Pattern,
    read: Pattern,
}

impl Grant {
    /// What permissions say. An error if one of the expressions cannot be read.
    pub fn new(spec: &PermissionsSpec, topics: &[&TopicPermissionsSpec]) -> Result<Self, BadPattern> {
        let topics = topics.iter().map(|spec| Ok((spec.exchange.clone(), Topics::new(spec)?)));
        Ok(Self {
            configure: permitted(&spec.configure)?,
            write: permitted(&spec.write)?,
            read: permitted(&spec.read)?,
            topics: topics.collect::<Result<_, _>>()?,
        })
    }

    /// Whether something may be done with the queue or exchange of this name. The exchange without a name is asked for as
    /// `amq.default` (RabbitMQ).
    pub fn permits(&self, permission: Permission, name: &[u8]) -> bool {
        let pattern = match permission {
            Permission::Configure => &self.configure,
            Permission::Write => &self.write,
            Permission::Read => &self.read,
        };
        pattern.is_match(name)
    }

    /// Whether a key may be used with a topic exchange: to publish with [`Permission::Write`], to bind with
    /// [`Permission::Read`].
    pub fn permits_topic(&self, permission: Permission, exchange: &[u8], key: &[u8]) -> bool {
        let Some(topics) = self.topics.get(exchange) else { return true };
        match permission {
            Permission::Configure => true,
            Permission::Write => topics.write.is_match(key),
            Permission::Read => topics.read.is_match(key),
        }
    }

    /// Whether keys count for any exchange.
    pub fn has_topics(&self) -> bool {
        !self.topics.is_empty()
    }
}

impl TopicPermissionsSpec {
    /// Whether its expressions can be read.
    pub fn check(&self) -> Result<(), BadPattern> {
        Topics::new(self).map(drop)
    }
}

impl Topics {
    fn new(spec: &TopicPermissionsSpec) -> Result<Self, BadPattern> {
        Ok(Self { write: topics(spec, &spec.write)?, read: topics(spec, &spec.read)? })
    }
}

/// The names in it are taken by the letter: no user widens its permission by its own name.
fn topics(spec: &TopicPermissionsSpec, pattern: &str) -> Result<Pattern, BadPattern> {
    let by_the_letter = |name: &ShortString| regex_syntax::escape(&name.as_str_lossy());
    let pattern = pattern
        .replace("{username}", &by_the_letter(&spec.user))
        .replace("{vhost}", &by_the_letter(&spec.vhost))
        // Of MQTT: clients of AMQP have none, and RabbitMQ leaves the word as it is.
        .replace("{client_id}", r"\{client_id\}");
    permitted(&pattern)
}

fn permitted(pattern: &str) -> Result<Pattern, BadPattern> {
    Pattern::new(if pattern.is_empty() { "^$" } else { pattern })
}
