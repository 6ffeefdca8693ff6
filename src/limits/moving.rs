//! Bounds of `leveret import-from-rabbitmq`.

use std::time::Duration;

/// Queues of a RabbitMQ that its management is asked for at once (500 is the most that it gives).
pub const MOVED_QUEUES_LISTED_AT_ONCE: usize = 500;
/// Messages that are brought from a RabbitMQ in one request,
pub const MOVED_BATCH_MESSAGES: usize = 1_000;
/// and their bytes; a message that is larger comes alone.
pub const MOVED_BATCH_BYTES: usize = 4 << 20;
/// Messages that RabbitMQ may have on the way: a batch more than is being brought.
pub const MOVED_PREFETCH: u16 = 2 * MOVED_BATCH_MESSAGES as u16;
/// Time that RabbitMQ may take to answer.
pub const MOVED_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// When no delivery comes for so long, what has come is brought, or it is asked how many messages are ready,
pub const MOVED_POLL: Duration = Duration::from_millis(100);
/// of which none may come for so long.
pub const MOVED_PATIENCE: Duration = Duration::from_secs(5);
/// How often a request is made again because publishers are held up; each waits [`OPERATOR_WAITS_MAX`](super::OPERATOR_WAITS_MAX).
pub const MOVED_HELD_UP_TIMES_MAX: u32 = 10;
/// If it is because there are too many requests, so long is waited before.
pub const MOVED_HELD_UP_WAIT: Duration = Duration::from_secs(1);
/// How often a queue is looked at again, because it has got new messages meanwhile.
pub const MOVED_ROUNDS_MAX: usize = 100;
/// How often all queues are, and how often definitions are imported without what was refused of them.
pub const MOVED_PASSES_MAX: usize = 10;
/// How often RabbitMQ's management is asked for what clients hold, whose figures are up to five seconds old,
pub const MOVED_HELD_ASKED_TIMES_MAX: usize = 12;
/// and how long it is waited before each time.
pub const MOVED_HELD_ASKED_EVERY: Duration = Duration::from_secs(1);
