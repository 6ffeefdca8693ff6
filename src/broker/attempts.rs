//! How often somebody has tried to log in, and how that went.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::auth::LoginError;

/// What is spoken with whom logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// AMQP 0-9-1.
    Amqp,
    /// The HTTP API.
    Http,
}

impl Spoken {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Amqp, Self::Http];

    /// RabbitMQ's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amqp => "amqp091",
            Self::Http => "http",
        }
    }
}

/// Counts of logins, since the broker was started.
#[derive(Debug, Default)]
pub struct Attempts {
    succeeded: [AtomicU64; 2],
    failed: [AtomicU64; 2],
    refused: [AtomicU64; LoginError::WORDS.len()],
}

impl Attempts {
    /// Somebody was let in, or was not.
    pub fn count(&self, spoken: Spoken, outcome: Result<(), &LoginError>) {
        let outcomes = if outcome.is_ok() { &self.succeeded } else { &self.failed };
        outcomes[spoken as usize].fetch_add(1, Ordering::Relaxed);
        let word = outcome.err().map(LoginError::word);
        if let Some(at) = word.and_then(|word| LoginError::WORDS.iter().position(|known| *known == word)) {
            self.refused[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often somebody was let in, and how often not.
    pub fn of(&self, spoken: Spoken) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.succeeded[spoken as usize]), load(&self.failed[spoken as usize]))
    }

    /// How often somebody was not let in, by why.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LoginError::WORDS.into_iter().zip(self.refused.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{BadHash, http::Unanswered};

    #[test]
    fn each_refusal_counts_by_its_word_and_each_login_by_what_is_spoken() {
        let (attempts, user) = (Attempts::default(), || "u".to_owned());
        let errors = [
            LoginError::InvalidCredentials(user()),
            LoginError::BlankPassword(user()),
            LoginError::BadHash { user: user(), why: BadHash::Md5 },
            LoginError::LoopbackOnly(user()),
            LoginError::Busy,
            LoginError::Denied { user: user(), reason: None },
            LoginError::Unanswered { user: user(), why: Unanswered::Late },
        ];
        for error in &errors {
            attempts.count(Spoken::Amqp, Err(error));
        }
        attempts.count(Spoken::Http, Ok(()));
        attempts.count(Spoken::Http, Err(&errors[0]));
        assert_eq!((attempts.of(Spoken::Amqp), attempts.of(Spoken::Http)), ((0, 7), (1, 1)));
        let wanted: Vec<_> = LoginError::WORDS.into_iter().zip([2, 1, 1, 0, 1, 1, 1, 1]).collect();
        assert_eq!(attempts.refused().collect::<Vec<_>>(), wanted);
    }
}
