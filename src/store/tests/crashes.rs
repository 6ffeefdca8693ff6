//! Whatever happens, a power cut at any operation of the disk leaves what the model allows.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{cases, story::Story};

/// Says which seed a story had when it fails.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let first = std::env::var("LEVERET_SEED").ok().and_then(|seed| seed.parse().ok());
    let count = if first.is_some() { 1 } else { cases(count) };
    (0..count).map(move |at| first.unwrap_or(0) + at)
}

#[test]
fn power_cuts_at_any_operation_leave_what_was_confirmed_and_not_settled() {
    for seed in seeds(400) {
        let _told = Told(seed);
        play(seed, false, false);
    }
}

#[test]
fn a_disk_that_runs_out_of_room_anywhere_and_loses_power_leaves_what_was_confirmed() {
    for seed in seeds(400) {
        let _told = Told(seed);
        play(seed, false, true);
    }
}

#[test]
fn a_lost_key_value_store_loses_no_message() {
    for seed in seeds(200) {
        let _told = Told(seed);
        play(seed, true, false);
    }
}

/// One story, and the power goes at each of its operations in turn.
#[test]
fn a_power_cut_at_every_operation_of_one_story_leaves_what_was_confirmed() {
    let operations = {
        let mut story = Story::begin(11);
        story.do_everything();
        story.machine.disk.operations()
    };
    assert!(operations > 60, "{operations} operations are not much of a story");
    for n in 1..=operations {
        for seed in 0..cases(3) {
            let _told = Told(n * 1_000 + seed);
            let mut story = Story::begin(11);
            let before = story.machine.disk.operations();
            story.machine.disk.crash_at(n.saturating_sub(before).max(1));
            story.do_everything();
            story.lose_power(seed);
            story.do_everything();
            story.lose_power(seed);
        }
    }
}

fn play(seed: u64, loses_state: bool, runs_out: bool) {
    let mut chance = StdRng::seed_from_u64(!seed);
    let mut story = Story::begin(seed);
    story.runs_out = runs_out;
    for _ in 0..chance.random_range(1..=5) {
        if chance.random_ratio(5, 6) {
            story.machine.disk.crash_at(chance.random_range(1..80));
        }
        let steps = chance.random_range(1..200);
        let lit = (0..steps).all(|_| story.go_on());
        match chance.random_range(0..8) {
            0 if lit && !loses_state => story = story.stop(chance.random()),
            1 if lit => story.be_killed(),
            2 | 3 if loses_state => story.lose_power_and_state(chance.random(), true),
            _ => story.lose_power(chance.random()),
        }
    }
}
