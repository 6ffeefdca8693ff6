//! Public keys of whoever issues tokens, as a JSON Web Key Set (RFC 7517), and which algorithms belong to each.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde_json::{Map, Value};

use super::bad_token::BadToken;
use crate::limits::{OAUTH_KEYS_MAX, OAUTH_RSA_BITS_MAX, OAUTH_RSA_BITS_MIN, OAUTH_TOKEN_BYTES_MAX};

/// Keys by which signatures are checked.
pub struct Keys(Vec<Key>);

struct Key {
    id: Option<String>,
    /// A token may have been signed by one of these.
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
}

/// Why a set of keys cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    /// It is not what RFC 7517 says.
    #[error("not a set of JSON Web Keys: {0}")]
    Malformed(String),
    /// None of its keys is for signatures of an algorithm that is taken.
    #[error("no key for RS256, RS384, RS512, ES256, ES384 or EdDSA")]
    None,
    /// More than there may be.
    #[error("more than {OAUTH_KEYS_MAX} keys")]
    TooMany,
}

impl Keys {
    /// No keys: no token counts.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a set. Keys for anything else, and those of algorithms that are not taken, are left out: a set may have both, but a secret
    /// is no public key, and an RSA key below 2,048 bits is none that protects.
    pub fn parse(json: &[u8]) -> Result<Self, BadKeys> {
        let set: Value =
            serde_json::from_slice(json).map_err(|error| BadKeys::Malformed(error.to_string()))?;
        // Each by itself, so that a key of a kind that is not known does not spoil the others.
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or_else(|| BadKeys::Malformed("no list `keys`".into()))?;
        if keys.len() > OAUTH_KEYS_MAX {
            return Err(BadKeys::TooMany);
        }
        let known = |key: &Value| serde_json::from_value::<Jwk>(key.clone()).ok().as_ref().and_then(Key::of);
        let keys: Vec<Key> = keys.iter().filter_map(known).collect();
        if keys.is_empty() { Err(BadKeys::None) } else { Ok(Self(keys)) }
    }

    /// The claims of a token that one of the keys has signed. Nothing that they say has been looked at.
    pub(super) fn verify(&self, token: &[u8]) -> Result<Map<String, Value>, BadToken> {
        if token.len() > OAUTH_TOKEN_BYTES_MAX {
            return Err(BadToken::Malformed);
        }
        // `none` and whatever else is no algorithm here is malformed.
        let header = jsonwebtoken::decode_header(token).map_err(|_| BadToken::Malformed)?;
        let fits = |key: &&Key| header.kid.is_none() || header.kid == key.id;
        if !self.0.iter().any(|key| fits(&key)) {
            return Err(BadToken::UnknownKey);
        }
        let fitting = self.0.iter().filter(fits).filter(|key| key.algorithms.contains(&header.alg));
        let mut failed = BadToken::Key;
        for key in fitting {
            match jsonwebtoken::decode(token, &key.public, &key.validation()) {
                Ok(verified) => return Ok(verified.claims),
                Err(_) => failed = BadToken::Signature,
            }
        }
        Err(failed)
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(key) if RSA_BITS.contains(&(key.n.len() * 6)) => {
                vec![Algorithm::RS256, Algorithm::RS384, Algorithm::RS512]
            }
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                vec![Algorithm::EdDSA]
            }
            _ => return None,
        };
        if let Some(only) = jwk.common.key_algorithm {
            let only = Algorithm::try_from(only).ok()?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        let public = DecodingKey::from_jwk(jwk).ok()?;
        (!algorithms.is_empty()).then(|| Self { id: jwk.common.key_id.clone(), algorithms, public })
    }

    /// The signature alone: the claims are looked at later, at a time that is given.
    fn validation(&self) -> Validation {
        let mut validation = Validation::default();
        validation.algorithms.clone_from(&self.algorithms);
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
        validation
    }
}

/// Bits of a modulus in base64: the last letter may stand for less than six.
const RSA_BITS: std::ops::RangeInclusive<usize> = OAUTH_RSA_BITS_MIN..=OAUTH_RSA_BITS_MAX + 6;
