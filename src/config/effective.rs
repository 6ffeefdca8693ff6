//! What holds of the configuration while the broker runs: some of it changes when the file is read again.

use parking_lot::RwLock;
use secrecy::ExposeSecret;

use super::{Config, HttpRates, Origin, Shown};

/// The settings that hold now, shared by whoever changes them and whoever asks for them.
#[derive(Debug)]
pub struct Effective {
    shown: RwLock<Vec<Shown>>,
    origins: RwLock<Vec<String>>,
    hsts: RwLock<Option<String>>,
    rates: RwLock<HttpRates>,
}

impl Effective {
    /// What holds at the start.
    pub fn new(config: &Config) -> Self {
        Self {
            shown: RwLock::new(config.shown()),
            origins: RwLock::new(config.http_cors_origins.clone()),
            hsts: RwLock::new(config.http_hsts.clone()),
            rates: RwLock::new(config.http_rates),
        }
    }

    /// All settings, with their values now.
    pub fn shown(&self) -> Vec<Shown> {
        self.shown.read().clone()
    }

    /// Whether pages of this origin may use the HTTP API from browsers.
    pub fn permits_origin(&self, origin: &[u8]) -> bool {
        self.origins.read().iter().any(|permitted| permitted == "*" || permitted.as_bytes() == origin)
    }

    /// From now on pages of these origins may use the HTTP API.
    pub fn permit_origins(&self, origins: Vec<String>) {
        *self.origins.write() = origins;
    }

    /// What the HTTP API says over TLS in `Strict-Transport-Security`, if it does.
    pub fn hsts(&self) -> Option<String> {
        self.hsts.read().clone()
    }

    /// From now on it says this.
    pub fn say_hsts(&self, policy: Option<String>) {
        *self.hsts.write() = policy;
    }

    /// How fast the HTTP API may be asked.
    pub fn rates(&self) -> HttpRates {
        *self.rates.read()
    }

    /// From now on it may be asked so fast.
    pub fn limit_rates(&self, rates: HttpRates) {
        *self.rates.write() = rates;
    }

    /// From now on a setting has this value.
    pub fn hold(&self, setting: Shown) {
        if let Some(old) = self.shown.write().iter_mut().find(|old| old.name == setting.name) {
            *old = setting;
        }
    }
}

/// A setting that is said otherwise than before.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What is said now.
    pub to: Shown,
    /// What it concerns.
    pub kind: Changeable,
}

/// What can be done about a change while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changeable {
    /// Which records are written to the log.
    Log,
    /// How listeners speak TLS.
    Tls,
    /// Which pages may use the HTTP API.
    Origins,
    /// What the HTTP API says of HTTPS.
    Hsts,
    /// How fast the HTTP API may be asked.
    Rates,
    /// The file of definitions.
    Definitions,
    /// Policies of the file.
    Policies,
    /// Nothing: the next start has it.
    NeedsRestart,
}

impl Changeable {
    /// Those that take effect without a restart.
    pub const WHILE_RUNNING: [Self; 7] =
        [Self::Log, Self::Tls, Self::Origins, Self::Hsts, Self::Rates, Self::Definitions, Self::Policies];

    fn of(name: &str) -> Self {
        match name {
            "log" => Self::Log,
            "http-cors-origins" => Self::Origins,
            "http-hsts" => Self::Hsts,
            "http-rate-per-address" | "http-rate-per-user" => Self::Rates,
            "load-definitions" => Self::Definitions,
            "policies" | "operator-policies" => Self::Policies,
            "tls-cert"
            | "tls-key"
            | "tls-ca"
            | "tls-verify"
            | "tls-min-version"
            | "ssl-cert-login-from"
            | "ssl-cert-login-san-type"
            | "ssl-cert-login-san-index" => Self::Tls,
            _ => Self::NeedsRestart,
        }
    }
}

/// What `new` says otherwise than `old` at the start, or than `held`, which is what `old` says with the changes that have taken effect
/// since. What nobody says in either may differ because the machine does, and is no change.
pub fn changes(old: &Config, held: &[Shown], new: &Config) -> Vec<Change> {
    let has_other_password = old.default_pass.expose_secret() != new.default_pass.expose_secret();
    let is_other = |(old, new): &(&Shown, Shown)| {
        let is_said = old.from != Origin::Default || new.from != Origin::Default;
        old.name == "default-pass" && has_other_password || is_said && old.value != new.value
    };
    let pairs = held.iter().zip(new.shown());
    pairs.filter(is_other).map(|(_, to)| Change { kind: Changeable::of(to.name), to }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn config(settings: Settings) -> Config {
        Config::load(settings).unwrap()
    }

    fn changed(new: Settings) -> Vec<(&'static str, Changeable)> {
        let old = config(Settings::default());
        let changes = changes(&old, &old.shown(), &config(new));
        changes.into_iter().map(|change| (change.to.name, change.kind)).collect()
    }

    #[test]
    fn a_change_is_named_with_what_can_be_done_about_it() {
        let settings = Settings::default;
        for (new, change) in [
            (Settings { log: Some("debug".parse().unwrap()), ..settings() }, ("log", Changeable::Log)),
            (
                Settings { http_cors_origins: Some(vec!["*".into()]), ..settings() },
                ("http-cors-origins", Changeable::Origins),
            ),
            (Settings { http_hsts: Some("max-age=1".into()), ..settings() }, ("http-hsts", Changeable::Hsts)),
            (
                Settings { http_rate_per_address: Some(5), ..settings() },
                ("http-rate-per-address", Changeable::Rates),
            ),
            (
                Settings { http_rate_per_user: Some(5), ..settings() },
                ("http-rate-per-user", Changeable::Rates),
            ),
            (
                Settings { load_definitions: Some("/a".into()), ..settings() },
                ("load-definitions", Changeable::Definitions),
            ),
            (
                Settings { tls_min_version: Some("1.3".into()), ..settings() },
                ("tls-min-version", Changeable::Tls),
            ),
            (Settings { heartbeat: Some(7), ..settings() }, ("heartbeat", Changeable::NeedsRestart)),
            (
                Settings { default_pass: Some("other".into()), ..settings() },
                ("default-pass", Changeable::NeedsRestart),
            ),
        ] {
            assert_eq!(changed(new), [change]);
        }
    }

    #[test]
    fn what_is_said_in_other_words_is_no_change() {
        for new in [
            Settings::default(),
            Settings {
                heartbeat: Some(60),
                frame_max: Some("128KiB".parse().unwrap()),
                ..Settings::default()
            },
            Settings { default_pass: Some("guest".into()), ..Settings::default() },
        ] {
            assert_eq!(changed(new), []);
        }
    }

    #[test]
    fn what_is_held_is_shown_and_origins_are_compared_as_they_are() {
        let effective = Effective::new(&config(Settings::default()));
        assert!(!effective.permits_origin(b"https://a.example"));
        let new = config(Settings {
            http_cors_origins: Some(vec!["https://a.example".into()]),
            ..Settings::default()
        });
        let old = config(Settings::default());
        for change in changes(&old, &old.shown(), &new) {
            effective.hold(change.to);
        }
        effective.permit_origins(new.http_cors_origins.clone());
        assert_eq!(effective.shown(), new.shown());
        for (origin, permitted) in [("https://a.example", true), ("http://a.example", false), ("", false)] {
            assert_eq!(effective.permits_origin(origin.as_bytes()), permitted, "{origin}");
        }
        effective.permit_origins(vec!["*".into()]);
        assert!(effective.permits_origin(b"null"));
    }
}
