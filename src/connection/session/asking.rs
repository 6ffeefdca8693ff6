//! What a session has to know before it can go on with a frame, and somebody else has to find out.
//!
//! A handler asks before it does anything: where the answer is not there, the frame is *put off*, its bytes are left over, and it is
//! handled anew when the answer has come. Meanwhile nothing else of this client is handled. The session itself waits for nothing: it
//! says what it [wants](Session::wants), and the reader asks.

use std::{future::Future, sync::Arc};

use super::Session;
use crate::auth::{Tokens, oauth::Keys};
use crate::core::error::{AmqpError, internal_error};

/// Something that has to be found out.
pub(in crate::connection) enum Wanted {
    /// Whether there are other keys by now: a token names one that is not among these.
    Keys(Arc<Tokens>, Arc<Keys>),
}

/// What was found out.
pub(in crate::connection) enum Found {
    /// The keys that there are now are those to go by.
    Keys,
}

/// What a session asks for the frame at hand.
#[derive(Default)]
pub(super) struct Asking {
    wanted: Option<Box<Wanted>>,
    has_asked_for_keys: bool,
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
        let wanted = match &**self.asking.wanted.as_ref()? {
            Wanted::Keys(tokens, seen) => (tokens.clone(), seen.clone()),
        };
        Some(async move {
            let (tokens, seen) = wanted;
            // Whether they were read makes no difference: the token is looked at again.
            let _has_others = tokens.renew_for_token(&seen).await;
            Found::Keys
        })
    }

    /// What was wanted is found out: the frame can be handled anew.
    pub(in crate::connection) fn found(&mut self, found: Found) {
        self.asking.wanted = None;
        match found {
            Found::Keys => self.asking.has_asked_for_keys = true,
        }
    }

    /// A frame was handled to its end: what was found out for it is no longer needed.
    #[inline]
    pub(in crate::connection) fn forget_what_was_found(&mut self) {
        self.asking.has_asked_for_keys = false;
    }
}
