//! Every bound in the program, in one place, with its unit in its name. By subject: who may log in in `access`, the web
//! console in `console`, the HTTP API and what it shows in `management`, moving in from a RabbitMQ in `moving`,
//! spans in `telemetry`; all else here.
//!
//! Relations between bounds are asserted at compile time. What an operator may change starts from here as a
//! default and is checked in [`crate::config`]; everything else is fixed.

mod access;
mod console;
mod management;
mod moving;
mod telemetry;

use std::time::Duration;

pub use access::*;
pub use console::*;
pub use management::*;
pub use moving::*;
pub use telemetry::*;

/// Largest frame that we negotiate, header and end octet included (RabbitMQ's default).
pub const FRAME_SIZE_BYTES_MAX: u32 = 131_072;
/// Smallest `frame_max` that a client may ask for (RabbitMQ 4.3; AMQP's own minimum is 4096).
pub const FRAME_SIZE_BYTES_MIN: u32 = 8_192;
/// Largest frame before `connection.tune-ok`: credentials and client properties only.
pub const HANDSHAKE_FRAME_SIZE_BYTES_MAX: usize = 8_192;
/// What a client says of itself in the handshake, as it is kept; what is beyond is forgotten. Usual clients have two kilobytes.
pub const CLIENT_PROPERTIES_BYTES_MAX: usize = 16 * 1024;
/// How long a client may take from connecting to `connection.open` (RabbitMQ: 10 s).
pub const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
/// As long as an operator may let it take, in milliseconds.
pub const HANDSHAKE_TIMEOUT_MS_MAX: u64 = 3_600_000;
/// The part of the processors' time that clients may take together that have not logged in, whether or not others have something to do.
pub const NEWCOMERS_PROCESSORS_PERCENT: i64 = 50;
/// They are called so often, and may take at once what they may take meanwhile.
pub const NEWCOMERS_PAUSE: Duration = Duration::from_millis(1);
/// Connections that a listener accepts in that time.
pub const ACCEPTED_AT_ONCE_MAX: usize = 16;
/// Heartbeat that we propose, in seconds (RabbitMQ's default).
pub const HEARTBEAT_SECONDS: u16 = 60;
/// Channels on one connection (RabbitMQ's default).
pub const CHANNELS_PER_CONNECTION_MAX: u16 = 2_047;
/// Connections that are accepted at once.
pub const CONNECTIONS_MAX: usize = 100_000;
/// Sockets beyond those connections: in their handshake, or to be told that they are too many. With few descriptors, a quarter of them.
pub const HANDSHAKES_MAX: usize = 1_024;
/// How long a listener waits after it could not accept a connection: at first,
pub const ACCEPT_BACKOFF_MIN: Duration = Duration::from_millis(5);
/// and at most, while that goes on.
pub const ACCEPT_BACKOFF_MAX: Duration = Duration::from_secs(1);
/// What is read of a TLS connection at once: less than [`READ_BUFFER_BYTES`], because smaller records take longer, and each has to be
/// decrypted before others have their turn.
pub const TLS_READ_BYTES: usize = READ_BUFFER_BYTES / 2;
/// The same while there is no telling yet how much of it is the client's first words.
pub const TLS_READ_BYTES_MIN: usize = 4 * 1024;
/// What a client may send until TLS is agreed upon: certificates that it shows, with those between them and one that is trusted.
pub const TLS_HANDSHAKE_BYTES_MAX: usize = 32 * 1024;
/// What is encrypted at once. A connection that does not take it keeps so much of it.
pub const TLS_WRITE_BYTES: usize = 64 * 1024;
/// What is decrypted before somebody else may encrypt something for the same connection: a record.
pub const TLS_LOCKED_BYTES: usize = 16 * 1024;
/// What a record can bring that began in an earlier read (RFC 8446, 5.2).
pub const TLS_RECORD_BYTES_MAX: usize = 16 * 1024 + 256;
/// How often it is looked whether files of TLS have changed.
pub const TLS_FILES_INTERVAL: Duration = Duration::from_secs(2);
/// Alternative names of a certificate among which one can be chosen.
pub const CERTIFICATE_NAMES_MAX: usize = 64;
/// A file with certificates or a key, at most.
pub const TLS_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The longest header of the PROXY protocol that is taken: addresses and what a proxy adds to them.
pub const PROXY_HEADER_BYTES_MAX: usize = 4 * 1024;
/// The longest header of its first version (the protocol's specification, 2.1).
pub const PROXY_LINE_BYTES_MAX: usize = 107;
/// File descriptors that are kept for the store ([`SEGMENT_HANDLES_MAX`] and what it writes) and for what the process opens
/// besides.
pub const DESCRIPTORS_RESERVE: u64 = 64;
/// How long a client may still read our last words when a new one wants its socket's place.
pub const FAREWELL_IN_HASTE: Duration = Duration::from_millis(250);
/// How often it is checked whether a client that leaves slowly has taken what was to be sent to it.
pub const FAREWELL_INTERVAL: Duration = Duration::from_millis(100);
/// Lines of the log about clients that were not let in, in a row,
pub const REFUSALS_LOGGED_MAX: u32 = 20;
/// and how long it takes until there may be another one.
pub const REFUSALS_LOGGED_REFILL: Duration = Duration::from_millis(200);
/// Lines of the log about errors on the channels of one connection, in a row,
pub const CHANNEL_ERRORS_LOGGED_MAX: u32 = 10;
/// and how long it takes until there may be another one.
pub const CHANNEL_ERRORS_LOGGED_REFILL: Duration = Duration::from_secs(1);
/// How often virtual hosts with a share of memory or disk are looked at.
pub const SHARES_INTERVAL: Duration = Duration::from_millis(200);
/// Queues of one that are looked at before others have their turn.
pub const SHARES_LOOKED_AT_ONCE_MAX: usize = 256;
/// The longest time for which a client that publishes too fast is not looked at.
pub const SLOWED_AT_ONCE_MAX: Duration = Duration::from_millis(500);
/// Bytes of definitions, in a file or in a request: about a quarter of a million queues.
pub const DEFINITIONS_BYTES_MAX: usize = 64 << 20;
/// What definitions may bring of one thing: bytes of a virtual host's description,
pub const DESCRIPTION_BYTES_MAX: usize = 4 * 1024;
/// tags of a user or a virtual host,
pub const TAGS_MAX: usize = 64;
/// bytes of a regular expression,
pub const PATTERN_BYTES_MAX: usize = 4 * 1024;
/// bytes of a password's hash as a text,
pub const PASSWORD_HASH_BYTES_MAX: usize = 512;
/// bytes of a parameter's value as JSON,
pub const PARAMETER_BYTES_MAX: usize = 64 * 1024;
/// and bytes of arguments, or of what a policy says, as a field table: as many as a client could send. Names have 255 as in AMQP,
/// and tables lie [`TABLE_DEPTH_MAX`] deep in each other, or no start could read them back.
pub const DEFINED_TABLE_BYTES_MAX: usize = FRAME_SIZE_BYTES_MAX as usize;
/// What is wrong in a definitions file: lines that are told.
pub const PROBLEMS_TOLD_MAX: usize = 20;
/// Declarations of a definitions file that are carried out before others have their turn.
pub const DECLARED_AT_ONCE_MAX: usize = 64;
/// Queues or exchanges of a virtual host that is deleted that go at once.
pub const EMPTIED_AT_ONCE_MAX: usize = 64;
/// Default bound of one message's body (RabbitMQ 3: 128 MiB; RabbitMQ 4 takes 16 MiB, which suites of clients exceed).
pub const MESSAGE_SIZE_BYTES_MAX_DEFAULT: u64 = 128 * 1024 * 1024;
/// Bound that no configuration can lift (RabbitMQ: 512 MiB).
pub const MESSAGE_SIZE_BYTES_MAX_HARD: u64 = 512 * 1024 * 1024;
/// Messages that one `x-recent-history` exchange keeps, in bytes, whatever its length: they stay until others come, so an alarm
/// could not wait for them to go.
pub const RECENT_HISTORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest `expiration`, in milliseconds: ten years (RabbitMQ).
pub const EXPIRATION_MS_MAX: u64 = 315_360_000_000;
/// How far ahead a message may be due, in milliseconds: ten years, as an expiration.
pub const DELAY_MS_MAX: u64 = EXPIRATION_MS_MAX;
/// The longest time in milliseconds that an argument may name: ten years (RabbitMQ).
pub const ARGUMENT_MS_MAX: i64 = EXPIRATION_MS_MAX.cast_signed();
/// What the automaton of a pattern may take, in bytes: it is looked at once for each octet of a name. What is kept of most is some hundred.
pub const PATTERN_AUTOMATON_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What making it may take: a fraction of a second.
pub const PATTERN_MAKING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest `x-name-prefix` (RabbitMQ).
pub const NAME_PREFIX_BYTES_MAX: usize = 64;
/// How deep tables and arrays may lie inside each other; the outermost table is level 1.
pub const TABLE_DEPTH_MAX: usize = 64;
/// Messages that an `x-recent-history` exchange keeps that does not say how many (RabbitMQ's plugin).
pub const RECENT_HISTORY_LENGTH_DEFAULT: usize = 20;
/// Failed deliveries of a message in a quorum queue that asks for no other limit (RabbitMQ 4).
pub const QUORUM_DELIVERY_LIMIT_DEFAULT: u32 = 20;

