//! Whether the broker is well, for probes: the exit code tells.

use clap::Args;
use serde_json::{Value, json};

use super::{
    client::{Address, Answer},
    error::Error,
    options::{Context, Login},
    output::{plain, say},
};

/// What is asked.
#[derive(Args)]
pub struct Health {
    /// Not only whether it lives, which takes no login on its own machine, but every check that there is
    #[arg(long)]
    ready: bool,
    /// Fail if a certificate of TLS expires within so many days
    #[arg(long, value_name = "DAYS", requires = "ready")]
    certificates: Option<u32>,
}

/// Every check of RabbitMQ's API that needs no more than its name.
const CHECKS: [&str; 8] = [
    "alarms",
    "local-alarms",
    "virtual-hosts",
    "is-in-service",
    "ready-to-serve-clients",
    "below-node-connection-limit",
    "node-is-quorum-critical",
    "node-is-mirror-sync-critical",
];

impl Health {
    /// Whether somebody has to log in for it.
    pub fn login(&self) -> Login {
        if self.ready { Login::Always } else { Login::IfSaid }
    }

    /// Asks.
    pub fn run(&self, context: &Context) -> Result<(), Error> {
        if !self.ready {
            context.client.get(&Address::new(&["leveret", "alive"], "sign of life at this address"))?;
            return say("ok");
        }
        let mut told = Vec::new();
        for check in CHECKS {
            told.push(ask(context, check, &["health", "checks", check])?);
        }
        if let Some(days) = self.certificates {
            let days = days.to_string();
            let words = ["health", "checks", "certificate-expiration", &days, "days"];
            told.push(ask(context, "certificate-expiration", &words)?);
        }
        context.output.rows(&plain(&["check", "status", "reason"]), &told)?;
        let failed: Vec<_> = told.iter().filter(|its| its["status"] != "ok").collect();
        if failed.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = failed.iter().filter_map(|its| its["check"].as_str()).collect();
        Err(Error::Failed(format!("not ready: {}", names.join(", "))))
    }
}

/// What one check says.
fn ask(context: &Context, check: &str, words: &[&str]) -> Result<Value, Error> {
    let address = Address::new(words, format!("check '{check}'"));
    let answer = context.client.ask("GET", &address, &Value::Null, None)?;
    let body = match answer {
        Answer { status: 503, body } if body["status"].is_string() => body,
        answer => context.client.done(&address, answer)?,
    };
    Ok(json!({ "check": check, "status": body["status"], "reason": body["reason"] }))
}
