//! Exchanges and bindings: declared and deleted.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    client::{Address, named},
    error::{Error, usage},
    options::Context,
    values::{pair, table},
};

/// What is done to exchanges and bindings.
#[derive(Subcommand)]
pub enum Command {
    /// Declare an exchange; one that is there and is the same stays
    DeclareExchange(Declared),
    /// Delete an exchange with its bindings
    DeleteExchange {
        /// The exchange
        name: String,
        /// Only if nothing is bound to it
        #[arg(long)]
        if_unused: bool,
    },
    /// Bind a queue or an exchange to an exchange
    DeclareBinding(Binding),
    /// Take a binding away: the one with this key and these arguments
    DeleteBinding(Binding),
}

/// An exchange to be declared.
#[derive(Args)]
pub struct Declared {
    /// The exchange
    name: String,
    /// Its type
    #[arg(long = "type", value_name = "TYPE", default_value = "direct")]
    kind: String,
    /// It does not outlive the broker's process
    #[arg(long)]
    transient: bool,
    /// It goes with its last binding
    #[arg(long)]
    auto_delete: bool,
    /// Only exchanges publish to it
    #[arg(long)]
    internal: bool,
    /// An argument, such as alternate-exchange=other; may be given several times
    #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = pair)]
    arguments: Vec<(String, Value)>,
}

/// A binding.
#[derive(Args)]
pub struct Binding {
    /// The exchange where it begins
    source: String,
    /// The queue or exchange where it leads
    destination: String,
    /// What DESTINATION is
    #[arg(long, value_name = "KIND", default_value = "queue")]
    destination_type: Kind,
    /// Its routing key
    #[arg(long, value_name = "KEY", default_value = "")]
    routing_key: String,
    /// An argument, such as x-match=any; may be given several times
    #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = pair)]
    arguments: Vec<(String, Value)>,
}

/// Where a binding leads.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Queue,
    Exchange,
}

/// The name in addresses of the exchange without a name.
const DEFAULT: &str = "amq.default";

/// The name of an exchange in addresses.
pub fn in_addresses(name: &str) -> &str {
    if name.is_empty() { DEFAULT } else { name }
}

/// An exchange of the virtual host that the command is for.
pub fn address(context: &Context, name: &str, more: &[&str]) -> Address {
    let (vhost, name) = (&*context.vhost, in_addresses(name));
    Address::new(&[&["exchanges", vhost, name], more].concat(), named("exchange", name, vhost))
}

impl Binding {
    /// Where bindings between its ends are, or the one of a key among them.
    fn address(&self, context: &Context, key: Option<&str>) -> Address {
        let kind = match self.destination_type {
            Kind::Queue => "q",
            Kind::Exchange => "e",
        };
        let source = in_addresses(&self.source);
        let ends = ["bindings", &context.vhost, "e", source, kind, &self.destination];
        let ends = ends.into_iter().chain(key).collect::<Vec<_>>();
        let ends_are = format!("'{source}' and '{}'", self.destination);
        Address::new(
            &ends,
            format!("such thing, or one of {ends_are} is not in virtual host '{}'", context.vhost),
        )
    }

    fn declare(&self, context: &Context) -> Result<(), Error> {
        let body = json!({ "routing_key": self.routing_key, "arguments": table(&self.arguments) });
        context.client.post(&self.address(context, None), &body).map(drop)
    }

    fn delete(&self, context: &Context) -> Result<(), Error> {
        let all = context.client.list(&self.address(context, None))?;
        let arguments = table(&self.arguments);
        let is_it = |its: &&Value| its["routing_key"] == *self.routing_key && its["arguments"] == arguments;
        let found = all.iter().find(is_it).and_then(|its| its["properties_key"].as_str());
        let Some(key) = found else {
            return Err(Error::Missing(format!(
                "binding from '{}' to '{}' with key '{}' and arguments {arguments}; there are {} between them: leveret list-bindings",
                self.source,
                self.destination,
                self.routing_key,
                all.len()
            )));
        };
        context.client.delete(&self.address(context, Some(key)), None)
    }
}

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::DeclareExchange(declared) if declared.name.is_empty() => {
            Err(usage("the exchange without a name is always there"))
        }
        Command::DeclareExchange(declared) => {
            let body = json!({
                "type": declared.kind,
                "durable": !declared.transient,
                "auto_delete": declared.auto_delete,
                "internal": declared.internal,
                "arguments": table(&declared.arguments),
            });
            context.client.put(&address(context, &declared.name, &[]), &body)
        }
        Command::DeleteExchange { name, if_unused } => {
            let address = address(context, name, &[]).with_some("if-unused", if_unused.then_some(true));
            context.client.delete(&address, None)
        }
        Command::DeclareBinding(binding) => binding.declare(context),
        Command::DeleteBinding(binding) => binding.delete(context),
    }
}
