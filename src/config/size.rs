//! Sizes as people write them: `4GB`, `512MiB`, `100k`, `1000000`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// A number of bytes. `k`, `M`, `G`, `T`, alone or with `iB`, are powers of 1024; with `B` powers of 1000 (RabbitMQ).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSize {
    /// Neither digits nor a unit.
    #[error("not a size: write a number of bytes, or one with a unit such as 100k, 512MiB or 4GB")]
    Malformed,
    /// More than 64 bits.
    #[error("more bytes than there can be")]
    TooLarge,
}

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let text = text.trim();
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        if digits.is_empty() {
            return Err(BadSize::Malformed);
        }
        let number: u64 = digits.parse().map_err(|_| BadSize::TooLarge)?;
        let unit = unit_bytes(unit.trim()).ok_or(BadSize::Malformed)?;
        number.checked_mul(unit).map(Self).ok_or(BadSize::TooLarge)
    }
}

fn unit_bytes(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_lowercase();
    if unit.is_empty() || unit == "b" {
        return Some(1);
    }
    let power = "kmgt".find(unit.chars().next()?)? as u32 + 1;
    match &unit[1..] {
        "" | "ib" => Some(1024_u64.pow(power)),
        "b" => Some(1000_u64.pow(power)),
        _ => None,
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Size {
    /// With the largest unit of which it is a multiple: `128KiB`. Reading it gives the same size.
    pub fn in_units(self) -> String {
        const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        let fits = |(bits, _): &&(u32, &str)| self.0 > 0 && self.0.trailing_zeros() >= *bits;
        UNITS
            .iter()
            .find(fits)
            .map_or_else(|| self.0.to_string(), |(bits, unit)| format!("{}{unit}", self.0 >> bits))
    }
}

/// In the configuration file a number, or a text as above.
impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 1000000, \"512MiB\" or \"4GB\"")
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes).map(Size).map_err(|_| E::custom("a size cannot be negative"))
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(|error| E::custom(format!("'{text}' is {error}")))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_rabbitmq_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1000000", 1_000_000),
            ("100k", 102_400),
            ("100KiB", 102_400),
            ("100kB", 100_000),
            ("512MiB", 512 << 20),
            ("512 M", 512 << 20),
            ("4GB", 4_000_000_000),
            ("4g", 4 << 30),
            ("2TiB", 2 << 40),
            (" 7B ", 7),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn a_size_is_written_with_the_largest_unit_that_fits() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1KiB"),
            (1536, "1536"),
            (128 << 10, "128KiB"),
            (3 << 20, "3MiB"),
            (5 << 30, "5GiB"),
            (7 << 40, "7TiB"),
            (1_000_000, "1000000"),
        ] {
            assert_eq!(Size(bytes).in_units(), text);
            assert_eq!(text.parse(), Ok(Size(bytes)));
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "k", "-1", "1.5G", "4GBs", "4 4", "0x10", "4µ", "兎", "k4"] {
            assert_eq!(text.parse::<Size>(), Err(BadSize::Malformed), "{text}");
        }
        for text in ["18446744073709551616", "18446744073709551615k", "99999999999T"] {
            assert_eq!(text.parse::<Size>(), Err(BadSize::TooLarge), "{text}");
        }
    }
}
