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

use sources::{Source, paths, sources, stripped};

/// Who may refer to whom. Everybody may use `limits`.
const ALLOWED: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("containment", &[]),
    ("process", &[]),
    ("protocol", &[]),
    ("core", &["protocol"]),
    ("audit", &["core", "protocol"]),
    ("store", &["audit", "core", "protocol", "config", "containment"]),
    ("auth", &["outside", "core", "protocol", "config"]),
    ("config", &["protocol"]),
    ("outside", &["config"]),
    ("telemetry", &["outside", "core", "protocol"]),
    ("tls", &["config"]),
    ("broker", &["audit", "store", "core", "protocol", "auth", "process", "config"]),
    ("connection", &["audit", "broker", "store", "core", "protocol", "auth", "tls", "config", "containment"]),
    (
        "management",
        &["connection", "audit", "broker", "store", "core", "protocol", "auth", "tls", "process", "config"],
    ),
    ("console", &["management", "protocol"]),
    (
        "server",
        &[
            "telemetry",
            "outside",
            "connection",
            "console",
            "management",
            "broker",
            "store",
            "core",
            "protocol",
            "auth",
            "tls",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "server",
            "outside",
            "management",
            "broker",
            "store",
            "core",
            "protocol",
            "auth",
            "tls",
            "config",
            "containment",
        ],
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
        .filter(|source| source.mentions("sled") && source.path != Path::new("store/kv/engine.rs"))
        .map(|source| source.path)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} mention sled");
}

/// `leveret bench` is a client: it knows of the broker what any client knows. What it connects with is shared with other commands.
#[test]
fn the_load_generator_shares_the_protocol_with_the_broker_and_nothing_else() {
    let is_of = |module: &str, folder: &str| {
        module.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let is_bench = |module: &str| is_of(module, "cli::bench");
    let is_amqp = |module: &str| is_of(module, "cli::amqp");
    let is_shared = |module: &str| module == "limits" || is_of(module, "protocol");
    let mut wrong = String::new();
    for (module, others) in circles::all_arrows() {
        for other in others {
            let may = match () {
                () if is_bench(&module) => is_shared(&other) || is_bench(&other) || is_amqp(&other),
                () if is_amqp(&module) => is_shared(&other) || is_amqp(&other),
                () => !is_bench(&other) || module == "cli",
            };
            if !may {
                writeln!(wrong, "{module} refers to {other}").unwrap();
            }
        }
    }
    // A part may name what it is a part of, but not that whole's other things.
    for source in sources().filter(|source| source.path.starts_with("cli/bench")) {
        let outside = if source.path.ends_with("mod.rs") { "super::" } else { "super::super::" };
        let leaves = |path: &String| {
            path.starts_with(outside)
                || path
                    .strip_prefix("crate::cli::")
                    .is_some_and(|rest| !matches!(rest.split("::").next(), Some("bench" | "amqp")))
        };
        for path in paths(&source.text).iter().filter(|path| leaves(path)) {
            writeln!(wrong, "{} refers to {path}", source.path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "the load generator is no client of its own:\n{wrong}");
}

/// What operators do is asked for over HTTP, and AMQP where another broker is asked: values for people, settings' types, hashes and the manners of asking are all that is shared with the broker.
#[test]
fn the_operators_commands_are_clients_of_the_api_and_nothing_else() {
    let is_its = |module: &str| module == "cli::operate" || module.starts_with("cli::operate::");
    let shared = ["limits", "protocol", "auth", "config", "outside"];
    let mut wrong = String::new();
    for (module, others) in circles::all_arrows().into_iter().filter(|(module, _)| is_its(module)) {
        for other in others {
            let layer = other.split("::").next().unwrap_or_default();
            let is_amqp = other == "cli::amqp" || other.starts_with("cli::amqp::");
            if !is_its(&other) && !is_amqp && !shared.contains(&layer) {
                writeln!(wrong, "{module} refers to {other}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "operators' commands that know the broker:\n{wrong}");
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
