//! Bounds of the web console, and of what the HTTP API finds out for it.

use std::time::Duration;

use super::SAMPLE_INTERVAL;

/// Objects in one answer of what a policy would hit.
pub const POLICY_HITS_SHOWN_MAX: usize = 200;
/// Bindings in one answer of where a message would go.
pub const TRIED_BINDINGS_SHOWN_MAX: usize = 1_000;
/// Sessions of the web console at once.
pub const CONSOLE_SESSIONS_MAX: usize = 1_000;
/// Those of one user.
pub const CONSOLE_SESSIONS_OF_USER_MAX: usize = 20;
/// A session of the web console ends when nothing was asked for so long: an open page asks every few seconds.
pub const CONSOLE_SESSION_IDLE_MAX: Duration = Duration::from_hours(1);
/// A session of the web console ends in any case after this.
pub const CONSOLE_SESSION_AGE_MAX: Duration = Duration::from_hours(12);
/// How long a login counts that an HTTP service has allowed: it may think otherwise by then, and is not asked without the password.
pub const CONSOLE_SERVICE_LOGIN_MAX: Duration = Duration::from_mins(15);
/// Bytes of the form by which one logs in: whoever sends it has proven nothing yet. A token may be the password.
pub const CONSOLE_LOGIN_BYTES_MAX: usize = 32 * 1024;
/// Bytes of a form of the web console.
pub const CONSOLE_FORM_BYTES_MAX: usize = 1 << 20;
/// Bytes of a form of the web console that brings definitions,
pub const CONSOLE_UPLOAD_BYTES_MAX: usize = 8 << 20;
/// and its fields.
pub const CONSOLE_UPLOAD_PARTS_MAX: usize = 16;
/// Bytes of an answer of the API of which the web console makes a page.
pub const CONSOLE_ANSWER_BYTES_MAX: usize = 64 << 20;
/// Characters of a name on a page: names have 255 bytes.
pub const CONSOLE_NAME_CHARS_MAX: usize = 512;
/// Virtual hosts among which one can choose on a page.
pub const CONSOLE_VHOSTS_SHOWN_MAX: usize = 200;
/// Bindings that an exchange's page draws, on each side.
pub const CONSOLE_DRAWN_MAX: usize = 40;
/// Queues with delayed messages of which a page says when the next one is due.
pub const CONSOLE_DUE_QUEUES_MAX: usize = 20;
/// Things in which definitions differ that a page lists.
pub const CONSOLE_DIFFERENCES_SHOWN_MAX: usize = 1_000;
/// Bytes of everything that a browser loads besides a page itself.
pub const CONSOLE_ASSETS_BYTES_MAX: usize = 150_000;

const _: () = assert!(CONSOLE_SESSIONS_OF_USER_MAX < CONSOLE_SESSIONS_MAX);
const _: () = assert!(CONSOLE_SESSION_IDLE_MAX.as_secs() < CONSOLE_SESSION_AGE_MAX.as_secs());
/// Samples of the broker as a whole that are kept for an hour are so far apart,
pub const COARSE_SAMPLE_INTERVAL: Duration = Duration::from_secs(30);
/// and so many.
pub const COARSE_SAMPLES_MAX: usize = 120;
/// Queues in one answer of what needs attention, at most,
pub const ATTENTION_SHOWN_MAX: usize = 200;
/// and where nothing else is asked for.
pub const ATTENTION_SHOWN_DEFAULT: usize = 20;
/// Queues whose messages or consumers are looked at for why they need attention, each time.
pub const ATTENTION_LOOKED_INTO_MAX: usize = 50;
/// What is found is told to everybody who asks within this time.
pub const ATTENTION_AGE_MAX: Duration = SAMPLE_INTERVAL;
/// Over so much of the past it is seen how a queue goes.
pub const ATTENTION_SPAN: Duration = Duration::from_mins(1);
/// A message that is held longer than this, while none is acknowledged, needs attention.
pub const ATTENTION_HELD_MAX: Duration = Duration::from_mins(1);
/// A queue that grows needs attention from so many ready messages on.
pub const ATTENTION_READY_MIN: u64 = 100;
/// Lines of the log, and as many of the audit, that are kept to be shown,
pub const RECENT_LINES_MAX: usize = if cfg!(test) { 100 } else { 5_000 };
/// and their bytes, of each of the two.
pub const RECENT_LINES_BYTES_MAX: usize = 1 << 20;
/// Bytes of one of them: a longer one is left out.
pub const RECENT_LINE_BYTES_MAX: usize = 16 << 10;
/// Lines in one answer, at most,
pub const RECENT_LINES_SHOWN_MAX: usize = 1_000;
/// and where nothing else is asked for.
pub const RECENT_LINES_SHOWN_DEFAULT: usize = 200;

const _: () = assert!(RECENT_LINE_BYTES_MAX < RECENT_LINES_BYTES_MAX);
