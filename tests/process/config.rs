//! `leveret config`, and what SIGHUP changes.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Output},
};

use crate::{
    broker::{Broker, is_external},
    own, signal,
    tls::Ca,
    wire::{PASSIVE, Wire, queue_declare},
};

fn config(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.arg("config").args(args).envs(variables.iter().copied());
    command.output().unwrap()
}

fn told(output: &Output) -> (bool, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn each_setting_is_shown_with_where_it_comes_from_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leveret.toml");
    fs::write(&file, "heartbeat = 7\nchannel-max = 8\ndefault-pass = 'geheim'\n").unwrap();
    let args = ["show", "--format=json", "--config", file.to_str().unwrap(), "--frame-max=8KiB"];
    let variables = [("LEVERET_CHANNEL_MAX", "9"), ("RABBITMQ_DEFAULT_USER", "ann"), ("LEVERET_LOG", "warn")];
    let (is_fine, shown, errors) = told(&config(&args, &variables));
    assert!(is_fine && errors.is_empty() && !shown.contains("geheim"), "{shown}{errors}");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let of = |name: &str| shown.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap().clone();
    for (name, value, from) in [
        ("frame-max", serde_json::json!(8192), "flag"),
        ("channel-max", 9.into(), "environment"),
        ("default-user", "ann".into(), "environment"),
        ("log", "warn".into(), "environment"),
        ("heartbeat", 7.into(), "file"),
        ("default-pass", "[masked]".into(), "file"),
        ("connection-max", 100_000.into(), "default"),
    ] {
        assert_eq!((&of(name)["value"], &of(name)["from"]), (&value, &from.into()), "{name}");
    }
    let (is_fine, table, _) = told(&config(&["show", "--heartbeat", "3"], &[]));
    assert!(
        is_fine && table.lines().any(|line| line.split_whitespace().eq(["heartbeat", "flag", "3"])),
        "{table}"
    );
}

#[test]
fn a_configuration_is_checked_without_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leveret.toml");
    let path = file.to_str().unwrap();
    fs::write(&file, "heartbeat = 7\n").unwrap();
    let (is_fine, said, errors) = told(&config(&["check", "--config", path], &[]));
    assert!(is_fine && said.contains("can be used") && errors.is_empty(), "{said}{errors}");
    for (text, why) in [
        ("haertbeat = 7", "unknown key `haertbeat`: did you mean `heartbeat`?"),
        ("channel_max = 7", "unknown key `channel_max`: did you mean `channel-max`?"),
        ("colour = 'red'", "unknown key `colour`: `leveret config example` lists those there are"),
        (
            "[[policies]]\nname = 'p'\npatern = ''\ndefinition = {}",
            "unknown key `patern`: did you mean `pattern`?",
        ),
        ("frame-max = 1", "frame-max: 1 is not between"),
        (
            "[[policies]]\nname = 'p'\npattern = '('\ndefinition = { max-length = 1 }",
            "policy 'p': its pattern",
        ),
        ("tls-cert = '/no/such.pem'\ntls-key = '/no/such.pem'", "tls-cert"),
        ("load-definitions = '/no/such.json'", "definitions /no/such.json"),
        ("oauth-resource-server-id = 'a'\noauth-jwks-file = '/no/such.json'", "/no/such.json"),
    ] {
        fs::write(&file, text).unwrap();
        let (is_fine, said, errors) = told(&config(&["check", "--config", path], &[]));
        assert!(!is_fine && said.is_empty() && errors.contains(why), "{text}: {said}{errors}");
        assert!(errors.starts_with("leveret: "), "{errors}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is made");
}

#[test]
fn the_example_is_that_of_the_documents() {
    let (is_fine, example, _) = told(&config(&["example"], &[("LEVERET_HEARTBEAT", "7")]));
    assert!(is_fine);
    assert!(example == include_str!("../../docs/leveret.toml"), "{example}");
}

