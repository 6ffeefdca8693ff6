//! How much memory messages may take: what the operator says, or a share of what there is.

use std::{fmt, fs, path::PathBuf};

use super::{ConfigError, Size, cgroup, in_range};
use crate::limits::{
    MEMORY_BESIDE_MESSAGES_BYTES, MEMORY_LIMIT_BYTES_MAX, MEMORY_LIMIT_BYTES_MIN, MEMORY_PERCENT_DEFAULT,
    MEMORY_PERCENT_MIN,
};

/// The budget, and what it was worked out from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryBudget {
    /// Bytes of messages above which publishers are blocked.
    pub limit_bytes: usize,
    /// It was given, not worked out.
    pub is_configured: bool,
    /// Memory that the process may use at all.
    pub available_bytes: u64,
    /// The file of the control group that limits it, if it is not the machine's size.
    pub limited_by: Option<PathBuf>,
}

impl MemoryBudget {
    /// Looks at the machine and the process's control groups.
    pub(super) fn new(configured: Option<Size>) -> Result<Self, ConfigError> {
        let mut system = sysinfo::System::new();
        system.refresh_memory();
        // Whatever cannot be read is no limit.
        let group = cgroup::memory_limit(|path| fs::read_to_string(path).ok());
        Self::of(configured, system.total_memory(), group)
    }

    fn of(
        configured: Option<Size>,
        machine_bytes: u64,
        group: Option<cgroup::MemoryLimit>,
    ) -> Result<Self, ConfigError> {
        let group = group.filter(|limit| limit.bytes < machine_bytes);
        let available_bytes = group.as_ref().map_or(machine_bytes, |limit| limit.bytes);
        let range = MEMORY_LIMIT_BYTES_MIN..=MEMORY_LIMIT_BYTES_MAX;
        let share = share_of(available_bytes).clamp(*range.start(), *range.end());
        let limit_bytes = in_range("memory-limit-bytes", configured.map(|size| size.0), share, range)?;
        Ok(Self {
            limit_bytes: usize::try_from(limit_bytes).unwrap_or(usize::MAX),
            is_configured: configured.is_some(),
            available_bytes,
            limited_by: group.map(|limit| limit.file),
        })
    }

    /// It was given, and there is not so much.
    pub fn is_too_high(&self) -> bool {
        self.limit_bytes as u64 > self.available_bytes
    }
}

/// What messages may take of so many bytes, if nobody says: 0.4 as with RabbitMQ, less where too little would be left beside them.
fn share_of(available_bytes: u64) -> u64 {
    let percent = available_bytes / 100;
    let left = available_bytes.saturating_sub(MEMORY_BESIDE_MESSAGES_BYTES);
    left.clamp(percent * MEMORY_PERCENT_MIN, percent * MEMORY_PERCENT_DEFAULT)
}

impl fmt::Display for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes for messages", self.limit_bytes)?;
        match &self.limited_by {
            Some(file) => write!(f, " of {} as {} says", self.available_bytes, file.display()),
            None => write!(f, " of the machine's {}", self.available_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(configured: Option<u64>, machine: u64, group: Option<u64>) -> MemoryBudget {
        let group = group.map(|bytes| cgroup::MemoryLimit { bytes, file: "/group/memory.max".into() });
        MemoryBudget::of(configured.map(Size), machine, group).unwrap()
    }

    #[test]
    fn the_budget_is_a_share_of_what_the_process_may_use() {
        const MB: u64 = 1_000_000;
        assert_eq!(budget(None, 1_000 * MB, None).limit_bytes, 400_000_000);
        assert_eq!(budget(None, 1_000 * MB, Some(300 * MB)).limit_bytes, 120_000_000);
        assert_eq!(budget(None, 1_000 * MB, Some(u64::MAX / 2)).limit_bytes, 400_000_000);
        assert_eq!(budget(None, 1_000 * MB, Some(0)).limit_bytes, 1_000_000);
        assert_eq!(budget(None, u64::MAX, None).limit_bytes, 1 << 50);
        assert_eq!(budget(Some(7 * MB), 1_000 * MB, Some(300 * MB)).limit_bytes, 7_000_000);
        assert!(budget(Some(301 * MB), 1_000 * MB, Some(300 * MB)).is_too_high());
        assert!(!budget(None, 1_000 * MB, Some(300 * MB)).is_too_high());
    }

    #[test]
    fn a_small_container_keeps_room_beside_the_messages() {
        const MIB: u64 = 1024 * 1024;
        let limit = |group: u64| budget(None, 64_000 * MIB, Some(group * MIB)).limit_bytes as u64 / MIB;
        let known = [(16, 1), (64, 6), (128, 12), (160, 16), (192, 48), (240, 95), (256, 102), (1_000, 400)];
        for (group, wanted) in known {
            assert_eq!(limit(group), wanted, "of {group} MiB");
        }
        assert!(
            (1..1_000).all(|group| limit(group) <= limit(group + 1)),
            "more memory is never a smaller share"
        );
    }

    #[test]
    fn the_log_says_where_the_limit_stands() {
        let group = budget(None, 1_000_000_000, Some(300_000_000)).to_string();
        assert_eq!(group, "120000000 bytes for messages of 300000000 as /group/memory.max says");
        let machine = budget(Some(5_000_000), 1_000_000_000, None).to_string();
        assert_eq!(machine, "5000000 bytes for messages of the machine's 1000000000");
    }
}
