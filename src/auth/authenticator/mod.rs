//! Lets clients in, or not: the check of a password, off the threads that serve clients where it is costly, what was proven
//! lately, and failures, which are counted and answered the later the more there are.
//!
//! A login that is refused has cost the work of checking a new hash, whatever was wrong, so that its time does not tell which users
//! there are. Users that have a costlier hash than new ones get are told apart by it; so are none where new ones get argon2id.
//!
//! Who the users are is asked of a function, by name: this folder does not know where they are kept.

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
    Authority, Identity,
    http::{HttpBackend, HttpUser, LoginSaid, Question, Said, Unanswered, Verdict},
    oauth::{BadToken, Keys, Token},
    password::{self, BadHash},
    sasl::{Claim, Offered, Secret},
    tokens::{Tokens, is_token},
};
use crate::config::{Backend, BackendPair, Config, PasswordHashing};
use crate::core::access::{PasswordHash, UserSpec};
use crate::limits::AUTH_HTTP_LOGINS_AT_ONCE;
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
    /// Who is asked about passwords, in order.
    backends: Vec<BackendPair>,
    /// The HTTP service, if it is one of them.
    service: OnceLock<Arc<HttpBackend>>,
    /// Turns to ask it.
    asking: Checks,
    /// Where tokens are taken for passwords.
    tokens: OnceLock<Arc<Tokens>>,
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
    /// The HTTP service says no.
    #[error("user '{user}' - denied by the HTTP service{}", .reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    Denied {
        /// The user.
        user: String,
        /// Why, if it says that.
        reason: Option<String>,
    },
    /// The HTTP service says nothing.
    #[error("user '{user}' - the HTTP service: {why}")]
    Unanswered {
        /// The user.
        user: String,
        /// Why it does not.
        why: Unanswered,
    },
    /// The password was not looked at.
    #[error("too many passwords wait to be checked")]
    Busy,
}

impl LoginError {
    /// The words for why, for counters.
    pub const WORDS: [&str; 8] = [
        "invalid_credentials",
        "blank_password",
        "bad_hash",
        "bad_token",
        "loopback_only",
        "busy",
        "denied",
        "unanswered",
    ];

