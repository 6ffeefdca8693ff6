//! What cannot be configured is refused in plain words, wherever it stands; what people write is taken.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use crate::{
    broker::{Broker, is_external},
    wire::Wire,
};

/// Each setting with values that cannot be, and a word that the refusal has.
const ABSURD: &[(&str, &[&str], &str)] = &[
    ("amqp-listen", &["", ":", "nowhere", "127.0.0.1", "127.0.0.1:65536", "70000", "a\nb:1"], "amqp-listen"),
    ("amqps-listen", &["", ":", "nowhere", "127.0.0.1:5671"], "amqps-listen"),
    ("http-listen", &["", ":", "nowhere", "127.0.0.1", "70000"], "http-listen"),
    ("metrics-listen", &["", ":", "nowhere", "127.0.0.1", "70000"], "metrics-listen"),
    ("http-hsts", &["", "31536000", "max-age", "max-age=x", "max-age=1\n"], "http-hsts"),
    ("http-rate-per-address", &["", "x", "-1", "1000001", "4294967296"], "http-rate-per-address"),
    ("http-rate-per-user", &["", "x", "-1", "1000001", "4294967296"], "http-rate-per-user"),
    ("tls-cert", &["", "/no/such.pem"], "tls-cert"),
    ("tls-key", &["", "/no/such.pem"], "tls-key"),
    ("tls-ca", &["", "/no/such.pem"], "tls-ca"),
    ("tls-verify", &["", "yes", "required", "optional"], "tls-verify"),
    ("tls-min-version", &["", "1", "1.1", "1.4", "TLS1.2"], "tls-min-version"),
    ("ssl-cert-login-from", &["", "cn", "issuer"], "ssl-cert-login-from"),
    ("ssl-cert-login-san-type", &["", "fax"], "ssl-cert-login-san-type"),
    ("ssl-cert-login-san-index", &["", "x", "-1", "64"], "ssl-cert-login-san-index"),
    (
        "proxy-protocol-from",
        &["", "host", "10.0.0.0/33", "10.0.0.0/", "10.0.0.1:5672"],
        "proxy-protocol-from",
    ),
    ("data-dir", &["", "/proc/no-such-folder", "/dev/null"], ""),
    ("default-vhost", &["", "LONG"], "default-vhost"),
    ("default-user", &["", "LONG"], "default-user"),
    ("default-pass", &[""], "default-pass"),
    ("default-pass-file", &["", "/no/such/file", "/dev/null"], "default-pass-file"),
    ("password-hashing", &["", "md5", "argon2"], "password-hashing"),
    ("anonymous-login-user", &["", "LONG"], "anonymous-login-user"),
    ("oauth-jwks-url", &["", "https://", "http://issuer/keys", "https://me:secret@issuer/"], "oauth-"),
    ("auth-backends", &["", "ldap", "http", "http/ldap", "internal,internal"], "auth-"),
    (
        "auth-http-user-path",
        &["", "ftp://host/", "http://", "http://me:secret@host/", "http://host/?a"],
        "auth-",
    ),
    ("auth-http-vhost-path", &["", "http://host/vhost"], "auth-http-"),
    ("auth-http-resource-path", &["", "http://host/resource"], "auth-http-"),
    ("auth-http-topic-path", &["", "http://host/topic"], "auth-http-"),
    ("auth-http-method", &["", "put", "POST"], "auth-http-"),
    ("auth-http-ca", &["/no/such.pem"], "auth-http-"),
    ("auth-http-timeout-ms", &["", "x", "-1", "0", "60001"], "auth-http-"),
    ("auth-http-cache-ms", &["", "x", "-1", "86400001"], "auth-http-"),
    ("auth-http-cache-refusals-ms", &["", "x", "-1", "86400001"], "auth-http-"),
    ("frame-max", &["", "x", "-1", "0", "1", "4095", "1MiB", "99999999999999999999"], "frame-max"),
    ("channel-max", &["", "x", "-1", "0", "2048", "65536"], "channel-max"),
    ("consumers-per-channel-max", &["", "x", "-1", "4294967296"], "consumers-per-channel-max"),
    ("heartbeat", &["", "x", "-1", "65536", "60s"], "heartbeat"),
    ("connection-max", &["", "x", "-1", "0", "1000000000"], "connection-max"),
    ("max-message-size", &["", "x", "-1", "0", "513MiB", "99999999T"], "max-message-size"),
    (
        "memory-limit-bytes",
        &["", "x", "-1", "0", "1", "999999", "2000TiB", "18446744073709551616"],
        "memory-limit-bytes",
    ),
    ("disk-free-limit", &["", "x", "-1", "9999999T", "1.5G"], "disk-free-limit"),
    ("segment-bytes", &["", "x", "-1", "0", "1", "2GiB"], "segment-bytes"),
    ("consumer-timeout", &["", "x", "-1", "18446744073709551615"], "consumer-timeout"),
    ("handshake-timeout-ms", &["", "x", "-1", "0", "18446744073709551615"], "handshake-timeout-ms"),
    (
        "otlp-endpoint",
        &["", "localhost:4318", "grpc://localhost:4317", "http://me:secret@host"],
        "otlp-endpoint",
    ),
    ("log", &["inof", "][", "leveret=", "3"], "log"),
    ("log-format", &["", "xml", "JSON"], "log-format"),
    ("config", &["", "/no/such/file.toml", "/dev"], ""),
];

