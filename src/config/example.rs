//! A configuration file that lists every key, made of what the code says: `docs/leveret.toml`.

use std::fmt::Write;

use serde_json::Value;

use super::{Config, ConfigError, Key, Settings, Shown, keys};

const HEAD: &str = "\
# Leveret's configuration: every key, with its default and its unit. Made by `leveret config example`.
#
# A line that begins with `#` and a key says what holds anyway: take the `#` away and change the value. One that begins with `# ` and
# a key has no value by itself, or one that depends on the machine. Flags and variables beat this file. `leveret config check --config FILE`
# tells what is wrong with a file.
# A size is a number of bytes, or a text with a unit: \"100k\", \"512MiB\", \"4GB\". SIGHUP has the file read again: docs/configuration.md
# says what that changes.
";

const POLICIES: &str = r#"
# Policies of the default virtual host, set at each start and at SIGHUP; one that leaves the file is not deleted. `apply-to` is all, queues,
# classic_queues, quorum_queues, streams or exchanges; the highest priority counts. In the file only.
# [[policies]]
# name = "NAME"
# pattern = "REGULAR EXPRESSION"
# apply-to = "all"
# priority = 0
# definition = { max-length = 1000 }

# The same for operator policies, which users' policies cannot exceed. In the file only.
# [[operator-policies]]
# name = "NAME"
# pattern = "REGULAR EXPRESSION"
# apply-to = "queues"
# priority = 0
# definition = { max-length = 100000 }
"#;

/// Settings whose default depends on the machine.
const OF_THE_MACHINE: [&str; 1] = ["memory-limit-bytes"];

/// The file. An error is one of the machine's, whose memory is looked at.
pub fn example() -> Result<String, ConfigError> {
    let defaults = Config::load(Settings::default())?.shown();
    let mut text = HEAD.to_owned();
    for key in keys() {
        let default = defaults.iter().find(|shown| shown.name == key.name).and_then(literal);
        describe(&mut text, &key, default.as_deref());
    }
    text.push_str(POLICIES);
    Ok(text)
}

fn describe(text: &mut String, key: &Key, default: Option<&str>) {
    let (meaning, bracket) = match key.meaning.split_once(" [default: ") {
        Some((meaning, bracket)) => (meaning, Some(bracket.trim_end_matches(']'))),
        None => (key.meaning.as_str(), None),
    };
    // A default of one word is what stands on the key's line.
    let words = bracket.filter(|words| default.is_none() || words.contains(' '));
    let words = words.map(|words| format!("; by default {words}")).unwrap_or_default();
    let (name, variable, unit) = (&key.name, &key.variable, unit(key));
    let line = match default {
        Some(default) => format!("#{name} = {default}"),
        None if key.is_list => format!("# {name} = [\"{}\"]", key.unit),
        None => format!("# {name} = \"{}\"", key.unit),
    };
    write!(text, "\n# {meaning}{words}.\n# {unit}; --{name}, {variable}\n{line}\n")
        .expect("a text takes everything");
}

/// What a value is, in words.
fn unit(key: &Key) -> String {
    let unit = match &*key.unit {
        "SECONDS" => "in seconds",
        "MS" => "in milliseconds",
        "SIZE" => "a size",
        "N" => "a number",
        "FILE" => "the name of a file",
        "DIR" => "the name of a folder",
        "ADDR:PORT" => "an address and a port",
        "CIDR" => "a network, as in 10.0.0.0/8",
        "URL" => "an address (URL)",
        _ => "a text",
    };
    if key.is_list { format!("{unit}, or a list of them") } else { unit.to_owned() }
}

/// The default as it stands in the file; none if there is none, or none that is the same on each machine.
fn literal(shown: &Shown) -> Option<String> {
    match &shown.value {
        _ if OF_THE_MACHINE.contains(&shown.name) => None,
        // It is no secret.
        _ if shown.name == "default-pass" => Some("\"guest\"".into()),
        Value::Null => None,
        Value::Array(values) if values.is_empty() => None,
        _ if shown.is_size() => Some(format!("\"{}\"", shown.text())),
        // What JSON writes of texts, numbers and lists of them is TOML.
        value => Some(value.to_string().replace("\",\"", "\", \"")),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::config::FILE_ONLY;

    /// With `LEVERET_REGENERATE` it is written anew.
    #[test]
    fn the_documents_have_the_file_that_the_code_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/leveret.toml");
        let made = example().unwrap();
        if std::env::var_os("LEVERET_REGENERATE").is_some() {
            fs::write(&path, &made).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == made,
            "docs/leveret.toml is not what the code says: run this test with LEVERET_REGENERATE=1"
        );
    }

    fn uncommented(is_key: impl Fn(&str) -> Option<&str>) -> String {
        let text = example().unwrap();
        let keys = keys();
        let is_known = |line: &&str| keys.iter().any(|key| line.starts_with(&format!("{} = ", key.name)));
        text.lines().filter_map(|line| is_key(line).filter(is_known)).collect::<Vec<_>>().join("\n")
    }

    fn loaded(text: &str) -> Vec<Shown> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Config::load(Settings { config: Some(file.path().into()), ..Settings::default() }).unwrap().shown()
    }

    #[test]
    fn as_it_stands_it_says_nothing() {
        assert_eq!(loaded(&example().unwrap()), Config::load(Settings::default()).unwrap().shown());
    }

    #[test]
    fn what_is_uncommented_means_the_defaults() {
        let text = uncommented(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')));
        assert!(text.lines().count() > 25, "{text}");
        let values = |shown: Vec<Shown>| shown.into_iter().map(|it| (it.name, it.value)).collect::<Vec<_>>();
        assert_eq!(values(loaded(&text)), values(Config::load(Settings::default()).unwrap().shown()));
    }

    #[test]
    fn every_key_is_listed_once() {
        let text = uncommented(|line| line.strip_prefix('#').map(str::trim_start));
        let listed: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(listed, keys().into_iter().map(|key| key.name).collect::<Vec<_>>());
        toml::from_str::<toml::Table>(&text).unwrap();
        for name in FILE_ONLY {
            assert_eq!(example().unwrap().matches(&format!("[[{name}]]")).count(), 1);
        }
    }

    #[test]
    fn the_policies_shown_are_policies() {
        let uncommented = POLICIES.lines().filter_map(|line| line.strip_prefix("# "));
        let text = uncommented
            .filter(|line| line.contains(" = ") || line.starts_with('['))
            .collect::<Vec<_>>()
            .join(
                "
",
            );
        let settings: Settings = toml::from_str(&text).unwrap();
        assert_eq!((settings.policies.len(), settings.operator_policies.len()), (1, 1));
    }
}
