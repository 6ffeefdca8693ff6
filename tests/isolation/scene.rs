//! A row of the tables: what an attacker prepares, does and leaves behind, beside victims; and the one function that runs
//! a row. Sizes are small unless `LEVERET_ISOLATION=full`.

use std::{
    env, io,
    process::ExitStatus,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    entry::Entry,
    machines::behind_others,
    node::{resident_peak, signal},
    peer::Peer,
    victim::{Felt, Victims, Waits},
    world::{Tenancy, World},
};

pub struct Row {
    pub name: &'static str,
    /// Of the broker, in bytes: in full, and small.
    pub memory_limit: Option<(usize, usize)>,
    /// What stands before the attack.
    pub set_up: fn(&Scene) -> io::Result<Vec<Peer>>,
    /// The attack; it is over when this returns. The attackers leave after it without a word.
    pub attack: fn(&Scene, &mut Vec<Peer>) -> io::Result<()>,
    /// What must be true when they are gone.
    pub after: fn(&Scene) -> io::Result<()>,
    /// Whether the broker may close the attacker's connection or channel.
    pub may_be_refused: bool,
    /// What the attacker may do, and the policies of its virtual host, where it has one of its own.
    pub tenancy: fn() -> Tenancy,
}

impl Row {
    pub const USUAL: Self = Self {
        name: "",
        memory_limit: None,
        set_up: |_| Ok(Vec::new()),
        attack: |_, _| Ok(()),
        after: |_| Ok(()),
        may_be_refused: false,
        tenancy: Tenancy::default,
    };

    fn start(&self, way: Way) -> World {
        let limit = self.memory_limit.map(|(full, small)| size(full, small).to_string());
        let mut args = vec!["--segment-bytes", if is_full() { "67108864" } else { "1048576" }];
        args.extend(limit.iter().flat_map(|limit| ["--memory-limit-bytes", limit]));
        match way {
            Way::Guest => World::of_guest(&args),
            Way::Tenants { attackers_speak_tls } => {
                World::of_tenants(&args, &(self.tenancy)(), attackers_speak_tls)
            }
        }
    }

    /// Resident memory that it may take at its peak. A small limit is small beside the program, which is a debug build then.
    fn peak_max(&self) -> Option<u64> {
        let program = size(64, 96) as u64 * MIB;
        self.memory_limit.map(|(full, small)| size(full, small) as u64 * 13 / 10 + program)
    }
}

/// As whom attackers and victims come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All as the default user, without TLS.
    Guest,
    /// Each as an ordinary user of a virtual host of its own, victims over TLS.
    Tenants { attackers_speak_tls: bool },
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Guest => "",
            Self::Tenants { attackers_speak_tls: false } => "(tenants)",
            Self::Tenants { attackers_speak_tls: true } => "(tenants, TLS)",
        }
    }

    /// As `LEVERET_ISOLATION_WAY` says: `guest`, `tenants` or `tenants-tls`.
    fn of_environment() -> Self {
        match env::var("LEVERET_ISOLATION_WAY").as_deref() {
            Err(_) | Ok("guest") => Self::Guest,
            Ok("tenants") => Self::Tenants { attackers_speak_tls: false },
            Ok("tenants-tls") => Self::Tenants { attackers_speak_tls: true },
            Ok(other) => panic!("LEVERET_ISOLATION_WAY is not guest, tenants or tenants-tls: {other}"),
        }
    }
}

/// Where a row takes place.
pub struct Scene {
    /// As whom the attackers come.
    pub attacker: Entry,
}

impl Scene {
    pub fn peer(&self) -> io::Result<Peer> {
        Peer::open(&self.attacker)
    }

    /// Sends these bytes so many times from each of three connections at once: as many as to keep all workers of a small
    /// machine busy. Waits until all of it was handled.
    pub fn send_from_all_sides(
        &self,
        times: usize,
        bytes: &(dyn Fn(usize) -> Vec<u8> + Sync),
    ) -> io::Result<()> {
        thread::scope(|scope| {
            let attacker = || {
                let mut peer = self.peer()?;
                peer.bytes_of_each(0..times, bytes)?;
                peer.barrier()
            };
            let attackers = [(); ATTACKERS].map(|()| scope.spawn(attacker));
            attackers
                .into_iter()
                .try_for_each(|attacker| attacker.join().expect("an attacker does not panic"))
        })
    }

