//! File descriptors: as many as the system gives, shared between clients and the store, so that sockets never take those that the
//! store needs.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{DESCRIPTORS_RESERVE, HANDSHAKES_MAX};

/// Raises the soft limit to the hard one, and gives what holds now.
pub(super) fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit of file descriptors cannot be raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many are open now: what the process has for itself. Some systems do not tell.
pub(super) fn in_use() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64)
}

/// What clients may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// Clients that have logged in.
    pub(super) connections_max: usize,
    /// Sockets: these, and others that have not logged in yet.
    pub(super) sockets_max: usize,
}

/// Divides `limit` descriptors, of which the process itself uses `in_use`, and of which clients want `connections_max`.
pub(super) fn share(limit: u64, in_use: u64, connections_max: usize) -> Share {
    let left = usize::try_from(limit.saturating_sub(in_use + DESCRIPTORS_RESERVE)).unwrap_or(usize::MAX);
    let handshakes = HANDSHAKES_MAX.min(left / 4).max(1);
    let connections_max = connections_max.min(left.saturating_sub(handshakes)).max(1);
    Share { connections_max, sockets_max: connections_max + handshakes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_what_the_store_leaves_them() {
        for (limit, wanted, connections_max, sockets_max) in [
            (u64::MAX, 100_000, 100_000, 101_024),
            (1_048_576, 100_000, 100_000, 101_024),
            (20_000, 100_000, 18_892, 19_916),
            (1_024, 100_000, 705, 940),
            (1_024, 100, 100, 335),
            (256, 100_000, 129, 172),
            (64, 100_000, 1, 2),
            (0, 7, 1, 2),
        ] {
            let share = share(limit, 20, wanted);
            assert_eq!((share.connections_max, share.sockets_max), (connections_max, sockets_max), "{limit}");
        }
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(raise(), hard);
        assert!(in_use() > 0);
    }
}
