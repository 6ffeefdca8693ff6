//! Certificates are renewed while the broker runs: files are read again when they change, and when it is asked for.

use std::sync::Arc;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
    time::sleep,
};

use super::Acceptor;
use crate::limits::TLS_FILES_INTERVAL;

/// Reads the files again when they have changed, and at each SIGHUP. Connections that are there go on as they are; if the files cannot be
/// used, new ones go by the old files. Runs as long as the broker.
pub async fn keep_current(acceptor: Arc<Acceptor>) {
    let mut hangup = signal(SignalKind::hangup())
        .inspect_err(|error| tracing::error!(%error, "SIGHUP cannot be heard: files of TLS are read again when they change"))
        .ok();
    loop {
        let in_any_case = tokio::select! {
            () = next(hangup.as_mut()) => true,
            () = sleep(TLS_FILES_INTERVAL) => false,
        };
        let reading = acceptor.clone();
        // A panic there ends the process by itself.
        let Ok(Some(read)) = spawn_blocking(move || reading.refresh(in_any_case)).await else { continue };
        match read {
            Ok(()) => tracing::info!("the files of TLS have been read again"),
            Err(error) => {
                tracing::error!(%error, "the new files of TLS cannot be used; the old ones stay in use");
            }
        }
    }
}

async fn next(hangup: Option<&mut Signal>) {
    let heard = match hangup {
        Some(hangup) => hangup.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending::<()>().await;
    }
}
