//! Writes Rust for the specification. The output is laid out here and exempt from rustfmt, so that the comparison
//! does not depend on a tool's version.

use std::fmt::Write;

use crate::spec::{Class, Field, Method, Severity, Side, Spec, WireType};

/// `write!` to a string, which cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => { write!($out, $($arg)*).expect("a string takes everything") };
}
/// The whole of `src/protocol/generated.rs`.
pub fn generate(spec: &Spec) -> String {
    let generator = Generator { spec };
    let mut out = String::from(HEAD);
    generator.reply_codes(&mut out);
    generator.capabilities(&mut out);
    generator.method_enum(&mut out);
    for class in &spec.class {
        generator.class(&mut out, class);
    }
    generator.strategies(&mut out);
    out
}

const HEAD: &str = "\
//! Methods, reply codes and capabilities. Generated from `protocol-spec/amqp-0-9-1.toml` by `tests/protocol_spec`:
//! change that file, then `LEVERET_REGENERATE=1 cargo test --test protocol_spec`. Do not edit.

use super::method::{Encode, MethodError};
use super::wire;
";

struct Generator<'a> {
    spec: &'a Spec,
}

impl Generator<'_> {
    fn reply_codes(&self, out: &mut String) {
        let replies = &self.spec.reply_code;
        line(out, "\n/// Why a connection or a channel is closed, or a message returned (AMQP 0-9-1, 1.2).");
        line(out, "#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]\n#[repr(u16)]\npub enum ReplyCode {");
        for reply in replies {
            put!(out, "    /// {}\n    {} = {},\n", reply.doc, pascal(&reply.name), reply.code);
        }
        line(out, "}\n\nimpl ReplyCode {");
        line(
            out,
            "    /// The number on the wire.\n    pub const fn code(self) -> u16 {\n        self as u16\n    }\n",
        );
        line(out, "    /// The code with that number.");
        line(out, "    pub const fn from_code(code: u16) -> Option<Self> {\n        match code {");
        for reply in replies {
            put!(out, "            {} => Some(Self::{}),\n", reply.code, pascal(&reply.name));
        }
        line(out, "            _ => None,\n        }\n    }\n");
        line(out, "    /// The constant's name, as it stands at the front of reply texts.");
        line(out, "    pub const fn name(self) -> &'static str {\n        match self {");
        for reply in replies {
            let constant = snake(&reply.name).to_uppercase();
            put!(out, "            Self::{} => \"{constant}\",\n", pascal(&reply.name));
        }
        line(out, "        }\n    }\n");
        line(out, "    /// Whether it closes the connection; the others close a channel.");
        let hard = replies.iter().filter(|reply| reply.severity == Some(Severity::Hard));
        let hard: Vec<_> = hard.map(|reply| format!("Self::{}", pascal(&reply.name))).collect();
        line(out, "    pub const fn is_hard(self) -> bool {\n        matches!(\n            self,");
        put!(out, "            {}\n        )\n    }}\n}}\n", hard.join("\n                | "));
    }

    fn capabilities(&self, out: &mut String) {
        let capabilities = &self.spec.capabilities;
        line(out, "\n/// What the server says it can do, in `connection.start`; each is true.");
        put!(out, "pub const SERVER_CAPABILITIES: &[&str] = &{:?};\n", capabilities.server);
        line(
            out,
            "\n/// What a client may say it can do, in `connection.start-ok`, and the server acts upon.",
        );
        put!(out, "pub const CLIENT_CAPABILITIES: &[&str] = &{:?};\n", capabilities.client);
        line(out, "\n/// The TCP port by custom, without TLS.");
        put!(out, "pub const DEFAULT_PORT: u16 = {};\n", self.spec.protocol.port);
    }

    fn methods(&self) -> impl Iterator<Item = (&Class, &Method)> {
        self.spec.class.iter().flat_map(|class| class.method.iter().map(move |method| (class, method)))
    }

    fn method_enum(&self, out: &mut String) {
        line(out, "\n/// Any method. [`decode`](Self::decode) reads a method frame's payload.");
        line(out, "#[derive(Debug, Clone, PartialEq)]\npub enum Method {");
        for (class, method) in self.methods() {
            put!(out, "    /// `{}.{}`\n", class.name, method.name);
            put!(out, "    {}({}::{}),\n", variant(class, method), class.name, pascal(&method.name));
        }
        line(out, "}\n\nimpl Method {");
        line(out, "    /// Reads class, method and arguments; all of `payload` must belong to them.");
        line(out, "    pub fn decode(payload: &[u8]) -> Result<Self, MethodError> {");
        line(
            out,
            "        let Some((&[class_high, class_low, method_high, method_low], args)) = payload.split_first_chunk() else {",
        );
        line(
            out,
            "            return Err(MethodError::Malformed { class_id: 0, method_id: 0 });\n        };",
        );
        line(out, "        let class_id = u16::from_be_bytes([class_high, class_low]);");
        line(out, "        let method_id = u16::from_be_bytes([method_high, method_low]);");
        line(out, "        match (class_id, method_id) {");
        for (class, method) in self.methods() {
            let path = format!("{}::{}", class.name, pascal(&method.name));
            put!(
                out,
                "            ({}, {}) => {path}::decode(args).map(Self::{}),\n",
                class.id,
                method.id,
                variant(class, method)
            );
        }
        line(
            out,
            "            _ => Err(MethodError::UnknownMethod { class_id, method_id }),\n        }\n    }\n",
        );

        line(
            out,
            "    /// Class and method.\n    pub const fn ids(&self) -> (u16, u16) {\n        match self {",
        );
        for (class, method) in self.methods() {
            put!(out, "            Self::{}(_) => ({}, {}),\n", variant(class, method), class.id, method.id);
        }
        line(out, "        }\n    }\n");
        line(
            out,
            "    /// The name, such as `basic.publish`.\n    pub const fn name(&self) -> &'static str {\n        match self {",
        );
        for (class, method) in self.methods() {
            put!(
                out,
                "            Self::{}(_) => \"{}.{}\",\n",
                variant(class, method),
                class.name,
                method.name
            );
        }
        line(out, "        }\n    }\n");
        self.predicate(
            out,
            "Whether a client may send it. What is for servers only is an error from a client.",
            "client_may_send",
            |method| method.from.contains(&Side::Client),
        );
        self.predicate(out, "Whether a server may send it.", "server_may_send", |method| {
            method.from.contains(&Side::Server)
        });
        self.predicate(out, "Whether a content header and a body follow.", "has_content", |method| {
            method.content
        });
        self.predicate(
            out,
            "Whether it asks for an answer, unless it says `no_wait`.",
            "is_synchronous",
            |method| !method.reply.is_empty(),
        );
        self.predicate(out, "Whether it is RabbitMQ's rather than AMQP 0-9-1's.", "is_extension", |method| {
            method.extension
        });
        out.truncate(out.len() - 1);
        line(
            out,
            "}\n\nimpl Encode for Method {\n    fn encode(&self, out: &mut Vec<u8>) {\n        match self {",
        );
        for (class, method) in self.methods() {
            put!(out, "            Self::{}(method) => method.encode(out),\n", variant(class, method));
        }
        line(out, "        }\n    }\n}");
        for (class, method) in self.methods() {
            let path = format!("{}::{}", class.name, pascal(&method.name));
            put!(out, "\nimpl From<{path}> for Method {{\n    fn from(method: {path}) -> Self {{\n");
            put!(out, "        Self::{}(method)\n    }}\n}}\n", variant(class, method));
        }
        line(out, "\n/// The name of the method with these numbers, such as `basic.publish`.");
        line(
            out,
            "pub const fn method_name(class_id: u16, method_id: u16) -> Option<&'static str> {\n    match (class_id, method_id) {",
        );
        for (class, method) in self.methods() {
            put!(out, "        ({}, {}) => Some(\"{}.{}\"),\n", class.id, method.id, class.name, method.name);
        }
        line(out, "        _ => None,\n    }\n}");
    }

    fn predicate(&self, out: &mut String, doc: &str, name: &str, holds: impl Fn(&Method) -> bool) {
        let variants: Vec<_> = self
            .methods()
            .filter(|(_, method)| holds(method))
            .map(|(class, method)| format!("Self::{}(_)", variant(class, method)))
            .collect();
        put!(
            out,
            "    /// {doc}\n    pub const fn {name}(&self) -> bool {{\n        matches!(\n            self,\n"
        );
        put!(out, "            {}\n        )\n    }}\n\n", variants.join("\n                | "));
    }

    fn class(&self, out: &mut String, class: &Class) {
        put!(out, "\n/// {} (AMQP 0-9-1, section {})\n", class.doc, class.section);
        put!(out, "pub mod {} {{\n    use super::{{Encode, MethodError, wire}};\n", class.name);
        let uses = |wire_type| {
            class.method.iter().any(|method| {
                method.fields.iter().any(|field| !field.reserved && self.wire_type(field) == wire_type)
            })
        };
        let types: Vec<_> = [(WireType::Table, "FieldTable"), (WireType::ShortStr, "ShortString")]
            .into_iter()
            .filter(|(wire_type, _)| uses(*wire_type))
            .map(|(_, name)| name)
            .collect();
        if !types.is_empty() {
            put!(out, "    use crate::protocol::{{{}}};\n", types.join(", "));
        }
        put!(out, "\n    /// The number of this class.\n    pub const CLASS_ID: u16 = {};\n", class.id);
        for method in &class.method {
            self.method(out, class, method);
            if method.borrowed {
                self.borrowed(out, class, method);
            }
        }
        line(out, "}");
    }

    fn method(&self, out: &mut String, class: &Class, method: &Method) {
        let name = pascal(&method.name);
        let fields: Vec<_> = method.fields.iter().filter(|field| !field.reserved).collect();
        put!(
            out,
            "\n    /// `{}.{}`: {}\n    ///\n    /// {}\n",
            class.name,
            method.name,
            method.doc,
            senders(method)
        );
        let eq =
            if fields.iter().any(|field| self.wire_type(field) == WireType::Table) { "" } else { ", Eq" };
        put!(out, "    #[derive(Debug, Clone, PartialEq{eq}, Default)]\n    pub struct {name}");
        if fields.is_empty() {
            line(out, ";");
        } else {
            line(out, " {");
            for field in &fields {
                put!(out, "        /// {}\n", self.doc(field));
                put!(out, "        pub {}: {},\n", ident(&field.name), rust_type(self.wire_type(field)));
            }
            line(out, "    }");
        }
        put!(
            out,
            "\n    impl {name} {{\n        /// The class.\n        pub const CLASS_ID: u16 = {};\n",
            class.id
        );
        put!(
            out,
            "        /// The method within its class.\n        pub const METHOD_ID: u16 = {};\n",
            method.id
        );
        put!(
            out,
            "        /// Both, for people.\n        pub const NAME: &'static str = \"{}.{}\";\n\n",
            class.name,
            method.name
        );
        line(
            out,
            "        /// Reads the arguments, which follow class and method; all of `args` must belong to them.",
        );
        line(out, "        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {");
        if method.fields.is_empty() {
            line(out, "            args.is_empty().then_some(Self)");
        } else {
            line(out, "            wire::complete(args, Self::parse)");
        }
        line(
            out,
            "                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })",
        );
        if !method.fields.is_empty() {
            line(out, "        }\n\n        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {");
            self.parse(out, method, parser);
        }
        line(out, "        }\n    }\n");
        put!(out, "    impl Encode for {name} {{\n        fn encode(&self, out: &mut Vec<u8>) {{\n");
        line(
            out,
            "            wire::put_short(out, Self::CLASS_ID);\n            wire::put_short(out, Self::METHOD_ID);",
        );
        self.encode(out, method);
        line(out, "        }\n    }");
    }

    /// A struct of the same fields that borrows its strings. For methods without tables.
    fn borrowed(&self, out: &mut String, class: &Class, method: &Method) {
        let name = format!("{}View", pascal(&method.name));
        put!(
            out,
            "\n    /// `{}.{}`, its strings still in the frame. Decoding does not allocate.\n",
            class.name,
            method.name
        );
        put!(out, "    #[derive(Debug, Clone, Copy, PartialEq, Eq)]\n    pub struct {name}<'a> {{\n");
        for field in method.fields.iter().filter(|field| !field.reserved) {
            let rust = match self.wire_type(field) {
                WireType::ShortStr | WireType::LongStr => "&'a [u8]",
                WireType::Table => panic!("a borrowed method has no tables"),
                other => rust_type(other),
            };
            put!(out, "        /// {}\n        pub {}: {rust},\n", self.doc(field), ident(&field.name));
        }
        put!(out, "    }}\n\n    impl<'a> {name}<'a> {{\n");
        put!(
            out,
            "        /// Reads the arguments; accepts what [`{}::decode`] accepts.\n",
            pascal(&method.name)
        );
        line(out, "        #[inline]\n        pub fn decode(args: &'a [u8]) -> Result<Self, MethodError> {");
        line(out, "            wire::complete(args, Self::parse)");
        put!(
            out,
            "                .ok_or(MethodError::Malformed {{ class_id: {}, method_id: {} }})\n",
            class.id,
            method.id
        );
        line(
            out,
            "        }\n\n        #[inline]\n        fn parse(input: &'a [u8]) -> wire::Parsed<'a, Self> {",
        );
        self.parse(out, method, |wire_type| match wire_type {
            WireType::ShortStr => "short_bytes",
            WireType::LongStr => "long_bytes",
            other => parser(other),
        });
        line(out, "        }\n    }");
    }

    fn parse(&self, out: &mut String, method: &Method, parser: impl Fn(WireType) -> &'static str) {
        for (at, run) in self.runs(method).iter().enumerate() {
            match run {
                FieldRun::Bits(bits) if bits.iter().all(|field| field.reserved) => {
                    line(out, "            let (input, _) = wire::octet(input)?;");
                }
                FieldRun::Bits(_) => put!(out, "            let (input, bits_{at}) = wire::octet(input)?;\n"),
                FieldRun::One(field) if field.reserved => {
                    let skip = match self.wire_type(field) {
                        WireType::ShortStr => "short_bytes",
                        WireType::LongStr | WireType::Table => "long_bytes",
                        other => parser(other),
                    };
                    put!(out, "            let (input, _) = wire::{skip}(input)?;\n");
                }
                FieldRun::One(field) => {
                    put!(
                        out,
                        "            let (input, {}) = wire::{}(input)?;\n",
                        ident(&field.name),
                        parser(self.wire_type(field))
                    );
                }
            }
        }
        let mut fields = Vec::new();
        for (at, run) in self.runs(method).iter().enumerate() {
            match run {
                FieldRun::Bits(bits) => {
                    for (bit, field) in bits.iter().enumerate().filter(|(_, field)| !field.reserved) {
                        fields.push(format!("{}: bits_{at} & {} != 0", ident(&field.name), 1 << bit));
                    }
                }
                FieldRun::One(field) if !field.reserved => fields.push(ident(&field.name)),
                FieldRun::One(_) => {}
            }
        }
        let fields_inline = fields.join(", ");
        if fields.is_empty() {
            line(out, "            Ok((input, Self))");
        } else if fields_inline.len() <= 80 {
            put!(out, "            Ok((input, Self {{ {fields_inline} }}))\n");
        } else {
            put!(
                out,
                "            let method = Self {{\n                {},\n            }};\n",
                fields.join(",\n                ")
            );
            line(out, "            Ok((input, method))");
        }
    }

    fn encode(&self, out: &mut String, method: &Method) {
        for run in self.runs(method) {
            match run {
                FieldRun::Bits(bits) => {
                    let set = bits.iter().enumerate().filter(|(_, field)| !field.reserved);
                    let set: Vec<_> = set
                        .map(|(bit, field)| match bit {
                            0 => format!("u8::from(self.{})", ident(&field.name)),
                            _ => format!("u8::from(self.{}) << {bit}", ident(&field.name)),
                        })
                        .collect();
                    let octet = if set.is_empty() { "0".to_owned() } else { set.join(" | ") };
                    put!(out, "            out.push({octet});\n");
                }
                FieldRun::One(field) => {
                    let wire_type = self.wire_type(field);
                    let value = format!("self.{}", ident(&field.name));
                    let statement = match (wire_type, field.reserved) {
                        (WireType::Bit, _) => unreachable!("bits stand in runs"),
                        (WireType::Octet | WireType::ShortStr, true) => "out.push(0)".to_owned(),
                        (WireType::Short, true) => "wire::put_short(out, 0)".to_owned(),
                        (WireType::Long | WireType::LongStr | WireType::Table, true) => {
                            "wire::put_long(out, 0)".to_owned()
                        }
                        (WireType::LongLong | WireType::Timestamp, true) => {
                            "wire::put_long_long(out, 0)".to_owned()
                        }
                        (WireType::Octet, false) => format!("out.push({value})"),
                        (WireType::Short, false) => format!("wire::put_short(out, {value})"),
                        (WireType::Long, false) => format!("wire::put_long(out, {value})"),
                        (WireType::LongLong | WireType::Timestamp, false) => {
                            format!("wire::put_long_long(out, {value})")
                        }
                        (WireType::ShortStr, false) => format!("wire::put_short_string(out, &{value})"),
                        (WireType::LongStr, false) => format!("wire::put_long_string(out, &{value})"),
                        (WireType::Table, false) => format!("{value}.encode(out)"),
                    };
                    put!(out, "            {statement};\n");
                }
            }
        }
    }

    fn strategies(&self, out: &mut String) {
        line(out, "\n/// Arbitrary methods, for property tests.\n#[cfg(test)]\npub(crate) mod strategy {");
        line(
            out,
            "    use proptest::prelude::*;\n\n    use super::Method;\n    use crate::protocol::arbitrary;\n",
        );
        line(
            out,
            "    /// Every method, with arbitrary arguments.\n    pub(crate) fn methods() -> Vec<BoxedStrategy<Method>> {\n        vec![",
        );
        for (class, method) in self.methods() {
            let path = format!("super::{}::{}", class.name, pascal(&method.name));
            let fields: Vec<_> = method.fields.iter().filter(|field| !field.reserved).collect();
            if fields.is_empty() {
                put!(out, "            Just(Method::from({path})).boxed(),\n");
                continue;
            }
            let names: Vec<_> = fields.iter().map(|field| ident(&field.name)).collect();
            let strategies: Vec<_> = fields
                .iter()
                .map(|field| match self.wire_type(field) {
                    WireType::ShortStr => "arbitrary::short_string()".to_owned(),
                    WireType::LongStr => "arbitrary::long_string()".to_owned(),
                    WireType::Table => "arbitrary::table()".to_owned(),
                    other => format!("any::<{}>()", rust_type(other)),
                })
                .collect();
            put!(out, "            ({},)\n", strategies.join(", "));
            let names = names.join(", ");
            put!(
                out,
                "                .prop_map(|({names},)| Method::from({path} {{ {names} }}))\n                .boxed(),\n"
            );
        }
        line(out, "        ]\n    }\n}");
    }

    /// Fields in order, adjacent bits packed eight to an octet, the first into the lowest bit.
    fn runs<'m>(&self, method: &'m Method) -> Vec<FieldRun<'m>> {
        let mut runs: Vec<FieldRun<'m>> = Vec::new();
        for field in &method.fields {
            if self.wire_type(field) != WireType::Bit {
                runs.push(FieldRun::One(field));
                continue;
            }
            match runs.last_mut() {
                Some(FieldRun::Bits(bits)) if bits.len() < 8 => bits.push(field),
                _ => runs.push(FieldRun::Bits(vec![field])),
            }
        }
        runs
    }

    fn wire_type(&self, field: &Field) -> WireType {
        self.spec.domains[&field.domain].wire_type
    }

    fn doc<'f>(&'f self, field: &'f Field) -> &'f str {
        field.doc.as_deref().unwrap_or(&self.spec.domains[&field.domain].doc)
    }
}

