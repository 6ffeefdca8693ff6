//! Where the password of the default user comes from, and that nobody reads it who should not.

use std::io::Write;

use crate::{
    broker::Broker,
    wire::{CLIENT_CAPABILITIES, PROTOCOL_HEADER, Wire, start_ok},
};

const RABBITMQ: [(&str, &str); 3] = [
    ("RABBITMQ_DEFAULT_USER", "rabbit"),
    ("RABBITMQ_DEFAULT_PASS", "geheim-r"),
    ("RABBITMQ_DEFAULT_VHOST", "burrow"),
];

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn the_default_user_comes_from_the_first_place_that_says_it() {
    let secret = file("geheim-f\n");
    let secret = secret.path().to_str().unwrap();
    let config = file("default-user = 'filed'\ndefault-pass = 'geheim-c'\n");
    let config = config.path().to_str().unwrap();
    let own = [("LEVERET_DEFAULT_USER", "own"), ("LEVERET_DEFAULT_PASS", "geheim-o")];
    let own_file = [("LEVERET_DEFAULT_USER", "own"), ("LEVERET_DEFAULT_PASS_FILE", secret)];
    let both = |own: &[(&'static str, &'static str)]| [&RABBITMQ[..], own].concat();
    for (args, env, user, password) in [
        (vec![], vec![], "guest", "guest"),
        (vec!["--config", config], vec![], "filed", "geheim-c"),
        (vec!["--config", config], RABBITMQ.to_vec(), "rabbit", "geheim-r"),
        (vec!["--config", config], both(&own), "own", "geheim-o"),
        (vec!["--config", config], [&RABBITMQ[..], &own_file].concat(), "own", "geheim-f"),
        (vec!["--config", config, "--default-pass-file", secret], vec![], "filed", "geheim-f"),
        (vec!["--default-pass", "geheim-a", "--default-user", "flagged"], both(&own), "flagged", "geheim-a"),
    ] {
        let Some(broker) = Broker::start(&args, &env) else { return };
        let vhost = if env.contains(&RABBITMQ[2]) { "burrow" } else { "/" };
        let mut wire = Wire::connect_to(broker.clone());
        wire.raw(PROTOCOL_HEADER).expect(0, 10, 10);
        let response = format!("\0{user}\0{password}");
        wire.send(0, &start_ok(&CLIENT_CAPABILITIES.table(), "PLAIN", response.as_bytes())).expect(0, 10, 30);
        wire.send(0, &crate::wire::tune_ok((2047, 131_072, 0)));
        wire.send(0, &crate::wire::connection_open(vhost)).expect(0, 10, 41);
        wire.assert_alive();
        let log = broker.log().lines().join("\n");
        assert!(!log.contains("geheim"), "{log}");
    }
}

#[test]
fn a_password_in_the_list_of_processes_is_warned_of_and_not_shown() {
    for (args, env, warned) in [
        (["--default-pass", "geheim"].as_slice(), ("LEVERET_LOG", "info"), true),
        (&["--default-pass=geheim"], ("LEVERET_LOG", "info"), true),
        (&[], ("LEVERET_DEFAULT_PASS", "geheim"), false),
    ] {
        let Some(broker) = Broker::start(args, &[env]) else { return };
        let log = broker.log();
        log.expect(&["limits"]);
        let warnings = log.lines().iter().filter(|line| line.contains("--default-pass-file")).count();
        assert_eq!(warnings, usize::from(warned), "{args:?}");
        assert!(!log.lines().join("\n").contains("geheim"));
    }
}

#[test]
fn a_password_and_a_file_of_it_are_not_both_taken() {
    let output = crate::serve(&["--default-pass", "geheim", "--default-pass-file", "/no/such/file"]);
    crate::assert_refused(&output, &["default-pass-file", "only one of them"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("geheim"));
}
