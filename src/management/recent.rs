//! The last lines of the program's log, so that they can be seen without the machine: the audit apart from everything else, so that neither
//! pushes the other out. Whoever writes the log gives each line as the object of its form for programs.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use crate::audit;
use crate::limits::{RECENT_LINE_BYTES_MAX, RECENT_LINES_BYTES_MAX, RECENT_LINES_MAX};

/// Lines of the log, and those of the audit.
#[derive(Debug, Default)]
pub struct Recent {
    log: Mutex<Lines>,
    audit: Mutex<Lines>,
}

/// Which lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All but the audit.
    Log,
    /// The audit.
    Audit,
}

impl Part {
    /// Where a record with this target belongs.
    pub fn of(target: &str) -> Self {
        if target == audit::TARGET { Self::Audit } else { Self::Log }
    }
}

/// As many as are kept.
#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<Arc<str>>,
    bytes: usize,
    /// How many have come.
    came: u64,
}

/// What is kept at one time.
#[derive(Debug)]
pub struct Kept {
    /// The lines, the latest first, each with its number, from one on.
    pub lines: Vec<(u64, Arc<str>)>,
    /// How many are not kept any more.
    pub forgotten: u64,
}

impl Recent {
    fn of(&self, part: Part) -> &Mutex<Lines> {
        match part {
            Part::Log => &self.log,
            Part::Audit => &self.audit,
        }
    }

    /// Adds a line. Of one that is too long nothing is kept but its number.
    pub fn add(&self, part: Part, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        self.of(part).lock().add(text.trim_end());
    }

    /// What is kept of a part.
    pub fn kept(&self, part: Part) -> Kept {
        let lines = self.of(part).lock();
        let numbers = (1..=lines.came).rev();
        let kept: Vec<_> = numbers.zip(lines.kept.iter().rev().cloned()).collect();
        Kept { forgotten: lines.came - kept.len() as u64, lines: kept }
    }
}

impl Lines {
    fn add(&mut self, line: &str) {
        // What follows one that is too long would have the wrong number without its place.
        let line = if line.len() > RECENT_LINE_BYTES_MAX { "" } else { line };
        self.came += 1;
        self.bytes += line.len();
        self.kept.push_back(line.into());
        while self.kept.len() > RECENT_LINES_MAX || self.bytes > RECENT_LINES_BYTES_MAX {
            let Some(gone) = self.kept.pop_front() else { return };
            self.bytes -= gone.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(kept: &Kept) -> (Option<u64>, Option<u64>, u64) {
        (kept.lines.first().map(|line| line.0), kept.lines.last().map(|line| line.0), kept.forgotten)
    }

    #[test]
    fn the_last_lines_are_kept_and_the_audit_is_not_pushed_out_by_others() {
        let recent = Recent::default();
        recent.add(Part::of(audit::TARGET), b"{\"a\":1}\n");
        for _ in 0..=RECENT_LINES_MAX {
            recent.add(Part::of("leveret"), b"{}\n");
        }
        let max = RECENT_LINES_MAX as u64;
        assert_eq!(numbers(&recent.kept(Part::Log)), (Some(max + 1), Some(2), 1));
        assert_eq!(recent.kept(Part::Audit).lines, [(1, "{\"a\":1}".into())]);
    }

    #[test]
    fn lines_are_bounded_in_bytes_and_one_that_is_too_long_is_left_out() {
        let recent = Recent::default();
        let long = "x".repeat(RECENT_LINE_BYTES_MAX);
        let fit = (RECENT_LINES_BYTES_MAX / RECENT_LINE_BYTES_MAX) as u64;
        for _ in 0..=fit {
            recent.add(Part::of("leveret"), long.as_bytes());
        }
        assert_eq!(numbers(&recent.kept(Part::Log)), (Some(fit + 1), Some(2), 1));
        recent.add(Part::of("leveret"), format!("{long}x").as_bytes());
        recent.add(Part::of("leveret"), b"last");
        let kept = recent.kept(Part::Log);
        assert_eq!(kept.lines[..2], [(fit + 3, "last".into()), (fit + 2, "".into())]);
    }
}
