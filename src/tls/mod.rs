//! TLS: the server's certificate, whose certificates clients may show, and what such a certificate says of its owner.
//!
//! [`Acceptor`] has what was read from the files and makes a session of it for each connection; [`keep_current`] has it read them again
//! when they change. Sockets are none of its business.

mod acceptor;
mod identity;
mod keeping;
mod pem;
mod self_signed;

pub use acceptor::{Acceptor, TlsError};
pub use keeping::{keep_current, refresh};
pub use self_signed::{SelfSignedError, make_self_signed};
