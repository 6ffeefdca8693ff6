//! `leveret serve`: four runtimes. This thread's has signals, listeners and alarms, and nothing else runs there; connections and
//! whatever handles messages have one with a thread for each processor; operators have two with a thread each: one takes their requests
//! and answers probes, and one does what they ask.

use std::{
    env,
    fmt::Display,
    io, panic,
    process::{self, ExitCode},
    sync::Arc,
    thread,
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use super::log;
use crate::config::{Config, ConfigError, Settings};
use crate::containment;
use crate::management::Recent;
use crate::protocol::Printable;
use crate::server::{Server, Stop, StopError};
use crate::store;

/// Runs the broker until SIGINT or SIGTERM; the second of them ends the wait for clients, a third one everything.
pub(super) fn run(settings: Settings, shows_password: bool) -> ExitCode {
    let config = match Config::load_in(settings, |name| env::var_os(name)) {
        Ok(config) => config,
        // It shows the lines of the file.
        Err(error @ ConfigError::Malformed { .. }) => {
            eprintln!("leveret: {error}");
            return ExitCode::FAILURE;
        }
        Err(error) => return fail(&error),
    };
    let recent = Arc::<Recent>::default();
    let level = log::start(config.log.clone(), config.log_format, recent.clone());
    end_on_panic();
    if shows_password {
        tracing::warn!(
            "the password of --default-pass stands in the list of processes; --default-pass-file is for others not to read it"
        );
    }
    let Runtimes { control, workers, front, operators } = match Runtimes::new() {
        Ok(runtimes) => runtimes,
        Err(error) => return fail(&error),
    };
    let [on_workers, on_front, on_operators] = [&workers, &front, &operators].map(|its| its.handle().clone());
    let code = control.block_on(serve(config, (level, recent), on_workers, on_front, on_operators));
    // What is still at work, or stuck in the disk, must not hold up the end.
    workers.shutdown_background();
    front.shutdown_background();
    operators.shutdown_background();
    code
}

/// What runs where: see above.
struct Runtimes {
    control: Runtime,
    workers: Runtime,
    front: Runtime,
    operators: Runtime,
}

impl Runtimes {
    fn new() -> io::Result<Self> {
        let one_thread =
            |name: &str| Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build();
        Ok(Self {
            control: Builder::new_current_thread().enable_all().build()?,
            workers: Builder::new_multi_thread().enable_all().build()?,
            front: one_thread("http")?,
            operators: one_thread("operators")?,
        })
    }
}

/// From now on a panic ends the process: what connections share may be half changed. One that is contained is only told.
pub(super) fn end_on_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let thread = thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        if containment::is_own() || store::is_engine_thread(thread) {
            tracing::error!(thread, panic = %info, "a failure that something else makes good");
            return;
        }
        tracing::error!(thread, panic = %info, "the broker has failed in what connections share, and stops");
        tell(info);
        process::abort();
    }));
}

async fn serve(
    config: Config,
    (level, recent): (log::Level, Arc<Recent>),
    workers: Handle,
    front: Handle,
    operators: Handle,
) -> ExitCode {
    let stop = Stop::default();
    if let Err(error) = stop_on_signal(stop.clone()) {
        return fail(&error);
    }
    let set_log = Box::new(move |filter| level.set(filter));
    let server = match Server::bind(config, set_log, recent).await {
        Ok(server) => server,
        Err(error) => return fail(&error),
    };
    println!("{}", server.announcement());
    match server.serve(stop, &workers, &front, &operators).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(late @ StopError::Late) => {
            eprintln!("leveret: {late}");
            ExitCode::SUCCESS
        }
        Err(error @ StopError::Definitions(_)) => {
            eprintln!("leveret: {error}");
            ExitCode::FAILURE
        }
        Err(error @ (StopError::Storage(_) | StopError::Background(_))) => fail(&error),
    }
}

fn stop_on_signal(stop: Stop) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for asked in [stop.orderly, stop.forced] {
            next_signal(&mut interrupt, &mut terminate).await;
            asked.cancel();
        }
        next_signal(&mut interrupt, &mut terminate).await;
        eprintln!("leveret: killed while it stopped");
        std::process::exit(1);
    });
    Ok(())
}

async fn next_signal(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn fail(error: &impl Display) -> ExitCode {
    eprintln!("leveret: {}", Printable::new(error).cut_at(usize::MAX));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::ExitStatusExt,
        process::{Command, Stdio},
    };

    use super::*;

    const CHILD: &str = "LEVERET_TEST_PANICS_IN";

    /// What a process does that is to fail there.
    fn fail_in(what: &str) {
        end_on_panic();
        let text = what.to_owned();
        let panic_there = move || panic!("asked for in {text}");
        match what {
            "a thread" => drop(thread::spawn(panic_there).join()),
            "a task" => {
                let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
                drop(runtime.block_on(async { tokio::spawn(async move { panic_there() }).await }));
            }
            "what is given up" => drop(containment::contained(panic_there)),
            _ => drop(panic::catch_unwind(panic_there)),
        }
        println!("it went on");
    }

    #[test]
    fn a_panic_in_what_is_shared_ends_the_process_with_a_message_and_one_that_is_contained_does_not() {
        if let Ok(what) = env::var(CHILD) {
            return fail_in(&what);
        }
        let test = thread::current().name().unwrap().to_owned();
        for what in ["a thread", "a task", "what somebody catches", "what is given up"] {
            let child = Command::new(env::current_exe().unwrap())
                .args([&test, "--exact", "--nocapture"])
                .env(CHILD, what)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&child.stderr);
            if what == "what is given up" {
                assert!(child.status.success(), "{told}");
                continue;
            }
            assert!(told.contains(&format!("asked for in {what}")), "{told}");
            assert!(!String::from_utf8_lossy(&child.stdout).contains("it went on"));
            assert_eq!((child.status.code(), child.status.signal()), (None, Some(6)), "{what}");
        }
    }
}
