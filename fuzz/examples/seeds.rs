//! Writes a seed corpus for each target to `fuzz/corpus/<target>/`, out of the crate's own encoder.

use std::{fs, io, path::PathBuf};

use leveret::connection::fuzzing::{Login, STEP_KINDS, Step, write_proxy_header, write_session};
use leveret::protocol::{FieldTable, FieldValue, Properties, ShortString, frame, split};

const FRAME_BYTES_MAX: usize = 131_072;

fn main() -> io::Result<()> {
    let mut sessions = Vec::new();
    for what in 0..STEP_KINDS {
        for variant in 0..4_u8 {
            sessions.push(session(what, variant));
        }
    }
    for (at, bytes) in sessions.iter().enumerate() {
        write("session", &format!("wire-{at}"), &[&[0, at as u8], &**bytes].concat())?;
        let mut rest = &**bytes;
        while let Ok(Some((_, size))) = split(rest, FRAME_BYTES_MAX) {
            write("frames", &format!("frame-{at}"), &[&[3], &rest[..size]].concat())?;
            rest = &rest[size..];
        }
        write("frames", &format!("session-{at}"), &[&[3], &**bytes].concat())?;
    }
    // Any bytes are steps; a few hundred zeros and counting numbers begin well enough.
    for seed in 1..=8_u8 {
        let bytes: Vec<u8> = (0..600_u16).map(|at| (at as u8).wrapping_mul(seed.wrapping_mul(31))).collect();
        write("session", &format!("steps-{seed}"), &[&[1 + 2 * (seed % 2), seed], &*bytes].concat())?;
    }
    for (at, login) in logins().iter().enumerate() {
        let mut words = Vec::new();
        login.write(&mut words);
        let visit = [&*words, &*sessions[at % sessions.len()]].concat();
        write("login", &format!("visit-{at}"), &[&[0, at as u8], &*visit].concat())?;
        let mut header = Vec::new();
        write_proxy_header(at as u8, &mut header);
        write("login", &format!("proxied-{at}"), &[&[2, at as u8], &*header, &*visit].concat())?;
    }
    for (at, first) in first_words_of_tls().iter().enumerate() {
        write("tls", &format!("hello-{at}"), &[&[0, at as u8], &**first].concat())?;
    }
    for seed in 1..=16_u8 {
        let bytes: Vec<u8> = (0..400_u16).map(|at| (at as u8).wrapping_mul(seed.wrapping_mul(29))).collect();
        write("login", &format!("script-{seed}"), &[&[1 + 2 * (seed % 2), seed], &*bytes].concat())?;
        // A login with the right words stands near the beginning, so that some of them get somewhere.
        let right = [&[1 + 2 * (seed % 8), seed][..], &[seed, 0, 0, seed % 4, 0, 0, 0, 0, 0], &bytes].concat();
        write("tls", &format!("script-{seed}"), &right)?;
    }
    for (at, table) in tables().iter().enumerate() {
        let mut bytes = Vec::new();
        table.encode(&mut bytes);
        write("tables", &format!("table-{at}"), &bytes[4..])?;
        let mut properties = Vec::new();
        Properties { headers: Some(table.clone()), ..Properties::default() }.encode(&mut properties);
        let mut header = vec![3];
        frame::write_header(&mut header, 1, 60, 0, &properties);
        write("frames", &format!("header-{at}"), &header)?;
    }
    Ok(())
}

/// Each user by each mechanism, with the right password and with others.
fn logins() -> Vec<Login> {
    let mut logins = Vec::new();
    for user in 0..6 {
        for mechanism in 0..8 {
            logins.push(Login::right(user, mechanism));
        }
        logins.push(Login { password: 129 + user, ..Login::right(user, 0) });
        logins.push(Login { password: 210, vhost: 230, ..Login::right(user, 1) });
        logins.push(Login { properties: 64 + user * 16, tune: 240 + user, ..Login::right(user, 0) });
        logins.push(Login { header: 249 + user, vhost: 210, ..Login::right(user, 0) });
    }
    logins
}

/// The first words of a client that speaks TLS, and of others that do not.
fn first_words_of_tls() -> Vec<Vec<u8>> {
    let random = [7; 32];
    let ciphers = [0, 8, 0x13, 1, 0x13, 2, 0xC0, 0x2B, 0xC0, 0x2F];
    let extensions = [
        &[0, 43, 0, 5, 4, 3, 4, 3, 3][..],
        &[0, 10, 0, 4, 0, 2, 0, 29],
        &[0, 13, 0, 6, 0, 4, 4, 3, 8, 4],
        &[0, 51, 0, 38, 0, 36, 0, 29, 0, 32],
        &random,
        &[0, 0, 0, 14, 0, 12, 0, 0, 9],
        b"localhost",
    ]
    .concat();
    let length = |bytes: usize| (bytes as u16).to_be_bytes();
    let body =
        [&[3, 3][..], &random, &[0], &ciphers, &[1, 0], &length(extensions.len()), &extensions].concat();
    let hello = [&[1, 0][..], &length(body.len()), &body].concat();
    let whole = [&[0x16, 3, 1][..], &length(hello.len()), &hello].concat();
    let in_small_records: Vec<u8> =
        hello.chunks(3).flat_map(|part| [&[0x16, 3, 1][..], &length(part.len()), part].concat()).collect();
    let alert = vec![0x15, 3, 3, 0, 2, 1, 0];
    let followed = [&*whole, &[0x14, 3, 3, 0, 1, 1], &[0x17, 3, 3, 0, 40], &[1; 40]].concat();
    vec![whole, in_small_records, alert, followed, b"AMQP\0\0\x09\x01".to_vec(), b"GET / HTTP/1.1\r\n\r\n".to_vec()]
}

/// A session in which one kind of step follows upon some that give it something to do.
fn session(what: u8, variant: u8) -> Vec<u8> {
    let step = |what, number| Step {
        what,
        channel: 0,
        queue: variant,
        exchange: variant,
        key: 0,
        bits: variant,
        number,
    };
    let mut bytes = Vec::new();
    let steps = [
        step(19, 9),
        step(11, 30),
        step(11, 200),
        step(what, 0x8000),
        step(25, 0),
        step(what, 3),
        step(23, 0),
    ];
    write_session(&steps, &mut bytes);
    bytes
}

fn tables() -> Vec<FieldTable> {
    let values = vec![
        FieldValue::Bool(true),
        FieldValue::I8(-1),
        FieldValue::U8(1),
        FieldValue::I16(-1),
        FieldValue::U16(1),
        FieldValue::I32(-1),
        FieldValue::U32(1),
        FieldValue::I64(-1),
        FieldValue::F32(f32::NAN),
        FieldValue::F64(0.5),
        FieldValue::Decimal { scale: 2, value: 314 },
        FieldValue::long_string("text"),
        FieldValue::Timestamp(1_700_000_000),
        FieldValue::Void,
        FieldValue::Bytes(b"bytes".as_slice().into()),
    ];
    let mut tables: Vec<FieldTable> =
        values.iter().map(|value| FieldTable::new().with("name", value.clone())).collect();
    let all: FieldTable = values.iter().enumerate().map(|(at, value)| (name(at), value.clone())).collect();
    tables.push(FieldTable::new());
    tables.push(FieldTable::new().with("array", values).with("table", all.clone()));
    let mut deep = all;
    for _ in 0..70 {
        deep = FieldTable::new().with("t", deep);
        tables.push(deep.clone());
    }
    tables
}

fn name(number: usize) -> ShortString {
    ShortString::try_from(number.to_string()).expect("digits are short")
}

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}
