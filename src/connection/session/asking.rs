//! What a session has to know before it can go on with a frame, and somebody else has to find out.
//!
//! A handler asks before it does anything: where the answer is not there, the frame is *put off*, its bytes are left over, and it is
//! handled anew when the answer has come. Meanwhile nothing else of this client is handled. The session itself waits for nothing: it
//! says what it [wants](Session::wants), and the reader asks.

use std::{future::Future, sync::Arc};

use tokio::time::Instant;

use super::Session;
use crate::auth::{
    Tokens,
    http::{Question, Verdict},
    oauth::Keys,
};
use crate::core::error::{AmqpError, internal_error};
use crate::limits::AUTH_HTTP_QUESTIONS_OF_A_FRAME_MAX;
use crate::protocol::ShortString;

/// Something that has to be found out.
#[derive(Clone)]
pub(in crate::connection) enum Wanted {
    /// Whether there are other keys by now: a token names one that is not among these.
    Keys(Arc<Tokens>, Arc<Keys>),
    /// Whether the HTTP service permits something.
    Permission(Box<Question>),
}

/// What was found out.
pub(in crate::connection) enum Found {
    /// The keys that there are now are those to go by.
    Keys,
    /// What the service has said.
    Permission(Box<Question>, Verdict),
}

/// What a session asks for the frame at hand.
#[derive(Default)]
pub(super) struct Asking {
    wanted: Option<Box<Wanted>>,
    has_asked_for_keys: bool,
    /// The name that was drawn for what the frame declares: what is asked about it is asked about this one.
    drawn: Option<ShortString>,
    /// What the service has said.
    told: Vec<(Question, Verdict)>,
}

impl Session {
    /// Wants something to be found out. Gives the error with which a handler ends that could not go on; nobody is told of it.
    pub(super) fn want(&mut self, wanted: Wanted) -> AmqpError {
        self.asking.wanted = Some(Box::new(wanted));
        internal_error("something is not found out yet")
    }

    /// Whether keys were asked for, for this frame.
    pub(super) fn has_asked_for_keys(&self) -> bool {
        self.asking.has_asked_for_keys
    }

    /// Whether a frame was put off, because something has to be found out.
    #[inline]
    pub(in crate::connection) fn is_asking(&self) -> bool {
        self.asking.wanted.is_some()
    }

    /// Finds out what is wanted, in a bounded time. `None` if nothing is.
    pub(in crate::connection) fn wants(&self) -> Option<impl Future<Output = Found> + Send + use<>> {
        let (wanted, broker) = (self.asking.wanted.as_deref()?.clone(), self.broker.clone());
        Some(async move {
            match wanted {
                Wanted::Keys(tokens, seen) => {
                    // Whether they were read makes no difference: the token is looked at again.
                    let _has_others = tokens.renew_for_token(&seen).await;
                    Found::Keys
                }
                Wanted::Permission(question) => {
                    let verdict = broker.authenticator.ask(&question).await;
                    Found::Permission(question, verdict)
                }
            }
        })
    }

    /// What was wanted is found out: the frame can be handled anew.
    pub(in crate::connection) fn found(&mut self, found: Found) {
        self.asking.wanted = None;
        match found {
            Found::Keys => self.asking.has_asked_for_keys = true,
            Found::Permission(question, verdict) => self.asking.told.push((*question, verdict)),
        }
    }

    /// A frame was handled to its end: what was found out for it is no longer needed.
    #[inline]
    pub(in crate::connection) fn forget_what_was_found(&mut self) {
        self.asking.has_asked_for_keys = false;
        self.asking.drawn = None;
        if !self.asking.told.is_empty() {
            self.asking.told = Vec::new();
        }
    }

    /// What the HTTP service is to be asked.
    #[cfg(test)]
    pub(in crate::connection) fn wanted_question(&self) -> Option<&Question> {
        match self.asking.wanted.as_deref() {
            Some(Wanted::Permission(question)) => Some(question),
            Some(Wanted::Keys(..)) | None => None,
        }
    }

    /// A name that is drawn for the frame at hand, and stays the same if that is put off.
    pub(in crate::connection) fn drawn_once(
        &mut self,
        draw: impl FnOnce() -> Result<ShortString, AmqpError>,
    ) -> Result<ShortString, AmqpError> {
        if let Some(drawn) = &self.asking.drawn {
            return Ok(drawn.clone());
        }
        let drawn = draw()?;
        self.asking.drawn = Some(drawn.clone());
        Ok(drawn)
    }

    /// What the service has said for the frame at hand.
    pub(super) fn told(&self, question: &Question) -> Option<Verdict> {
        let mut told = self.asking.told.iter();
        told.find(|(asked, _)| asked == question).map(|(_, verdict)| *verdict)
    }

    /// Whether the service has said something for the frame at hand.
    pub(super) fn has_been_told(&self) -> bool {
        !self.asking.told.is_empty()
    }

    /// Until when all that it has said for the frame at hand counts.
    pub(super) fn told_until(&self) -> Option<Instant> {
        self.asking.told.iter().map(|(_, verdict)| verdict.until).min()
    }

    /// Whether it may be asked something more for the frame at hand.
    pub(super) fn may_be_told_more(&self) -> bool {
        self.asking.told.len() < AUTH_HTTP_QUESTIONS_OF_A_FRAME_MAX
    }
}
