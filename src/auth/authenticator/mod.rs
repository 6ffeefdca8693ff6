//! Lets clients in, or not: the check of a password, off the threads that serve clients where it is costly, what was proven
//! lately, and failures, which are counted and answered the later the more there are.
//!
//! A login that is refused has cost the work of checking a new hash, whatever was wrong, so that its time does not tell which users
//! there are. Users that have a costlier hash than new ones get are told apart by it; so are none where new ones get argon2id.
//!
//! Who the users are is asked of a function, by name: this folder does not know where they are kept.

mod bounded;
mod checks;
mod failures;
mod proven;

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep};

use super::{
    oauth::{BadToken, Keys, Token},
    password::{self, BadHash},
    sasl::{Claim, Offered, Secret},
    tokens::{Tokens, is_token},
};
use crate::config::{Config, PasswordHashing};
use crate::core::access::{PasswordHash, UserSpec};
use crate::protocol::ShortString;
use checks::{Busy, Checks};
use failures::Failures;
pub use failures::{Figures, Origin};
use proven::Proven;

/// Checks what clients say of themselves. One for all connections.
pub struct Authenticator {
    hashing: PasswordHashing,
    /// Checked in the place of a hash that is not there.
    decoy: PasswordHash,
    /// Users that must come from this machine (RabbitMQ's `loopback_users`).
    loopback_only: Vec<String>,
    anonymous: Option<ShortString>,
    /// The longest that a refused login may take, until it is answered on purpose.
    answered_within: Duration,
    proven: Proven,
    failures: Mutex<Failures>,
    checks: Checks,
    /// Where tokens are taken for passwords.
    tokens: OnceLock<Arc<Tokens>>,
}

/// Who has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub user: ShortString,
    /// What says so, and what it may do, if it came with a token.
    pub token: Option<Arc<Token>>,
}

/// Why a login is refused; for the log, the client only hears that it was.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Unknown user or wrong password.
    #[error("user '{0}' - invalid credentials")]
    InvalidCredentials(String),
    /// No password lets in who has none (RabbitMQ).
    #[error("user '{0}' attempted to log in with a blank password, which is prohibited")]
    BlankPassword(String),
    /// Its hash lets nobody in.
    #[error("user '{user}' - {why}")]
    BadHash {
        /// The user.
        user: String,
        /// What is wrong with it.
        why: BadHash,
    },
    /// The token that was sent for a password lets nobody in.
    #[error("user '{user}' - {why}")]
    BadToken {
        /// The name that was sent with it.
        user: String,
        /// What is wrong with it.
        why: BadToken,
    },
    /// RabbitMQ's `loopback_users`.
    #[error("user '{0}' can only connect via localhost")]
    LoopbackOnly(String),
    /// The password was not looked at.
    #[error("too many passwords wait to be checked")]
    Busy,
}

impl LoginError {
    /// The words for why, for counters.
    pub const WORDS: [&str; 6] =
        ["invalid_credentials", "blank_password", "bad_hash", "bad_token", "loopback_only", "busy"];

    /// One of [`Self::WORDS`].
    pub fn word(&self) -> &'static str {
        let at = match self {
            Self::InvalidCredentials(_) => 0,
            Self::BlankPassword(_) => 1,
            Self::BadHash { .. } => 2,
            Self::BadToken { .. } => 3,
            Self::LoopbackOnly(_) => 4,
            Self::Busy => 5,
        };
        Self::WORDS[at]
    }
}

/// A login that is refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: LoginError,
    /// How many failed lately; `None` if this one does not count as one.
    pub failures: Option<Figures>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { why, failures } = self;
        write!(f, "{why}")?;
        match failures {
            Some(Figures { of_address, of_user }) if *of_address.max(of_user) > 1 => {
                write!(f, " (failed lately: {of_address} of this address, {of_user} of this user)")
            }
            _ => Ok(()),
        }
    }
}

