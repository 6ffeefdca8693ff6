//! Who said what: a setting comes from a flag, a variable, the file, or nobody.

use std::fmt;

use serde::Serialize;

use super::Settings;

/// Where the value of a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The command line.
    Flag,
    /// A variable.
    Environment,
    /// The configuration file.
    File,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// What was said, before defaults.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// By flags and variables.
    pub(super) outside: Settings,
    /// With what the file says.
    pub(super) all: Settings,
}

impl Said {
    pub(super) fn new(outside: Settings, file: Settings) -> Self {
        Self { all: outside.clone().over(file), outside }
    }

    /// Where a setting comes from.
    pub(super) fn origin(&self, name: &str) -> Origin {
        let is_named = |settings: &Settings| settings.names().iter().any(|it| it == name);
        if !is_named(&self.all) {
            return Origin::Default;
        }
        if !is_named(&self.outside) {
            return Origin::File;
        }
        let is_variable = self.outside.by_variable.iter().any(|it| it == name);
        if is_variable { Origin::Environment } else { Origin::Flag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_comes_from_whoever_says_it_and_stands_first() {
        let outside = Settings {
            heartbeat: Some(1),
            channel_max: Some(2),
            default_pass_file: Some("/a".into()),
            by_variable: vec!["channel-max".into()],
            ..Settings::default()
        };
        let file = Settings {
            heartbeat: Some(3),
            channel_max: Some(4),
            connection_max: Some(5),
            default_pass: Some("beaten by the file that is named outside".into()),
            ..Settings::default()
        };
        let said = Said::new(outside, file);
        for (name, origin) in [
            ("heartbeat", Origin::Flag),
            ("channel-max", Origin::Environment),
            ("connection-max", Origin::File),
            ("default-pass-file", Origin::Flag),
            ("default-pass", Origin::Default),
            ("policies", Origin::Default),
            ("no-such-setting", Origin::Default),
        ] {
            assert_eq!(said.origin(name), origin, "{name}");
        }
    }
}
