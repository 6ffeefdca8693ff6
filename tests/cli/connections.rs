//! Connections, channels and consumers.

use serde_json::json;

use crate::{
    operator::Operator,
    wire::{Wire, basic_consume, queue_declare},
};

const DURABLE: u8 = 0b10;

#[test]
fn connections_channels_and_consumers_are_listed_and_closed_with_a_reason() {
    let Some(operator) = Operator::start(&[]) else { return };
    let mut wire = Wire::open_to(operator.broker.clone());
    wire.channel(1);
    wire.send(1, &queue_declare("jobs", DURABLE)).expect(1, 50, 11);
    wire.send(1, &basic_consume("jobs", "tag", 0)).expect(1, 60, 21);
    let connections = operator.json(&["list-connections", "name", "user", "vhost", "channels", "state"]);
    let name = connections[0]["name"].as_str().unwrap();
    let wanted = json!([{ "name": name, "user": "guest", "vhost": "/", "channels": 1, "state": "running" }]);
    assert_eq!(connections, wanted);
    assert_eq!(operator.json(&["list-connections", "-p", "/"])[0]["peer_host"], "127.0.0.1");
    assert_eq!(operator.json(&["show", "connection", name])["auth_mechanism"], "PLAIN");
    let channel = format!("{name} (1)");
    let wanted =
        json!([{ "pid": channel, "user": "guest", "consumer_count": 1, "messages_unacknowledged": 0 }]);
    assert_eq!(operator.json(&["list-channels"]), wanted);
    let wanted = json!([{
        "queue_name": "jobs", "channel_pid": channel, "consumer_tag": "tag", "ack_required": true,
        "prefetch_count": 0, "active": true, "arguments": {},
    }]);
    assert_eq!(operator.json(&["list-consumers"]), wanted);
    operator.ok(&["close-connection", name, "maintenance at noon"]);
    wire.expect_close(320, "CONNECTION_FORCED - maintenance at noon");
    operator.fails(
        &["close-connection", "none", "x"],
        1,
        &["there is no connection 'none'", "list-connections"],
    );
    operator.fails(&["show", "connection", "none"], 1, &["there is no connection 'none'"]);
    operator.fails(&["close-connection", name, "Grüße"], 2, &["ASCII"]);
}

#[test]
fn all_connections_of_a_virtual_host_or_of_all_are_closed() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["add-vhost", "shop"]);
    let open = |vhost| Wire::open_as(operator.broker.clone(), "guest", "guest", vhost);
    let (mut here, mut there) = (open("/"), open("shop"));
    assert_eq!(operator.ok(&["close-all-connections", "moving", "-p", "shop"]), "1 closed\n");
    there.expect_close(320, "CONNECTION_FORCED - moving");
    here.assert_alive();
    assert_eq!(operator.ok(&["close-all-connections", "stopping", "-p", "/"]), "1 closed\n");
    here.expect_close(320, "CONNECTION_FORCED - stopping");
    operator.ok(&["close-all-connections", "stopping"]);
    operator.fails(&["close-all-connections", "x", "-p", "none"], 1, &["there is no virtual host 'none'"]);
}
