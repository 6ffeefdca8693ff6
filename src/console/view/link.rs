//! Addresses within the console. Names stand in queries: a path cannot hold a name like `..`.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A page with values in its query.
pub fn to(path: &str, query: &[(&str, &str)]) -> String {
    let mut written = path.to_owned();
    for (at, (name, value)) in query.iter().enumerate() {
        written.push(if at == 0 { '?' } else { '&' });
        written.push_str(name);
        written.push('=');
        written.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    written
}

/// A queue's page.
pub fn queue(vhost: &str, name: &str) -> String {
    to("/queue", &[("vhost", vhost), ("name", name)])
}

/// An exchange's page.
pub fn exchange(vhost: &str, name: &str) -> String {
    to("/exchange", &[("vhost", vhost), ("name", name)])
}

/// A connection's page.
pub fn connection(name: &str) -> String {
    to("/connection", &[("name", name)])
}

/// The page with what comes to a queue or an exchange from now on: `queues` or `exchanges`.
pub fn tail(vhost: &str, kind: &str, name: &str) -> String {
    to("/tail", &[("vhost", vhost), ("kind", kind), ("name", name)])
}

/// Whether an address leads to a page of the console: what a form says may lead anywhere.
pub fn is_local(address: &str) -> bool {
    let rest = address.strip_prefix('/').unwrap_or("/");
    !rest.starts_with(['/', '\\']) && address.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_in_addresses() {
        assert_eq!(queue("/", "a&b=ü"), "/queue?vhost=%2F&name=a%26b%3D%C3%BC");
        assert_eq!(queue("/", ".."), "/queue?vhost=%2F&name=%2E%2E");
        assert_eq!(to("/queues", &[]), "/queues");
    }

    #[test]
    fn an_address_elsewhere_is_not_local() {
        for (address, is) in [
            ("/", true),
            ("/queue?name=%2F", true),
            ("", false),
            ("//evil", false),
            ("/\\evil", false),
            ("https://evil", false),
            ("javascript:x", false),
            ("/\t/evil", false),
            ("/a\r\nb", false),
        ] {
            assert_eq!(is_local(address), is, "{address:?}");
        }
    }
}
