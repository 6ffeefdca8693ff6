//! The broker under test: a `leveret serve` child on a free port with a data folder of its own, or, with
//! `LEVERET_TEST_AMQP=host:port`, a broker that somebody else runs (that is how expectations are checked against
//! RabbitMQ). Tests share one child; it lives as long as a test holds it and ends with the last one. A static would
//! never be dropped and would leave the child behind.
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "each test crate uses its own part of the support code"
)]

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a test waits for an event before it fails.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A running broker; a child of ours is killed on drop.
pub struct Broker {
    pub address: String,
    /// Where it speaks TLS.
    pub tls_address: Option<String>,
    /// Where it has the HTTP API.
    pub http_address: Option<String>,
    /// Where it has that over TLS.
    pub https_address: Option<String>,
    /// Where it has metrics alone.
    pub metrics_address: Option<String>,
    child: Option<Child>,
    log: Log,
    _data: Option<TempDir>,
}

/// What a broker of the test's own has written to its log.
#[derive(Clone, Default)]
pub struct Log(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Log {
    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }

    /// The first line that has all these words; waits for it.
    pub fn expect(&self, words: &[&str]) -> String {
        let is_it = |line: &String| words.iter().all(|word| line.contains(word));
        let (lines, more) = &*self.0;
        let wait = more.wait_timeout_while(lines.lock().unwrap(), DEADLINE, |lines| !lines.iter().any(is_it));
        let lines = wait.unwrap().0;
        let found = lines.iter().find(|line| is_it(line));
        found.unwrap_or_else(|| panic!("no line with {words:?} in {lines:#?}")).clone()
    }

    fn follow(&self, stderr: ChildStderr) {
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if env::var_os("LEVERET_TEST_LOG").is_some() {
                    let _ = writeln!(io::stderr(), "{line}");
                }
                log.0.0.lock().unwrap().push(line);
                log.0.1.notify_all();
            }
        });
    }
}

impl Broker {
    /// The broker that the tests of this crate share; external if the environment names one.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let broker = Arc::new(external_address().map_or_else(|| Self::spawn(&[], &[]), Self::external));
            *shared = Arc::downgrade(&broker);
            broker
        })
    }

    /// A broker of the test's own with extra arguments. `None` when an external broker is tested: it cannot be
    /// started with our flags, so such a test returns early.
    pub fn start(args: &[&str], env: &[(&str, &str)]) -> Option<Arc<Self>> {
        (!is_external()).then(|| Arc::new(Self::spawn(args, env)))
    }

    /// The same with so many file descriptors at most.
    pub fn start_with_descriptors(descriptors: u32, args: &[&str]) -> Option<Arc<Self>> {
        if is_external() {
            return None;
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""), PROGRAM]);
        let data = TempDir::new().unwrap();
        let folder = data.path().to_str().unwrap().to_owned();
        Some(Arc::new(Self::spawn_by(shell, &folder, Some(data), args, &[])))
    }

    /// The child's process, when it is ours.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    pub fn uri(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address)
    }

    /// A broker that somebody else runs and ends.
    pub fn external(address: String) -> Self {
        Self {
            address,
            tls_address: None,
            http_address: None,
            https_address: None,
            metrics_address: None,
            child: None,
            log: Log::default(),
            _data: None,
        }
    }

    /// A broker on a data folder of the test's.
    pub fn start_on(folder: &str) -> Option<Arc<Self>> {
        (!is_external()).then(|| Arc::new(Self::spawn_on(folder, None, &[], &[])))
    }

    /// The same with extra arguments.
    pub fn start_on_with(folder: &str, args: &[&str]) -> Option<Arc<Self>> {
        (!is_external()).then(|| Arc::new(Self::spawn_on(folder, None, args, &[])))
    }

    /// What it writes to its log.
    pub fn log(&self) -> Log {
        self.log.clone()
    }

    /// Waits for the child to end by itself; its exit code.
    pub fn wait(mut self) -> Option<i32> {
        self.child.take()?.wait().unwrap().code()
    }

    fn spawn(args: &[&str], env: &[(&str, &str)]) -> Self {
        let data = TempDir::new().unwrap();
        let folder = data.path().to_str().unwrap().to_owned();
        Self::spawn_on(&folder, Some(data), args, env)
    }

    fn spawn_on(folder: &str, data: Option<TempDir>, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::spawn_by(Command::new(PROGRAM), folder, data, args, env)
    }

    fn spawn_by(
        mut program: Command,
        folder: &str,
        data: Option<TempDir>,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        let mut child = program
            .args(["serve", "--amqp-listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder)
            .args(args)
            // Many brokers at once: only who asks for it has the HTTP API, and metrics.
            .env("LEVERET_HTTP_LISTEN", "none")
            .env("LEVERET_METRICS_LISTEN", "none")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, log) = (child.stdout.take().unwrap(), Log::default());
        log.follow(child.stderr.take().unwrap());
        // The guard exists before the first thing that may panic, so the child never outlives a failed start.
        let mut broker = Self {
            address: String::new(),
            tls_address: None,
            http_address: None,
            https_address: None,
            metrics_address: None,
            child: Some(child),
            log,
            _data: data,
        };
        let announcement = announcement(stdout);
        broker.address = announced_address(&announcement, "amqp://").expect("it has the address");
        broker.tls_address = announced_address(&announcement, "amqps://");
        // Metrics come after the API.
        let (api, metrics) = match announcement.split_once("/metrics") {
            Some((before, _)) => {
                before.rsplit_once("http://").map_or(("", None), |(api, it)| (api, Some(it)))
            }
            None => (&*announcement, None),
        };
        broker.http_address = announced_address(api, "http://");
        broker.https_address = announced_address(api, "https://");
        broker.metrics_address = metrics.map(str::to_owned);
        broker
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// True when `LEVERET_TEST_AMQP` names a broker that is not ours.
pub fn is_external() -> bool {
    external_address().is_some()
}

/// A name that no other test, and no earlier run against the same external broker, uses.
pub fn unique(kind: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_nanos());
    format!("{kind}-{}-{n}-{:x}", std::process::id(), now & 0xffff_ffff)
}

fn external_address() -> Option<String> {
    env::var("LEVERET_TEST_AMQP").ok().filter(|address| !address.is_empty())
}

/// Reads the child's output until it says where it listens. The thread reads on afterwards, so that a full pipe never
/// stops the broker.
fn announcement(stdout: ChildStdout) -> String {
    let (lines, received) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    let (start, mut seen) = (Instant::now(), Vec::new());
    while let Ok(line) = received.recv_timeout(DEADLINE.saturating_sub(start.elapsed())) {
        if line.contains("amqp://") {
            return line;
        }
        seen.push(line);
    }
    panic!("leveret did not announce amqp://ADDRESS:PORT within {DEADLINE:?}; it wrote {seen:#?}");
}

fn announced_address(announcement: &str, scheme: &str) -> Option<String> {
    let (_, rest) = announcement.split_once(scheme)?;
    Some(rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect())
}

/// Skips the rest of a test on an external broker: RabbitMQ 3.10 differs from the rules of 4.3 that Leveret follows.
macro_rules! only_leveret {
    ($why:literal) => {
        if crate::broker::is_external() {
            return;
        }
    };
}
pub(crate) use only_leveret;

const PROGRAM: &str = env!("CARGO_BIN_EXE_leveret");

static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
