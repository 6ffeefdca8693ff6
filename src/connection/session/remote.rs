//! Who is at the other end.

use std::net::SocketAddr;

use crate::protocol::{FieldTable, SHORT_STRING_BYTES_MAX, ShortString};

/// Who is at the other end, for the log.
pub(in crate::connection) struct Remote {
    pub(super) peer: SocketAddr,
    /// The name that the client gave its connection, or empty.
    pub(super) name: ShortString,
}

impl Remote {
    pub(in crate::connection) fn new(peer: SocketAddr, properties: &FieldTable) -> Self {
        let name = properties.get("connection_name").and_then(|name| name.as_str_bytes()).unwrap_or_default();
        let name = &name[..name.len().min(SHORT_STRING_BYTES_MAX)];
        Self { peer, name: ShortString::try_from(name).unwrap_or_default() }
    }
}
