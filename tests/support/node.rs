//! A broker process that is stopped, killed and started again on one folder.
#![allow(dead_code, reason = "each test crate uses its own part of the support code")]

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How a broker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM: it has time to put things in order.
    Term,
    /// SIGKILL: it has not.
    Kill,
}

/// A `leveret serve` child and its folder. It ends when this is dropped.
pub struct Node {
    data: PathBuf,
    args: Vec<String>,
    stack_bytes: Option<u32>,
    descriptors: Option<u32>,
    child: Option<Child>,
    address: String,
    tls_address: Option<String>,
    /// How long each start took, from the spawn to the announcement.
    pub starts: Vec<Duration>,
    scratch: TempDir,
}

impl Node {
    /// A running broker on a new folder of its own.
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(args: &[&str]) -> Self {
        let scratch = TempDir::new().unwrap();
        let data = scratch.path().join("data");
        Self::start(scratch, data, args)
    }

    /// A running broker whose threads have no more stack than this.
    pub fn with_stacks_of(bytes: u32) -> Self {
        let scratch = TempDir::new().unwrap();
        let data = scratch.path().join("data");
        let mut node = Self::stopped(scratch, data, &[]);
        node.stack_bytes = Some(bytes);
        node.up();
        node
    }

    /// A running broker that may have no more than this many files and sockets open.
    pub fn with_descriptors(limit: u32, args: &[&str]) -> Self {
        let scratch = TempDir::new().unwrap();
        let data = scratch.path().join("data");
        let mut node = Self::stopped(scratch, data, args);
        node.descriptors = Some(limit);
        node.up();
        node
    }

    /// A running broker on a folder that somebody else removes.
    pub fn on(data: &Path, args: &[&str]) -> Self {
        Self::start(TempDir::new().unwrap(), data.into(), args)
    }

    fn start(scratch: TempDir, data: PathBuf, args: &[&str]) -> Self {
        let mut node = Self::stopped(scratch, data, args);
        node.up();
        node
    }

    fn stopped(scratch: TempDir, data: PathBuf, args: &[&str]) -> Self {
        Self {
            data,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            stack_bytes: None,
            descriptors: None,
            child: None,
            address: String::new(),
            tls_address: None,
            starts: Vec::new(),
            scratch,
        }
    }

    /// Starts it again after `stop`.
    pub fn up(&mut self) {
        assert!(self.child.is_none(), "it is still running");
        let began = Instant::now();
        let stderr = File::options().create(true).append(true).open(self.stderr_path()).unwrap();
        let mut child =
            self.command().stdout(Stdio::piped()).stderr(stderr).stdin(Stdio::null()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        self.child = Some(child);
        let (lines, received) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        while let Ok(line) = received.recv_timeout(START_DEADLINE.saturating_sub(began.elapsed())) {
            if let Some(address) = announced(&line, "amqp://") {
                self.address = address;
                self.tls_address = announced(&line, "amqps://");
                self.starts.push(began.elapsed());
                return;
            }
        }
        panic!("the broker does not start on {}; it says\n{}", self.data.display(), self.stderr());
    }

    pub fn stop(&mut self, how: Stop) {
        if how == Stop::Term {
            let ended = self.terminate(START_DEADLINE);
            assert!(ended.is_some(), "SIGTERM does not end the broker; it says\n{}", self.stderr());
            return;
        }
        let mut child = self.child.take().expect("it is running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM: how it ended and how long that took. `None` when it had to be killed after `patience`.
    pub fn terminate(&mut self, patience: Duration) -> Option<(ExitStatus, Duration)> {
        let mut child = self.child.take().expect("it is running");
        let began = Instant::now();
        signal(child.id(), "-TERM");
        while began.elapsed() < patience {
            if let Some(status) = child.try_wait().unwrap() {
                return Some((status, began.elapsed()));
            }
            thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        None
    }

    pub fn restart(&mut self, how: Stop) {
        self.stop(how);
        self.up();
    }

    /// Starts it after `stop` and kills it again while it is on its way.
    pub fn stumble(&self, after: Duration) {
        assert!(self.child.is_none(), "it is still running");
        let mut child = self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// What it would say if it is expected not to start on this folder.
    pub fn run_to_its_end(&self) -> Output {
        assert!(self.child.is_none(), "it is still running");
        let mut child = self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + START_DEADLINE;
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        child.wait_with_output().unwrap()
    }

    /// Fails when it ended by itself.
    pub fn assert_running(&mut self) {
        let ended = self.child.as_mut().unwrap().try_wait().unwrap();
        assert!(ended.is_none(), "the broker ended by itself with {ended:?}; it says\n{}", self.stderr());
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it speaks TLS, if it does.
    pub fn tls_address(&self) -> Option<&str> {
        self.tls_address.as_deref()
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// From now on it lives on another folder.
    pub fn move_to(&mut self, data: &Path) {
        assert!(self.child.is_none(), "it is still running");
        self.data = data.into();
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        memory(self.pid(), "VmRSS").unwrap()
    }

    /// What the data folder takes on disk, in bytes.
    pub fn disk(&self) -> u64 {
        disk_of(&self.data)
    }

    /// Everything that it has written on stderr.
    pub fn log(&self) -> Vec<u8> {
        fs::read(self.stderr_path()).unwrap_or_default()
    }

    /// The end of it.
    pub fn stderr(&self) -> String {
        let all = String::from_utf8_lossy(&self.log()).into_owned();
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn stderr_path(&self) -> PathBuf {
        self.scratch.path().join("stderr")
    }

    fn command(&self) -> Command {
        let mut command = match self.descriptors {
            None => Command::new(program()),
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]).arg(program());
                shell
            }
        };
        command.args(["serve", "--amqp-listen", "127.0.0.1:0", "--data-dir"]).arg(&self.data);
        if knows(SEGMENT_FLAG) && !self.args.iter().any(|arg| arg == SEGMENT_FLAG) {
            command.args([SEGMENT_FLAG, SEGMENT_BYTES]);
        }
        command.args(&self.args).env("LEVERET_HTTP_LISTEN", "none").env("LEVERET_METRICS_LISTEN", "none");
        if let Some(bytes) = self.stack_bytes {
            command.env("RUST_MIN_STACK", bytes.to_string());
        }
        command
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn announced(line: &str, scheme: &str) -> Option<String> {
    let (_, rest) = line.split_once(scheme)?;
    Some(rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect())
}

pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// The most memory that was ever resident in a process, in bytes, while there is one.
pub fn resident_peak(pid: u32) -> Option<u64> {
    memory(pid, "VmHWM")
}

fn memory(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Blocks in use, not lengths: preallocated and sparse files count as what they take.
fn disk_of(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    // A file may vanish while we look.
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_of(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// What is tested: the program of this build, or another build that `LEVERET_TEST_PROGRAM` names.
fn program() -> OsString {
    env::var_os("LEVERET_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_leveret").into())
}

/// Whether `leveret serve` has this flag.
pub fn knows(flag: &str) -> bool {
    static HELP: OnceLock<String> = OnceLock::new();
    let help = HELP.get_or_init(|| {
        let output = Command::new(program()).args(["serve", "--help"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    });
    help.contains(flag)
}

/// Small segments, so that many of them roll.
pub const SEGMENT_FLAG: &str = "--segment-bytes";
const SEGMENT_BYTES: &str = "1048576";

const START_DEADLINE: Duration = Duration::from_secs(30);
