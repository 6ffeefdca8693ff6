//! Hours of the same load with a kill now and then: memory and disk must come back down. Does nothing unless
//! `LEVERET_LONG_RUN_SECONDS` says how long.

use std::{
    thread,
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    kill_loop::{conclude, number, restart_times, seed},
    load::Running,
    node::{Node, Stop},
};

#[test]
fn memory_and_disk_stay_bounded_over_a_long_run_with_kills() {
    let seconds = number("LEVERET_LONG_RUN_SECONDS", 0);
    if seconds == 0 {
        println!("nothing done: LEVERET_LONG_RUN_SECONDS does not say how long to run");
        return;
    }
    let seed = seed();
    println!("LEVERET_SEED={seed} LEVERET_LONG_RUN_SECONDS={seconds}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut node = Node::new();
    let running = Running::begin(node.address(), seed);
    let (began, mut samples) = (Instant::now(), Vec::new());
    while began.elapsed() < Duration::from_secs(seconds) && running.history().is_clean() {
        let kill_at = Instant::now() + Duration::from_millis(rng.random_range(10_000..30_000));
        let end = (began + Duration::from_secs(seconds)).min(kill_at);
        while Instant::now() < end {
            thread::sleep(end.saturating_duration_since(Instant::now()).min(SAMPLE_EVERY));
            node.assert_running();
            samples.push((began.elapsed().as_secs(), node.resident(), node.disk(), running.history().open()));
        }
        running.down();
        node.restart(Stop::Kill);
        running.up(node.address());
    }
    let load = running.finish();
    conclude(&load, &mut node);
    let (resident, disk) = settled_down(&node);
    println!("seconds  resident MB  disk MB  unsettled messages");
    // At most a hundred lines, however long it ran.
    for (at, resident, disk, open) in samples.iter().step_by(samples.len() / 100 + 1) {
        println!("{at:7}  {:11}  {:7}  {open:18}", resident / MB, disk / MB);
    }
    println!("after the drain: {} MB resident, {} MB on disk", resident / MB, disk / MB);
    println!("kills {}, {}\nrestarts: {}", node.starts.len() - 3, load.history(), restart_times(&node));
    assert!(load.history().is_clean(), "seed {seed}: {}", load.history());
    assert!(disk < DISK_MAX, "{disk} bytes are left on disk");
    assert!(resident < RESIDENT_MAX, "{resident} bytes are resident");
}

/// Space is given back in the background: waits until it is, or says what is left.
fn settled_down(node: &Node) -> (u64, u64) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let now = (node.resident(), node.disk());
        if (now.0 < RESIDENT_MAX && now.1 < DISK_MAX) || Instant::now() > deadline {
            return now;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

const MB: u64 = 1_000_000;
const DISK_MAX: u64 = 200 * MB;
const RESIDENT_MAX: u64 = 300 * MB;
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
