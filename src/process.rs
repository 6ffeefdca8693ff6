//! What the operating system says of the process, and what its allocator does.

use std::{fs, path::Path};

use tikv_jemalloc_ctl::{Access, AsName, Mib, arenas};

/// Bytes of memory that it has: its resident set. Zero where the system does not tell.
pub fn resident_bytes() -> u64 {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes =
        line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|number| number.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1_024
}

/// File descriptors that are open. Zero where the system does not tell.
pub fn descriptors() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

/// Seconds of processor time that it has taken. Zero where the system does not tell.
pub fn processor_seconds() -> f64 {
    let Ok(stat) = fs::read_to_string("/proc/self/stat") else { return 0.0 };
    // The name of the program may have spaces; behind it the fields are counted from the third.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum();
    ticks / rustix::param::clock_ticks_per_second() as f64
}

/// Room on a disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk {
    /// Bytes that are free for the process.
    pub free_bytes: u64,
}

/// The disk of a folder. Zeros if the system does not tell.
pub fn disk(folder: &Path) -> Disk {
    match rustix::fs::statvfs(folder) {
        Ok(found) => Disk { free_bytes: found.f_bavail * found.f_frsize },
        Err(_) => Disk::default(),
    }
}

/// Has the allocator give back to the system what was freed and is not in use again, which it would do in the course of seconds. Takes
/// some milliseconds for each 100 MB: not for a thread that serves clients.
///
/// # Errors
/// What the allocator says.
pub fn give_back_freed() -> Result<(), tikv_jemalloc_ctl::Error> {
    let mut is_used: Mib<[usize; 3]> = "arena.0.initialized\0".name().mib()?;
    let mut decay_ms: Mib<[usize; 3]> = "arena.0.dirty_decay_ms\0".name().mib()?;
    for arena in 0..arenas::narenas::read()? as usize {
        (is_used[1], decay_ms[1]) = (arena, arena);
        if is_used.read()? {
            // Whoever has no time for it gives back everything at once.
            let usual: isize = decay_ms.update(0)?;
            decay_ms.write(usual)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_knows_how_to_give_back_what_was_freed() {
        let before = arenas::narenas::read().unwrap();
        give_back_freed().unwrap();
        assert_eq!(arenas::narenas::read().unwrap(), before);
        let usual: isize = "arena.0.dirty_decay_ms\0".name().read().unwrap();
        assert!(usual > 0, "it is in no hurry afterwards: {usual}");
    }

    #[test]
    fn the_system_tells_of_this_process() {
        assert!(resident_bytes() > 1 << 20);
        assert!(descriptors() > 2);
        assert!(disk(Path::new("/")).free_bytes > 0);
        let before = processor_seconds();
        while processor_seconds() <= before {
            std::hint::black_box((0..100_000_u64).sum::<u64>());
        }
    }
}
