//! What the service is asked, with RabbitMQ's names, as a form.

use std::{fmt::Write, net::IpAddr, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use zeroize::Zeroizing;

use crate::core::access::Permission;
use crate::protocol::ShortString;

/// Somebody whom the service knows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct HttpUser {
    /// Its name.
    pub name: ShortString,
    /// Its tags.
    pub tags: Vec<ShortString>,
    /// It is one of the broker's own users as well, whose password the broker has checked.
    pub is_own: bool,
}

/// Whether a user may do something in a virtual host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// Who.
    pub user: Arc<HttpUser>,
    /// Where.
    pub vhost: ShortString,
    /// What.
    pub about: About,
}

/// What a user would do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum About {
    /// Open the virtual host.
    Vhost {
        /// Where the user is.
        ip: IpAddr,
    },
    /// Something with a queue or an exchange.
    Resource {
        /// `queue` or `exchange`.
        kind: &'static str,
        /// Its name; `amq.default` for the exchange without one.
        name: ShortString,
        /// What.
        permission: Permission,
    },
    /// Use a key with a topic exchange.
    Topic {
        /// The exchange.
        exchange: ShortString,
        /// The key.
        key: ShortString,
        /// Publish with it ([`Permission::Write`]) or bind with it ([`Permission::Read`]).
        permission: Permission,
    },
}

impl Question {
    /// As the service gets it.
    pub(super) fn form(&self) -> String {
        let Self { user, vhost, about } = self;
        let tags: Vec<_> = user.tags.iter().map(ToString::to_string).collect();
        let tags = tags.join(" ");
        let mut form = String::new();
        let mut add = |name: &str, value: &[u8]| push(&mut form, name, value);
        add("username", &user.name);
        add("vhost", vhost);
        match about {
            About::Vhost { ip } => {
                add("ip", ip.to_canonical().to_string().as_bytes());
                add("tags", tags.as_bytes());
            }
            About::Resource { kind, name, permission } => {
                add("resource", kind.as_bytes());
                add("name", name);
                add("permission", permission.name().as_bytes());
                add("tags", tags.as_bytes());
            }
            About::Topic { exchange, key, permission } => {
                add("resource", b"topic");
                add("name", exchange);
                add("permission", permission.name().as_bytes());
                add("tags", tags.as_bytes());
                add("routing_key", key);
                add("variable_map.username", &user.name);
                add("variable_map.vhost", vhost);
            }
        }
        form
    }
}

/// What it is asked about somebody who logs in; without a password about one who is vouched for.
pub(super) fn login_form(user: &[u8], password: Option<&[u8]>) -> Zeroizing<String> {
    // Room for all of it, so that no copy of the password is left where it grew out of.
    let mut form =
        Zeroizing::new(String::with_capacity(64 + 3 * (user.len() + password.map_or(0, <[u8]>::len))));
    push(&mut form, "username", user);
    if let Some(password) = password {
        push(&mut form, "password", password);
    }
    form
}

fn push(form: &mut String, name: &str, value: &[u8]) {
    let and = if form.is_empty() { "" } else { "&" };
    write!(form, "{and}{name}={}", percent_encode(value, QUOTED)).expect("a text takes everything");
}

/// All but what stands for itself (RFC 3986, 2.3).
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &'static str) -> ShortString {
        ShortString::from_static(text)
    }

    #[test]
    fn questions_have_the_parameters_that_rabbitmqs_plugin_sends() {
        let user = Arc::new(HttpUser {
            name: name("ann & co"),
            tags: vec![name("management"), name("own")],
            is_own: false,
        });
        let asked = |about| Question { user: user.clone(), vhost: name("/"), about }.form();
        let (exchange, key, queue) = (name("events"), name("a.b#"), name("q"));
        let head = "username=ann%20%26%20co&vhost=%2F";
        let tags = "tags=management%20own";
        for (about, form) in [
            (About::Vhost { ip: "::ffff:192.0.2.1".parse().unwrap() }, format!("{head}&ip=192.0.2.1&{tags}")),
            (
                About::Vhost { ip: "2001:db8::1".parse().unwrap() },
                format!("{head}&ip=2001%3Adb8%3A%3A1&{tags}"),
            ),
            (
                About::Resource { kind: "queue", name: queue, permission: Permission::Configure },
                format!("{head}&resource=queue&name=q&permission=configure&{tags}"),
            ),
            (
                About::Resource { kind: "exchange", name: exchange.clone(), permission: Permission::Read },
                format!("{head}&resource=exchange&name=events&permission=read&{tags}"),
            ),
            (
                About::Topic { exchange, key, permission: Permission::Write },
                format!(
                    "{head}&resource=topic&name=events&permission=write&{tags}&routing_key=a.b%23\
                     &variable_map.username=ann%20%26%20co&variable_map.vhost=%2F"
                ),
            ),
        ] {
            assert_eq!(asked(about), form);
        }
    }

    #[test]
    fn whoever_logs_in_is_asked_about_by_name_and_password_whatever_is_in_them() {
        assert_eq!(*login_form(b"ann", Some(b"a=b&c")), "username=ann&password=a%3Db%26c");
        assert_eq!(*login_form(b"ann", None), "username=ann");
        let form = login_form(b"\xff\0", Some(b"\n+ "));
        assert_eq!(*form, "username=%FF%00&password=%0A%2B%20");
        let longest = login_form(&[0xff; 300], Some(&[0xff; 300]));
        assert!(longest.len() <= 64 + 3 * 600, "it has not grown");
    }
}
