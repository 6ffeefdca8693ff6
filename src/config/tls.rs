//! TLS: files, who must show a certificate, and what a client's certificate is taken for.

use std::path::PathBuf;

use ipnet::IpNet;

use super::{ConfigError, Settings, invalid};
use crate::limits::CERTIFICATE_NAMES_MAX;

/// How listeners speak TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The server's certificate and those between it and the one that clients trust (PEM).
    pub cert: PathBuf,
    /// The certificate's key (PEM).
    pub key: PathBuf,
    /// Who signs clients' certificates; `None` if clients are not asked for one.
    pub clients: Option<ClientCertificates>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// What a client's certificate is taken for.
    pub login_from: CertificateLogin,
}

/// Whose certificates clients may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Certificates of those who sign them (PEM).
    pub ca: PathBuf,
    /// Whether a client without one is refused.
    pub required: bool,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Which part of a client's certificate is its user name (RabbitMQ's `ssl_cert_login_from`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateLogin {
    /// The whole subject, `CN=...,O=...`.
    DistinguishedName,
    /// The subject's common names, with commas between them.
    CommonName,
    /// One of the other names.
    AlternativeName {
        /// Of this kind,
        kind: NameKind,
        /// so many of that kind stand before it.
        index: usize,
    },
}

/// Kinds of a certificate's alternative names (RabbitMQ's `ssl_cert_login_san_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A host.
    Dns,
    /// An address.
    Ip,
    /// An e-mail address.
    Email,
    /// A URI.
    Uri,
    /// Something else that is a text.
    Other,
}

impl TlsConfig {
    /// What the settings say; `None` if they say nothing of TLS.
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>, ConfigError> {
        let clients = clients(settings)?;
        let min_version = min_version(settings)?;
        let login_from = login_from(settings)?;
        let (cert, key) = match (&settings.tls_cert, &settings.tls_key) {
            (Some(cert), Some(key)) => (cert, key),
            (Some(_), None) => {
                return Err(invalid("tls-cert", "needs tls-key, the certificate's key".into()));
            }
            (None, Some(_)) => {
                return Err(invalid("tls-key", "needs tls-cert, the key's certificate".into()));
            }
            (None, None) if clients.is_some() => {
                return Err(invalid("tls-ca", "needs tls-cert and tls-key".into()));
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Self { cert: cert.clone(), key: key.clone(), clients, min_version, login_from }))
    }
}

fn clients(settings: &Settings) -> Result<Option<ClientCertificates>, ConfigError> {
    const NAME: &str = "tls-verify";
    let required = match settings.tls_verify.as_deref() {
        Some("none") => return Ok(None),
        Some("optional") => false,
        Some("required") => true,
        // Whoever says who signs clients' certificates wants to see them.
        None => match &settings.tls_ca {
            Some(_) => true,
            None => return Ok(None),
        },
        Some(other) => return Err(invalid(NAME, format!("'{other}' is not none, optional or required"))),
    };
    match &settings.tls_ca {
        Some(ca) => Ok(Some(ClientCertificates { ca: ca.clone(), required })),
        None => Err(invalid(NAME, "needs tls-ca, the certificates of those who sign clients'".into())),
    }
}

fn min_version(settings: &Settings) -> Result<TlsVersion, ConfigError> {
    match settings.tls_min_version.as_deref() {
        None | Some("1.2") => Ok(TlsVersion::Tls12),
        Some("1.3") => Ok(TlsVersion::Tls13),
        Some(other) => Err(invalid("tls-min-version", format!("'{other}' is not 1.2 or 1.3"))),
    }
}

fn login_from(settings: &Settings) -> Result<CertificateLogin, ConfigError> {
    let kind = name_kind(settings.ssl_cert_login_san_type.as_deref())?;
    let index = settings.ssl_cert_login_san_index.unwrap_or(0);
    if index >= CERTIFICATE_NAMES_MAX {
        let most = CERTIFICATE_NAMES_MAX - 1;
        return Err(invalid("ssl-cert-login-san-index", format!("{index} is not between 0 and {most}")));
    }
    // RabbitMQ writes these words with underscores.
    let from = settings.ssl_cert_login_from.as_ref().map(|text| text.replace('_', "-"));
    match from.as_deref() {
        None | Some("distinguished-name") => Ok(CertificateLogin::DistinguishedName),
        Some("common-name") => Ok(CertificateLogin::CommonName),
        Some("subject-alternative-name" | "subject-alt-name") => {
            Ok(CertificateLogin::AlternativeName { kind, index })
        }
        Some(other) => {
            let message =
                format!("'{other}' is not distinguished-name, common-name or subject-alternative-name");
            Err(invalid("ssl-cert-login-from", message))
        }
    }
}

