//! Tells the program what it was built from: `leveret --version` shows it. The same sources, commit and compiler give the same bytes;
//! a date is told only if `SOURCE_DATE_EPOCH` says one.
#![allow(clippy::print_stdout, reason = "that is how Cargo is told")]

use std::{env, fs, process::Command};

/// What the program is made of.
const SOURCES: [&str; 5] = ["src", "build.rs", "Cargo.toml", "Cargo.lock", ".cargo"];
const CRATE_INFO: &str = ".cargo_vcs_info.json";

fn main() {
    for name in ["LEVERET_COMMIT", "SOURCE_DATE_EPOCH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    let said = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    tell("LEVERET_BUILD_COMMIT", said("LEVERET_COMMIT").or_else(commit));
    tell("LEVERET_BUILD_TARGET", said("TARGET"));
    tell("LEVERET_BUILD_RUSTC", said("RUSTC").and_then(|rustc| output(&rustc, &["--version"])));
    tell("LEVERET_BUILD_EPOCH", said("SOURCE_DATE_EPOCH"));
}

fn tell(name: &str, value: Option<String>) {
    if let Some(value) = value {
        println!("cargo::rustc-env={name}={}", value.replace('\n', " "));
    }
}

/// From the repository, or as it stands in a crate from the registry. A debug build has none: it would be built anew after each commit.
fn commit() -> Option<String> {
    if env::var("PROFILE").is_ok_and(|profile| profile == "debug") {
        return None;
    }
    if let Ok(info) = fs::read_to_string(CRATE_INFO) {
        let (_, rest) = info.split_once("\"sha1\": \"")?;
        return Some(told(rest.split('"').next()?, info.contains("\"dirty\": true")));
    }
    // A crate that lies unpacked somewhere in another repository is not of that one's commit.
    output("git", &["ls-files", "--error-unmatch", "build.rs"])?;
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = output("git", &["rev-parse", "--git-path", path]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = output("git", &["rev-parse", "HEAD"])?;
    let changed = output("git", &[&["status", "--porcelain", "--"], SOURCES.as_slice()].concat())?;
    Some(told(&commit, !changed.is_empty()))
}

fn told(commit: &str, has_changes: bool) -> String {
    format!("{commit}{}", if has_changes { ", with changes" } else { "" })
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
