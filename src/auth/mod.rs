//! Who may connect: hashes of passwords, the SASL mechanisms by which clients say who they are, and what checks that.

mod authenticator;
mod bounded;
pub mod http;
mod identity;
pub mod oauth;
mod password;
mod sasl;
mod stored;
mod tokens;

pub use authenticator::{Authenticator, Figures, LoginError, Origin, Refused, new_hash};
pub use identity::{Authority, Identity};
pub use password::BadHash;
pub use sasl::{Claim, Offered, SaslError, Secret};
pub use stored::{read_hash, write_hash};
pub use tokens::{BadKeySource, Tokens};
