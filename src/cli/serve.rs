//! `leveret serve`: two runtimes. This thread's has signals, listeners and alarms, and nothing else runs there; connections and
//! whatever handles messages have the other one, with a thread for each processor.

use std::{fmt::Display, io, process::ExitCode};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use super::log;
use crate::config::{Config, ConfigError, Settings};
use crate::protocol::Printable;
use crate::server::{Server, Stop, StopError};

/// Runs the broker until SIGINT or SIGTERM; the second of them ends the wait for clients, a third one everything.
pub(super) fn run(settings: Settings) -> ExitCode {
    let config = match Config::load(settings) {
        Ok(config) => config,
        // It shows the lines of the file.
        Err(error @ ConfigError::Malformed { .. }) => {
            eprintln!("leveret: {error}");
            return ExitCode::FAILURE;
        }
        Err(error) => return fail(&error),
    };
    log::start(config.log.clone());
    let (control, workers) = match runtimes() {
        Ok(runtimes) => runtimes,
        Err(error) => return fail(&error),
    };
    let code = control.block_on(serve(config, workers.handle().clone()));
    // A handler that is still at work must not hold up the end.
    workers.shutdown_background();
    code
}

fn runtimes() -> io::Result<(Runtime, Runtime)> {
    let control = Builder::new_current_thread().enable_all().build()?;
    let workers = Builder::new_multi_thread().enable_all().build()?;
    Ok((control, workers))
}

async fn serve(config: Config, workers: Handle) -> ExitCode {
    let stop = Stop::default();
    if let Err(error) = stop_on_signal(stop.clone()) {
        return fail(&error);
    }
    let server = match Server::bind(config).await {
        Ok(server) => server,
        Err(error) => return fail(&error),
    };
    println!("{}", server.announcement());
    match server.serve(stop, &workers).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(late @ StopError::Late) => {
            eprintln!("leveret: {late}");
            ExitCode::SUCCESS
        }
        Err(error @ StopError::Storage(_)) => fail(&error),
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
