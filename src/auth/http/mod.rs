//! An HTTP service that knows users and what they may do, as RabbitMQ's `rabbitmq_auth_backend_http` asks one.
//!
//! `question` is what it is asked, `answer` what it says (both pure), `client` puts a question and takes as long as the network does, and
//! `line` says whose
//! question is put next, `lately` remembers what was said for a while. [`HttpBackend`] puts them together: logins are asked for by the authenticator in turns
//! of its own, questions about permissions here, so many at once. Whatever is no clear yes is a no.

mod answer;
mod client;
mod lately;
mod line;
mod question;

use std::{sync::Arc, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};

use crate::config::HttpBackendConfig;
use crate::limits::{
    AUTH_HTTP_ANSWERS_MAX, AUTH_HTTP_ANSWERS_OF_USER_MAX, AUTH_HTTP_TOLD_PAUSE, PASSWORDS_PROVEN_MAX,
};
use crate::outside::BadAuthority;
use crate::protocol::ShortString;
pub use answer::Answer;
use client::Client;
pub use client::Unanswered;
use lately::{Lately, LatelyOfEach};
use line::Line;
use question::login_form;
pub use question::{About, HttpUser, Question};

/// The service as the broker asks it. One for all connections.
pub struct HttpBackend {
    client: Client,
    cache: Duration,
    cache_refusals: Duration,
    /// The longest that a question waits: in line, and for its answer.
    patience: Duration,
    line: Line,
    answers: Mutex<LatelyOfEach<ShortString, Question, Said>>,
    allowed_logins: Mutex<Lately<Proof, LoginSaid>>,
    /// The others are kept apart: whoever has no password can try very many.
    other_logins: Mutex<Lately<Proof, LoginSaid>>,
    /// For what stands for passwords.
    key: [u8; 32],
    told: Mutex<Told>,
}

/// Stands for a user and the password that it came with, or that it came without one.
type Proof = [u8; 32];

/// What was said of a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It has it.
    Yes,
    /// It does not.
    No,
    /// Nothing: what is not known is not permitted.
    Nothing,
}

impl From<bool> for Said {
    fn from(is_permitted: bool) -> Self {
        if is_permitted { Self::Yes } else { Self::No }
    }
}

impl Said {
    /// What a refusal says of it behind its own words: that nothing was said (RabbitMQ, which also says what went wrong; here that
    /// stands in the log).
    pub fn of_a_backend(self) -> &'static str {
        match self {
            Self::Yes | Self::No => "",
            Self::Nothing => ", backend rabbit_auth_backend_http returned an error",
        }
    }
}

/// What was said of a permission, and until when it need not be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What was said.
    pub said: Said,
    /// Until then it is remembered.
    pub until: Instant,
}

/// What was said of somebody who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginSaid {
    /// It is the user, who has these tags.
    Yes(Vec<ShortString>),
    /// It is not; perhaps with a reason.
    No(Option<String>),
    /// Nothing, and why.
    Nothing(Unanswered),
}

/// Somebody who logs in, as the service is asked.
pub struct LoginQuestion {
    proof: Proof,
    form: zeroize::Zeroizing<String>,
}

/// What the log was told of questions that were not answered.
#[derive(Default)]
struct Told {
    last: Option<Instant>,
    left_out: u64,
}

impl HttpBackend {
    /// As it is configured; nothing is asked. `key` is random. An error if nobody's certificate can be checked.
    pub fn new(config: &HttpBackendConfig, key: [u8; 32]) -> Result<Arc<Self>, BadAuthority> {
        for url in config.in_the_clear() {
            tracing::warn!(url, "passwords are sent there without TLS");
        }
        Ok(Arc::new(Self {
            client: Client::new(config)?,
            cache: config.cache,
            cache_refusals: config.cache_refusals,
            patience: config.timeout * 2,
            line: Line::new(),
            answers: Mutex::new(LatelyOfEach::new(AUTH_HTTP_ANSWERS_MAX, AUTH_HTTP_ANSWERS_OF_USER_MAX)),
            allowed_logins: Mutex::new(Lately::new(PASSWORDS_PROVEN_MAX)),
            other_logins: Mutex::new(Lately::new(PASSWORDS_PROVEN_MAX)),
            key,
            told: Mutex::default(),
        }))
    }

