//! Bounds of passwords, tokens, and the HTTP service that says who may log in.

use std::time::Duration;

/// Memory that hashing a password takes, in KiB (OWASP's parameters for argon2id). Little in unit tests.
pub const ARGON2_MEMORY_KIB: u32 = if cfg!(test) { 64 } else { 19 * 1_024 };
/// How often it goes through it.
pub const ARGON2_PASSES: u32 = 2;
/// Its lanes: they are worked on one after the other.
pub const ARGON2_LANES: u32 = 1;
/// The most memory that a hash from elsewhere may ask for, in KiB,
pub const ARGON2_MEMORY_KIB_MAX: u32 = 128 * 1_024;
/// and passes,
pub const ARGON2_PASSES_MAX: u32 = 16;
/// and lanes.
pub const ARGON2_LANES_MAX: u32 = 16;
/// The largest file that a password is read from, in bytes: a client could not send more.
pub const PASSWORD_FILE_BYTES_MAX: usize = 4_096;
/// Passwords whose check may wait for its turn, over all clients,
pub const PASSWORDS_WAITING_MAX: usize = 512;
/// and of one address (of IPv6: one network of 64 bits), so that the others have theirs. What else comes from there waits for that.
pub const PASSWORDS_WAITING_PER_ADDRESS_MAX: usize = 128;
/// How long a password that was proven need not be hashed again: clients that connect for each request pay it seldom.
pub const PASSWORD_PROVEN_FOR: Duration = Duration::from_secs(15);
/// Passwords that are remembered so.
pub const PASSWORDS_PROVEN_MAX: usize = 4_096;
/// Addresses, users, and users at an address of which failed logins are counted: each of the three.
pub const LOGIN_FAILURES_COUNTED_MAX: usize = 8_192;
/// After so long without another failure, half of them count.
pub const LOGIN_FAILURES_HALF_LIFE: Duration = Duration::from_mins(1);
/// So many failed logins of an address are answered at once,
pub const LOGIN_FAILURES_FREE: u32 = 3;
/// the next one after this, and each further one after twice the time,
pub const LOGIN_DELAY_MIN: Duration = Duration::from_millis(50);
/// but no longer than this. Nor later than half of the handshake's time.
pub const LOGIN_DELAY_MAX: Duration = Duration::from_secs(3);
/// How long the HTTP service of `auth-http-...` may take to answer, in milliseconds: less than a client has for its handshake,
pub const AUTH_HTTP_TIMEOUT_MS: u64 = 5_000;
/// and at most.
pub const AUTH_HTTP_TIMEOUT_MS_MAX: u64 = 60_000;
/// How long what it has allowed is remembered, in milliseconds (RabbitMQ's `auth_cache.cache_ttl`),
pub const AUTH_HTTP_CACHE_MS: u64 = 15_000;
/// what it has refused or not answered, so that who is refused again and again does not have it asked each time,
pub const AUTH_HTTP_CACHE_REFUSALS_MS: u64 = 1_000;
/// and either at most.
pub const AUTH_HTTP_CACHE_MS_MAX: u64 = 24 * 3_600_000;
/// How often the log is told that it does not answer, at most.
pub const AUTH_HTTP_TOLD_PAUSE: Duration = Duration::from_secs(5);
/// The longest answer that is read: a word, and the tags of a user.
pub const AUTH_HTTP_ANSWER_BYTES_MAX: u64 = 8 * 1_024;
/// Questions about what clients that have logged in may do, at once; the others wait in line, one for each connection.
pub const AUTH_HTTP_QUESTIONS_AT_ONCE: usize = 32;
/// and so many of one user.
pub const AUTH_HTTP_QUESTIONS_OF_USER_AT_ONCE: usize = 8;
/// Users who have asked something before it is looked which of them ask nothing now.
pub const AUTH_HTTP_USERS_IN_LINE_KEPT: usize = 1_024;
/// Questions that one frame may ask: a message may have many keys. What is beyond is refused.
pub const AUTH_HTTP_QUESTIONS_OF_A_FRAME_MAX: usize = 128;
/// Logins about which it is asked at once: they take nothing of what those have who are in.
pub const AUTH_HTTP_LOGINS_AT_ONCE: usize = 16;
/// Answers that are remembered,
pub const AUTH_HTTP_ANSWERS_MAX: usize = 8_192;
/// and so many of one user, who does not push out those of others, whatever it asks.
pub const AUTH_HTTP_ANSWERS_OF_USER_MAX: usize = 1_024;
/// Virtual hosts about which it is asked for one request of the HTTP API that lists what somebody may see.
pub const AUTH_HTTP_VHOSTS_ASKED_MAX: usize = 256;
/// The largest token, in bytes.
pub const OAUTH_TOKEN_BYTES_MAX: usize = 16 * 1_024;
/// Scopes of a token for this server: each question of a permission goes through them.
pub const OAUTH_SCOPES_MAX: usize = 256;
/// By how much the clocks of whoever issues tokens may differ from ours, in seconds.
pub const OAUTH_LEEWAY_SECONDS: u64 = 5;
/// How long an address may take to give its keys: less than a client has for its handshake.
pub const OAUTH_KEYS_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the address may send to another one.
pub const OAUTH_KEYS_REDIRECTS_MAX: u32 = 10;
/// How often they are read again,
pub const OAUTH_KEYS_INTERVAL: Duration = Duration::from_mins(10);
/// and how soon after a failure;
pub const OAUTH_KEYS_RETRY_INTERVAL: Duration = Duration::from_secs(15);
/// and how seldom because of tokens that name a key which is not known: anybody can make some.
pub const OAUTH_KEYS_PAUSE: Duration = Duration::from_secs(10);
/// The largest set of keys, in bytes, from a file or from an address.
pub const OAUTH_KEYS_BYTES_MAX: u64 = 1024 * 1024;
/// Keys of a set: a token that names none is tried with each that fits.
pub const OAUTH_KEYS_MAX: usize = 64;
/// The shortest RSA key, in bits,
pub const OAUTH_RSA_BITS_MIN: usize = 2_048;
/// and the longest: a signature is checked where clients are served.
pub const OAUTH_RSA_BITS_MAX: usize = 4_096;

const _: () = assert!(ARGON2_MEMORY_KIB <= ARGON2_MEMORY_KIB_MAX && ARGON2_MEMORY_KIB >= 8 * ARGON2_LANES);
const _: () = assert!(ARGON2_PASSES <= ARGON2_PASSES_MAX && ARGON2_LANES <= ARGON2_LANES_MAX);
const _: () = assert!(PASSWORDS_WAITING_PER_ADDRESS_MAX < PASSWORDS_WAITING_MAX);