impl Authenticator {
    /// As it is configured. Nothing is proven, nothing has failed.
    pub fn new(config: &Config) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            hashing: config.password_hashing,
            decoy: password::decoy(config.password_hashing, &random()),
            loopback_only: config.loopback_users.clone(),
            anonymous: config.anonymous_login_user.clone(),
            answered_within: config.handshake_timeout / 2,
            proven: Proven::new(rand::random()),
            failures: Mutex::new(Failures::new()),
            // The other half of them serves clients. Tests take the only turn.
            checks: Checks::new(if cfg!(test) { 1 } else { cores / 2 }),
            tokens: OnceLock::new(),
        }
    }

    /// From now on tokens are taken, too. To be called once.
    pub fn take_tokens(&self, tokens: Arc<Tokens>) {
        // A second call changes nothing.
        self.tokens.get_or_init(|| tokens);
    }

    /// What checks tokens, if they are taken.
    pub fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.tokens.get()
    }

    /// What a connection is offered whose client has shown a certificate of this name, or none.
    pub fn offered<'a>(&'a self, certified: Option<&'a str>) -> Offered<'a> {
        Offered { certified, anonymous: self.anonymous.as_ref() }
    }

    /// Checks a claim, and that the user may come from `peer`. `find` gives users by name.
    ///
    /// A refusal is answered the later the more logins from there have failed: by up to [`LOGIN_DELAY_MAX`](crate::limits::LOGIN_DELAY_MAX), but within half of the
    /// handshake's time.
    pub async fn log_in(
        &self,
        claim: &Claim,
        peer: IpAddr,
        find: impl Fn(&[u8]) -> Option<Arc<UserSpec>>,
    ) -> Result<Identity, Refused> {
        let (began, origin) = (Instant::now(), Origin::from(peer));
        let (user, proven) = match claim {
            Claim::Vouched { user } => (user, find(user).ok_or_else(|| invalid(user)).map(Identity::from)),
            Claim::Password { user, password } => {
                let proven = match self.tokens.get() {
                    Some(tokens) if is_token(password.expose_secret()) => {
                        self.read_token(tokens, user, password, origin).await
                    }
                    _ => self.prove(user, password, origin, find).await.map(Identity::from),
                };
                (user, proven)
            }
        };
        let now = Instant::now();
        match proven.and_then(|identity| self.may_come_from(identity, peer)) {
            Ok(identity) => {
                self.failures.lock().forgive(origin, user, now);
                Ok(identity)
            }
            Err(why @ LoginError::Busy) => Err(Refused { why, failures: None }),
            Err(why) => {
                let figures = self.failures.lock().add(origin, user, now);
                sleep(figures.delay().min(self.answered_within.saturating_sub(now - began))).await;
                Err(Refused { why, failures: Some(figures) })
            }
        }
    }

    /// The hash of a new password, made off the threads that serve clients. `None` if too many wait for that.
    pub async fn hash(&self, password: Secret) -> Option<PasswordHash> {
        let (hashing, turn) = (self.hashing, self.checks.turn(None).await.ok()?);
        turn.run(move || new_hash(hashing, &password)).await.ok()
    }

    /// Who a token is of. The name that is sent with it is not looked at (RabbitMQ).
    async fn read_token(
        &self,
        tokens: &Arc<Tokens>,
        user: &[u8],
        token: &Secret,
        origin: Origin,
    ) -> Result<Identity, LoginError> {
        let keys = tokens.keys();
        let mut read = self.read_token_by(tokens, &keys, token, origin).await?;
        if read == Err(BadToken::UnknownKey) && tokens.renew_for_token(&keys).await {
            read = self.read_token_by(tokens, &tokens.keys(), token, origin).await?;
        }
        let token = read.map_err(|why| LoginError::BadToken { user: lossy(user), why })?;
        Ok(Identity { user: token.user.clone(), token: Some(Arc::new(token)) })
    }

    async fn read_token_by(
        &self,
        tokens: &Arc<Tokens>,
        keys: &Arc<Keys>,
        token: &Secret,
        origin: Origin,
    ) -> Result<Result<Token, BadToken>, Busy> {
        let turn = self.checks.turn(Some(origin)).await?;
        let (tokens, keys, token) = (tokens.clone(), keys.clone(), token.clone());
        turn.run(move || tokens.read_by(&keys, token.expose_secret())).await
    }

    /// The user, if this is its password.
    async fn prove(
        &self,
        user: &[u8],
        password: &Secret,
        origin: Origin,
        find: impl Fn(&[u8]) -> Option<Arc<UserSpec>>,
    ) -> Result<Arc<UserSpec>, LoginError> {
        if password.expose_secret().is_empty() {
            return Err(LoginError::BlankPassword(lossy(user)));
        }
        let found = find(user);
        let hash = found.as_ref().map_or(&self.decoy, |spec| &spec.password);
        let verified = self.verify(user, hash, password, origin).await?;
        match (found, verified) {
            // It may have got another password, or gone, while this one was checked.
            (Some(spec), Ok(true)) => {
                let now = find(user).filter(|now| now.password == spec.password);
                now.ok_or_else(|| invalid(user))
            }
            (Some(spec), verified) => {
                if verified.is_err() || password::is_cheap(&spec.password) {
                    self.work_for_nothing(user, password, origin).await?;
                }
                match verified {
                    Err(why) => Err(LoginError::BadHash { user: lossy(user), why }),
                    Ok(_) => Err(invalid(user)),
                }
            }
            (None, _) => Err(invalid(user)),
        }
    }

    async fn work_for_nothing(&self, user: &[u8], password: &Secret, origin: Origin) -> Result<(), Busy> {
        // No password fits.
        let _fits = self.verify(user, &self.decoy, password, origin).await?;
        Ok(())
    }

    /// Whether the hash is one of this password: found out here if that is cheap, otherwise elsewhere, unless it was lately.
    async fn verify(
        &self,
        user: &[u8],
        hash: &PasswordHash,
        password: &Secret,
        origin: Origin,
    ) -> Result<Result<bool, BadHash>, Busy> {
        if password::is_cheap(hash) {
            return Ok(password::verify(hash, password.expose_secret()));
        }
        let proof = self.proven.proof(user, hash, password.expose_secret());
        if self.proven.has(&proof, Instant::now()) {
            return Ok(Ok(true));
        }
        let turn = self.checks.turn(Some(origin)).await?;
        // Of many clients that come at once with the same password, only the first one waits for the work.
        if self.proven.has(&proof, Instant::now()) {
            return Ok(Ok(true));
        }
        let (hash, password) = (hash.clone(), password.clone());
        let verified = turn.run(move || password::verify(&hash, password.expose_secret())).await?;
        if verified == Ok(true) {
            self.proven.add(proof, Instant::now());
        }
        Ok(verified)
    }

    fn may_come_from(&self, identity: Identity, peer: IpAddr) -> Result<Identity, LoginError> {
        let is_bound = self.loopback_only.iter().any(|name| identity.user == **name);
        if is_bound && !peer.to_canonical().is_loopback() {
            return Err(LoginError::LoopbackOnly(lossy(&identity.user)));
        }
        Ok(identity)
    }
}

/// The hash of a new password, made here: argon2id takes tens of milliseconds.
pub fn new_hash(hashing: PasswordHashing, password: &Secret) -> PasswordHash {
    password::hash(hashing, password.expose_secret(), &rand::random())
}

impl From<Arc<UserSpec>> for Identity {
    fn from(spec: Arc<UserSpec>) -> Self {
        Self { user: spec.name.clone(), token: None }
    }
}

impl From<Busy> for LoginError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

fn invalid(user: &[u8]) -> LoginError {
    LoginError::InvalidCredentials(lossy(user))
}

fn lossy(user: &[u8]) -> String {
    String::from_utf8_lossy(user).into_owned()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
