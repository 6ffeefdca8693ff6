//! The shape of `protocol-spec/amqp-0-9-1.toml`. Keys that are not known are an error, so that none is a dead letter.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub protocol: Protocol,
    pub frame_kinds: BTreeMap<String, u8>,
    pub capabilities: Capabilities,
    pub reply_code: Vec<Reply>,
    pub domains: BTreeMap<String, Domain>,
    pub class: Vec<Class>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    pub major: u8,
    pub minor: u8,
    pub revision: u8,
    pub port: u16,
    pub frame_min_size_bytes: usize,
    pub frame_end: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    pub server: Vec<String>,
    pub client: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    pub name: String,
    pub code: u16,
    pub severity: Option<Severity>,
    pub doc: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Soft,
    Hard,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    #[serde(rename = "type")]
    pub wire_type: WireType,
    pub doc: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum WireType {
    Bit,
    Octet,
    Short,
    Long,
    LongLong,
    ShortStr,
    LongStr,
    Table,
    Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    pub name: String,
    pub id: u16,
    pub section: String,
    pub doc: String,
    pub method: Vec<Method>,
    #[serde(default)]
    pub properties: Vec<Property>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Property {
    pub name: String,
    #[serde(rename = "type")]
    pub wire_type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    pub name: String,
    pub id: u16,
    pub from: Vec<Side>,
    #[serde(default)]
    pub reply: Vec<String>,
    #[serde(default)]
    pub content: bool,
    #[serde(default)]
    pub extension: bool,
    #[serde(default)]
    pub borrowed: bool,
    pub doc: String,
    pub fields: Vec<Field>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Client,
    Server,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub name: String,
    pub domain: String,
    #[serde(default)]
    pub reserved: bool,
    pub doc: Option<String>,
}