    /// One of [`Self::WORDS`].
    pub fn word(&self) -> &'static str {
        let at = match self {
            Self::InvalidCredentials(_) => 0,
            Self::BlankPassword(_) => 1,
            Self::BadHash { .. } => 2,
            Self::BadToken { .. } => 3,
            Self::LoopbackOnly(_) => 4,
            Self::Busy => 5,
            Self::Denied { .. } => 6,
            Self::Unanswered { .. } => 7,
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
            backends: config.backends.order.clone(),
            service: OnceLock::new(),
            asking: Checks::new(AUTH_HTTP_LOGINS_AT_ONCE),
            tokens: OnceLock::new(),
        }
    }

    /// From now on tokens are taken, too. To be called once.
    pub fn take_tokens(&self, tokens: Arc<Tokens>) {
        // A second call changes nothing.
        self.tokens.get_or_init(|| tokens);
    }

    /// The HTTP service that is asked where it is configured. To be called once.
    pub fn ask_service(&self, service: Arc<HttpBackend>) {
        // A second call changes nothing.
        self.service.get_or_init(|| service);
    }

    /// The HTTP service that says what some users may do, if there is one.
    pub fn service(&self) -> Option<&Arc<HttpBackend>> {
        self.service.get()
    }

    /// Whether the HTTP service permits something, in a bounded time.
    pub async fn ask(&self, question: &Question) -> Verdict {
        match self.service.get() {
            Some(service) => service.ask(question).await,
            None => Verdict { said: Said::Nothing, until: Instant::now() },
        }
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
            Claim::Vouched { user } => (user, self.by_backends(user, None, origin, &find).await),
            Claim::Password { user, password } => {
                let proven = match self.tokens.get() {
                    Some(tokens) if is_token(password.expose_secret()) => {
                        self.read_token(tokens, user, password, origin).await
                    }
                    _ => self.by_backends(user, Some(password), origin, &find).await,
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
        Ok(Identity { user: token.user.clone(), authority: Authority::Token(Arc::new(token)) })
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

    /// Who somebody is, by the first one that knows it, with its password or vouched for.
    async fn by_backends(
        &self,
        user: &[u8],
        password: Option<&Secret>,
        origin: Origin,
        find: &impl Fn(&[u8]) -> Option<Arc<UserSpec>>,
    ) -> Result<Identity, LoginError> {
        // Some services let in who has no password.
        if password.is_some_and(|password| password.expose_secret().is_empty()) {
            return Err(LoginError::BlankPassword(lossy(user)));
        }
        let mut refused = invalid(user);
        for pair in &self.backends {
            match self.by_backend(*pair, user, password, origin, find).await {
                Err(why @ LoginError::Busy) => return Err(why),
                // Whoever says more than that it does not know the user is told of.
                Err(why) if matches!(refused, LoginError::InvalidCredentials(_)) => refused = why,
                Err(_) => {}
                Ok(identity) => return Ok(identity),
            }
        }
        Err(refused)
    }

    async fn by_backend(
        &self,
        pair: BackendPair,
        user: &[u8],
        password: Option<&Secret>,
        origin: Origin,
        find: &impl Fn(&[u8]) -> Option<Arc<UserSpec>>,
    ) -> Result<Identity, LoginError> {
        let found = || find(user).ok_or_else(|| invalid(user));
        let own = match (pair.authn, password) {
            (Backend::Internal, Some(password)) => Some(self.prove(user, password, origin, find).await?),
            (Backend::Internal, None) => Some(found()?),
            (Backend::Http, _) => None,
        };
        if let (Some(spec), Backend::Internal) = (&own, pair.authz) {
            return Ok(spec.clone().into());
        }
        let name = ShortString::try_from(user).map_err(|_| invalid(user))?;
        let mut tags = self.ask_about(user, password, origin).await?;
        if pair.authz == Backend::Internal {
            return Ok(found()?.into());
        }
        if let Some(spec) = &own {
            tags.extend(spec.tags.iter().cloned());
        }
        let known = HttpUser { name: name.clone(), tags, is_own: own.is_some() };
        Ok(Identity { user: name, authority: Authority::Http(Arc::new(known)) })
    }

    /// The tags of somebody whom the HTTP service knows by its password, or who is vouched for.
    async fn ask_about(
        &self,
        user: &[u8],
        password: Option<&Secret>,
        origin: Origin,
    ) -> Result<Vec<ShortString>, LoginError> {
        let refused = |said| match said {
            LoginSaid::Yes(tags) => Ok(tags),
            LoginSaid::No(reason) => Err(LoginError::Denied { user: lossy(user), reason }),
            LoginSaid::Nothing(why) => Err(LoginError::Unanswered { user: lossy(user), why }),
        };
        let Some(service) = self.service.get() else { return refused(LoginSaid::Nothing(Unanswered::Ended)) };
        let login = service.login(user, password.map(|password| password.expose_secret()));
        if let Some(said) = service.login_said_lately(&login) {
            return refused(said);
        }
        let turn = self.asking.turn(Some(origin)).await?;
        // Of many clients that come at once with the same password, only the first one is asked about.
        if let Some(said) = service.login_said_lately(&login) {
            return refused(said);
        }
        let service = service.clone();
        refused(turn.run(move || service.ask_about_login(&login)).await?)
    }

    /// The user, if this is its password.
    async fn prove(
        &self,
        user: &[u8],
        password: &Secret,
        origin: Origin,
        find: &impl Fn(&[u8]) -> Option<Arc<UserSpec>>,
    ) -> Result<Arc<UserSpec>, LoginError> {
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
        // Of many clients that come at once with the same password one waits for the work, and all are let in when it is done.
        let turn = tokio::select! {
            biased;
            () = self.proven.comes(&proof) => return Ok(Ok(true)),
            turn = self.checks.turn(Some(origin)) => turn?,
        };
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