enum FieldRun<'m> {
    Bits(Vec<&'m Field>),
    One(&'m Field),
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn senders(method: &Method) -> &'static str {
    match (method.from.contains(&Side::Client), method.from.contains(&Side::Server)) {
        (true, true) => "Sent by both sides.",
        (true, false) => "Sent by clients.",
        _ => "Sent by servers.",
    }
}

fn rust_type(wire_type: WireType) -> &'static str {
    match wire_type {
        WireType::Bit => "bool",
        WireType::Octet => "u8",
        WireType::Short => "u16",
        WireType::Long => "u32",
        WireType::LongLong | WireType::Timestamp => "u64",
        WireType::ShortStr => "ShortString",
        WireType::LongStr => "Vec<u8>",
        WireType::Table => "FieldTable",
    }
}

fn parser(wire_type: WireType) -> &'static str {
    match wire_type {
        WireType::Bit | WireType::Octet => "octet",
        WireType::Short => "short",
        WireType::Long => "long",
        WireType::LongLong | WireType::Timestamp => "long_long",
        WireType::ShortStr => "short_string",
        WireType::LongStr => "long_string",
        WireType::Table => "table",
    }
}

fn variant(class: &Class, method: &Method) -> String {
    format!("{}{}", pascal(&class.name), pascal(&method.name))
}

fn pascal(name: &str) -> String {
    name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn snake(name: &str) -> String {
    name.replace('-', "_")
}

fn ident(name: &str) -> String {
    if name == "type" { "type_".to_owned() } else { snake(name) }
}
