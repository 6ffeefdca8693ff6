//! `auth_backends.N`: who is asked about clients, in the order of the numbers.

use std::collections::BTreeMap;

/// What one line says.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// Who has this number, and for what of it.
    Backend(u32, Part, String),
    /// Whose answers RabbitMQ's `cache` remembers, which stands in the place of that one.
    Cached(Part, String),
}

/// What a backend is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Both,
    /// Who a client is.
    Authn,
    /// What it may do.
    Authz,
}

impl Part {
    fn of(word: Option<&str>) -> Option<Self> {
        match word {
            None => Some(Self::Both),
            Some("authn") => Some(Self::Authn),
            Some("authz") => Some(Self::Authz),
            Some(_) => None,
        }
    }
}

/// Reads a key and its value. `None` if it is another one.
pub(super) fn of(key: &str, value: &str) -> Option<Said> {
    if let Some(rest) = key.strip_prefix("auth_cache.cached_backend") {
        return Some(Said::Cached(Part::of(rest.strip_prefix('.'))?, value.into()));
    }
    let rest = key.strip_prefix("auth_backends.")?;
    let (number, part) = rest.split_once('.').map_or((rest, None), |(number, part)| (number, Some(part)));
    Some(Said::Backend(number.parse().ok()?, Part::of(part)?, value.into()))
}

/// What all lines say.
#[derive(Default)]
pub(super) struct Backends {
    by_number: BTreeMap<u32, Pair>,
    cached: Pair,
}

/// Who says who a client is, and what it may do.
#[derive(Default)]
struct Pair {
    authn: Option<String>,
    authz: Option<String>,
}

impl Pair {
    fn take(&mut self, part: Part, name: &str) {
        let name = name.strip_prefix("rabbit_auth_backend_").unwrap_or(name).to_owned();
        if part != Part::Authz {
            self.authn = Some(name.clone());
        }
        if part != Part::Authn {
            self.authz = Some(name);
        }
    }
}

impl Backends {
    pub(super) fn take(&mut self, said: Said) {
        match said {
            Said::Backend(number, part, name) => self.by_number.entry(number).or_default().take(part, &name),
            Said::Cached(part, name) => self.cached.take(part, &name),
        }
    }

    /// Our words for them, in order, and those of theirs that have no counterpart. No words: it is as by default. Tokens are taken for
    /// passwords wherever they are configured, whatever stands here.
    pub(super) fn ours(&self) -> (Vec<String>, Vec<String>) {
        let (mut ours, mut left) = (Vec::new(), Vec::new());
        for (number, pair) in &self.by_number {
            let part = |said: &Option<String>, cached: &Option<String>| match said.as_deref() {
                Some("cache") => cached.clone(),
                _ => said.clone(),
            };
            let who = part(&pair.authn, &self.cached.authn);
            let what = part(&pair.authz, &self.cached.authz).or_else(|| who.clone());
            let word = match (who.as_deref(), what.as_deref()) {
                (Some("oauth2"), Some("oauth2")) => continue,
                (Some(one @ ("internal" | "http")), Some(same)) if one == same => one.to_owned(),
                (Some(who @ ("internal" | "http")), Some(what @ ("internal" | "http"))) => {
                    format!("{who}/{what}")
                }
                (who, what) => {
                    let [who, what] = [who, what].map(|name| name.unwrap_or("nobody"));
                    left.push(format!("auth_backends.{number} = {who}, {what}"));
                    continue;
                }
            };
            if !ours.contains(&word) {
                ours.push(word);
            }
        }
        if ours == ["internal"] {
            ours.clear();
        }
        (ours, left)
    }
}
