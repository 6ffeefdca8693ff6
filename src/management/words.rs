//! Numbers, sizes and spans as people read them.

/// A whole number, with a mark between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut marked = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            marked.push(',');
        }
        marked.push(digit);
    }
    marked
}

/// A number of things by their name: `1 queue`, `2 queues`.
pub fn counted(number: u64, one: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{} {one}{end}", count(number))
}

/// The whole number that is nearest; nothing for less than nothing.
#[allow(clippy::cast_sign_loss, reason = "it is not negative")]
pub fn rounded(number: f64) -> u64 {
    number.round().max(0.0) as u64
}

/// How often something happens in a second.
pub fn rate(per_second: f64) -> String {
    let size = per_second.abs();
    if size < 0.05 {
        "0/s".into()
    } else if size < 10.0 {
        format!("{per_second:.1}/s")
    } else {
        let sign = if per_second < 0.0 { "−" } else { "" };
        format!("{sign}{}/s", count(rounded(size)))
    }
}

/// A number of bytes, by the largest unit that fits.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if value < 10.0 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

/// How many bytes come or go in a second.
pub fn byte_rate(per_second: f64) -> String {
    format!("{}/s", bytes(rounded(per_second)))
}

/// A span of milliseconds, by its two largest units.
pub fn span(millis: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = millis / 1_000;
    if seconds == 0 {
        return format!("{millis} ms");
    }
    let at = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let (size, name) = UNITS[at];
    let rest =
        UNITS.get(at + 1).map(|(next, unit)| (seconds % size / next, unit)).filter(|(rest, _)| *rest > 0);
    match rest {
        Some((rest, unit)) if seconds / size < 10 => format!("{} {name} {rest} {unit}", seconds / size),
        _ => format!("{} {name}", seconds / size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        let counts = [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")];
        for (number, wanted) in counts {
            assert_eq!(count(number), wanted);
        }
        let rates = [
            (0.0, "0/s"),
            (0.04, "0/s"),
            (2.34, "2.3/s"),
            (-1.5, "-1.5/s"),
            (1_234.4, "1,234/s"),
            (-40.0, "−40/s"),
        ];
        for (number, wanted) in rates {
            assert_eq!(rate(number), wanted);
        }
        for (number, wanted) in
            [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (1 << 30, "1.0 GiB"), (u64::MAX, "16384 PiB")]
        {
            assert_eq!(bytes(number), wanted);
        }
        for (number, wanted) in [(-1.0, "0 B/s"), (1.5, "2 B/s"), (3_000_000.0, "2.9 MiB/s")] {
            assert_eq!(byte_rate(number), wanted);
        }
        let spans = [
            (0, "0 ms"),
            (999, "999 ms"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h"),
            (900_000, "15 min"),
            (90_000_000, "1 d 1 h"),
        ];
        for (millis, wanted) in spans {
            assert_eq!(span(millis), wanted);
        }
        assert_eq!((counted(1, "queue"), counted(2_000, "queue")), ("1 queue".into(), "2,000 queues".into()));
    }
}