    /// Waits until the queue has these counts of ready messages and consumers.
    pub fn await_counts(&self, queue: &str, wanted: (u32, u32)) -> io::Result<()> {
        let (mut peer, began) = (self.peer()?, Instant::now());
        loop {
            let counts = peer.counts(queue)?;
            if counts == wanted {
                return Ok(());
            }
            if began.elapsed() > patience() {
                return Err(io::Error::other(format!("{queue} has {counts:?}, not {wanted:?}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Runs an attack beside victims, as the environment says; prints what they felt, and fails where it did what it must not.
pub fn run(row: &Row) {
    run_on(row, Way::of_environment());
}

/// The same, as it is said.
pub fn run_on(row: &Row, way: Way) {
    let World { node, attacker, victim, .. } = &mut row.start(way);
    let scene = Scene { attacker: attacker.clone() };
    let victims = Victims::beside(victim).unwrap();
    if way != Way::Guest {
        thread::sleep(Duration::from_millis(size(10_000, 300) as u64));
    }
    let (peak, attacked_at) = (AtomicU64::new(0), Instant::now());
    let attacked = observed(node.pid(), &peak, || {
        behind_others(|| {
            let mut peers = (row.set_up)(&scene)?;
            (row.attack)(&scene, &mut peers)
        })
    });
    let gone = Instant::now();
    // What goes on after the answer is watched as well.
    thread::sleep(Duration::from_millis(size(1_500, 100) as u64));
    let cleared = observed(node.pid(), &peak, || {
        (row.after)(&scene)?;
        await_unblocked(&victims)
    });
    let alarm = gone.elapsed();
    let (felt, victims) = victims.finish(attacked_at);
    let (left, log) = (node.resident(), node.stderr());
    let stopped = node.terminate(patience());
    let peak = peak.into_inner();
    report(&format!("{} {}", row.name, way.name()), &felt, (peak, left), alarm, stopped);
    let refused = |error: &io::Error| row.may_be_refused && error.kind() == io::ErrorKind::PermissionDenied;
    if let Err(error) = attacked
        && !refused(&error)
    {
        panic!("{}: the attacker was held up: {error}; the broker says\n{log}", row.name);
    }
    cleared.unwrap_or_else(|error| panic!("{}: afterwards: {error}; the broker says\n{log}", row.name));
    victims.unwrap_or_else(|error| panic!("{}: a victim: {error}", row.name));
    assert!(stopped.is_some_and(|(status, _)| status.success()), "{}: {stopped:?}", row.name);
    if row.memory_limit.is_some() {
        assert!(alarm < ALARM_MAX, "{}: clear only after {}", row.name, seconds(Some(alarm)));
    }
    if let Some(max) = row.peak_max() {
        assert!(peak < max, "{}: {} MB resident, {} allowed", row.name, peak / MIB, max / MIB);
    }
}

/// SIGTERM in the middle of the attack: the broker must end, and in order.
pub fn stop_in_the_middle(row: &Row) {
    let World { node, attacker, victim, .. } = &mut row.start(Way::of_environment());
    let scene = Scene { attacker: attacker.clone() };
    let victims = Victims::beside(victim).unwrap();
    let mut peers = observed(node.pid(), &AtomicU64::new(0), || (row.set_up)(&scene)).unwrap();
    let stopped = thread::scope(|scope| {
        // How far it comes is chance; it fails when the broker goes.
        let attack = scope.spawn(|| {
            let _ = (row.attack)(&scene, &mut peers);
            peers.clear();
        });
        thread::sleep(MIDDLE);
        let stopped = node.terminate(patience());
        attack.join().expect("an attack does not panic");
        stopped
    });
    drop(victims);
    println!("\n| {} | SIGTERM in the middle | {} |", row.name, seconds(stopped.map(|(_, took)| took)));
    assert!(stopped.is_some_and(|(status, _)| status.success()), "{}: {stopped:?}", row.name);
}

/// Does this, and kills the broker when it takes too long, so that whoever waits for it goes on. Follows its memory.
fn observed<T>(pid: u32, peak: &AtomicU64, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let (done, waiting) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let began = Instant::now();
            while waiting.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                peak.fetch_max(resident_peak(pid).unwrap_or(0), Ordering::Relaxed);
                if began.elapsed() > patience() {
                    return signal(pid, "-KILL");
                }
            }
            peak.fetch_max(resident_peak(pid).unwrap_or(0), Ordering::Relaxed);
        });
        let outcome = work();
        drop(done);
        outcome
    })
}

fn await_unblocked(victims: &Victims) -> io::Result<()> {
    let began = Instant::now();
    while victims.are_blocked() {
        if began.elapsed() > patience() {
            return Err(io::Error::other("the alarm stays raised"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn report(
    name: &str,
    felt: &Felt,
    (peak, left): (u64, u64),
    alarm: Duration,
    stopped: Option<(ExitStatus, Duration)>,
) {
    let Felt { before, during } = felt;
    let quiet = match *before {
        Waits { p50: Duration::ZERO, .. } => String::new(),
        Waits { p50, p99, .. } => format!(
            " quiet p50 {} p99 {}, then {:.1} x |",
            millis(p50),
            millis(p99),
            during.p99.as_secs_f64() / p99.as_secs_f64()
        ),
    };
    println!(
        "\n| {name} |{quiet} longest wait {} | p50 {} | p99 {} | peak {} MB, then {} MB | clear after {} | SIGTERM {} |",
        seconds(Some(during.longest)),
        millis(during.p50),
        millis(during.p99),
        peak / MIB,
        left / MIB,
        seconds(Some(alarm)),
        seconds(stopped.map(|(_, took)| took)),
    );
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

fn seconds(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "never".to_owned(), |took| format!("{:.3} s", took.as_secs_f64()))
}

/// Each row is two tests: beside victims, and with SIGTERM in its middle.
macro_rules! rows_and_stops {
    ($($name:ident)*) => { $(
        mod $name {
            #[test]
            fn leaves_others_alone() {
                crate::scene::run(&super::$name());
            }

            #[test]
            fn obeys_sigterm() {
                crate::scene::stop_in_the_middle(&super::$name());
            }
        }
    )* };
}
pub(crate) use rows_and_stops;

/// Each row is a test.
macro_rules! rows {
    ($($name:ident)*) => {
        mod rows {
            $(
                #[test]
                fn $name() {
                    crate::scene::run(&super::$name());
                }
            )*
        }
    };
}
pub(crate) use rows;

/// Each row is two tests in which everybody is a tenant: with attackers in the clear, and over TLS.
macro_rules! rows_among_tenants {
    ($($name:ident)*) => { $(
        mod $name {
            use crate::scene::{Way, run_on};

            #[test]
            fn in_the_clear() {
                run_on(&super::$name(), Way::Tenants { attackers_speak_tls: false });
            }

            #[test]
            fn over_tls() {
                run_on(&super::$name(), Way::Tenants { attackers_speak_tls: true });
            }
        }
    )* };
}
pub(crate) use rows_among_tenants;

/// A number of the tables, or a smaller one for every day.
pub fn size(full: usize, small: usize) -> usize {
    if is_full() { full } else { small }
}

/// How long an answer may take before a row has failed.
pub fn patience() -> Duration {
    Duration::from_secs(if is_full() { 40 } else { 20 })
}

pub fn is_full() -> bool {
    env::var("LEVERET_ISOLATION").is_ok_and(|size| size == "full")
}

/// How many attack at once.
pub const ATTACKERS: usize = 3;

const MIB: u64 = 1024 * 1024;
/// How long the alarm may stay raised when the attackers are gone.
const ALARM_MAX: Duration = Duration::from_secs(10);
const MIDDLE: Duration = Duration::from_millis(100);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
