//! Floods of an ordinary user, or of somebody who is none, in a broker with TLS and virtual hosts: those of another one go on, everybody is
//! answered who waits for an answer, and memory stays within its budget.

mod before_login;
mod busy;
mod passwords;

use std::{
    io,
    time::{Duration, Instant},
};

use crate::scene::{Row, size};

/// 256 MB, or little.
const LIMITED: Row = Row { memory_limit: Some((268_435_456, 50_331_648)), ..Row::USUAL };

/// How long a flood goes on that has no other end.
fn duration() -> Duration {
    Duration::from_millis(size(20_000, 700) as u64)
}

/// Does it again and again. How often.
fn again_and_again(mut work: impl FnMut() -> io::Result<()>) -> io::Result<usize> {
    let (began, mut times) = (Instant::now(), 0);
    while began.elapsed() < duration() {
        work()?;
        times += 1;
    }
    Ok(times)
}
