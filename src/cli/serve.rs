//! `leveret serve`.

use std::{fmt::Display, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Settings};
use crate::server::{Server, StopError};

/// Runs the broker until SIGINT or SIGTERM.
pub(super) fn run(settings: Settings) -> ExitCode {
    let config = match Config::load(settings) {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(config)),
        Err(error) => fail(&error),
    }
}

async fn serve(config: Config) -> ExitCode {
    let shutdown = CancellationToken::new();
    if let Err(error) = cancel_on_signal(shutdown.clone()) {
        return fail(&error);
    }
    let server = match Server::bind(config).await {
        Ok(server) => server,
        Err(error) => return fail(&error),
    };
    println!("{}", server.announcement());
    match server.serve(shutdown).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(late @ StopError::Late) => {
            eprintln!("leveret: {late}");
            ExitCode::SUCCESS
        }
        Err(error @ StopError::Storage(_)) => fail(&error),
    }
}

fn cancel_on_signal(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}

fn fail(error: &impl Display) -> ExitCode {
    eprintln!("leveret: {error}");
    ExitCode::FAILURE
}
