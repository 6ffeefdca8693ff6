//! The bytes with which a client begins: a proxy's header, and the handshake of AMQP.

use super::users::USERS;
use crate::protocol::{
    FieldTable, PROTOCOL_HEADER, ShortString,
    connection::{Open, StartOk, TuneOk},
    frame,
};

/// How a client logs in: numbers that [`write`](Self::write) reads as what it sends from the protocol header to `connection.open`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Login {
    /// The protocol header; mostly the right one.
    pub header: u8,
    /// The mechanism of SASL.
    pub mechanism: u8,
    /// Which of the users.
    pub user: u8,
    /// Whose password, or none, or a wrong one.
    pub password: u8,
    /// What it understands, and how it calls itself.
    pub properties: u8,
    /// What it answers to `connection.tune`; mostly what may be.
    pub tune: u8,
    /// Where it wants to come in.
    pub vhost: u8,
}

impl Login {
    /// One with this user's right password, into its virtual host.
    pub fn right(user: u8, mechanism: u8) -> Self {
        Self { mechanism, user, password: 0, ..Self::default() }
    }

    /// Appends the bytes.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.header {
            250 => b"AMQP\x00\x01\x00\x00",
            251 => b"AMQP\x03\x01\x00\x00",
            252 => b"GET / HT",
            253 => b"\x16\x03\x01\x00\xC8\x01\x00\x00",
            254 => b"AMQP\x01\x01\x00\x09",
            _ => &PROTOCOL_HEADER,
        });
        frame::write_method(out, 0, &self.start_ok());
        if self.tune == 255 {
            out.extend_from_slice(&crate::protocol::HEARTBEAT_FRAME);
        }
        frame::write_method(out, 0, &self.tune_ok());
        frame::write_method(out, 0, &Open { virtual_host: ShortString::from_static(self.vhost()) });
    }

    fn start_ok(self) -> StartOk {
        let (user, password) = (self.user().name, self.password());
        let mechanism = MECHANISMS[usize::from(self.mechanism) % MECHANISMS.len()];
        let response = match mechanism {
            "AMQPLAIN" => {
                let mut table = Vec::new();
                FieldTable::new().with("LOGIN", user).with("PASSWORD", password).encode(&mut table);
                table.split_off(4)
            }
            _ => format!("\0{user}\0{password}").into_bytes(),
        };
        StartOk {
            client_properties: self.properties(),
            mechanism: ShortString::from_static(mechanism),
            response,
            locale: ShortString::from_static("en_US"),
        }
    }

    fn user(self) -> &'static super::users::User {
        &USERS[usize::from(self.user) % USERS.len()]
    }

    fn password(self) -> &'static str {
        match self.password {
            0..=127 => self.user().password.text().unwrap_or_default(),
            128..=200 => USERS[usize::from(self.password) % USERS.len()].password.text().unwrap_or("none"),
            201..=230 => "wrong",
            _ => "",
        }
    }

    fn properties(self) -> FieldTable {
        let bit = |bit: u8| self.properties >> bit & 1 == 1;
        let mut capabilities = FieldTable::new();
        for (at, name) in CAPABILITIES.iter().enumerate() {
            capabilities.insert(ShortString::from_static(name), !bit(at as u8));
        }
        let properties = FieldTable::new().with("capabilities", capabilities);
        match self.properties {
            64..128 => properties.with("connection_name", "a name\r\n\u{1b}[31m"),
            128..140 => FieldTable::new().with("capabilities", "no table"),
            140..150 => (0..60).fold(properties, |deep, _| FieldTable::new().with("t", deep)),
            _ => properties,
        }
    }

    fn tune_ok(self) -> TuneOk {
        let (channel_max, frame_max) = match self.tune {
            240 => (0, 131_072),
            241 => (2_047, 0),
            242 => (2_048, 131_072),
            243 => (2_047, 131_073),
            244 => (2_047, 8_191),
            200..240 => (2, 8_192),
            _ => (2_047, 131_072),
        };
        TuneOk { channel_max, frame_max, heartbeat: self.tune.into() }
    }

    fn vhost(self) -> &'static str {
        match self.vhost {
            0..=199 => self.user().vhost.unwrap_or(super::users::TEAM),
            200..=220 => "/",
            221..=240 => super::users::TEAM,
            _ => "nowhere",
        }
    }
}

/// Appends a header of the PROXY protocol: of a client elsewhere, of one at home, of the proxy itself, or none.
pub fn write_proxy_header(what: u8, out: &mut Vec<u8>) {
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    let mut v2 = |command: u8, family: u8, rest: &[u8]| {
        out.extend_from_slice(V2);
        out.extend_from_slice(&[command, family]);
        out.extend_from_slice(&(rest.len() as u16).to_be_bytes());
        out.extend_from_slice(rest);
    };
    match what % 8 {
        0 => v2(0x21, 0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0, 80]),
        1 => v2(0x21, 0x21, &[7; 36]),
        2 => v2(0x20, 0x00, &[]),
        3 => v2(0x21, 0x11, &[127, 0, 0, 1, 127, 0, 0, 1, 0x12, 0x34, 0, 80, 4, 0, 2, 1, 1]),
        4 => out.extend_from_slice(b"PROXY TCP4 192.0.2.1 192.0.2.2 4660 80\r\n"),
        5 => out.extend_from_slice(b"PROXY TCP6 ::1 ::1 65535 1\r\n"),
        6 => out.extend_from_slice(b"PROXY UNKNOWN 1 2 3 4\r\n"),
        _ => {}
    }
}

const MECHANISMS: [&str; 8] =
    ["PLAIN", "AMQPLAIN", "PLAIN", "EXTERNAL", "ANONYMOUS", "PLAIN", "RABBIT-CR-DEMO", ""];
const CAPABILITIES: [&str; 5] = [
    "authentication_failure_close",
    "consumer_cancel_notify",
    "connection.blocked",
    "basic.nack",
    "publisher_confirms",
];
