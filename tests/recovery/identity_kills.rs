//! SIGKILL while definitions are loaded: users, permissions and virtual hosts that the log called loaded are there afterwards, and
//! what is there of others is whole. `LEVERET_KILLS` and `LEVERET_SEED` as in the kill loop.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    kill_loop::{number, seed},
    node::{Node, Stop, signal},
};

/// RabbitMQ's hash of `test12`, with the salt of its manual.
const HASH: &str = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";

/// How long a test waits for an event before it fails.
const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn users_and_virtual_hosts_that_were_loaded_are_there_over_many_kills() {
    let (kills, seed) = (number("LEVERET_KILLS", 8), seed());
    println!("LEVERET_SEED={seed} LEVERET_KILLS={kills}");
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("definitions.json");
    fs::write(&file, "{}").unwrap();
    let mut node = Node::with(&["--load-definitions", file.to_str().unwrap()]);
    let mut loaded = BTreeSet::new();
    let mut tried = 0;
    let mut before = 0;
    for _ in 0..kills {
        // The start has loaded what is in the file, too.
        await_told(&node, before);
        // Those of before the last one are told as loaded; the last one may be or not.
        let rounds = rng.random_range(1..4);
        for round in 0..rounds {
            let numbers: Vec<u32> = (tried..tried + 20).collect();
            tried += 20;
            fs::write(&file, definitions(&numbers)).unwrap();
            before = told(&node);
            signal(node.pid(), "-HUP");
            if round + 1 == rounds {
                // Not a wait for something: the moment of the kill.
                thread::sleep(Duration::from_micros(rng.random_range(0..15_000)));
                break;
            }
            await_told(&node, before);
            loaded.extend(numbers);
        }
        node.stop(Stop::Kill);
        before = told(&node);
        // What a start loads again would hide what is lost.
        fs::write(&file, "{}").unwrap();
        let found = Found::in_folder(&node);
        let missing: Vec<_> = loaded.iter().filter(|number| !found.is_whole(**number)).collect();
        assert!(missing.is_empty(), "seed {seed}: {missing:?} are missing or not whole");
        for user in &found.permitted {
            assert!(found.users.contains(user) && found.vhosts.contains(user), "seed {seed}: {user}");
        }
        node.up();
    }
    println!("{} were told as loaded, {tried} were tried", loaded.len());
}

fn definitions(numbers: &[u32]) -> String {
    let each =
        |write: &dyn Fn(u32) -> String| numbers.iter().map(|n| write(*n)).collect::<Vec<_>>().join(",");
    let users = each(&|n| {
        format!(
            r#"{{"name":"n{n}","password_hash":"{HASH}","hashing_algorithm":"rabbit_password_hashing_sha256","tags":""}}"#
        )
    });
    let vhosts = each(&|n| format!(r#"{{"name":"n{n}"}}"#));
    let permissions =
        each(&|n| format!(r#"{{"user":"n{n}","vhost":"n{n}","configure":"","write":"w{n}","read":"r"}}"#));
    format!(r#"{{"users":[{users}],"vhosts":[{vhosts}],"permissions":[{permissions}]}}"#)
}

/// How often definitions were told as loaded.
fn told(node: &Node) -> usize {
    String::from_utf8_lossy(&node.log()).matches("definitions are loaded").count()
}

/// Waits until definitions were told as loaded more often than that.
fn await_told(node: &Node, before: usize) {
    let began = Instant::now();
    while told(node) == before {
        assert!(began.elapsed() < DEADLINE, "definitions are loaded in time: {}", node.stderr());
        thread::sleep(Duration::from_millis(1));
    }
}

/// What `leveret fsck` finds, by name.
#[derive(Default)]
struct Found {
    users: BTreeSet<String>,
    vhosts: BTreeSet<String>,
    permitted: BTreeSet<String>,
}

impl Found {
    fn in_folder(node: &Node) -> Self {
        let fsck =
            Command::new(env!("CARGO_BIN_EXE_leveret")).args(["fsck", "--all"]).arg(node.data()).output();
        let output = fsck.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        let mut found = Self::default();
        for line in text.lines().filter_map(|line| line.strip_prefix("  ")) {
            if let Some((user, rest)) = line.split_once(" in ") {
                let expected = format!("{user}: configure \"\", write \"w{}\", read \"r\"", &user[1..]);
                if user.starts_with('n') {
                    assert_eq!(rest, expected, "the permission is the one that was set");
                    found.permitted.insert(user.to_owned());
                }
            } else if let Some((user, _)) = line.split_once(": rabbit_password_hashing_sha256") {
                found.users.insert(user.to_owned());
            } else {
                found.vhosts.insert(line.to_owned());
            }
        }
        found
    }

    fn is_whole(&self, number: u32) -> bool {
        let name = format!("n{number}");
        self.users.contains(&name) && self.vhosts.contains(&name) && self.permitted.contains(&name)
    }
}
