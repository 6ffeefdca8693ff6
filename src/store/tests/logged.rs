//! What the store says to people while it works.

use tracing::Level;

use crate::audit::captured::{Written, lines};

/// Does some work on this thread; gives the lines that it logged, errors, warnings and information.
pub(super) fn logged(work: impl FnOnce()) -> Vec<String> {
    let subscriber = |written: Written| {
        let log = tracing_subscriber::fmt().with_max_level(Level::INFO).with_ansi(false).without_time();
        log.with_writer(move || written.clone()).finish()
    };
    lines(subscriber, work)
}

/// How many of the lines have all of these words.
pub(super) fn count(lines: &[String], words: &[&str]) -> usize {
    lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
}