/// Runs a broker that must not start. One that does has no port that anybody knows, and ends with the test's patience.
fn refused(setting: &str, configure: impl FnOnce(&mut Command)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.arg("serve").current_dir(folder.path()).stdin(Stdio::null());
    command.env("LEVERET_HTTP_LISTEN", "none").env("LEVERET_METRICS_LISTEN", "none");
    command.env("LEVERET_AMQP_LISTEN", "127.0.0.1:0").env("LEVERET_HEARTBEAT", "7");
    configure(&mut command);
    let output = ended(&mut command, setting);
    assert!(!output.status.success(), "{setting}: {output:?}");
    assert!(output.stdout.is_empty(), "{setting}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// What a program that ends by itself leaves behind.
fn ended(command: &mut Command, setting: &str) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = std::time::Instant::now() + crate::broker::DEADLINE;
    while child.try_wait().unwrap().is_none() {
        if std::time::Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{setting}: the broker started: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

fn each_absurd_value(mut check: impl FnMut(&str, &str, &str)) {
    if is_external() {
        return;
    }
    for (setting, values, word) in ABSURD {
        for value in *values {
            let value = value.replace("LONG", &"x".repeat(300));
            check(setting, &value, word);
        }
    }
}

fn assert_one_line(stderr: &str, word: &str, value: &str) {
    assert_eq!(stderr.lines().count(), 1, "{value:?}: {stderr}");
    assert!(stderr.starts_with("leveret: ") && stderr.contains(word), "{value:?}: {stderr}");
}

#[test]
fn an_absurd_flag_is_one_clear_line() {
    each_absurd_value(|setting, value, word| {
        let stderr = refused(setting, |command| {
            command.arg(format!("--{setting}={value}"));
        });
        assert_one_line(&stderr, word, value);
    });
}

#[test]
fn an_absurd_variable_is_one_clear_line() {
    each_absurd_value(|setting, value, word| {
        let stderr = refused(setting, |command| {
            command.env(format!("LEVERET_{}", setting.to_uppercase().replace('-', "_")), value);
        });
        assert_one_line(&stderr, word, value);
    });
}

#[test]
fn an_absurd_key_of_the_file_is_named() {
    each_absurd_value(|setting, value, word| {
        if setting == "config" {
            return;
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{setting} = {value:?}").unwrap();
        let stderr = refused(setting, |command| {
            // A variable would beat the file.
            match setting {
                "amqp-listen" => command.env_remove("LEVERET_AMQP_LISTEN"),
                "http-listen" => command.env_remove("LEVERET_HTTP_LISTEN"),
                "metrics-listen" => command.env_remove("LEVERET_METRICS_LISTEN"),
                _ => command.env_remove("LEVERET_HEARTBEAT"),
            };
            command.arg("--config").arg(file.path());
        });
        assert!(stderr.starts_with("leveret: ") && stderr.contains(word), "{value:?}: {stderr}");
    });
}

#[test]
fn what_the_file_has_wrong_is_shown_where_it_stands() {
    for (text, shown) in [
        ("heartbeat = 1\nno-such-key = 2\n", "2 | no-such-key = 2\n  | ^^^^^^^^^^^"),
        ("amqp-listen = [\n", "1 | amqp-listen = ["),
        ("segment-bytes = '1 pound'", "'1 pound' is not a size: write a number of bytes"),
        ("memory-limit-bytes = -1", "a size cannot be negative"),
        ("amqp-listen = 7", "expected a text, or a list of texts"),
        ("log-format = 'xml'", "unknown variant `xml`, expected `text` or `json`"),
        ("log = 'inof'", "'inof' is no level: they are off, error, warn, info, debug, trace"),
        ("[[policies]]\nname = 'p'\n", "missing field `pattern`"),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let stderr = refused(text, |command| {
            command.arg("--config").arg(file.path());
        });
        assert!(stderr.contains(shown), "{shown} in {stderr}");
    }
}

#[test]
fn the_broker_starts_with_sizes_as_people_write_them() {
    let args = [
        "--memory-limit-bytes=64MiB",
        "--disk-free-limit=1k",
        "--segment-bytes=100kB",
        "--max-message-size=1M",
    ];
    let Some(broker) = Broker::start(&args, &[("LEVERET_LOG", "info,sled=warn")]) else { return };
    Wire::open_to(broker).assert_alive();
}

#[test]
fn an_empty_log_variable_is_as_none() {
    let Some(broker) = Broker::start(&[], &[("LEVERET_LOG", "")]) else { return };
    let log = broker.log();
    Wire::open_to(broker).assert_alive();
    log.expect(&["INFO", "connection opened"]);
}
