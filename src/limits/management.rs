//! Bounds of the HTTP API and of who asks it: lists, metrics, samples, traces and tails.

use std::time::Duration;

/// Time between two samples for rates (RabbitMQ's `collect_statistics_interval`).
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);
/// Queues or connections that are looked at for a sample before other tasks have their turn.
pub const SAMPLED_AT_ONCE_MAX: usize = 500;
/// Things on a page of a list, where nothing else is asked for (RabbitMQ).
pub const PAGE_SIZE_DEFAULT: usize = 100;
/// Things on a page of a list at most (RabbitMQ).
pub const PAGE_SIZE_MAX: usize = 500;
/// Memory that a regular expression in a request may take when it is compiled.
pub const FILTER_COMPILED_BYTES_MAX: usize = 64 << 10;
/// Bytes of a regular expression in a request for a list.
pub const FILTER_BYTES_MAX: usize = 256;
/// Bytes of a request's body.
pub const HTTP_BODY_BYTES_MAX: usize = 32 << 20;
/// Time that a command of the command line takes to connect,
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// and waits for an answer: deleting and importing take their time.
pub const ANSWER_TIMEOUT: Duration = Duration::from_mins(10);
/// Bytes of an answer that it takes.
pub const ANSWER_BYTES_MAX: u64 = 512 << 20;
/// Bytes of one event of an answer that goes on.
pub const EVENT_BYTES_MAX: u64 = 4 << 20;
/// Bytes of its file of profiles.
pub const PROFILES_BYTES_MAX: usize = 64 << 10;
/// How often a command that waits for a redrive asks how far it is.
pub const REDRIVE_ASKED_EVERY: Duration = Duration::from_millis(200);
/// The shortest time between two looks of `leveret top`, in seconds; the figures are no fresher than a sample anyway.
pub const TOP_SECONDS_MIN: f64 = 0.2;
/// The longest.
pub const TOP_SECONDS_MAX: f64 = 3_600.0;
/// HTTP connections at once, at each address.
pub const HTTP_CONNECTIONS_MAX: usize = 256;
/// Time until the head of a request must be there, from the end of the one before.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_mins(1);
/// Microseconds of a sync that are told from longer ones.
pub const SYNC_RECORDED_US_MAX: u64 = 60_000_000;
/// Records of a batch that are told from more.
pub const BATCH_RECORDED_MAX: u64 = 1_000_000;
/// Scrapes of metrics that are written at once; others wait.
pub const SCRAPES_AT_ONCE_MAX: usize = 4;
/// Time that a scrape may take until its last byte is taken.
pub const SCRAPE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of metrics that are gathered before they are sent.
pub const SCRAPE_CHUNK_BYTES: usize = 64 * 1024;
/// Such chunks that wait for a client to take them.
pub const SCRAPE_CHUNKS_WAITING_MAX: usize = 4;
/// Messages that one request gets from a queue.
pub const GOT_AT_ONCE_MAX: usize = 10_000;
/// How long a browser may remember what pages of other origins are permitted.
pub const CORS_AGE: Duration = Duration::from_mins(30);
/// Messages that are kept of those that a virtual host drops, of each reason: the last ones, and in each second no more than these.
pub const LAST_DROPS_MAX: usize = 20;
/// Bytes of the body that are kept of each.
pub const DROPPED_PAYLOAD_BYTES_MAX: usize = 256;
/// Frames of a body that are looked at for what is shown of it: clients may send it in frames of a few bytes.
pub const SHOWN_FRAMES_MAX: usize = 64;
/// Queues, exchanges and messages of a virtual host whose history is kept at once.
pub const TRACES_MAX: usize = 100;
/// Things that have happened to messages, of a virtual host, that are kept: the last ones,
pub const TRACE_RECORDS_MAX: usize = if cfg!(test) { 100 } else { 10_000 };
/// and what they take.
pub const TRACE_BYTES_MAX: usize = 4 << 20;
/// Queues that are named where a message goes that is told of.
pub const EVENT_QUEUES_MAX: usize = 20;
/// What waits for somebody who sees live what comes in.
pub const TAIL_BYTES_MAX: usize = if cfg!(test) { 4_096 } else { 1 << 20 };
/// Messages in a second that such a one sees, where nothing else is asked for,
pub const TAIL_PER_SECOND_DEFAULT: u32 = 10;
/// and at most.
pub const TAIL_PER_SECOND_MAX: u32 = 1_000;
/// Bytes of each body at most.
pub const TAIL_PAYLOAD_BYTES_MAX: usize = 64 << 10;
/// Those who see live what comes in, at once,
pub const TAILS_MAX: usize = 32;
/// and of one user.
pub const TAILS_OF_USER_MAX: usize = 8;
/// How often it is asked anew whether they still may, and how often they are told what they have missed.
pub const TAIL_CHECKED_EVERY: Duration = Duration::from_secs(1);
/// How often somebody who sees nothing is sent a comment, which tells a connection that is dead.
pub const TAIL_KEPT_ALIVE_EVERY: Duration = Duration::from_secs(10);
/// Messages that one request looks at.
pub const PEEKED_AT_ONCE_MAX: usize = 500;
/// Bytes of a body that are shown of a message that is looked at, where nothing else is asked for.
pub const PEEKED_PAYLOAD_BYTES_DEFAULT: usize = 4_096;
/// Bytes of bodies that are shown in one answer.
pub const PEEKED_PAYLOAD_BYTES_MAX: usize = 16 << 20;
/// Redrives that are remembered, those that have ended too.
pub const REDRIVES_MAX: usize = 100;
/// Messages that a dry run looks at.
pub const DRY_RUN_MESSAGES_MAX: u64 = 1_000_000;
/// Samples of the past that are kept of what moves: those of ten minutes.
pub const SAMPLES_MAX: usize = 120;
/// Samples in one answer, for each figure.
pub const SAMPLES_SHOWN_MAX: u64 = 1_000;
/// Things of which samples of the past are kept: each takes about 25 KB.
pub const SERIES_WITH_PAST_MAX: usize = 500;
/// How long a message waits that an operator publishes, while publishers are held up.
pub const OPERATOR_WAITS_MAX: Duration = Duration::from_secs(30);
/// Bytes of bodies that one request gets from a queue, but for the last message.
pub const GOT_BYTES_MAX: usize = 16 << 20;
/// Redrives of one user at once.
pub const REDRIVES_OF_USER_MAX: usize = 10;
/// HTTP connections of one address at once.
pub const HTTP_CONNECTIONS_OF_ADDRESS_MAX: usize = 64;
/// Time that a request's body may take.
pub const HTTP_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's body, where it is neither a message nor definitions.
pub const HTTP_SMALL_BODY_BYTES_MAX: usize = 1 << 20;
/// Requests at once whose bodies are larger.
pub const HTTP_LARGE_BODIES_MAX: usize = 4;
/// Requests of the HTTP API in a second that one address, or one user, may be limited to.
pub const HTTP_RATE_MAX: u32 = 1_000_000;
/// Addresses, and users, whose requests are counted; of those that have asked least lately nothing is known any more.
pub const HTTP_RATED_MAX: usize = 4_096;
/// Bytes of what the HTTP API says in `Strict-Transport-Security`.
pub const HSTS_BYTES_MAX: usize = 256;
/// Destinations, and about so many bindings, that are looked at in a row for a list of bindings, with the topology's lock held.
pub const BINDINGS_READ_AT_ONCE_MAX: usize = 256;
