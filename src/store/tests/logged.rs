//! What the store says to people while it works.

use std::{io, sync::Arc};

use parking_lot::Mutex;
use tracing::Level;

use crate::audit::captured::with_subscriber;

/// Does some work on this thread; gives the lines that it logged, errors, warnings and information.
pub(super) fn logged(work: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::INFO)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    with_subscriber(subscriber, work);
    let bytes = lines.0.lock();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

/// How many of the lines have all of these words.
pub(super) fn count(lines: &[String], words: &[&str]) -> usize {
    lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
