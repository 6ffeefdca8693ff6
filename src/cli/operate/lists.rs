//! The commands that list things, with the names and columns of rabbitmqctl.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    client::Address,
    columns::{self, List},
    error::Error,
    options::Context,
    output::choose,
};

/// Lists.
#[derive(Subcommand)]
pub enum Command {
    /// List queues
    ListQueues(InVhost),
    /// List exchanges
    ListExchanges(InVhost),
    /// List bindings
    ListBindings(InVhost),
    /// List consumers
    ListConsumers(InVhost),
    /// List connections; with -p those of one virtual host
    ListConnections(Chosen),
    /// List channels; with -p those of one virtual host
    ListChannels(Chosen),
    /// List users
    ListUsers(Chosen),
    /// List virtual hosts
    ListVhosts(Chosen),
    /// List who may do what in a virtual host
    ListPermissions(InVhost),
    /// List what a user may do in virtual hosts
    ListUserPermissions(OfUser),
    /// List who may use which routing keys of topic exchanges
    ListTopicPermissions(InVhost),
    /// List which routing keys of topic exchanges a user may use
    ListUserTopicPermissions(OfUser),
    /// List policies
    ListPolicies(InVhost),
    /// List operator policies
    ListOperatorPolicies(InVhost),
    /// List parameters
    ListParameters(InVhost),
    /// List limits of virtual hosts; with -p those of one
    ListVhostLimits(Chosen),
    /// List limits of users
    ListUserLimits(OfSomeUser),
    /// List how many messages were dropped, and why
    ListDrops(Chosen),
}

/// What of a list is shown.
#[derive(Args)]
pub struct Chosen {
    /// What is shown of each, by name (see below); a key of a map follows a dot
    #[arg(value_name = "COLUMN")]
    columns: Vec<String>,
    /// Only those with this in their name
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// TEXT is a regular expression
    #[arg(long, requires = "name")]
    regex: bool,
    /// Sort by a column
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// The largest first
    #[arg(long, requires = "sort")]
    reverse: bool,
}

/// A list of things in virtual hosts.
#[derive(Args)]
pub struct InVhost {
    #[command(flatten)]
    chosen: Chosen,
    /// Those of all virtual hosts
    #[arg(short = 'A', long, conflicts_with = "in-vhost")]
    all_vhosts: bool,
}

/// A list of what a user has.
#[derive(Args)]
pub struct OfUser {
    /// The user
    #[arg(value_name = "USER")]
    of: String,
    #[command(flatten)]
    chosen: Chosen,
}

/// A list of what users have.
#[derive(Args)]
pub struct OfSomeUser {
    /// Those of one user
    #[arg(long, value_name = "USER")]
    of: Option<String>,
    #[command(flatten)]
    chosen: Chosen,
}

/// Shows a list.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let (list, chosen) = described(command);
    let address = address(command, context);
    let mut columns = chosen.columns.clone();
    if columns.is_empty() {
        columns.extend(list.default.iter().map(|&name| name.to_owned()));
    }
    if chosen.columns.is_empty() && is_of_all(command) && !list.default.contains(&"vhost") {
        columns.insert(0, "vhost".into());
    }
    let columns = choose(&columns, list.columns)?;
    let mut address = address
        .with_some("name", chosen.name.as_ref())
        .with_some("use_regex", chosen.regex.then_some(true))
        .with_some("sort_reverse", chosen.reverse.then_some(true));
    if let Some(sort) = &chosen.sort {
        let by = choose(std::slice::from_ref(sort), list.columns)?;
        address = address.with_some("sort", by.first().map(|column| &column.path));
    }
    let of_vhost = of_vhost(command, context);
    if of_vhost.is_none() {
        // The broker sends no more than what is shown.
        let paths: Vec<_> = columns.iter().map(|column| &*column.path).collect();
        address = address.with("columns", &paths.join(","));
    }
    let mut items = context.client.list(&address)?;
    if let Some(vhost) = of_vhost {
        items.retain(|item| item["vhost"] == *vhost);
    }
    if matches!(command, Command::ListBindings(_)) {
        // It always is one, so that the broker does not say it.
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.insert("source_kind".into(), json!("exchange"));
        }
    }
    context.output.rows(&columns, &items)
}

