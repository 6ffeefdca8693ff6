//! The list of the operators' commands in Markdown: `docs/command-line.md`.

use std::fmt::Write;

use clap::{Arg, Args, Command};

use super::options::Options;

/// What the list begins with.
const HEAD: &str = "# The command line

Made by `leveret man --markdown`; a test says whether it is up to date (`LEVERET_REGENERATE=1` makes it so).

These commands ask a broker over its HTTP API. Names and columns are those of `rabbitmqctl` where it has such a command, with dashes
in the place of underscores.

They end with 0 if it was done, 1 if it was not, 2 if the command line makes no sense, and 69 if the broker cannot be reached.
";

/// What follows on the options that all have.
const PROFILES: &str = "
What a flag says counts more than the environment, and that more than a profile. The file of profiles has a table for each broker,
with the same names as the flags; `default` is the one that counts if none is named. If it has a password or a token, others must
not be able to read it.

```toml
[default]
url = \"http://127.0.0.1:15672\"

[production]
url = \"https://broker.example.org:15672\"
user = \"ann\"
password-file = \"/home/ann/.leveret-production\"
vhost = \"shop\"
format = \"json\"
```
";

/// All of it, from the whole command line.
pub fn markdown(mut root: Command) -> String {
    root.build();
    let mut out = String::from(HEAD);
    let common = Options::augment_args(Command::new("leveret"));
    out.push_str("\n## What all of them understand\n\n");
    rows(&mut out, common.get_arguments());
    out.push_str(PROFILES);
    out.push_str("\n## Commands\n");
    let is_common = |arg: &Arg| common.get_arguments().any(|its| its.get_id() == arg.get_id());
    for command in super::commands() {
        let Some(command) = root.find_subcommand(command.get_name()) else { continue };
        let nested: Vec<_> = command.get_subcommands().filter(|its| its.get_name() != "help").collect();
        if nested.is_empty() {
            entry(&mut out, command.get_name(), command, &is_common);
        }
        for deed in nested {
            entry(&mut out, &format!("{} {}", command.get_name(), deed.get_name()), deed, &is_common);
        }
    }
    out
}

fn entry(out: &mut String, name: &str, command: &Command, is_common: &impl Fn(&Arg) -> bool) {
    let own: Vec<_> =
        command.get_arguments().filter(|arg| !is_common(arg) && arg.get_id() != "help").collect();
    let mut usage = format!("leveret {name}");
    if own.iter().any(|arg| !arg.is_positional()) {
        usage.push_str(" [OPTIONS]");
    }
    for arg in own.iter().filter(|arg| arg.is_positional()) {
        add(&mut usage, format_args!(" {}", shown(arg)));
    }
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    add(out, format_args!("\n### {name}\n\n{about}.\n\n```\n{usage}\n```\n"));
    if !own.is_empty() {
        out.push('\n');
        rows(out, own.into_iter());
    }
    if let Some(more) = command.get_after_help() {
        for line in more.to_string().lines() {
            add(out, format_args!("\n{line}\n"));
        }
    }
}

fn rows<'a>(out: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    out.push_str("| | |\n|---|---|\n");
    for arg in arguments {
        let mut about = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<_> = arg
            .get_possible_values()
            .iter()
            .map(|value| value.get_name().to_owned())
            .filter(|_| arg.get_action().takes_values())
            .collect();
        if !values.is_empty() {
            add(&mut about, format_args!(" ({})", values.join(", ")));
        }
        if let Some(variable) = arg.get_env() {
            add(&mut about, format_args!(" (`{}`)", variable.to_string_lossy()));
        }
        let defaults = arg.get_default_values().iter().filter(|value| !value.is_empty());
        let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() && arg.get_action().takes_values() {
            add(&mut about, format_args!(" [default: {}]", defaults.join(", ")));
        }
        add(out, format_args!("| `{}` | {} |\n", shown(arg), about.replace('|', "\\|")));
    }
}

/// An argument as it is written.
fn shown(arg: &Arg) -> String {
    let value = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
    let value = if value.is_empty() { arg.get_id().to_string().to_uppercase() } else { value };
    if arg.is_positional() {
        let is_many = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
        let value = if is_many { format!("{value}...") } else { value };
        return if arg.is_required_set() { value } else { format!("[{value}]") };
    }
    let mut text = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    text.push_str("--");
    text.push_str(arg.get_long().unwrap_or_default());
    if arg.get_action().takes_values() {
        add(&mut text, format_args!(" {value}"));
    }
    text
}

fn add(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("a String takes everything");
}
