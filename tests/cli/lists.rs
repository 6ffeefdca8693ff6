//! Lists: every column, sorting, filters, virtual hosts.

use serde_json::{Value, json};

use crate::{
    operator::Operator,
    wire::{Wire, basic_consume, queue_declare},
};

/// Columns that a thing need not have.
const OPTIONAL: [&str; 9] = [
    "leader",
    "members",
    "online",
    "policy",
    "operator_policy",
    "exclusive_consumer_tag",
    "single_active_consumer_tag",
    "head_message_timestamp",
    "user_provided_name",
];

/// The columns of a list, as its help tells them.
fn columns(operator: &Operator, list: &str) -> Vec<String> {
    let help = operator.ok(&[list, "--help"]);
    let line =
        help.lines().find_map(|line| line.strip_prefix("Columns: ")).unwrap_or_else(|| panic!("{help}"));
    line.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_column_of_every_list_has_a_value_at_a_broker_with_something_of_each() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "jobs"]);
    operator.ok(&["declare-exchange", "e"]);
    operator.ok(&["set-policy", "p", "x", "{\"max-length\": 5}"]);
    operator.ok(&["set-operator-policy", "o", "x", "{\"max-length\": 5}"]);
    operator.ok(&["set-vhost-limits", "{\"max-queues\": 1000}"]);
    operator.ok(&["set-user-limits", "guest", "{\"max-connections\": 1000}"]);
    operator.ok(&["set-topic-permissions", "guest", "amq.topic", ".*", ".*"]);
    operator.ok(&["set-parameter", "shovel", "s", "{}"]);
    operator.ok(&["declare-binding", "e", "jobs", "--argument", "n=1"]);
    let mut wire = Wire::open_to(operator.broker.clone());
    wire.channel(1);
    wire.send(1, &queue_declare("jobs", 0b10)).expect(1, 50, 11);
    wire.send(1, &basic_consume("jobs", "tag", 0)).expect(1, 60, 21);
    wire.publish(1, "e", "", 0, b"x").expect_delivery(1, b"x");
    for list in [
        "list-queues",
        "list-exchanges",
        "list-bindings",
        "list-consumers",
        "list-connections",
        "list-channels",
        "list-users",
        "list-vhosts",
        "list-permissions",
        "list-topic-permissions",
        "list-policies",
        "list-operator-policies",
        "list-parameters",
        "list-vhost-limits",
        "list-user-limits",
    ] {
        let names = columns(&operator, list);
        assert!(names.len() > 1, "{list}: {names:?}");
        let mut args = vec![list];
        args.extend(names.iter().map(String::as_str));
        let items = operator.json(&args);
        for name in names.iter().filter(|name| !OPTIONAL.contains(&&***name)) {
            let has_it = |item: &Value| !item[name].is_null();
            assert!(items.as_array().unwrap().iter().any(has_it), "{list}: nothing has {name}: {items}");
        }
    }
}

#[test]
fn lists_are_sorted_and_filtered_by_the_broker() {
    let Some(operator) = Operator::start(&[]) else { return };
    for name in ["a", "b", "ab"] {
        operator.ok(&["declare-queue", name]);
    }
    operator.ok(&["publish", "b", "x"]);
    let names = |more: &[&str]| {
        let list = operator.json(&[&["list-queues", "name"], more].concat());
        let names: Vec<_> =
            list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
        names.join(" ")
    };
    assert_eq!(names(&[]), "a ab b");
    assert_eq!(names(&["--sort", "messages", "--reverse"]).split(' ').next(), Some("b"));
    assert_eq!(names(&["--name", "A"]), "a ab");
    assert_eq!(names(&["--name", "^.$", "--regex"]), "a b");
    operator.fails(&["list-queues", "--name", "(", "--regex"], 1, &["regular expression"]);
    operator.fails(&["list-queues", "--sort", "colour"], 2, &["there is no column 'colour'"]);
    operator.fails(&["list-queues", "colour"], 2, &["there is no column 'colour'", "messages_ready"]);
    let first = operator.json(&["list-connections", "pid", "--sort", "pid"]);
    assert_eq!(first, json!([]), "a column is sorted by what it stands for");
}

#[test]
fn a_list_is_of_one_virtual_host_or_of_all() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["add-vhost", "shop"]);
    operator.ok(&["declare-queue", "here"]);
    operator.ok(&["declare-queue", "there", "--vhost", "shop"]);
    assert_eq!(operator.json(&["list-queues", "name"]), json!([{ "name": "here" }]));
    assert_eq!(operator.json(&["list-queues", "-p", "shop", "name"]), json!([{ "name": "there" }]));
    let all = json!([
        { "vhost": "/", "name": "here", "messages": 0 }, { "vhost": "shop", "name": "there", "messages": 0 },
    ]);
    assert_eq!(operator.json(&["list-queues", "--all-vhosts"]), all);
    for list in [
        "list-exchanges",
        "list-bindings",
        "list-consumers",
        "list-policies",
        "list-operator-policies",
        "list-parameters",
        "list-permissions",
        "list-topic-permissions",
    ] {
        operator.ok(&[list, "-A"]);
    }
    assert_eq!(operator.run(&["list-queues", "-A", "-p", "shop"]).code, 2);
}
