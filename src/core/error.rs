//! What a client did wrong, as AMQP says it: a reply code and a text.
//!
//! The code decides how far the damage reaches: a soft one closes the channel, a hard one the connection
//! (AMQP 0-9-1, 1.2 constants). Texts are RabbitMQ's, word for word, because people search for them.

use std::fmt;

use crate::protocol::ReplyCode;

/// An AMQP exception: `reply-code` and the text behind `NAME - `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} - {text}", code.name())]
pub struct AmqpError {
    /// The reply code; [`ReplyCode::is_hard`] tells channel from connection.
    pub code: ReplyCode,
    /// The explanation without the code's name.
    pub text: String,
}

impl AmqpError {
    /// An exception with `code` and an explanation.
    pub fn new(code: ReplyCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The whole reply text: `PRECONDITION_FAILED - unknown delivery tag 7`, cut at 255 bytes as RabbitMQ does.
    pub fn reply_text(&self) -> String {
        let mut text = self.to_string();
        let mut end = text.len().min(255);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text
    }
}

macro_rules! shorthand {
    ($($name:ident => $code:ident),* $(,)?) => { $(
        #[doc = concat!("An exception with reply code ", stringify!($code), ".")]
        pub fn $name(text: impl Into<String>) -> AmqpError { AmqpError::new(ReplyCode::$code, text) }
    )* };
}

shorthand! {
    access_refused => AccessRefused, not_found => NotFound, resource_locked => ResourceLocked,
    precondition_failed => PreconditionFailed, not_allowed => NotAllowed, not_implemented => NotImplemented,
    channel_error => ChannelError, unexpected_frame => UnexpectedFrame, command_invalid => CommandInvalid,
    syntax_error => SyntaxError, frame_error => FrameError, internal_error => InternalError,
    resource_error => ResourceError,
}

/// RabbitMQ's way to name a thing in a text: `queue 'q' in vhost '/'`.
pub struct Named<'a> {
    /// `queue` or `exchange`.
    pub kind: &'static str,
    /// Its name.
    pub name: &'a [u8],
    /// Its virtual host.
    pub vhost: &'a [u8],
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, vhost } = self;
        write!(f, "{kind} '{}' in vhost '{}'", String::from_utf8_lossy(name), String::from_utf8_lossy(vhost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_text_is_cut_at_255_bytes_between_characters() {
        let long = precondition_failed("é".repeat(200)).reply_text();
        assert!(long.len() <= 255 && long.starts_with("PRECONDITION_FAILED - é"));
    }
}
