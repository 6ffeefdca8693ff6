//! `src/protocol/generated.rs` is what the generator makes of `protocol-spec/amqp-0-9-1.toml`.
//!
//! After a change to the TOML: `LEVERET_REGENERATE=1 cargo test --test protocol_spec`.

mod generator;
mod spec;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn spec() -> spec::Spec {
    let text =
        fs::read_to_string(root().join("protocol-spec/amqp-0-9-1.toml")).expect("the specification is there");
    toml::from_str(&text).expect("the specification has the shape of spec.rs")
}

#[test]
fn checked_in_code_is_what_the_specification_generates() {
    let path = root().join("src/protocol/generated.rs");
    let expected = generator::generate(&spec());
    if std::env::var_os("LEVERET_REGENERATE").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    let line = 1 + found.lines().zip(expected.lines()).take_while(|(left, right)| left == right).count();
    assert!(
        found == expected,
        "src/protocol/generated.rs differs from line {line} on: LEVERET_REGENERATE=1 cargo test --test protocol_spec"
    );
}

#[test]
fn ids_and_codes_are_unique_and_every_reply_exists() {
    let spec = spec();
    let mut ids = HashSet::new();
    for class in &spec.class {
        let names: HashSet<_> = class.method.iter().map(|method| method.name.as_str()).collect();
        for method in &class.method {
            assert!(ids.insert((class.id, method.id)), "{}.{} has an id twice", class.name, method.name);
            assert!(!method.from.is_empty(), "{}.{} is sent by nobody", class.name, method.name);
            for reply in &method.reply {
                assert!(
                    names.contains(reply.as_str()),
                    "{}.{} lacks its reply {reply}",
                    class.name,
                    method.name
                );
            }
        }
    }
    let codes: HashSet<_> = spec.reply_code.iter().map(|reply| reply.code).collect();
    assert_eq!(codes.len(), spec.reply_code.len());
}

#[test]
fn frame_constants_and_properties_agree_with_the_code() {
    use leveret::protocol::{frame, properties};

    let spec = spec();
    assert_eq!(spec.protocol.frame_end, frame::FRAME_END);
    assert_eq!(spec.protocol.frame_min_size_bytes, frame::FRAME_SIZE_BYTES_MIN);
    let spec::Protocol { major, minor, revision, .. } = spec.protocol;
    assert_eq!(frame::PROTOCOL_HEADER, [b'A', b'M', b'Q', b'P', 0, major, minor, revision]);
    let kinds = ["method", "header", "body", "heartbeat"].map(|name| spec.frame_kinds[name]);
    let expected = [frame::FRAME_METHOD, frame::FRAME_HEADER, frame::FRAME_BODY, frame::FRAME_HEARTBEAT];
    assert_eq!(kinds, expected);

    let basic = spec.class.iter().find(|class| class.name == "basic").unwrap();
    let flags: Vec<_> = (0..basic.properties.len()).map(|at| 1_u16 << (15 - at)).collect();
    let types: Vec<_> = basic.properties.iter().map(|property| property.wire_type.as_str()).collect();
    let at = |name: &str| flags[basic.properties.iter().position(|property| property.name == name).unwrap()];
    assert_eq!(at("headers"), properties::FLAG_HEADERS);
    assert_eq!(at("delivery-mode"), properties::FLAG_DELIVERY_MODE);
    assert_eq!(at("timestamp"), properties::FLAG_TIMESTAMP);
    assert_eq!(at("cluster-id"), properties::FLAG_CLUSTER_ID);
    assert_eq!((types.len(), types[2], types[9]), (14, "table", "timestamp"));
}
