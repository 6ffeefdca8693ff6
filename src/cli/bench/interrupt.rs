//! Ctrl-C and SIGTERM: the first ends the run with its summary, the second ends the program at once.

use std::sync::mpsc::Sender;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::worker::Event;
use crate::cli::amqp::error::Error;

/// Sends [`Event::Interrupted`] at the first signal. The thread that waits for it ends with the program.
pub(super) fn watch(events: Sender<Event>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (interrupt, terminate) = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().spawn(move || runtime.block_on(forward(events, interrupt, terminate)))?;
    Ok(())
}

async fn forward(events: Sender<Event>, mut interrupt: Signal, mut terminate: Signal) {
    for seen in 0.. {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if seen > 0 {
            std::process::exit(EXIT_INTERRUPTED);
        }
        // Nobody listens while the run is ending anyway.
        let _ = events.send(Event::Interrupted);
    }
}

/// As shells report a program that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;