    /// Whether something is permitted: as it was said lately, or asked now, in a bounded time.
    pub async fn ask(self: &Arc<Self>, question: &Question) -> Verdict {
        if let Some(verdict) = self.said_lately(question) {
            return verdict;
        }
        let asking = async {
            let turn = self.line.turn(&question.user.name).await;
            // Another connection of the user may have waited for the same.
            if let Some(verdict) = self.said_lately(question) {
                return Ok(verdict);
            }
            let (backend, question) = (self.clone(), question.clone());
            let asking = spawn_blocking(move || {
                let verdict = backend.ask_now(question);
                drop(turn);
                verdict
            });
            asking.await.map_err(|_ended| Unanswered::Ended)
        };
        match timeout(self.patience, asking).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(why)) => self.nothing(&why),
            Err(_late) => self.nothing(&Unanswered::Late),
        }
    }

    fn said_lately(&self, question: &Question) -> Option<Verdict> {
        let (said, until) = self.answers.lock().get(&question.user.name, question, Instant::now())?;
        Some(Verdict { said, until })
    }

    fn ask_now(&self, question: Question) -> Verdict {
        let said = match self.client.ask(&question) {
            Ok(Answer::Allow(_)) => Said::Yes,
            Ok(Answer::Deny(reason)) => {
                tracing::debug!(user = %question.user.name, reason, "the HTTP service denies something");
                Said::No
            }
            Err(why) => {
                self.tell(&why);
                Said::Nothing
            }
        };
        let until = Instant::now() + if said == Said::Yes { self.cache } else { self.cache_refusals };
        self.answers.lock().put(&question.user.name.clone(), question, said, until);
        Verdict { said, until }
    }

    /// A verdict that is not remembered.
    fn nothing(&self, why: &Unanswered) -> Verdict {
        self.tell(why);
        Verdict { said: Said::Nothing, until: Instant::now() }
    }

    /// What would be asked about somebody who logs in, with a password or vouched for.
    pub(super) fn login(&self, user: &[u8], password: Option<&[u8]>) -> LoginQuestion {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(&[u8::from(password.is_some())]);
        for part in [user, password.unwrap_or_default()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        LoginQuestion { proof: mac.finalize().into_bytes().into(), form: login_form(user, password) }
    }

    /// What was said of it lately.
    pub(super) fn login_said_lately(&self, login: &LoginQuestion) -> Option<LoginSaid> {
        let now = Instant::now();
        let said_in = |logins: &Mutex<Lately<_, _>>| logins.lock().get(&login.proof, now);
        said_in(&self.allowed_logins).or_else(|| said_in(&self.other_logins)).map(|(said, _)| said)
    }

    /// Asks about it. Takes as long as the network does, within the time that is configured.
    pub(super) fn ask_about_login(&self, login: &LoginQuestion) -> LoginSaid {
        let said = match self.client.ask_about_login(&login.form) {
            Ok(Answer::Allow(tags)) => LoginSaid::Yes(tags),
            Ok(Answer::Deny(reason)) => LoginSaid::No(reason),
            Err(why) => {
                self.tell(&why);
                LoginSaid::Nothing(why)
            }
        };
        self.remember_login(login, &said);
        said
    }

    fn remember_login(&self, login: &LoginQuestion, said: &LoginSaid) {
        let (logins, span) = match said {
            LoginSaid::Yes(_) => (&self.allowed_logins, self.cache),
            LoginSaid::No(_) | LoginSaid::Nothing(_) => {
                self.allowed_logins.lock().forget(&login.proof);
                (&self.other_logins, self.cache_refusals)
            }
        };
        logins.lock().put(login.proof, said.clone(), Instant::now() + span);
    }

    /// Tells the log that a question was not answered, once in a while.
    fn tell(&self, why: &Unanswered) {
        let left_out = {
            let (mut told, now) = (self.told.lock(), Instant::now());
            if told.last.is_some_and(|last| now < last + AUTH_HTTP_TOLD_PAUSE) {
                told.left_out += 1;
                return;
            }
            told.last = Some(now);
            std::mem::take(&mut told.left_out)
        };
        tracing::error!(%why, left_out, "the HTTP service that knows users has not answered: that is a no");
    }
}

#[cfg(test)]
mod tests;
