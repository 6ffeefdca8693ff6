//! Addresses to listen on, as people write them.

use std::net::{SocketAddr, ToSocketAddrs};

/// Where a port without an address is opened: nobody is let in from outside who was not asked for.
const DEFAULT_HOST: &str = "127.0.0.1";

/// The address that a text means: `ADDR:PORT`, or `PORT` or `:PORT` on this machine alone.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let port = text.strip_prefix(':').unwrap_or(text);
    if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() {
        return match port.parse::<u16>() {
            Ok(port) => resolve(&format!("{DEFAULT_HOST}:{port}")),
            Err(_) => Err(format!("'{text}' is no port: they go from 0 to 65535")),
        };
    }
    resolve(text)
        .map_err(|error| format!("'{text}': {error}; write ADDR:PORT, such as 0.0.0.0:5672 or [::1]:5672"))
}

fn resolve(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "no address has this name".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        for (text, meant) in [
            ("5673", "127.0.0.1:5673"),
            (":5673", "127.0.0.1:5673"),
            ("0.0.0.0:5672", "0.0.0.0:5672"),
            (" [::1]:0 ", "[::1]:0"),
        ] {
            assert_eq!(address(text), Ok(meant.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_hint() {
        for text in ["", ":", "nowhere", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:x", "a:b:c"] {
            let error = address(text).unwrap_err();
            assert!(error.contains("ADDR:PORT") && error.contains(text), "{error}");
        }
        assert_eq!(address("70000").unwrap_err(), "'70000' is no port: they go from 0 to 65535");
    }
}