#[test]
fn a_rabbitmq_conf_becomes_a_file_that_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let [theirs, ours] = ["rabbitmq.conf", "leveret.toml"].map(|name| folder.path().join(name));
    fs::write(&theirs, "heartbeat = 30\nloopback_users.guest = false\ncluster_name = hares\n").unwrap();
    let (is_fine, toml, left) = told(&config(&["from-rabbitmq", theirs.to_str().unwrap()], &[]));
    assert!(is_fine && toml.contains("heartbeat = 30\n"), "{toml}");
    assert_eq!(left, "# not translated: cluster_name = hares: there is one node\n");
    assert!(toml.contains(&left), "{toml}");
    fs::write(&ours, toml).unwrap();
    let (is_fine, _, errors) = told(&config(&["check", "--config", ours.to_str().unwrap()], &[]));
    assert!(is_fine, "{errors}");
    let (is_fine, _, errors) = told(&config(&["from-rabbitmq", "/no/such/rabbitmq.conf"], &[]));
    assert!(!is_fine && errors.contains("/no/such/rabbitmq.conf"), "{errors}");
}

/// What the HTTP API answers to `guest`, from a page of this origin: the head in small letters, and the body.
fn asked(broker: &Broker, request: &str, origin: &str) -> (String, String) {
    let mut socket = TcpStream::connect(broker.http_address.as_ref().unwrap()).unwrap();
    let request = format!(
        "{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\norigin: {origin}\r\nauthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

fn asked_from(broker: &Broker, origin: &str) -> String {
    asked(broker, "GET /api/whoami", origin).0
}

/// Whether a page of this origin may make a virtual host.
fn may_change(broker: &Broker, origin: &str) -> bool {
    let (head, _) = asked(broker, "PUT /api/vhosts/made", origin);
    assert!(
        ["201", "204", "401"].iter().any(|status| head.contains(&format!("http/1.1 {status}"))),
        "{head}"
    );
    !head.contains("http/1.1 401")
}

fn definitions(folder: &Path, queue: &str) -> String {
    let file = folder.join(format!("{queue}.json"));
    fs::write(&file, format!(r#"{{ "queues": [{{ "name": "{queue}", "vhost": "/" }}] }}"#)).unwrap();
    format!("load-definitions = '{}'", file.display())
}

#[test]
fn sighup_takes_what_can_change_and_names_what_needs_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leveret.toml");
    fs::write(&file, "log = 'info'\nheartbeat = 60\n").unwrap();
    let Some(broker) = own(&[
        "--config",
        file.to_str().unwrap(),
        "--consumers-per-channel-max=100",
        "--http-listen=127.0.0.1:0",
    ]) else {
        return;
    };
    let log = broker.log();
    assert!(!asked_from(&broker, "https://a.example").contains("access-control-allow-origin"));
    assert!(!may_change(&broker, "https://a.example"));

    fs::write(
        &file,
        format!(
            "log = 'info,leveret::connection=debug'\nheartbeat = 7\nconsumers-per-channel-max = 5\nframe-max = '8KiB'
             http-cors-origins = 'https://a.example'\nhttp-rate-per-user = 1000000\nhttp-hsts = 'max-age=5'\n{}
             [[policies]]\nname = 'short'\npattern = '^short'\ndefinition = {{ max-length = 2 }}",
            definitions(folder.path(), "loaded")
        ),
    )
    .unwrap();
    signal(&broker, "-HUP");
    let changed =
        ["log", "http-cors-origins", "http-rate-per-user", "http-hsts", "load-definitions", "policies"];
    for setting in changed {
        log.expect(&["a setting has changed", &format!("setting=\"{setting}\"")]);
    }
    log.expect(&["needs a restart", "setting=\"heartbeat\""]);
    log.expect(&["needs a restart", "setting=\"frame-max\""]);
    log.expect(&["definitions are loaded"]);
    assert!(
        !log.lines().iter().any(|line| line.contains("consumers-per-channel-max")),
        "a flag beats the file"
    );
    let head = asked_from(&broker, "https://a.example");
    assert!(head.contains("access-control-allow-origin: https://a.example"), "{head}");
    assert!(!asked_from(&broker, "https://b.example").contains("access-control-allow-origin"));
    assert!(may_change(&broker, "https://a.example") && !may_change(&broker, "https://b.example"));
    let mut client = Wire::open_to(broker.clone());
    client.channel(1).send(1, &queue_declare("loaded", PASSIVE)).expect(1, 50, 11);
    client.send(1, &queue_declare("short", 0)).expect(1, 50, 11);
    for _ in 0..5 {
        client.publish(1, "", "short", 0, b"m");
    }
    let mut declared = client.send(1, &queue_declare("short", PASSIVE)).expect(1, 50, 11);
    assert_eq!((declared.short().as_str(), declared.u32()), ("short", 2));

    let (_, effective) = asked(&broker, "GET /api/config/effective", "");
    for holds in [
        r#"{"name":"log","value":"info,leveret::connection=debug","from":"file"}"#,
        r#"{"name":"heartbeat","value":60,"from":"file"}"#,
        r#"{"name":"consumers-per-channel-max","value":100,"from":"flag"}"#,
        r#"{"name":"default-pass","value":"[masked]","from":"default"}"#,
    ] {
        assert!(effective.contains(holds), "{holds} in {effective}");
    }

    // A file that cannot be used changes nothing.
    fs::write(&file, "log = 'off'\nhaertbeat = 7\n").unwrap();
    signal(&broker, "-HUP");
    log.expect(&["ERROR", "configuration stays what it was", "did you mean `heartbeat`?"]);
    client.send(1, &queue_declare("short", PASSIVE)).expect(1, 50, 11);
    assert!(asked_from(&broker, "https://a.example").contains("access-control-allow-origin"));

    // What is permitted no longer is refused at once.
    fs::write(&file, "log = 'info'\nheartbeat = 60\n").unwrap();
    signal(&broker, "-HUP");
    log.expect(&["SIGHUP: there is no file of definitions to load"]);
    assert!(!asked_from(&broker, "https://a.example").contains("access-control-allow-origin"));
    assert!(!may_change(&broker, "https://a.example"));
}

#[test]
fn who_asks_too_often_is_refused_from_sighup_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leveret.toml");
    fs::write(&file, "log = 'info'\n").unwrap();
    let Some(broker) = own(&["--config", file.to_str().unwrap(), "--http-listen=127.0.0.1:0"]) else {
        return;
    };
    let is_refused = || asked(&broker, "GET /api/whoami", "").0.contains("http/1.1 429");
    assert!((0..20).all(|_| !is_refused()));
    fs::write(&file, "log = 'info'\nhttp-rate-per-address = 1\n").unwrap();
    signal(&broker, "-HUP");
    broker.log().expect(&["a setting has changed", "setting=\"http-rate-per-address\""]);
    // One each second is let through.
    let deadline = std::time::Instant::now() + crate::broker::DEADLINE;
    while !is_refused() {
        assert!(std::time::Instant::now() < deadline, "nobody was refused");
    }
}

#[test]
fn the_log_is_as_the_file_says_after_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leveret.toml");
    fs::write(&file, "log = 'warn'\n").unwrap();
    let Some(broker) = own(&["--config", file.to_str().unwrap()]) else { return };
    let log = broker.log();
    // Each opened connection is told at INFO.
    Wire::open_to(broker.clone()).assert_alive();
    fs::write(&file, "log = 'info'\n").unwrap();
    signal(&broker, "-HUP");
    log.expect(&["a setting has changed", "setting=\"log\""]);
    Wire::open_to(broker.clone()).assert_alive();
    log.expect(&["INFO", "connection opened"]);
    let told = log.lines().iter().filter(|line| line.contains("connection opened")).count();
    assert_eq!(told, 1, "the first was not told: {:#?}", log.lines());
}

#[test]
fn sighup_takes_another_certificate_from_another_file() {
    if is_external() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leveret.toml");
    let certificates = |name: &str| {
        let ca = Ca::new();
        let identity = ca.server();
        let [certificate, key] = ["pem", "key"].map(|end| folder.path().join(format!("{name}.{end}")));
        fs::write(&certificate, &identity.certificate).unwrap();
        fs::write(&key, &identity.key).unwrap();
        format!(
            "amqps-listen = '127.0.0.1:0'\ntls-cert = '{}'\ntls-key = '{}'\n",
            certificate.display(),
            key.display()
        )
    };
    fs::write(&file, certificates("one")).unwrap();
    let Some(broker) = own(&["--config", file.to_str().unwrap()]) else { return };
    let log = broker.log();
    let second = certificates("two");
    fs::write(&file, &second).unwrap();
    signal(&broker, "-HUP");
    log.expect(&["a setting has changed", "setting=\"tls-cert\""]);
    log.expect(&["a setting has changed", "setting=\"tls-key\""]);
    fs::write(&file, second.replace("two.key", "one.key")).unwrap();
    signal(&broker, "-HUP");
    log.expect(&["ERROR", "the old one stays in use", "do not fit"]);
    // TLS that was there cannot go without its listeners.
    fs::write(&file, "").unwrap();
    signal(&broker, "-HUP");
    log.expect(&["needs a restart", "setting=\"amqps-listen\""]);
    log.expect(&["needs a restart", "setting=\"tls-cert\""]);
}
