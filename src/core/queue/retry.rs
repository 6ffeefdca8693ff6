//! When a returned message comes again.

/// Which returned messages wait (RabbitMQ 4.3's `x-delayed-retry-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryWhen {
    /// None.
    #[default]
    Disabled,
    /// All.
    All,
    /// Those that count as failed.
    Failed,
    /// Those that do not.
    Returned,
}

impl RetryWhen {
    /// By the word of `x-delayed-retry-type`.
    pub fn parse(word: &[u8]) -> Option<Self> {
        match word {
            b"disabled" => Some(Self::Disabled),
            b"all" => Some(Self::All),
            b"failed" => Some(Self::Failed),
            b"returned" => Some(Self::Returned),
            _ => None,
        }
    }
}

/// How the wait grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// By the minimum, each time (RabbitMQ 4.3).
    #[default]
    Linear,
    /// By a factor, each time.
    Exponential,
    /// Not at all.
    Fixed,
}

impl Backoff {
    /// By the word of `x-delayed-retry-backoff`.
    pub fn parse(word: &[u8]) -> Option<Self> {
        match word {
            b"linear" => Some(Self::Linear),
            b"exponential" => Some(Self::Exponential),
            b"fixed" => Some(Self::Fixed),
            _ => None,
        }
    }
}

/// How long returned messages wait.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Retry {
    /// Which of them do.
    pub when: RetryWhen,
    /// The first wait.
    pub min_ms: u64,
    /// The longest wait.
    pub max_ms: Option<u64>,
    /// How it grows.
    pub backoff: Backoff,
    /// The factor of [`Backoff::Exponential`].
    pub multiplier: f64,
    /// The share by which a wait is made longer or shorter at random, 0 to 1.
    pub jitter: f64,
}
