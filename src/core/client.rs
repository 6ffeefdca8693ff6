//! A client as others are told of it.

use crate::protocol::ShortString;

/// Who has done something, and by which connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The connection's name: both its ends, as RabbitMQ makes it.
    pub connection: String,
    /// The user.
    pub user: ShortString,
}
