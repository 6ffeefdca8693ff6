//! Which OAuth tokens are taken for passwords.

use std::path::PathBuf;

use super::{ConfigError, Settings};

/// As `rabbitmq_auth_backend_oauth2` is told, in the same words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthConfig {
    /// What a token's audience must have.
    pub resource_server_id: String,
    /// Where the public keys of whoever issues them are, as a JSON Web Key Set.
    pub jwks: JwksAt,
    /// Who must have issued them, if not anybody whose key is known.
    pub issuer: Option<String>,
    /// What scopes begin with, if not the id and a dot.
    pub scope_prefix: Option<String>,
    /// Another claim that has scopes.
    pub additional_scopes_key: Option<String>,
    /// Claims that may have the user's name, in order; RabbitMQ's if there are none.
    pub preferred_username_claims: Vec<String>,
}

/// Where a set of keys is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksAt {
    /// In a file.
    File(PathBuf),
    /// At an address.
    Url {
        /// It begins with `https://`, and has no user name.
        url: String,
        /// Certificates of those who may have signed that of its server; the system's if there are none.
        ca: Option<PathBuf>,
    },
}

impl JwksAt {
    /// `None` if nothing is said.
    fn from_settings(settings: &Settings) -> Result<Option<Self>, ConfigError> {
        let (file, url, ca) =
            (&settings.oauth_jwks_file, &settings.oauth_jwks_url, settings.oauth_jwks_ca.clone());
        let invalid = |name, message: &str| Err(ConfigError::Invalid { name, message: message.into() });
        match (file, url) {
            (Some(_), Some(_)) => {
                invalid("oauth-jwks-url", "oauth-jwks-file is set too: only one of them can count")
            }
            (_, None) if ca.is_some() => missing("oauth-jwks-url", "oauth-jwks-ca"),
            (None, None) => Ok(None),
            (Some(file), None) => Ok(Some(Self::File(file.clone()))),
            (None, Some(url)) => match url.strip_prefix("https://").and_then(|rest| rest.split('/').next()) {
                // A password would be shown wherever the address is.
                Some(host) if host.contains('@') => invalid("oauth-jwks-url", "has a user name"),
                Some(host) if !host.is_empty() => Ok(Some(Self::Url { url: url.clone(), ca })),
                _ => invalid("oauth-jwks-url", "does not begin with https:// and a host"),
            },
        }
    }
}

impl OauthConfig {
    /// `None` if no tokens are taken. An id without keys, or anything else without an id, is an error.
    pub(super) fn from_settings(settings: &Settings) -> Result<Option<Self>, ConfigError> {
        let others = [
            ("oauth-jwks-file", settings.oauth_jwks_file.is_some()),
            ("oauth-jwks-url", settings.oauth_jwks_url.is_some()),
            ("oauth-issuer", settings.oauth_issuer.is_some()),
            ("oauth-scope-prefix", settings.oauth_scope_prefix.is_some()),
            ("oauth-additional-scopes-key", settings.oauth_additional_scopes_key.is_some()),
            ("oauth-preferred-username-claims", settings.oauth_preferred_username_claims.is_some()),
        ];
        let jwks = JwksAt::from_settings(settings)?;
        let Some(resource_server_id) = settings.oauth_resource_server_id.clone() else {
            let set = others.iter().find(|(_, is_set)| *is_set);
            return set.map_or(Ok(None), |(name, _)| missing("oauth-resource-server-id", name));
        };
        let Some(jwks) = jwks else { return missing("oauth-jwks-file", "oauth-resource-server-id") };
        Ok(Some(Self {
            resource_server_id,
            jwks,
            issuer: settings.oauth_issuer.clone(),
            scope_prefix: settings.oauth_scope_prefix.clone(),
            additional_scopes_key: settings.oauth_additional_scopes_key.clone(),
            preferred_username_claims: settings.oauth_preferred_username_claims.clone().unwrap_or_default(),
        }))
    }
}

fn missing<T>(name: &'static str, beside: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid { name, message: format!("has to be set, because {beside} is") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwks(file: Option<&str>, url: Option<&str>, ca: Option<&str>) -> Result<Option<JwksAt>, String> {
        let settings = Settings {
            oauth_resource_server_id: Some("broker".into()),
            oauth_jwks_file: file.map(PathBuf::from),
            oauth_jwks_url: url.map(String::from),
            oauth_jwks_ca: ca.map(PathBuf::from),
            ..Settings::default()
        };
        let config = OauthConfig::from_settings(&settings).map_err(|error| error.to_string())?;
        Ok(config.map(|config| config.jwks))
    }

    #[test]
    fn keys_are_in_a_file_or_at_an_address_of_https() {
        let url = "https://issuer.example:8443/keys?a=@";
        let at = |ca: Option<&str>| JwksAt::Url { url: url.into(), ca: ca.map(PathBuf::from) };
        assert_eq!(jwks(Some("keys"), None, None), Ok(Some(JwksAt::File("keys".into()))));
        assert_eq!(jwks(None, Some(url), None), Ok(Some(at(None))));
        assert_eq!(jwks(None, Some(url), Some("ca")), Ok(Some(at(Some("ca")))));
        for (file, url, ca, told) in [
            (None, None, None, "oauth-jwks-file: has to be set"),
            (Some("keys"), Some(url), None, "oauth-jwks-url: oauth-jwks-file is set too"),
            (Some("keys"), None, Some("ca"), "oauth-jwks-url: has to be set, because oauth-jwks-ca is"),
            (None, Some("http://issuer/keys"), None, "oauth-jwks-url: does not begin with https://"),
            (None, Some("https://"), None, "oauth-jwks-url: does not begin with https:// and a host"),
            (None, Some("https:///keys"), None, "oauth-jwks-url: does not begin with https:// and a host"),
            (None, Some("https://me:secret@issuer/keys"), None, "oauth-jwks-url: has a user name"),
            (None, Some(""), None, "oauth-jwks-url: does not begin"),
        ] {
            let error = jwks(file, url, ca).unwrap_err();
            assert!(error.starts_with(told) && !error.contains("secret"), "{error} instead of {told}");
        }
    }
}
