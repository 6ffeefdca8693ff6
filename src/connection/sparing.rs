//! Log lines that clients cause are written sparingly: so many at once, then so many in a second. What was left out is counted.

use std::time::{Duration, Instant};

/// A bucket of log lines that fills again with time.
pub struct Sparing {
    lines_max: u32,
    refill: Duration,
    lines: u32,
    last: Option<Instant>,
    left_out: u64,
}

impl Sparing {
    /// `lines_max` at once, and one more after each `refill`.
    pub const fn new(lines_max: u32, refill: Duration) -> Self {
        Self { lines_max, refill, lines: lines_max, last: None, left_out: 0 }
    }

    /// Whether a line may be written now; then it gives how many were left out before it.
    pub fn take(&mut self, now: Instant) -> Option<u64> {
        let last = *self.last.get_or_insert(now);
        let refills = now.duration_since(last).as_nanos() / self.refill.as_nanos();
        if refills > 0 {
            let refills = u32::try_from(refills).unwrap_or(u32::MAX);
            self.lines = self.lines.saturating_add(refills).min(self.lines_max);
            self.last = Some(now);
        }
        if self.lines == 0 {
            self.left_out += 1;
            return None;
        }
        self.lines -= 1;
        Some(std::mem::take(&mut self.left_out))
    }

    /// How many lines were left out since the last one that was written.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_and_a_count() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut sparing = Sparing::new(3, second);
        let told: Vec<_> = (0..100).filter_map(|_| sparing.take(start)).collect();
        assert_eq!(told, [0, 0, 0]);
        assert_eq!(sparing.left_out(), 97);
        assert_eq!(sparing.take(start + second), Some(97));
        assert_eq!(sparing.take(start + second), None);
        assert_eq!(sparing.take(start + second * 60), Some(1));
        assert_eq!(sparing.take(start + second * 60), Some(0));
    }
}
