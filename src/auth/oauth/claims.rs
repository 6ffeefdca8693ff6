//! What a token says, once its signature is checked: the claims that count here, and what is wrong with them.

use serde_json::{Map, Value};

use super::{bad_token::BadToken, resource_server::ResourceServer, scope::Scope};
use crate::limits::{OAUTH_LEEWAY_SECONDS, OAUTH_SCOPES_MAX};
use crate::protocol::ShortString;

/// The claims of a token.
pub(super) struct Claims<'a> {
    all: &'a Map<String, Value>,
    server: &'a ResourceServer,
}

impl<'a> Claims<'a> {
    /// Claims that are meant for `server`, by whom it trusts, and at this time (seconds since the Unix epoch).
    pub(super) fn check(
        all: &'a Map<String, Value>,
        server: &'a ResourceServer,
        now: u64,
    ) -> Result<Self, BadToken> {
        let claims = Self { all, server };
        if claims.expires()?.is_some_and(|at| at.saturating_add(OAUTH_LEEWAY_SECONDS) <= now) {
            return Err(BadToken::Expired);
        }
        if claims.seconds("nbf")?.is_some_and(|from| from > now.saturating_add(OAUTH_LEEWAY_SECONDS)) {
            return Err(BadToken::NotYet);
        }
        if let Some(issuer) = &server.issuer
            && all.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(BadToken::Issuer);
        }
        if !words(all.get("aud")).any(|audience| audience == server.id) {
            return Err(BadToken::Audience);
        }
        Ok(claims)
    }

    /// From when on it does not count, in seconds since the Unix epoch; `None` if it always does.
    pub(super) fn expires(&self) -> Result<Option<u64>, BadToken> {
        self.seconds("exp")
    }

    /// Who the user is: the first claim of those that are asked for which has a name.
    pub(super) fn user(&self) -> Result<ShortString, BadToken> {
        let named = |claim: &String| self.all.get(claim)?.as_str().filter(|name| !name.is_empty());
        let name = self.server.user_claims.iter().find_map(named).ok_or(BadToken::User)?;
        ShortString::try_from(name).map_err(|_too_long| BadToken::User)
    }

    /// Scopes that begin with the server's prefix, without it. Others are for other servers.
    pub(super) fn scopes(&self) -> Result<Vec<Scope>, BadToken> {
        let further = self.server.scope_key.as_ref().and_then(|key| self.all.get(key));
        let all = words(self.all.get("scope")).chain(words(further));
        let own: Vec<_> = all.filter_map(|scope| scope.strip_prefix(&self.server.scope_prefix)).collect();
        if own.len() > OAUTH_SCOPES_MAX {
            return Err(BadToken::TooManyScopes);
        }
        Ok(own.into_iter().filter_map(Scope::parse).collect())
    }

    /// A time (RFC 7519, NumericDate): a fraction counts as the second that it is in.
    fn seconds(&self, claim: &'static str) -> Result<Option<u64>, BadToken> {
        let Some(value) = self.all.get(claim) else { return Ok(None) };
        let whole = value.as_u64();
        let fraction = || value.as_f64().filter(|seconds| (0.0..MOST_SECONDS).contains(seconds));
        let seconds = whole.or_else(|| {
            #[allow(clippy::cast_sign_loss, reason = "it is in the range")]
            fraction().map(|seconds| seconds as u64)
        });
        seconds.map(Some).ok_or(BadToken::Claim(claim))
    }
}

/// Words of a text, or texts of a list, or words of these (RabbitMQ). Nothing else has any.
fn words(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let texts = match value {
        Some(Value::Array(texts)) => &texts[..],
        Some(text) => std::slice::from_ref(text),
        None => &[],
    };
    texts.iter().filter_map(Value::as_str).flat_map(str::split_ascii_whitespace)
}

/// What a 64-bit fraction tells to the second.
const MOST_SECONDS: f64 = 9_007_199_254_740_992.0;
