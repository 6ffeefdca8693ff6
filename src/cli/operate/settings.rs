//! Settings of queues: shown with who says them, and changed while a queue stands.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    error::Error,
    options::Context,
    output::{Format, plain, say},
    queues,
    values::{pair, table},
};

/// What is done about them.
#[derive(Subcommand)]
pub enum Command {
    /// See what counts for a queue, and change it while the queue stands
    #[command(subcommand)]
    Settings(Deed),
}

/// One of the things that can be done.
#[derive(Subcommand)]
pub enum Deed {
    /// Show each setting of a queue and who says it: an argument, a policy, an operator policy, or nobody
    Show {
        /// The queue
        queue: String,
    },
    /// Change arguments of a queue, and show what that has changed
    Set(Asked),
}

/// What is to be changed.
#[derive(Args)]
pub struct Asked {
    /// The queue
    queue: String,
    /// A setting, such as max-length=1000
    #[arg(value_name = "NAME=VALUE", value_parser = pair)]
    settings: Vec<(String, Value)>,
    /// A setting that no argument is to say any longer; may be given several times
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
    /// Only say what that would change, and what would follow from it
    #[arg(long)]
    dry_run: bool,
}

/// An argument has its setting's name behind `x-`; either may be said.
fn argument(name: &str) -> String {
    if name.starts_with("x-") { name.into() } else { format!("x-{name}") }
}

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let Command::Settings(deed) = command;
    match deed {
        Deed::Show { queue } => {
            let shown = context.client.get(&queues::address_of_ours(context, queue, &["settings"]))?;
            let settings = shown["settings"].as_array().cloned().unwrap_or_default();
            context.output.rows(&plain(&["name", "value", "from", "policy"]), &settings)
        }
        Deed::Set(asked) => set(asked, context),
    }
}

fn set(asked: &Asked, context: &Context) -> Result<(), Error> {
    let named = asked.settings.iter().map(|(name, value)| (argument(name), value.clone()));
    let unset = asked.unset.iter().map(|name| (argument(name), Value::Null));
    let arguments = table(&named.chain(unset).collect::<Vec<_>>());
    let body = json!({ "arguments": arguments, "dry_run": asked.dry_run });
    let answer =
        context.client.post(&queues::address_of_ours(context, &asked.queue, &["settings"]), &body)?;
    let settings = answer["settings"].as_array().cloned().unwrap_or_default();
    let columns = plain(&["name", "old", "old_from", "new", "from"]);
    if context.output.format != Format::Table {
        return context.output.rows(&columns, &settings);
    }
    if settings.is_empty() {
        say("nothing changes")?;
    } else {
        context.output.rows(&columns, &settings)?;
    }
    for line in consequences(&answer["follows"]) {
        say(&line)?;
    }
    answer["notes"].as_array().into_iter().flatten().filter_map(Value::as_str).try_for_each(say)
}

/// What follows, a line for each thing.
fn consequences(follows: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let mut count = |key: &str, what: &str| {
        let number = follows[key].as_u64().unwrap_or_default();
        if number > 0 {
            lines.push(format!("{number} {what}"));
        }
    };
    count("messages_beyond_length", "messages are too many, and leave the queue");
    count("bytes_beyond_length", "bytes are too many, and messages leave the queue for them");
    count("messages_expired", "messages or more are too old, and leave the queue");
    if follows["queue_deleted"] == true {
        lines.push("nobody has used the queue for so long: it is deleted".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_named_with_and_without_the_front_of_arguments() {
        assert_eq!([argument("max-length"), argument("x-max-length")], ["x-max-length", "x-max-length"]);
    }

    #[test]
    fn what_follows_is_said_and_nothing_else() {
        assert_eq!(consequences(&Value::Null), Vec::<String>::new());
        let follows = json!({ "messages_beyond_length": 3, "bytes_beyond_length": 0, "queue_deleted": true });
        assert_eq!(
            consequences(&follows),
            [
                "3 messages are too many, and leave the queue",
                "nobody has used the queue for so long: it is deleted",
            ]
        );
    }
}
