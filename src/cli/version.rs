//! What `leveret --version` says: the version, and what the program was built from (`build.rs` knows).

use std::{fmt::Write, sync::LazyLock};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The version in the first line, then a line for each thing that is known of the build.
pub(super) static LONG: LazyLock<String> = LazyLock::new(|| {
    text(&[
        ("commit", option_env!("LEVERET_BUILD_COMMIT").map(str::to_owned)),
        ("target", option_env!("LEVERET_BUILD_TARGET").map(str::to_owned)),
        ("rustc", option_env!("LEVERET_BUILD_RUSTC").map(|it| it.trim_start_matches("rustc ").to_owned())),
        ("built", option_env!("LEVERET_BUILD_EPOCH").and_then(date)),
    ])
});

fn text(known: &[(&str, Option<String>)]) -> String {
    let mut text = env!("CARGO_PKG_VERSION").to_owned();
    for (name, value) in known {
        if let Some(value) = value {
            let _ = write!(text, "\n{name:<7} {value}");
        }
    }
    text
}

/// Of seconds since 1970, the date and time (UTC).
fn date(epoch: &str) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(epoch.parse().ok()?).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_a_build_has_no_line() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(text(&[("commit", None), ("built", date("soon"))]), version);
        let built = date("1700000000");
        assert_eq!(text(&[("built", built)]), format!("{version}\nbuilt   2023-11-14T22:13:20Z"));
    }

    #[test]
    fn target_and_compiler_are_always_known() {
        for name in ["\ntarget  ", "\nrustc   1."] {
            assert!(LONG.contains(name), "{}", *LONG);
        }
    }
}