fn name_kind(text: Option<&str>) -> Result<NameKind, ConfigError> {
    match text {
        None | Some("dns") => Ok(NameKind::Dns),
        Some("ip") => Ok(NameKind::Ip),
        Some("email") => Ok(NameKind::Email),
        Some("uri") => Ok(NameKind::Uri),
        Some("other_name" | "other-name") => Ok(NameKind::Other),
        Some(other) => {
            let message = format!("'{other}' is not dns, ip, email, uri or other-name");
            Err(invalid("ssl-cert-login-san-type", message))
        }
    }
}

/// Networks as people write them: `10.0.0.0/8`, or an address alone.
pub(super) fn networks(name: &'static str, texts: Option<&[String]>) -> Result<Vec<IpNet>, ConfigError> {
    let network = |text: &String| {
        let text = text.trim();
        let parsed = text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        parsed.map_err(|_| {
            invalid(name, format!("'{text}' is no network: write it as 10.0.0.0/8, or an address"))
        })
    };
    texts.unwrap_or_default().iter().map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { tls_cert: Some("c".into()), tls_key: Some("k".into()), ..Settings::default() }
    }

    fn refused(settings: &Settings) -> String {
        TlsConfig::new(settings).unwrap_err().to_string()
    }

    #[test]
    fn a_ca_makes_clients_show_certificates_unless_it_is_said_otherwise() {
        for (ca, verify, clients) in [
            (false, None, Ok(None)),
            (false, Some("none"), Ok(None)),
            (false, Some("optional"), Err("tls-verify: needs tls-ca")),
            (false, Some("required"), Err("tls-verify: needs tls-ca")),
            (true, None, Ok(Some(true))),
            (true, Some("none"), Ok(None)),
            (true, Some("optional"), Ok(Some(false))),
            (true, Some("required"), Ok(Some(true))),
            (true, Some("maybe"), Err("tls-verify: 'maybe' is not")),
        ] {
            let settings = Settings {
                tls_ca: ca.then(|| "ca".into()),
                tls_verify: verify.map(Into::into),
                ..settings()
            };
            match clients {
                Ok(required) => {
                    let clients = TlsConfig::new(&settings).unwrap().unwrap().clients;
                    assert_eq!(clients.map(|clients| clients.required), required, "{ca} {verify:?}");
                }
                Err(text) => assert!(refused(&settings).starts_with(text), "{}", refused(&settings)),
            }
        }
    }

    #[test]
    fn a_certificate_needs_its_key_and_a_key_its_certificate() {
        let (cert, key) = (Some("c".into()), Some("k".into()));
        assert_eq!(TlsConfig::new(&Settings::default()).unwrap(), None);
        let alone = Settings { tls_cert: cert, ..Settings::default() };
        assert_eq!(refused(&alone), "tls-cert: needs tls-key, the certificate's key");
        let alone = Settings { tls_key: key, ..Settings::default() };
        assert_eq!(refused(&alone), "tls-key: needs tls-cert, the key's certificate");
        let alone = Settings { tls_ca: Some("ca".into()), ..Settings::default() };
        assert_eq!(refused(&alone), "tls-ca: needs tls-cert and tls-key");
    }

    #[test]
    fn rabbitmqs_words_for_the_login_are_understood() {
        let login = |from: &str, kind: Option<&str>, index| {
            let settings = Settings {
                ssl_cert_login_from: Some(from.into()),
                ssl_cert_login_san_type: kind.map(Into::into),
                ssl_cert_login_san_index: index,
                ..settings()
            };
            TlsConfig::new(&settings).map(|tls| tls.unwrap().login_from).map_err(|error| error.to_string())
        };
        let alternative = |kind, index| Ok(CertificateLogin::AlternativeName { kind, index });
        assert_eq!(login("distinguished_name", None, None), Ok(CertificateLogin::DistinguishedName));
        assert_eq!(login("common-name", None, None), Ok(CertificateLogin::CommonName));
        assert_eq!(login("subject_alternative_name", None, None), alternative(NameKind::Dns, 0));
        for (text, kind) in [
            ("dns", NameKind::Dns),
            ("ip", NameKind::Ip),
            ("email", NameKind::Email),
            ("uri", NameKind::Uri),
            ("other_name", NameKind::Other),
        ] {
            assert_eq!(login("subject-alternative-name", Some(text), Some(2)), alternative(kind, 2));
        }
        assert!(login("cn", None, None).unwrap_err().starts_with("ssl-cert-login-from: 'cn'"));
        assert!(login("common_name", Some("fax"), None).unwrap_err().contains("'fax'"));
        assert!(login("common_name", None, Some(CERTIFICATE_NAMES_MAX)).is_err());
    }

    #[test]
    fn a_network_is_written_with_its_length_or_is_one_address() {
        let parsed =
            |text: &str| networks("n", Some(&[text.to_owned()])).map(|mut it| it.remove(0).to_string());
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            (" 192.0.2.7 ", "192.0.2.7/32"),
            ("::1", "::1/128"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(parsed(text).unwrap(), network);
        }
        for text in ["", "10.0.0.0/33", "host", "10.0.0/8", "10.0.0.0/", "::1/129"] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("n: '{text}' is no network")), "{error}");
        }
    }
}
