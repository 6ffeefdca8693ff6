//! Why an exchange or a binding is refused: the texts that clients see.

/// Arguments that an exchange cannot have. The texts are those of RabbitMQ's plugins, for the 406 that closes the channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// `hash-property` names none of the three.
    #[error("Unsupported property: {name}")]
    HashProperty {
        /// As declared.
        name: String,
    },
    /// `hash-header` and `hash-property`.
    #[error("hash-header and hash-property are mutually exclusive")]
    HeaderAndProperty,
    /// Not a string (RabbitMQ fails with an internal error).
    #[error("Invalid argument, '{name}' must be a string")]
    NotText {
        /// The argument.
        name: &'static str,
    },
    /// `x-recent-history-length` is not a number of messages.
    #[error("Invalid argument {value}, 'x-recent-history-length' must be a positive integer")]
    HistoryLength {
        /// The value as an Erlang term.
        value: String,
    },
    /// `x-delayed-type` is missing or names no kind.
    #[error("Invalid argument, 'x-delayed-type' must be an existing exchange type")]
    DelayedType,
}

/// A binding that an exchange does not take. The text is RabbitMQ's, for the 406 that closes the channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// `x-match` is text, but none of its four words.
    #[error("Invalid x-match field value {value}; expected all, any, all-with-x, or any-with-x")]
    MatchValue {
        /// The value as an Erlang term.
        value: String,
    },
    /// `x-match` is not a long string.
    #[error("Invalid x-match field type {type_name} (value {value}); expected longstr")]
    MatchType {
        /// RabbitMQ's name of the type.
        type_name: &'static str,
        /// The value as an Erlang term.
        value: String,
    },
    /// The key of a consistent hash exchange's binding is no weight.
    #[error("The binding key must be an integer: {value}")]
    WeightNotInteger {
        /// The key as an Erlang term.
        value: String,
    },
    /// The weight is zero or negative.
    #[error("The binding key must be greater than 0")]
    WeightNotPositive,
    /// Bindings of a local random exchange have no key.
    #[error("Non empty binding '{key}' key not permitted")]
    KeyNotEmpty {
        /// The key.
        key: String,
    },
}
