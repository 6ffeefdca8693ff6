//! Which OAuth tokens are taken for passwords.

use std::path::PathBuf;

use super::{ConfigError, Settings};

/// As `rabbitmq_auth_backend_oauth2` is told, in the same words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthConfig {
    /// What a token's audience must have.
    pub resource_server_id: String,
    /// Public keys of whoever issues them, as a JSON Web Key Set.
    pub jwks_file: PathBuf,
    /// Who must have issued them, if not anybody whose key is known.
    pub issuer: Option<String>,
    /// What scopes begin with, if not the id and a dot.
    pub scope_prefix: Option<String>,
    /// Another claim that has scopes.
    pub additional_scopes_key: Option<String>,
    /// Claims that may have the user's name, in order; RabbitMQ's if there are none.
    pub preferred_username_claims: Vec<String>,
}

impl OauthConfig {
    /// `None` if no tokens are taken. An id without keys, or anything else without an id, is an error.
    pub(super) fn from_settings(settings: &Settings) -> Result<Option<Self>, ConfigError> {
        let missing = |name, beside: &str| {
            Err(ConfigError::Invalid { name, message: format!("has to be set, because {beside} is") })
        };
        let (id, file) = (settings.oauth_resource_server_id.clone(), settings.oauth_jwks_file.clone());
        let others = [
            ("oauth-issuer", settings.oauth_issuer.is_some()),
            ("oauth-scope-prefix", settings.oauth_scope_prefix.is_some()),
            ("oauth-additional-scopes-key", settings.oauth_additional_scopes_key.is_some()),
            ("oauth-preferred-username-claims", settings.oauth_preferred_username_claims.is_some()),
        ];
        match (id, file, others.iter().find(|(_, is_set)| *is_set)) {
            (None, None, None) => Ok(None),
            (None, Some(_), _) => missing("oauth-resource-server-id", "oauth-jwks-file"),
            (None, None, Some((name, _))) => missing("oauth-resource-server-id", name),
            (Some(_), None, _) => missing("oauth-jwks-file", "oauth-resource-server-id"),
            (Some(resource_server_id), Some(jwks_file), _) => Ok(Some(Self {
                resource_server_id,
                jwks_file,
                issuer: settings.oauth_issuer.clone(),
                scope_prefix: settings.oauth_scope_prefix.clone(),
                additional_scopes_key: settings.oauth_additional_scopes_key.clone(),
                preferred_username_claims: settings
                    .oauth_preferred_username_claims
                    .clone()
                    .unwrap_or_default(),
            })),
        }
    }
}
