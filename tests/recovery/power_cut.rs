//! Power cuts, simulated: the broker's disk is an image file on a loop device; the broker is stopped in its tracks, the
//! image copied as the device has it, and a broker started on the copy. `LEVERET_CUTS` says how often (6).
//! Needs root and loop devices; says so and returns where there are none.

use std::{
    fs,
    io::Write as _,
    thread,
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    kill_loop::{conclude, number, restart_times, seed},
    load::Running,
    mounts::Disk,
    node::{Node, Stop, signal},
};

#[test]
fn everything_confirmed_is_there_after_power_cuts() {
    let Some(mut disk) = Disk::new(DISK_BYTES) else { return };
    let (cuts, seed) = (number("LEVERET_CUTS", 6), seed());
    println!("LEVERET_SEED={seed} LEVERET_CUTS={cuts}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut node = Node::on(&disk.root().join("data"), &["--disk-free-limit", "16777216"]);
    let running = Running::begin(node.address(), seed);
    let mut done = 0;
    while done < cuts && running.history().is_clean() {
        // Not a wait for something: the moment of the cut.
        thread::sleep(Duration::from_millis(rng.random_range(200..2_500)));
        node.assert_running();
        freeze(node.pid());
        let copy = disk.as_after_a_power_cut();
        running.down();
        node.stop(Stop::Kill);
        // The disk as it was is of no use any more; whatever it writes back now is lost.
        disk = copy;
        node.move_to(&disk.root().join("data"));
        node.up();
        running.up(node.address());
        done += 1;
    }
    let load = running.finish();
    conclude(&load, &mut node);
    println!("cuts {done}, {}\nrestarts: {}", load.history(), restart_times(&node));
    assert!(load.history().is_clean(), "seed {seed}, after {done} cuts: {}", load.history());
    assert!(load.history().totals.confirmed > cuts * 20, "too little was tried: {}", load.history());
    drop(node);
}

/// The method itself: it would find a missing fsync.
#[test]
fn a_file_that_was_not_synced_is_missing_or_empty_after_a_power_cut() {
    let Some(disk) = Disk::new(64 << 20) else { return };
    let bytes = vec![7; 1 << 20];
    let (synced, unsynced) = (disk.root().join("synced"), disk.root().join("unsynced"));
    let mut file = fs::File::create(synced).unwrap();
    file.write_all(&bytes).unwrap();
    file.sync_all().unwrap();
    fs::File::open(disk.root()).unwrap().sync_all().unwrap();
    // Overwritten in place, too: the name and the size are there, the bytes are the old ones.
    let mut old = file;
    std::io::Seek::rewind(&mut old).unwrap();
    old.write_all(&[8; 4096]).unwrap();
    fs::write(&unsynced, &bytes).unwrap();
    assert_eq!(fs::read(&unsynced).unwrap(), bytes, "before the cut all can be read");

    let after = disk.as_after_a_power_cut();
    assert_eq!(fs::read(after.root().join("synced")).unwrap(), bytes);
    let left = fs::read(after.root().join("unsynced")).unwrap_or_default();
    assert!(left.is_empty(), "{} bytes of a file that was never synced", left.len());
    assert_eq!(fs::read(&unsynced).unwrap(), bytes, "the copy has not synced it either");
}

/// Stops the process where it is. It returns when every thread has stopped: a call to the kernel that was under way has
/// ended by then, and nothing is confirmed after it.
fn freeze(pid: u32) {
    signal(pid, "-STOP");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !all_stopped(pid) {
        assert!(Instant::now() < deadline, "the broker does not stop");
        thread::sleep(Duration::from_micros(200));
    }
}

fn all_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // "id (name) state ...": the name may hold anything.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}

const DISK_BYTES: u64 = 256 << 20;
