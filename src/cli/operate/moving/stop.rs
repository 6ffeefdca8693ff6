//! Ctrl-C and SIGTERM: at the first, what is under way is left in order; the second ends the program at once.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::operate::error::Error;

/// Rises at the first signal. The thread that waits for it ends with the program.
pub fn watch() -> Result<Arc<AtomicBool>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (interrupt, terminate) = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    thread::Builder::new().spawn(move || runtime.block_on(wait(&told, interrupt, terminate)))?;
    Ok(stop)
}

async fn wait(stop: &AtomicBool, mut interrupt: Signal, mut terminate: Signal) {
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if stop.swap(true, Ordering::Relaxed) {
            process::exit(EXIT_INTERRUPTED);
        }
    }
}

/// As shells report a program that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;
