//! The log at work: what sessions append is written by a thread of its own.
//!
//! The *log* is the files; the core knows it as the *journal*, the trait that [`Pending`] implements.
//!
//! `pending` gathers changes into batches, `cost` says what they take, `encode` turns them into records, and `writer` makes these
//! durable and tells the catalog. What a record changes is for the catalog; reading messages back is for the pager.

mod cost;
pub(super) mod encode;
pub(super) mod moving;
pub(super) mod pending;
mod sync;
pub(super) mod writer;

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pending::{Pending, Taken};
use writer::Writer;

use crate::core::{
    change::Changes,
    commit::{Commit, Waiter},
    journal::Journal,
};
use crate::limits::STORE_RETRY_INTERVAL;
use crate::store::failure::Failure;

impl Journal for Pending {
    fn append(&self, changes: &mut Changes, atomic: bool) -> Commit {
        Self::append(self, changes, atomic)
    }

    fn notify(&self, commit: Commit, waiter: Arc<dyn Waiter>) {
        Self::notify(self, commit, waiter);
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        Self::poll_room(self, cx)
    }

    fn poll_seen_to(&self, commit: Commit, cx: &mut Context<'_>) -> Poll<()> {
        Self::poll_seen_to(self, commit, cx)
    }
}

/// What the writer's thread does. It ends when nothing more comes, or with the first error.
pub(super) fn work(
    writer: Writer,
    pending: Arc<Pending>,
    failure: Arc<Failure>,
) -> impl FnOnce() + Send + 'static {
    move || {
        let written = failure.guard(|| write_all(writer, &pending));
        if let Some(Err(error)) = written {
            failure.report(&format!("cannot write the log: {error}"));
        }
        pending.close();
    }
}

fn write_all(mut writer: Writer, pending: &Pending) -> io::Result<()> {
    loop {
        let at_most = if writer.has_asides() {
            Some(Duration::ZERO)
        } else {
            writer.is_held_up().then_some(STORE_RETRY_INTERVAL)
        };
        match pending.take(at_most) {
            Taken::Batch(batch, commit) => writer.commit(batch, commit)?,
            Taken::Nothing if writer.has_asides() => {}
            Taken::Nothing => writer.retry()?,
            Taken::End => return writer.finish(),
        }
        writer.write_aside()?;
    }
}

#[cfg(test)]
mod tests;
