//! Limits of users and virtual hosts.

/// What can be limited. RabbitMQ knows the first three; the others are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// Connections at once, of a user or a virtual host.
    MaxConnections,
    /// Channels at once, of a user over all its connections.
    MaxChannels,
    /// Queues, of a virtual host.
    MaxQueues,
    /// Messages a second that are published, of a user or a virtual host.
    MaxMessagesPerSecond,
    /// Bytes of bodies a second that are published, of a user or a virtual host.
    MaxBytesPerSecond,
    /// Bytes in memory, of a virtual host's messages: beyond it its publishers are blocked.
    MaxMemoryBytes,
    /// Bytes on the disk, of a virtual host's messages: beyond it its publishers are blocked.
    MaxDiskBytes,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::MaxConnections,
        Self::MaxChannels,
        Self::MaxQueues,
        Self::MaxMessagesPerSecond,
        Self::MaxBytesPerSecond,
        Self::MaxMemoryBytes,
        Self::MaxDiskBytes,
    ];

    /// By its name in definitions.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.name() == name)
    }

    /// Its name in definitions: RabbitMQ's, where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxConnections => "max-connections",
            Self::MaxChannels => "max-channels",
            Self::MaxQueues => "max-queues",
            Self::MaxMessagesPerSecond => "max-messages-per-second",
            Self::MaxBytesPerSecond => "max-bytes-per-second",
            Self::MaxMemoryBytes => "max-memory-bytes",
            Self::MaxDiskBytes => "max-disk-bytes",
        }
    }

    /// Whether a user may have it.
    pub fn is_of_users(self) -> bool {
        matches!(
            self,
            Self::MaxConnections | Self::MaxChannels | Self::MaxMessagesPerSecond | Self::MaxBytesPerSecond
        )
    }

    /// Whether a virtual host may have it.
    pub fn is_of_vhosts(self) -> bool {
        self != Self::MaxChannels
    }
}

/// Limits that are set. What has none is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits(Vec<(Limit, u64)>);

impl Limits {
    /// The bound of something, if it has one. Zero permits nothing.
    pub fn get(&self, limit: Limit) -> Option<u64> {
        self.0.iter().find(|(of, _)| *of == limit).map(|(_, max)| *max)
    }

    /// Sets a bound, in the place of the one before; `None` takes it away.
    pub fn set(&mut self, limit: Limit, max: Option<u64>) {
        self.0.retain(|(of, _)| *of != limit);
        if let Some(max) = max {
            let at = self.0.partition_point(|(of, _)| *of < limit);
            self.0.insert(at, (limit, max));
        }
    }

    /// All that are set, in the order of [`Limit::ALL`].
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Limit, u64)> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<(Limit, u64)> for Limits {
    fn from_iter<I: IntoIterator<Item = (Limit, u64)>>(limits: I) -> Self {
        let mut all = Self::default();
        limits.into_iter().for_each(|(limit, max)| all.set(limit, Some(max)));
        all
    }
}
