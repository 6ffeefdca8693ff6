//! Policies, operator policies and parameters: set and cleared.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    client::{Address, named},
    error::Error,
    options::Context,
    values::{json as any, object},
};

/// What is done to policies and parameters.
#[derive(Subcommand)]
pub enum Command {
    /// Set a policy: settings of all queues or exchanges whose names match
    SetPolicy(Policy),
    /// Take a policy away
    ClearPolicy {
        /// Its name
        name: String,
    },
    /// Set an operator policy, which limits what others ask for
    SetOperatorPolicy(Policy),
    /// Take an operator policy away
    ClearOperatorPolicy {
        /// Its name
        name: String,
    },
    /// Set a parameter
    SetParameter {
        /// What it belongs to, such as shovel
        component: String,
        /// Its name
        name: String,
        /// As JSON
        #[arg(value_parser = any)]
        value: Value,
    },
    /// Take a parameter away
    ClearParameter {
        /// What it belongs to
        component: String,
        /// Its name
        name: String,
    },
}

/// A policy.
#[derive(Args)]
pub struct Policy {
    /// Its name
    name: String,
    /// A regular expression that is looked for in names
    pattern: String,
    /// As JSON: {"max-length": 10, "overflow": "reject-publish"}
    #[arg(value_parser = object)]
    definition: Value,
    /// Of those that match, the highest counts
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// What it is for
    #[arg(
        long,
        value_name = "KIND",
        default_value = "all",
        value_parser = ["all", "queues", "exchanges", "classic_queues", "quorum_queues"]
    )]
    apply_to: String,
}

fn policy(kind: &str, name: &str, context: &Context) -> Address {
    let shown = if kind == "policies" { "policy" } else { "operator policy" };
    Address::new(&[kind, &context.vhost, name], named(shown, name, &context.vhost))
}

fn set(kind: &str, its: &Policy, context: &Context) -> Result<(), Error> {
    let body = json!({
        "pattern": its.pattern,
        "definition": its.definition,
        "priority": its.priority,
        "apply-to": its.apply_to,
    });
    context.client.put(&policy(kind, &its.name, context), &body)
}

fn parameter(component: &str, name: &str, context: &Context) -> Address {
    let what = named(&format!("parameter of {component}"), name, &context.vhost);
    Address::new(&["parameters", component, &context.vhost, name], what)
}

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let client = &context.client;
    match command {
        Command::SetPolicy(its) => set("policies", its, context),
        Command::ClearPolicy { name } => client.delete(&policy("policies", name, context), None),
        Command::SetOperatorPolicy(its) => set("operator-policies", its, context),
        Command::ClearOperatorPolicy { name } => {
            client.delete(&policy("operator-policies", name, context), None)
        }
        Command::SetParameter { component, name, value } => {
            client.put(&parameter(component, name, context), &json!({ "value": value }))
        }
        Command::ClearParameter { component, name } => {
            client.delete(&parameter(component, name, context), None)
        }
    }
}
