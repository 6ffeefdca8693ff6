//! Why a token lets nobody in.

/// Why a token lets nobody in; for the log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is no JWT, or of an algorithm that is not taken.
    #[error("the token is no JWT, or is signed by an algorithm that is not accepted")]
    Malformed,
    /// No key of the id that it names: there may be one by now.
    #[error("the token names a key that is not known")]
    UnknownKey,
    /// No key of its algorithm.
    #[error("no key is known by which the token could be signed")]
    Key,
    /// A key that it names did not sign it.
    #[error("the token's signature is wrong")]
    Signature,
    /// It is not meant for this server.
    #[error("the token is for another audience")]
    Audience,
    /// It comes from somebody else.
    #[error("the token has another issuer")]
    Issuer,
    /// `exp`.
    #[error("the token has expired")]
    Expired,
    /// `nbf`.
    #[error("the token does not count yet")]
    NotYet,
    /// A claim that is missing, or no number.
    #[error("the token's claim '{0}' is missing or no time")]
    Claim(&'static str),
    /// No claim has a user name of at most 255 bytes.
    #[error("the token names no user")]
    User,
    /// More than there may be.
    #[error("the token has too many scopes")]
    TooManyScopes,
}