/// What is known of its columns, and what was chosen.
fn described(command: &Command) -> (&'static List, &Chosen) {
    match command {
        Command::ListQueues(its) => (&columns::QUEUES, &its.chosen),
        Command::ListExchanges(its) => (&columns::EXCHANGES, &its.chosen),
        Command::ListBindings(its) => (&columns::BINDINGS, &its.chosen),
        Command::ListConsumers(its) => (&columns::CONSUMERS, &its.chosen),
        Command::ListConnections(chosen) => (&columns::CONNECTIONS, chosen),
        Command::ListChannels(chosen) => (&columns::CHANNELS, chosen),
        Command::ListUsers(chosen) => (&columns::USERS, chosen),
        Command::ListVhosts(chosen) => (&columns::VHOSTS, chosen),
        Command::ListPermissions(its) => (&columns::PERMISSIONS, &its.chosen),
        Command::ListUserPermissions(its) => (&columns::USER_PERMISSIONS, &its.chosen),
        Command::ListTopicPermissions(its) => (&columns::TOPIC_PERMISSIONS, &its.chosen),
        Command::ListUserTopicPermissions(its) => (&columns::USER_TOPIC_PERMISSIONS, &its.chosen),
        Command::ListPolicies(its) => (&columns::POLICIES, &its.chosen),
        Command::ListOperatorPolicies(its) => (&columns::OPERATOR_POLICIES, &its.chosen),
        Command::ListParameters(its) => (&columns::PARAMETERS, &its.chosen),
        Command::ListVhostLimits(chosen) => (&columns::VHOST_LIMITS, chosen),
        Command::ListUserLimits(its) => (&columns::USER_LIMITS, &its.chosen),
        Command::ListDrops(chosen) => (&columns::DROPS, chosen),
    }
}

/// Where the list is.
fn address(command: &Command, context: &Context) -> Address {
    let vhost = &*context.vhost;
    let there = format!("virtual host '{vhost}'");
    let in_vhost = |its: &InVhost, kind: &str| {
        if its.all_vhosts { Address::new(&[kind], kind) } else { Address::new(&[kind, vhost], there.clone()) }
    };
    let below_vhost = |its: &InVhost, kind: &str| {
        if its.all_vhosts {
            Address::new(&[kind], kind)
        } else {
            Address::new(&["vhosts", vhost, kind], there.clone())
        }
    };
    let if_said = |kind: &str| match &context.vhost_said {
        None => Address::new(&[kind], kind),
        Some(vhost) => Address::new(&["vhosts", vhost, kind], there.clone()),
    };
    let of_user = |user: &str, kind: &str| Address::new(&["users", user, kind], format!("user '{user}'"));
    match command {
        Command::ListQueues(its) => in_vhost(its, "queues"),
        Command::ListExchanges(its) => in_vhost(its, "exchanges"),
        Command::ListBindings(its) => in_vhost(its, "bindings"),
        Command::ListConsumers(its) => in_vhost(its, "consumers"),
        Command::ListConnections(_) => if_said("connections"),
        Command::ListChannels(_) => if_said("channels"),
        Command::ListUsers(_) => Address::new(&["users"], "users"),
        Command::ListVhosts(_) => Address::new(&["vhosts"], "virtual hosts"),
        Command::ListPermissions(its) => below_vhost(its, "permissions"),
        Command::ListUserPermissions(its) => of_user(&its.of, "permissions"),
        Command::ListTopicPermissions(its) => below_vhost(its, "topic-permissions"),
        Command::ListUserTopicPermissions(its) => of_user(&its.of, "topic-permissions"),
        Command::ListPolicies(its) => in_vhost(its, "policies"),
        Command::ListOperatorPolicies(its) => in_vhost(its, "operator-policies"),
        Command::ListParameters(_) => Address::new(&["parameters"], "parameters"),
        Command::ListVhostLimits(_) => match &context.vhost_said {
            None => Address::new(&["vhost-limits"], "limits"),
            Some(vhost) => Address::new(&["vhost-limits", vhost], there),
        },
        Command::ListUserLimits(its) => match &its.of {
            None => Address::new(&["user-limits"], "limits"),
            Some(user) => Address::new(&["user-limits", user], format!("user '{user}'")),
        },
        Command::ListDrops(_) => Address::new(&["leveret", "drops"], "list of drops at this broker"),
    }
}

/// The virtual host whose things are picked here, because the broker has no list of them.
fn of_vhost<'a>(command: &Command, context: &'a Context) -> Option<&'a str> {
    match command {
        Command::ListParameters(its) if !its.all_vhosts => Some(&context.vhost),
        Command::ListDrops(_) => context.vhost_said.as_deref(),
        _ => None,
    }
}

fn is_of_all(command: &Command) -> bool {
    match command {
        Command::ListQueues(its)
        | Command::ListExchanges(its)
        | Command::ListBindings(its)
        | Command::ListConsumers(its)
        | Command::ListPermissions(its)
        | Command::ListTopicPermissions(its)
        | Command::ListPolicies(its)
        | Command::ListOperatorPolicies(its)
        | Command::ListParameters(its) => its.all_vhosts,
        _ => false,
    }
}
