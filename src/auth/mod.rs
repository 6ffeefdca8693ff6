//! Who may connect: users, password hashes, and the SASL mechanisms by which they prove who they are.

mod password;
mod sasl;
mod users;

pub use sasl::{Credentials, MECHANISMS, SaslError, credentials};
pub use users::{LoginError, Users};
