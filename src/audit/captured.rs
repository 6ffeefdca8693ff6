//! Records of the log in tests, captured on one thread while others run.

use std::{
    io,
    sync::{Arc, LazyLock},
};

use parking_lot::Mutex;
use tracing::{Dispatch, Subscriber, subscriber::NoSubscriber, subscriber::with_default};

/// While there is only one dispatcher in the process, a place in the code that another thread reaches first counts as not wanted for
/// good. So there are always two.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// Takes what a subscriber writes.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Does something on this thread, with a subscriber of its own; gives the lines that this has written.
pub(crate) fn lines<S>(subscriber: impl FnOnce(Written) -> S, work: impl FnOnce()) -> Vec<String>
where
    S: Subscriber + Send + Sync + 'static,
{
    LazyLock::force(&ANOTHER);
    let written = Written::default();
    with_default(subscriber(written.clone()), work);
    let bytes = written.0.lock();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}
