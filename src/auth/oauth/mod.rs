//! OAuth 2.0: a bearer token (a JWT, RFC 7519) in the place of a password, as RabbitMQ's `rabbitmq_auth_backend_oauth2` takes it.
//!
//! `keys` has the public keys of whoever issues tokens, `claims` what a token says, `scope` what that permits, and `token` puts the
//! three together. All of it is pure: bytes and the time go in, a [`Token`] comes out. Which algorithm a signature has is decided by
//! the key and never by the token alone.

mod bad_token;
mod claims;
mod keys;
mod resource_server;
mod scope;
mod token;

pub use bad_token::BadToken;
pub use keys::{BadKeys, Keys};
pub use resource_server::ResourceServer;
pub use token::Token;