/// The read buffer that each worker thread lends to whichever socket is readable. docs/decisions.md, "A read buffer of 256 KiB",
/// has the figures behind its size.
pub const READ_BUFFER_BYTES: usize = 256 * 1024;
/// An unfinished message up to this size waits in the connection's leftover bytes; a larger one is
/// collected frame by frame.
pub const LEFTOVER_BYTES_MAX: usize = 32 * 1024;
/// Deliveries that may wait in one connection's outbox before its consumers are skipped.
pub const OUTBOX_BYTES_MAX: usize = 1024 * 1024;
/// A starved outbox is fed again when it has drained to this.
pub const OUTBOX_BYTES_RESUME: usize = OUTBOX_BYTES_MAX / 2;
/// What is sent without waking the writer for it, at most.
pub const DIRECT_BYTES_MAX: usize = 16 * 1024;
/// To so many connections one thread sends in a row; the writers of others are woken.
pub const DIRECT_OUTBOXES_MAX: usize = 4;
/// Output buffers larger than this are given back when a connection has been idle for a while.
pub const IDLE_BUFFER_BYTES_MAX: usize = 4 * 1024;
/// That while: a busy connection keeps its buffers, because growing them again for each batch would cost as much as filling them.
pub const IDLE_BUFFER_TIMEOUT: Duration = Duration::from_millis(500);
/// Replies that may wait for a client that does not read them, beyond the deliveries' budget; a client over
/// it is not read from until it has drained.
pub const OUTBOX_REPLY_BYTES_MAX: usize = 4 * OUTBOX_BYTES_MAX;
/// Messages that a channel holds which are looked at in a row, whether they are held for too long.
pub const HELD_LOOKED_AT_ONCE_MAX: usize = 64 * 1024;
/// Bindings of a queue or exchange that is gone which are taken out before others have the topology.
pub const BINDINGS_CLEARED_AT_ONCE_MAX: usize = 256;
/// Steps that one such piece of bindings takes.
pub const BINDINGS_CLEARED_STEPS: usize = 2_048;
/// Consumers of a deleted queue that are told before others have their turn.
pub const CONSUMERS_TOLD_AT_ONCE_MAX: usize = 256;
/// Messages of a deleted queue that are let go of before the turn is looked at again.
pub const DELETED_MESSAGES_AT_ONCE_MAX: usize = 256;
/// Pages that are read, and lots of expired messages that are dropped, before a `basic.get` gives up.
pub const GET_TRIES_MAX: usize = 16;
/// Bytes that one dispatch writes before it lets others have the queue's lock.
pub const DISPATCH_BYTES_MAX: usize = 256 * 1024;
/// Steps that a task may take before others get their turn: about a millisecond. A step is at most about a quarter of a
/// microsecond (see `core/turn.rs`); a whole read of small publishes for one queue fits, which it has to: cut in two it costs 11 % of
/// their throughput (measured with 2,048).
pub const TURN_STEPS_MAX: usize = 5 * 1_024;
/// Steps after which a reader that never has to wait reads no more before others have had their turn: the next read may take a whole turn.
pub const READ_ON_STEPS_MAX: usize = TURN_STEPS_MAX / 2;
/// Bytes that are copied in one step.
pub const STEP_BYTES: usize = 1_024;
/// Steps that one frame takes at least, unless it is an acknowledgement: it is decoded, and something is looked up.
pub const FRAME_STEPS: usize = 4;
/// Steps of a change of the topology: names are checked, and the journal hears of it.
pub const TOPOLOGY_STEPS: usize = 128;
/// Steps of matching a name with a pattern.
pub const PATTERN_STEPS: usize = 16;
/// Steps of a consumer that is fed again or leaves.
pub const CONSUMER_STEPS: usize = 4;
/// Steps of a message that comes back to its queue.
pub const RETURN_STEPS: usize = 2;
/// Steps of a message that a client rejects: it may go elsewhere.
pub const DEATH_STEPS: usize = 8;
/// Steps of what the firehose tells of a message: it is another message, with all of its properties in headers.
pub const TAP_STEPS: usize = 8;
/// Steps for looking at one message's properties,
pub const PROPERTIES_STEPS: usize = 2;
/// and bytes of them that are decoded in one step.
pub const STEP_PROPERTIES_BYTES: usize = 64;
/// Steps of an exchange on a message's way,
pub const ROUTE_EXCHANGE_STEPS: usize = 2;
/// and entries of its bindings that are looked at in one step.
pub const STEP_BINDINGS_VISITED: usize = 8;
/// Stamps of a remembered route that are compared in one step.
pub const STEP_STAMPS: usize = 16;
/// Work in a row of the task that calls queues when something is due: calls, and what follows from them.
pub const TICKS_AT_ONCE_MAX: usize = 32;
/// So many changes and departures weigh as much as one such call.
pub const CHANGES_PER_TICK: usize = 32;
/// Arguments of one declaration that the log tells of because they are not known.
pub const UNKNOWN_ARGUMENTS_TOLD_MAX: usize = 8;
/// Such lines of the log for one connection, in a row,
pub const UNKNOWN_ARGUMENTS_LOGGED_MAX: u32 = 10;
/// and how long it takes until there may be another one.
pub const UNKNOWN_ARGUMENTS_LOGGED_REFILL: Duration = Duration::from_secs(1);
/// Deliveries by which a channel's list of them grows: about a third of a megabyte. Few in unit tests.
pub const WINDOW_PIECE_DELIVERIES: usize = if cfg!(test) { 16 } else { 4_096 };
/// Routes that one channel remembers.
pub const ROUTES_CACHED_MAX: usize = 1_024;
/// About what one of them takes beside the exchange and key and the route itself: its place in the channel's map.
pub const ROUTE_PLACE_BYTES: usize = 64;
/// Stamps that a route remembers of its own.
pub const ROUTE_STAMPS_MAX: usize = 64;
/// About what an open channel takes beside its deliveries, routes and unfinished messages.
pub const CHANNEL_BYTES: usize = 1024;
/// Channels that a connection may open however much memory others use: a client that is to make room needs some.
pub const CHANNELS_ALWAYS_MAX: usize = 8;
/// Bytes of publishes and acks that one transaction may hold.
pub const TRANSACTION_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What a publish of a transaction takes beside its image, at most.
pub const TRANSACTION_PUBLISH_BYTES: usize = 128;
/// How long the server waits for a client's close-ok, and for its last bytes to be written.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same when the broker stops and owes the client nothing (RabbitMQ does not wait at all).
pub const CLOSE_TIMEOUT_AT_STOP: Duration = Duration::from_secs(1);
/// How many connections that end have their turn at once.
pub const ENDINGS_AT_ONCE_MAX: usize = 4;
/// How long a socket is kept after a close, for the client to read it and to close the socket (RabbitMQ); no longer than a heartbeat.
pub const LINGER_MAX: Duration = Duration::from_secs(30);
/// How long it is kept when the client's bytes were no frames (RabbitMQ).
pub const LINGER_PLACE_LOST: Duration = Duration::from_secs(3);
/// Sockets that may be kept so; what is beyond that is closed at once.
pub const LINGERING_SOCKETS_MAX: usize = 512;
/// How long a client may take nothing of what is sent to it, before it is given up (RabbitMQ).
pub const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a reader that must not read looks whether the client has gone.
pub const GONE_INTERVAL: Duration = Duration::from_secs(1);
/// How long the store may take to write what it was given when the broker stops.
pub const STORE_CLOSE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long connections may take to end when the broker stops.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the program that started the broker may take to hear something of it.
pub const SUPERVISOR_TIMEOUT: Duration = Duration::from_secs(1);
/// A watchdog is fed no more often than this, however impatient it is.
pub const WATCHDOG_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Characters of one value, which a peer may have sent, in a line of the log.
pub const SHOWN_CHARS_MAX: usize = 512;
/// Bytes of a `rabbitmq.conf` that is translated.
pub const RABBITMQ_CONF_BYTES_MAX: u64 = 1 << 20;
/// Letters in which a name that is not known may differ from the one that was meant.
pub const SPELLING_MISTAKES_MAX: usize = 3;
/// Lines of a list that `fsck` shows, unless all are asked for.
pub const FSCK_LINES_SHOWN_MAX: usize = 20;
/// Characters of a client's name for its connection that stand in each line about it.
pub const CONNECTION_NAME_SHOWN_CHARS_MAX: usize = 100;
/// The same of a name as whom a client that is refused wants to come in: no user has a longer one (AMQP's short strings).
pub const CLAIMED_USER_SHOWN_CHARS_MAX: usize = 255;
/// How often a raised alarm looks whether it may be cleared.
pub const ALARM_INTERVAL: Duration = Duration::from_millis(20);
/// How often queues are asked to make room while messages take more than half of their budget.
pub const PAGING_INTERVAL: Duration = Duration::from_millis(50);
/// Share of the machine's memory that messages may take before publishers are blocked, in percent.
pub const MEMORY_PERCENT_DEFAULT: u64 = 40;
/// Memory that must stay beside the messages, where 40 % would leave less, in a small container: buffers, the store and the
/// program take up to 120 MB in a flood.
pub const MEMORY_BESIDE_MESSAGES_BYTES: u64 = 144 * 1024 * 1024;
/// Share that messages may take however small the container is, in percent.
pub const MEMORY_PERCENT_MIN: u64 = 10;
/// The smallest budget for messages: with less, no message of an ordinary size is taken.
pub const MEMORY_LIMIT_BYTES_MIN: u64 = 1_000_000;
/// The largest: a petabyte.
pub const MEMORY_LIMIT_BYTES_MAX: u64 = 1 << 50;
/// From this share of the limit on, queues let go of everything that is on disk, the next messages too, in percent.
pub const MEMORY_PRESSED_PERCENT: usize = 75;
/// Until so much of the limit is in use, in percent, clients may hold more unacknowledged messages than the shares of that: less than
/// [`MEMORY_PRESSED_PERCENT`], so that what can be paged out still has room.
pub const MEMORY_PLENTY_PERCENT: usize = 60;
/// An alarm is cleared when use has fallen to this share of its limit, in percent.
pub const MEMORY_RESUME_PERCENT: usize = 90;
/// About what an exchange, a queue, a binding or a consumer takes beside its arguments.
pub const ENTITY_BYTES: usize = 1024;
/// Bytes of messages that a thread makes or drops before others see it in the sum.
pub const MEMORY_GRAIN_BYTES_MAX: usize = 64 * 1024;
/// By how much the bytes of a window's messages may differ from the counted ones: messages come and go at the rate of the
/// traffic, and are not counted one by one.
pub const WINDOW_UNCOUNTED_BYTES_MAX: usize = 64 * 1024;
/// Gauges of one process. A broker has one; each test may have its own.
pub const GAUGES_MAX: usize = 1 << 16;
/// What each connection may have of some kinds of memory, however much is used: enough to go on.
pub const MEMORY_FLOOR_BYTES: usize = 16 * 1024;
/// Shares of the memory limit, in percent, for what cannot be paged out: unfinished messages,
pub const MEMORY_ASSEMBLIES_PERCENT: usize = 18;
/// entries of unacknowledged messages,
pub const MEMORY_WINDOWS_PERCENT: usize = 7;
/// these messages,
pub const MEMORY_UNACKED_PERCENT: usize = 12;
/// routes that connections remember,
pub const MEMORY_ROUTES_PERCENT: usize = 3;
/// what waits to be sent,
pub const MEMORY_OUTBOXES_PERCENT: usize = 8;
/// what has come and cannot be handled yet,
pub const MEMORY_INBOUND_PERCENT: usize = 4;
/// exchanges, queues, bindings, consumers and channels,
pub const MEMORY_TOPOLOGY_PERCENT: usize = 15;
/// what recent-history exchanges keep,
pub const MEMORY_HISTORIES_PERCENT: usize = 3;
/// uncommitted transactions,
pub const MEMORY_TRANSACTIONS_PERCENT: usize = 6;
/// what tells duplicates,
pub const MEMORY_DEDUPLICATION_PERCENT: usize = 3;
/// and what is kept of single messages for who looks. Together clearly less than [`MEMORY_RESUME_PERCENT`].
pub const MEMORY_OBSERVING_PERCENT: usize = 1;
/// Messages of one block of a queue: what is paged out and in at once. Few in unit tests, so that short queues have
/// several blocks.
pub const BLOCK_ENTRIES_MAX: usize = if cfg!(test) { 4 } else { 512 };
/// Bytes of one such block; a message may exceed it.
pub const BLOCK_BYTES_MAX: usize = 1024 * 1024;
/// Messages that a queue lets go of before others may have it.
pub const PAGED_OUT_AT_ONCE_MAX: usize = 16 * 1024;
/// Bytes of transient messages that a queue gives to the journal at once to make room.
pub const SPILL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of ready messages that a queue keeps in memory when they are on disk as well.
pub const QUEUE_RESIDENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of messages that are looked at in one go (peek); the last one may exceed it.
pub const PEEK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages that are moved or copied in one group of the journal (redrive).
pub const REDRIVE_AT_ONCE_MAX: usize = 256;
/// Messages that move in from another broker's queue at once.
pub const MOVED_IN_AT_ONCE_MAX: usize = 256;
/// How long a consumer may hold a message of a quorum queue (RabbitMQ: 30 minutes).
pub const CONSUMER_TIMEOUT_MS: u64 = 30 * 60 * 1_000;
/// The longest that can be configured, in milliseconds: ten years.
pub const CONSUMER_TIMEOUT_MS_MAX: u64 = EXPIRATION_MS_MAX;
/// No message is overdue sooner: the time of a delivery is noted up to a second too early.
pub const CONSUMER_TIMEOUT_MS_MIN: u64 = 1_000;
/// How often it is looked for consumers that hold messages too long.
pub const CONSUMER_TIMEOUT_INTERVAL: Duration = Duration::from_secs(1);
/// Messages whose wait is over that one call of a queue lets come again.
pub const DUE_AT_ONCE_MAX: usize = 1_024;
/// Messages that one call of a queue drops because they have expired or there are too many.
pub const DROPPED_AT_ONCE_MAX: usize = 1_024;
/// Bytes that one call of a queue hands out.
pub const DELIVERED_AT_ONCE_BYTES_MAX: usize = 8 * DISPATCH_BYTES_MAX;
/// Pages that one call of a queue reads from disk: of [`BLOCK_BYTES_MAX`] each, or of one message. More in unit tests, whose
/// blocks are short.
pub const PAGES_AT_ONCE_MAX: usize = if cfg!(test) { 32 } else { 4 };
/// Steps that whoever makes messages depart takes at once for those that wait: a message is one, and each queue that it goes to.
pub const DEPARTURES_INLINE_MAX: usize = 64;
/// Steps of one turn of the task that carries departures out.
pub const DEPARTURES_AT_ONCE_MAX: usize = 256;
/// Bytes of messages that depart in one turn; the last one may exceed it.
pub const DEPARTURES_BYTES_AT_ONCE_MAX: usize = 2 * 1024 * 1024;
/// Departures of a virtual host that may wait before those that bring more have to. Few in unit tests.
pub const DEPARTURES_WAITING_MAX: usize = if cfg!(test) { 512 } else { 64 * 1024 };
/// Bytes of their messages.
pub const DEPARTURES_WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Copies that dead-lettering may make of one message without anybody's doing, as a power of two; the queues of the first
/// exchange that it multiplies in are not too many, however many there are.
pub const LETTER_COPIES_LOG2_MAX: u32 = 10;
/// Bytes of all these copies.
pub const LETTER_COPIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A dead letter's content header frame stays below this, so that what is added on the way (an entry, a delay) fits too.
pub const LETTER_HEADER_FRAME_BYTES_MAX: usize = FRAME_SIZE_BYTES_MAX as usize - 4_096;
/// Values that a queue or exchange remembers to tell duplicates, where nothing is said (LavinMQ).
pub const DEDUPLICATION_ENTRIES_DEFAULT: usize = 128;
/// As many as it may remember.
pub const DEDUPLICATION_ENTRIES_MAX: usize = 10_000_000;
/// About what one of them takes in memory.
pub const DEDUPLICATION_ENTRY_BYTES: usize = 320;
/// Values of a queue or exchange that is gone which are forgotten before others have what was seen.
pub const DEDUPLICATION_CLEARED_AT_ONCE_MAX: usize = 512;
/// Bytes of messages, and of the changes that name them, that may wait to be written to the log before publishers wait.
pub const JOURNAL_WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of what is written aside and not whole before publishers wait.
pub const JOURNAL_ASIDE_BYTES_MAX: usize = 512 * 1024 * 1024;
/// A group or a message that takes more is written aside, into a segment of its own, slice by slice, so that nobody else waits for it; at most half of
/// a segment.
pub const LOG_ASIDE_BYTES: usize = 32 * 1024 * 1024;
/// Bytes that are written aside before the log goes on; at most a sixteenth of a segment.
pub const LOG_SLICE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of records that are written to the log at once.
pub const LOG_BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Records of a batch for which memory is kept from batch to batch.
pub const LOG_RECORDS_KEPT_MAX: usize = 16 * 1024;
/// Queues whose lists of settlements keep their memory from batch to batch.
pub const LOG_SETTLED_QUEUES_KEPT_MAX: usize = 1_024;
/// Records that the catalog is told of before others may have it.
pub const LOG_RECORDS_TOLD_AT_ONCE_MAX: usize = 4_096;
/// How often a writer that is held up by a full disk tries again, and a reader without a file descriptor.
pub const STORE_RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// How long an engine that was closed may take to let go of its files,
pub const STORE_LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// and how often that is checked.
pub const STORE_LOCK_INTERVAL: Duration = Duration::from_millis(10);
/// Size of a segment of the log.
pub const SEGMENT_BYTES_DEFAULT: u32 = 64 * 1024 * 1024;
/// The smallest that can be configured.
pub const SEGMENT_BYTES_MIN: u32 = 64 * 1024;
/// The largest: offsets have 32 bits, and a group may exceed the size.
pub const SEGMENT_BYTES_MAX: u32 = 1024 * 1024 * 1024;
/// Placements of a segment, above which the next one is begun: while it is open and while it is sealed each takes 32 bytes of memory,
/// three times for a moment. One batch or one group may exceed it. Few in unit tests.
pub const SEGMENT_SLOTS_MAX: usize = if cfg!(test) { 64 } else { 256 * 1024 };
/// One part in so many of a segment is kept for what makes room, should the disk be full.
pub const SEGMENT_RESERVE_FRACTION: usize = 16;
/// Sealed segments of the log that are open at once, besides those that are just being read: half of what
/// [`DESCRIPTORS_RESERVE`] keeps.
pub const SEGMENT_HANDLES_MAX: usize = 32;
/// Slots in footers of sealed segments that stay in memory: 32 bytes each.
pub const FOOTER_SLOTS_CACHED_MAX: usize = 512 * 1024;
/// So many messages of one segment at most are searched for in its footer on disk; for more the footer is read whole.
pub const FOOTER_SEARCHES_MAX: usize = if cfg!(test) { 2 } else { 16 };
/// The largest gap between two records that is read with them rather than making two reads.
pub const READ_GAP_BYTES_MAX: u64 = 16 * 1024;
/// The most that is read of a segment at once, unless one record is larger.
pub const READ_AT_ONCE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The most that is kept of one damaged piece of a segment.
pub const QUARANTINE_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Room on the disk below which publishers are blocked.
pub const DISK_FREE_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;
/// As much as an operator may ask for: an exabyte.
pub const DISK_FREE_BYTES_MAX: u64 = 1 << 60;
/// Room that is set free when the disk is full, so that segments can be deleted.
pub const DISK_RESERVE_BYTES: u64 = 4 * 1024 * 1024;
/// How often the keeper of the log looks round, if nobody calls it.
pub const KEEPER_INTERVAL: Duration = Duration::from_millis(100);
/// A checkpoint is made so long after the last one if anything changed,
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(30);
/// or after so many bytes of log, or when it lets segments go,
pub const CHECKPOINT_LOG_BYTES: u64 = 256 * 1024 * 1024;
/// but never sooner than this after the last one,
pub const CHECKPOINT_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// unless so many queues and blocks have changed: until they are applied they are in memory as they will be written.
pub const CHECKPOINT_CHANGES_MAX: usize = 32 * 1024;
/// Keys of a batch that the key-value store's engine takes at once: it keeps a page of its tree, about 2,800 bytes, for each of
/// them until the batch is applied. A larger one needs a file, and syncs. Few in unit tests.
pub const CHECKPOINT_BATCH_KEYS_MAX: usize = if cfg!(test) { 32 } else { 2_048 };
/// Keys of each piece in which a larger one is applied. docs/decisions.md, "Large checkpoints in pieces", has the figures.
pub const CHECKPOINT_PIECE_KEYS: usize = if cfg!(test) { 8 } else { 512 };
/// Bytes that the key-value store's engine may keep in memory.
pub const CHECKPOINT_CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// How often a busy store writes its figures to the program's log.
pub const STORAGE_REPORT_INTERVAL: Duration = Duration::from_mins(1);
/// Segments of which no more than this is live are rewritten, in percent.
pub const RECLAIM_LIVE_PERCENT_MAX: u64 = 25;
/// Bytes that are rewritten in a second at most.
pub const RECLAIM_BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;
/// Bytes that are rewritten at once.
pub const RECLAIM_READ_BYTES: u64 = 1024 * 1024;
/// Slots that are looked at before others may have the catalog.
pub const RECLAIM_SLOTS_AT_ONCE_MAX: usize = 4_096;
/// Ready bytes of a queue whose consumers are kept back by their sockets alone, above which its publishers
/// pause (RabbitMQ calls the state of such a connection `flow`).
pub const FLOW_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A queue that is this deep was not filled by a moment's haste: pausing its publishers helps nobody.
pub const FLOW_BYTES_DEEP: usize = 64 * 1024 * 1024;
/// They go on when it has drained to this.
pub const FLOW_BYTES_RESUME: usize = FLOW_BYTES_MAX / 2;
/// The longest such pause: a consumer that has stopped reading must not stop publishers.
pub const FLOW_PAUSE_MAX: Duration = Duration::from_millis(20);

const _: () = assert!(FRAME_SIZE_BYTES_MIN as usize <= READ_BUFFER_BYTES / 2);
const _: () = assert!(LEFTOVER_BYTES_MAX < READ_BUFFER_BYTES);
const _: () = assert!(OUTBOX_BYTES_RESUME < OUTBOX_BYTES_MAX);
const _: () = assert!(MEMORY_PLENTY_PERCENT < MEMORY_PRESSED_PERCENT);
const _: () = assert!(MEMORY_PRESSED_PERCENT < MEMORY_RESUME_PERCENT);
const _: () = assert!(MESSAGE_SIZE_BYTES_MAX_DEFAULT <= MESSAGE_SIZE_BYTES_MAX_HARD);
const _: () = assert!(CLOSE_TIMEOUT_AT_STOP.as_millis() <= CLOSE_TIMEOUT.as_millis());
