//! SIGKILL at random moments under a mixed load. `LEVERET_KILLS` says how often (50), `LEVERET_SEED` repeats a run's
//! choices (not its timing).

use std::{env, thread, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    load::{self, Load, Running},
    node::{Node, Stop},
};

#[test]
fn nothing_confirmed_is_lost_and_nothing_settled_returns_over_many_kills() {
    let (kills, seed) = (number("LEVERET_KILLS", 50), seed());
    println!("LEVERET_SEED={seed} LEVERET_KILLS={kills}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut node = Node::new();
    let running = Running::begin(node.address(), seed);
    let mut killed = 0;
    while killed < kills && running.history().is_clean() {
        // Not a wait for something: the moment of the kill.
        thread::sleep(Duration::from_millis(rng.random_range(50..1_000)));
        node.assert_running();
        running.down();
        node.stop(Stop::Kill);
        while rng.random_ratio(1, 4) {
            // Killed while it recovers, too.
            node.stumble(Duration::from_millis(rng.random_range(0..60)));
            killed += 1;
        }
        node.up();
        running.up(node.address());
        killed += 1;
    }
    let load = running.finish();
    conclude(&load, &mut node);
    println!("kills {killed}, {}\nrestarts: {}", load.history(), restart_times(&node));
    assert!(load.history().is_clean(), "seed {seed}, after {killed} kills: {}", load.history());
    assert!(load.history().totals.confirmed > kills * 20, "too little was tried: {}", load.history());
}

/// One last kill, everything drained, and nothing left after an orderly restart.
pub fn conclude(load: &Load, node: &mut Node) {
    node.assert_running();
    node.restart(Stop::Kill);
    load::drain(load, node.address());
    node.restart(Stop::Term);
    load::assert_empty(load, node.address());
}

pub fn restart_times(node: &Node) -> String {
    let mut times = node.starts[1..].to_vec();
    times.sort_unstable();
    format!("p50 {:?}, max {:?}", times[times.len() / 2], times[times.len() - 1])
}

pub fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
}

pub fn seed() -> u64 {
    number("LEVERET_SEED", rand::random::<u32>().into())
}
