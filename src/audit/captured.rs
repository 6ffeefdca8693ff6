//! Records of the log in tests, captured on one thread while others run.

use std::sync::LazyLock;

use tracing::{Dispatch, Subscriber, subscriber::NoSubscriber, subscriber::with_default};

/// While there is only one dispatcher in the process, a place in the code that another thread reaches first counts as not wanted for
/// good. So there are always two.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// Does something on this thread, with a subscriber of its own.
pub(crate) fn with_subscriber(subscriber: impl Subscriber + Send + Sync + 'static, work: impl FnOnce()) {
    LazyLock::force(&ANOTHER);
    with_default(subscriber, work);
}
