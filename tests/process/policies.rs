//! Policies of the configuration file.

use std::io::Write;

use crate::{
    assert_refused, own, serve,
    wire::{PASSIVE, Wire, queue_declare},
};

/// The example of docs/configuration.md, as it stands there.
fn example() -> String {
    let page = include_str!("../../docs/configuration.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_policies_of_the_example_apply_to_what_their_patterns_match() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(example().as_bytes()).unwrap();
    let Some(broker) = own(&["--config", file.path().to_str().unwrap()]) else { return };
    let mut client = Wire::open_to(broker);
    client.channel(1);
    for (queue, left) in [("logs.short", 2), ("logs", 5), ("work", 5)] {
        client.send(1, &queue_declare(queue, 0)).expect(1, 50, 11);
        for _ in 0..5 {
            client.publish(1, "", queue, 0, b"m");
        }
        let mut declared = client.send(1, &queue_declare(queue, PASSIVE)).expect(1, 50, 11);
        assert_eq!((declared.short().as_str(), declared.u32()), (queue, left));
    }
}

#[test]
fn a_policy_that_cannot_be_is_refused() {
    for (policy, why) in [
        ("pattern = '('\ndefinition = { max-length = 1 }", "its pattern cannot be used: "),
        ("pattern = ''\ndefinition = {}", "its definition says nothing"),
        ("pattern = ''\ndefinition = { no-such-key = 1 }", "what such policies cannot set: no-such-key"),
        (
            "pattern = ''\ndefinition = { max-length = 'two' }",
            "max-length = \"two\" is not a valid maximum length",
        ),
        ("pattern = ''\ndefinition = { max-length = -1 }", "max-length = -1 is not a valid maximum length"),
        ("pattern = ''\ndefinition = { max-length = [1] }", "a value cannot be of the type array"),
        (
            "pattern = ''\napply-to = 'hares'\ndefinition = { max-length = 1 }",
            "apply-to cannot be 'hares': it is one of all, exchanges, queues, classic_queues",
        ),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "[[policies]]\nname = 'p'\n{policy}").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap();
        let output = serve(&[
            "--config",
            file.path().to_str().unwrap(),
            "--data-dir",
            folder,
            "--amqp-listen",
            "127.0.0.1:0",
        ]);
        assert_refused(&output, &["policy 'p': ", why]);
    }
}
