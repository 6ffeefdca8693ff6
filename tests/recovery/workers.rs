//! The clients of the load. Each is one connection that does its thing until the broker goes, and again when it is back;
//! each writes down what it does before it does it and what it learns after.

mod churn;
mod consume;
mod publish;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::load::Worker;
use consume::{Consumer, Getter, Style};
use publish::{Publisher, Route, Transactor};

pub const FAN: &str = "fan";
pub const FANNED: [&str; 3] = ["fan-0", "fan-1", "fan-2"];
pub const DRAIN_MARKS: &str = "marks-of-the-drain";

const ONE: &str = "one";
const MANDATORY: &str = "mandatory";
const PURGED: &str = "purged";
const TRANSACTED: [&str; 2] = ["tx-0", "tx-1"];
/// Queues that come and go.
const CHURNED: usize = 4;
/// Consumers, each with a queue for its markers.
const CONSUMERS: u32 = 8;

pub fn all(seed: u64) -> Vec<Box<dyn Worker>> {
    let mut seeds = StdRng::seed_from_u64(seed);
    let mut rng = || StdRng::seed_from_u64(seeds.random());
    let queue = |queue: &str, number, prefetch, style| (queue.to_owned(), number, prefetch, style);
    let consumers = [
        queue(ONE, 0, 50, Style::Single),
        queue(ONE, 1, 10, Style::Multiple),
        queue(FANNED[0], 2, 100, Style::Multiple),
        queue(FANNED[1], 3, 30, Style::Requeue),
        queue(TRANSACTED[0], 4, 20, Style::Single),
        queue(TRANSACTED[1], 5, 20, Style::Multiple),
        queue(MANDATORY, 6, 5, Style::Requeue),
    ];
    let mut workers: Vec<Box<dyn Worker>> = vec![
        Box::new(Publisher::new(1, Route::to(ONE), 1_000, 131_072, rng())),
        Box::new(Publisher::new(2, Route::to(ONE), 64 * 1024, 8_192, rng())),
        Box::new(Publisher::new(3, Route::fan_out(), 4_096, 131_072, rng())),
        Box::new(Publisher::new(4, Route::mandatory(), 300, 131_072, rng())),
        Box::new(Transactor::new(5, rng())),
        Box::new(churn::Purger::new(6, rng())),
        Box::new(churn::Churner::new(7, rng())),
        Box::new(Getter::new(FANNED[2], 7, rng())),
    ];
    for (queue, number, prefetch, style) in consumers {
        workers.push(Box::new(Consumer::new(&queue, number, prefetch, style, rng())));
    }
    workers
}

/// Queues that are declared before the load begins.
pub fn fixed_queues() -> Vec<String> {
    let mut names: Vec<String> = [ONE, MANDATORY, PURGED, DRAIN_MARKS]
        .iter()
        .chain(&FANNED)
        .chain(&TRANSACTED)
        .map(|name| (*name).into())
        .collect();
    names.extend((0..CONSUMERS).map(marks));
    names
}

/// Queues whose messages the history knows.
pub fn all_queues() -> Vec<String> {
    let fixed = fixed_queues().into_iter().filter(|name| !name.starts_with("marks"));
    fixed.chain((0..CHURNED).map(churned)).collect()
}

fn churned(n: usize) -> String {
    format!("churn-{n}")
}

/// Where a consumer's markers go. Nobody consumes from it, or a marker might be settled before it was ever written, and
/// its confirm would prove nothing.
fn marks(consumer: u32) -> String {
    format!("marks-{consumer}")
}
