//! The part of a report that says what is declared and set: virtual hosts, users, permissions, parameters.

use std::fmt::{self, Display, Formatter};

use crate::core::{
    access::{HashAlgorithm, Limits, PermissionsSpec, TopicPermissionsSpec},
    declared::VhostSettings,
};
use crate::protocol::{Printable, ShortString};
use crate::store::fsck::{Declared, ParameterReport, UserReport, VhostReport};

/// Writes it; each list has no more than `limit` lines.
pub(super) fn write(f: &mut Formatter<'_>, declared: &Declared, limit: usize) -> fmt::Result {
    let Declared { users, permissions, topic_permissions, vhosts, parameters, .. } = declared;
    list(f, "vhosts", vhosts.iter().map(|(name, vhost)| vhost_line(name, vhost)), limit)?;
    list(f, "users", users.iter().map(user_line), limit)?;
    let permissions = permissions.iter().map(permissions_line);
    let topics = topic_permissions.iter().map(topics_line);
    list(f, "permissions", permissions.chain(topics), limit)?;
    list(f, "parameters", parameters.iter().map(parameter_line), limit)
}

/// A count, and a line for each.
fn list(
    f: &mut Formatter<'_>,
    title: &str,
    lines: impl Iterator<Item = String> + Clone,
    limit: usize,
) -> fmt::Result {
    let count = lines.clone().count();
    writeln!(f, "{title:<12} {count}")?;
    for line in lines.take(limit) {
        writeln!(f, "  {line}")?;
    }
    let rest = count.saturating_sub(limit);
    if rest > 0 { writeln!(f, "  and {rest} more") } else { Ok(()) }
}

fn vhost_line(name: &ShortString, vhost: &VhostReport) -> String {
    let VhostSettings { description, tags, default_queue_type, tracing, limits } = &vhost.settings;
    let mut facts = Vec::new();
    if vhost.is_deleted {
        facts.push("deleted, and not yet cleared away".to_owned());
    }
    if !description.is_empty() {
        facts.push(format!("\"{}\"", Printable::new(description)));
    }
    facts.extend(named("tags", tags));
    facts.extend(default_queue_type.map(|kind| format!("default queue type {}", kind.name())));
    if *tracing {
        facts.push("tracing".to_owned());
    }
    facts.extend(limit_facts(limits));
    line(Printable::new(name), &facts)
}

fn user_line(user: &UserReport) -> String {
    let UserReport { name, tags, algorithm, limits } = user;
    let mut facts = vec![algorithm.map_or("no password", HashAlgorithm::name).to_owned()];
    facts.extend(named("tags", tags));
    facts.extend(limit_facts(limits));
    line(Printable::new(name), &facts)
}

fn permissions_line(spec: &PermissionsSpec) -> String {
    let PermissionsSpec { user, vhost, configure, write, read } = spec;
    let names = format!("{} in {}", Printable::new(user), Printable::new(vhost));
    line(names, &[pattern("configure", configure), pattern("write", write), pattern("read", read)])
}

fn topics_line(spec: &TopicPermissionsSpec) -> String {
    let TopicPermissionsSpec { user, vhost, exchange, write, read } = spec;
    let [user, vhost, exchange] = [user, vhost, exchange].map(Printable::new);
    let names = format!("{user} in {vhost}, topics of {exchange}");
    line(names, &[pattern("write", write), pattern("read", read)])
}

fn parameter_line(parameter: &ParameterReport) -> String {
    let name = Printable::new(&parameter.name);
    match &parameter.of {
        Some((vhost, component)) => format!("{} {} {name}", Printable::new(vhost), Printable::new(component)),
        None => format!("{name}, global"),
    }
}

fn line(name: impl Display, facts: &[String]) -> String {
    if facts.is_empty() { name.to_string() } else { format!("{name}: {}", facts.join(", ")) }
}

fn pattern(permission: &str, pattern: &str) -> String {
    format!("{permission} \"{}\"", Printable::new(pattern))
}

fn named(what: &str, names: &[ShortString]) -> Option<String> {
    let names: Vec<String> = names.iter().map(|name| Printable::new(name).to_string()).collect();
    (!names.is_empty()).then(|| format!("{what} {}", names.join(" ")))
}

fn limit_facts(limits: &Limits) -> impl Iterator<Item = String> + '_ {
    limits.iter().map(|(limit, max)| format!("{} {max}", limit.name()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::{access::Limit, declared::QueueType};

    struct Shown<'a>(&'a Declared, usize);

    impl Display for Shown<'_> {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            write(f, self.0, self.1)
        }
    }

    fn name(text: &'static str) -> ShortString {
        ShortString::from_static(text)
    }

    fn user(text: &'static str, algorithm: Option<HashAlgorithm>) -> UserReport {
        UserReport { name: name(text), tags: Vec::new(), algorithm, limits: Limits::default() }
    }

    #[test]
    fn everything_that_is_set_has_its_line() {
        let settings = VhostSettings {
            description: "a\nb".into(),
            tags: vec![name("one"), name("two")],
            default_queue_type: Some(QueueType::Quorum),
            tracing: true,
            limits: [(Limit::MaxQueues, 5)].into_iter().collect(),
        };
        let (user, vhost, exchange) = (name("u"), name("/"), name("x"));
        let declared = Declared {
            users: vec![
                UserReport {
                    name: user.clone(),
                    tags: vec![name("administrator")],
                    algorithm: Some(HashAlgorithm::Argon2id),
                    limits: [(Limit::MaxChannels, 9)].into_iter().collect(),
                },
                self::user("nobody", None),
            ],
            permissions: vec![PermissionsSpec {
                user: user.clone(),
                vhost: vhost.clone(),
                configure: "^u".into(),
                write: ".*".into(),
                read: String::new(),
            }],
            topic_permissions: vec![TopicPermissionsSpec {
                user,
                vhost: vhost.clone(),
                exchange,
                write: "a".into(),
                read: "b".into(),
            }],
            vhosts: BTreeMap::from([
                (vhost.clone(), VhostReport { settings, is_deleted: false }),
                (name("gone"), VhostReport { is_deleted: true, ..VhostReport::default() }),
                (name("plain"), VhostReport::default()),
            ]),
            parameters: vec![
                ParameterReport { of: None, name: name("cluster_name") },
                ParameterReport { of: Some((vhost, name("shovel"))), name: name("s") },
            ],
            ..Declared::default()
        };
        let expected = r#"vhosts       3
  /: "a\nb", tags one two, default queue type quorum, tracing, max-queues 5
  gone: deleted, and not yet cleared away
  plain
users        2
  u: leveret_password_hashing_argon2id, tags administrator, max-channels 9
  nobody: no password
permissions  2
  u in /: configure "^u", write ".*", read ""
  u in /, topics of x: write "a", read "b"
parameters   2
  cluster_name, global
  / shovel s
"#;
        assert_eq!(Shown(&declared, usize::MAX).to_string(), expected);
    }

    #[test]
    fn lists_are_cut_at_the_limit() {
        let users = ["a", "b", "c"].map(|text| user(text, Some(HashAlgorithm::Sha256)));
        let declared = Declared { users: users.into(), ..Declared::default() };
        let shown = Shown(&declared, 1).to_string();
        let expected = "users        3\n  a: rabbit_password_hashing_sha256\n  and 2 more\n";
        assert!(shown.contains(expected), "{shown}");
    }
}
