//! Definitions that are loaded at the start and at SIGHUP.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::{
    assert_refused, own, serve,
    wire::{PASSIVE, Wire, queue_declare},
};

/// RabbitMQ's hash of `test12`, with the salt of its manual.
const HASH: &str = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";

fn definitions(file: &Path, queue: &str, write: &str) {
    let json = format!(
        r#"{{
            "users": [{{ "name": "ann", "password_hash": "{HASH}",
                        "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "" }}],
            "vhosts": [{{ "name": "shop" }}],
            "permissions": [{{ "user": "ann", "vhost": "shop", "configure": "", "write": "{write}", "read": ".*" }}],
            "queues": [{{ "name": "{queue}", "vhost": "shop" }}]
        }}"#
    );
    fs::write(file, json).unwrap();
}

#[test]
fn users_and_virtual_hosts_come_with_definitions_and_change_at_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("definitions.json");
    definitions(&file, "orders", ".*");
    let Some(broker) = own(&["--load-definitions", file.to_str().unwrap()]) else { return };
    let pid = broker.pid().unwrap();
    let log = broker.log();
    let mut client = Wire::open_as(broker, "ann", "test12", "shop");
    client.channel(1);
    client.publish(1, "", "orders", 0, b"m");
    let mut declared = client.send(1, &queue_declare("orders", PASSIVE)).expect(1, 50, 11);
    assert_eq!((declared.short().as_str(), declared.u32()), ("orders", 1));

    definitions(&file, "more", "^nothing$");
    assert!(Command::new("kill").args(["-HUP", &pid.to_string()]).status().unwrap().success());
    log.expect(&["definitions are loaded", "changed=2"]);
    client.send(1, &queue_declare("more", PASSIVE)).expect(1, 50, 11);
    client.publish(1, "", "orders", 0, b"m");
    client.expect(1, 20, 40);

    fs::write(&file, r#"{ "queues": [{ "name": "q", "vhost": "nowhere" }] }"#).unwrap();
    assert!(Command::new("kill").args(["-HUP", &pid.to_string()]).status().unwrap().success());
    log.expect(&["queues[0] ('q'): there is no virtual host 'nowhere'"]);
}

/// A broker that loads this file and does not start.
fn refused(file: &Path) -> Output {
    let data = tempfile::tempdir().unwrap();
    let [file, data] = [file, data.path()].map(|path| path.to_str().unwrap());
    serve(&["--load-definitions", file, "--data-dir", data, "--amqp-listen", "127.0.0.1:0", "--log", "off"])
}

#[test]
fn definitions_that_cannot_be_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("definitions.json");
    for (json, words) in [
        ("{", &["definitions", "line 1 column 1"][..]),
        (r#"{ "queues": [{ "vhost": "/" }] }"#, &["missing field `name`", "line 1 column"]),
        (
            r#"{ "queues": [{ "name": "q", "vhost": "v" }] }"#,
            &["queues[0] ('q'): there is no virtual host 'v'"],
        ),
    ] {
        fs::write(&file, json).unwrap();
        assert_refused(&refused(&file), words);
    }
    // It takes no room on the disk.
    fs::File::create(&file).unwrap().set_len((64 << 20) + 1).unwrap();
    assert_refused(&refused(&file), &["definitions", "more than 67108864 bytes"]);
    assert_refused(&refused(&folder.path().join("missing.json")), &["missing.json"]);
}
