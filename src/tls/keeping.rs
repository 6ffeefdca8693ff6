//! Certificates are renewed while the broker runs: files are read again when they change, and when it is asked for.

use std::sync::Arc;

use tokio::{task::spawn_blocking, time::sleep};

use super::Acceptor;
use crate::limits::TLS_FILES_INTERVAL;

/// Reads the files again when they have changed. Runs as long as the broker.
pub async fn keep_current(acceptor: Arc<Acceptor>) {
    loop {
        sleep(TLS_FILES_INTERVAL).await;
        refresh(acceptor.clone(), false).await;
    }
}

/// Reads the files again if they have changed, or in any case, and tells what came of it. Connections that are there go on as they are; if
/// the files cannot be used, new ones go by the old files.
pub async fn refresh(acceptor: Arc<Acceptor>, in_any_case: bool) {
    // A panic there ends the process by itself.
    let Ok(Some(read)) = spawn_blocking(move || acceptor.refresh(in_any_case)).await else { return };
    match read {
        Ok(()) => tracing::info!("the files of TLS have been read again"),
        Err(error) => {
            tracing::error!(%error, "the new files of TLS cannot be used; the old ones stay in use");
        }
    }
}
