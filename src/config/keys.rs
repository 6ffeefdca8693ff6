//! The list of all settings, as the command line's parser has it: nothing else lists their names.

use clap::{Arg, Args, Command, parser::ValueSource};

use super::Settings;

/// A setting that is a flag, a variable and a key of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name in the file; the flag has two dashes in front.
    pub name: String,
    /// The environment variable.
    pub variable: String,
    /// What it means, with a default that is no plain value in brackets.
    pub meaning: String,
    /// What a value is, in one word, as in `SECONDS`.
    pub unit: String,
    /// It may have several values.
    pub is_list: bool,
}

/// Settings of the file alone.
pub const FILE_ONLY: [&str; 2] = ["policies", "operator-policies"];

/// All of them but the name of the file itself and those of the file alone, in the order of the command line's help.
pub fn keys() -> Vec<Key> {
    arguments().get_arguments().filter(|argument| argument.get_id() != "config").filter_map(key).collect()
}

/// Names of settings that come from the environment, by what the parser has found.
pub fn by_variable(matches: &clap::ArgMatches) -> Vec<String> {
    let said = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::EnvVariable);
    matches.ids().filter(said).map(|id| id.as_str().replace('_', "-")).collect()
}

fn arguments() -> Command {
    Settings::augment_args(Command::new("settings"))
}

fn key(argument: &Arg) -> Option<Key> {
    Some(Key {
        name: argument.get_long()?.to_owned(),
        variable: argument.get_env()?.to_str()?.to_owned(),
        meaning: argument.get_help()?.to_string(),
        unit: argument.get_value_names()?.first()?.to_string(),
        is_list: argument.get_value_delimiter().is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_variables_and_keys_have_the_same_names() {
        let keys = keys();
        assert_eq!(
            keys.len() + 1,
            arguments().get_arguments().count(),
            "each has a name, a variable, a meaning and a unit"
        );
        for key in &keys {
            assert_eq!(key.variable, format!("LEVERET_{}", key.name.to_uppercase().replace('-', "_")));
            assert!(key.meaning.len() < 200 && !key.meaning.contains('\n'), "{key:?}");
        }
    }

    #[test]
    fn what_a_variable_says_is_told_from_what_a_flag_says() {
        // A variable that each process has.
        let arguments = arguments()
            .mut_arg("heartbeat", |argument| argument.env(None::<&str>))
            .mut_arg("data_dir", |argument| argument.env("PATH"));
        let matches = arguments.try_get_matches_from(["settings", "--heartbeat=3"]).unwrap();
        let said = by_variable(&matches);
        assert!(said.contains(&"data-dir".to_owned()) && !said.contains(&"heartbeat".to_owned()), "{said:?}");
    }
}
