//! Puts a question to the service, and reads its answer. Blocks.
//!
//! What it is asked has passwords in it: no error shows an address with what stands behind it.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use ureq::Agent;

use super::{
    answer::Answer,
    question::{About, Question},
};
use crate::auth::https::{self, BadAuthority};
use crate::config::{HttpBackendConfig, HttpMethod};
use crate::limits::{AUTH_HTTP_ANSWER_BYTES_MAX, AUTH_HTTP_LOGINS_AT_ONCE, AUTH_HTTP_QUESTIONS_AT_ONCE};

/// Why there is no answer; one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It was not reached, or did not answer in time.
    #[error("{0}")]
    Failed(String),
    /// It has answered with another status than 200 or 201 (RabbitMQ).
    #[error("it has answered with status {0}")]
    Status(u16),
    /// It has said something else than `allow` or `deny`.
    #[error("its answer is neither allow nor deny")]
    Unclear,
    /// The question has waited too long for its turn.
    #[error("too many questions wait")]
    Late,
    /// No service is there to be asked, or the process ends.
    #[error("nobody is there to be asked")]
    Ended,
}

/// Asks the service.
pub(super) struct Client {
    agent: Agent,
    method: HttpMethod,
    timeout: Duration,
    user: String,
    vhost: String,
    resource: String,
    topic: String,
}

impl Client {
    pub(super) fn new(config: &HttpBackendConfig) -> Result<Self, BadAuthority> {
        let at = |path: &Option<String>| path.clone().unwrap_or_default();
        let client = |agent| Self {
            agent,
            method: config.method,
            timeout: config.timeout,
            user: config.user.clone(),
            vhost: at(&config.vhost),
            resource: at(&config.resource),
            topic: at(&config.topic),
        };
        let idle_max = AUTH_HTTP_QUESTIONS_AT_ONCE + AUTH_HTTP_LOGINS_AT_ONCE;
        let mut agent = Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(idle_max)
            .max_idle_connections_per_host(idle_max)
            .user_agent("leveret");
        let has_tls =
            [Some(&config.user), config.vhost.as_ref(), config.resource.as_ref(), config.topic.as_ref()]
                .into_iter()
                .flatten()
                .any(|url| url.starts_with("https:"));
        if has_tls || config.ca.is_some() {
            agent = agent.tls_config(https::tls("auth-http-ca", config.ca.as_deref())?);
        }
        Ok(client(agent.build().new_agent()))
    }

    /// Asks whether something is permitted.
    pub(super) fn ask(&self, question: &Question) -> Result<Answer, Unanswered> {
        let url = match question.about {
            About::Vhost { .. } => &self.vhost,
            About::Resource { .. } => &self.resource,
            About::Topic { .. } => &self.topic,
        };
        match self.put(url, &question.form())? {
            // Tags are a user's alone (RabbitMQ).
            Answer::Allow(tags) if !tags.is_empty() => Err(Unanswered::Unclear),
            answer => Ok(answer),
        }
    }

    /// Asks about somebody who logs in.
    pub(super) fn ask_about_login(&self, form: &str) -> Result<Answer, Unanswered> {
        self.put(&self.user, form)
    }

    /// Asks again if a connection of before is closed by now, which is found out by asking.
    fn put(&self, url: &str, form: &str) -> Result<Answer, Unanswered> {
        let began = Instant::now();
        let mut is_first = true;
        loop {
            let left = self.timeout.saturating_sub(began.elapsed());
            match self.put_once(url, form, left) {
                Err(Failure::Io(_)) if is_first && !left.is_zero() => is_first = false,
                Ok(answer) => return answer,
                Err(Failure::Io(text) | Failure::Other(text)) => return Err(Unanswered::Failed(text)),
            }
        }
    }

    fn put_once(&self, url: &str, form: &str, left: Duration) -> Result<Result<Answer, Unanswered>, Failure> {
        let response = match self.method {
            HttpMethod::Get => {
                let asking = self.agent.get(format!("{url}?{form}"));
                asking.config().timeout_global(Some(left)).build().call()
            }
            HttpMethod::Post => {
                let asking = self.agent.post(url).header("content-type", "application/x-www-form-urlencoded");
                asking.config().timeout_global(Some(left)).build().send(form)
            }
        };
        let mut response = response.map_err(failure)?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(AUTH_HTTP_ANSWER_BYTES_MAX);
        if !matches!(status, 200 | 201) {
            return Ok(Err(Unanswered::Status(status)));
        }
        let body = body.read_to_vec().map_err(failure)?;
        Ok(Answer::parse(&body).ok_or(Unanswered::Unclear))
    }
}

/// Why nothing has come, without what was asked.
enum Failure {
    /// The connection was closed.
    Io(String),
    Other(String),
}

fn failure(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Io(error)
            if matches!(
                error.kind(),
                ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::UnexpectedEof
            ) =>
        {
            Failure::Io(error.to_string())
        }
        // These would show what was asked.
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) | ureq::Error::Http(_) => {
            Failure::Other("what is asked is no address".into())
        }
        error => Failure::Other(error.to_string()),
    }
}
