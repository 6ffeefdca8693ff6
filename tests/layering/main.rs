//! The map in `src/lib.rs` holds: no module refers to one that lies further out, and the core touches neither the
//! network, the disk, the clock nor chance. Read from the sources, because the compiler would allow it.
//!
//! Files do not import each other in a circle, and neither do the rooms of a folder: `circles`.
//! Parts under `#[cfg(test)]` are free to use what they like.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]

mod circles;
mod documents;
mod sources;

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use sources::{Source, sources, stripped};

/// Who may refer to whom. Everybody may use `limits`.
const ALLOWED: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("containment", &[]),
    ("protocol", &[]),
    ("core", &["protocol"]),
    ("store", &["core", "protocol", "config", "containment"]),
    ("auth", &["protocol"]),
    ("config", &["protocol"]),
    ("broker", &["store", "core", "protocol", "auth", "config"]),
    ("connection", &["broker", "store", "core", "protocol", "auth", "config", "containment"]),
    ("management", &["broker", "store", "core", "protocol", "auth", "config"]),
    ("server", &["connection", "management", "broker", "store", "core", "protocol", "auth", "config"]),
    (
        "cli",
        &["server", "management", "broker", "store", "core", "protocol", "auth", "config", "containment"],
    ),
];

/// What the pure layers do without.
const IMPURE: &[&str] = &[
    "tokio",
    "sled",
    "rand",
    "axum",
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime",
];

#[test]
fn no_module_refers_to_one_that_lies_further_out() {
    let mut wrong = String::new();
    for source in sources() {
        let layer = source.layer();
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == layer) else {
            assert!(
                matches!(&*layer, "lib" | "main"),
                "src/{layer} has no place in the map of tests/layering"
            );
            continue;
        };
        for used in source.layers_used() {
            if used != layer && used != "limits" && !allowed.contains(&&*used) {
                writeln!(wrong, "{} refers to {used}", source.path.display()).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that run the wrong way:\n{wrong}");
}

#[test]
fn the_core_and_the_protocol_are_pure() {
    let mut wrong = String::new();
    for source in sources().filter(|source| matches!(&*source.layer(), "core" | "protocol")) {
        for name in IMPURE.iter().filter(|name| source.mentions(name)) {
            writeln!(wrong, "{} mentions {name}", source.path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "the core does no I/O, reads no clock and draws no chance:\n{wrong}");
}

#[test]
fn the_storage_engine_is_known_to_one_file() {
    let wrong: Vec<_> = sources()
        .filter(|source| source.mentions("sled") && source.path != Path::new("store/kv.rs"))
        .map(|source| source.path)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} mention sled");
}

#[test]
fn this_test_sees_what_it_should() {
    let text = "
        //! use crate::server::Comment;
        use crate::{broker::{Broker, Vhost as V}, core::{self, queue::Queue}, limits};
        pub use crate::protocol;
        fn f(at: crate::auth::Users) { let text = \"crate::cli\"; } // crate::store
        use super::other; /* crate::connection */
        fn lifetime<'a>(x: &'a str) -> char { '\"' }
        #[cfg(test)]
        mod tests { use crate::server::Server; fn f() { tokio::spawn(\"}\"); } }
        #[cfg(any(test, feature = \"x\"))]
        pub mod also;
        #[cfg(test)]
        mod elsewhere;
        use std::{fs, net::IpAddr}; fn g() { crate :: config::load() }
        fn h() { crate::store::Kv { path: 1 } }
    ";
    let source = Source { path: PathBuf::from("connection/mod.rs"), text: stripped(text) };
    let expected = ["auth", "broker", "config", "core", "limits", "protocol", "store"];
    assert!(source.layers_used().iter().eq(expected), "{:?}", source.layers_used());
    assert!(source.mentions("std::fs") && source.mentions("std::net") && !source.mentions("tokio"));
    assert!(!source.text.contains("elsewhere") && source.text.contains("also"));
}
