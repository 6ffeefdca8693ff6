//! Writes a seed corpus for each target to `fuzz/corpus/<target>/`, out of the crate's own encoder.

use std::{fs, io, path::PathBuf};

use leveret::connection::fuzzing::{STEP_KINDS, Step, write_session};
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
