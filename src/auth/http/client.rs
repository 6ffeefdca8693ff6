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
use crate::config::{HttpBackendConfig, HttpMethod};
use crate::limits::{AUTH_HTTP_ANSWER_BYTES_MAX, AUTH_HTTP_LOGINS_AT_ONCE, AUTH_HTTP_QUESTIONS_AT_ONCE};
use crate::outside::{self, BadAuthority};

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
    /// Keeps no connections: what it asks goes over a new one.
    anew: Agent,
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
        let has_tls =
            [Some(&config.user), config.vhost.as_ref(), config.resource.as_ref(), config.topic.as_ref()]
                .into_iter()
                .flatten()
                .any(|url| url.starts_with("https:"));
        let tls = match &config.ca {
            ca if has_tls || ca.is_some() => Some(outside::tls("auth-http-ca", ca.as_deref())?),
            _ => None,
        };
        let agent = |idle_max| {
            let mut agent =
                outside::asking().max_idle_connections(idle_max).max_idle_connections_per_host(idle_max);
            if let Some(tls) = &tls {
                agent = agent.tls_config(tls.clone());
            }
            agent.build().new_agent()
        };
        Ok(Self {
            agent: agent(AUTH_HTTP_QUESTIONS_AT_ONCE + AUTH_HTTP_LOGINS_AT_ONCE),
            anew: agent(0),
            method: config.method,
            timeout: config.timeout,
            user: config.user.clone(),
            vhost: at(&config.vhost),
            resource: at(&config.resource),
            topic: at(&config.topic),
        })
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

    /// Asks again if a connection of before is closed by now, which is found out by asking. A service that was started again
    /// has closed them all, so the second time is over a new one.
    fn put(&self, url: &str, form: &str) -> Result<Answer, Unanswered> {
        let began = Instant::now();
        let mut answer = self.put_once(&self.agent, url, form, self.timeout);
        let left = self.timeout.saturating_sub(began.elapsed());
        if matches!(answer, Err(Failure::Io(_))) && !left.is_zero() {
            answer = self.put_once(&self.anew, url, form, left);
        }
        match answer {
            Ok(answer) => answer,
            Err(Failure::Io(text) | Failure::Other(text)) => Err(Unanswered::Failed(text)),
        }
    }

    fn put_once(
        &self,
        agent: &Agent,
        url: &str,
        form: &str,
        left: Duration,
    ) -> Result<Result<Answer, Unanswered>, Failure> {
        let response = match self.method {
            HttpMethod::Get => {
                let asking = agent.get(format!("{url}?{form}"));
                asking.config().timeout_global(Some(left)).build().call()
            }
            HttpMethod::Post => {
                let asking = agent.post(url).header("content-type", "application/x-www-form-urlencoded");
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
