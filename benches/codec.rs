//! What reading costs: splitting frames, decoding a publish, checking properties, decoding a table.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use leveret::protocol::{
    FieldTable, Method, Properties, PropertiesView, ShortString, TableView, basic, split, write_bodies,
    write_header, write_method,
};

const FRAME_SIZE_BYTES_MAX: usize = 131_072;
const READ_BYTES: usize = 65_536;
const BODY: [u8; 16] = [b'x'; 16];

fn publish() -> basic::Publish {
    basic::Publish {
        exchange: ShortString::from_static("orders"),
        routing_key: ShortString::from_static("eu.created"),
        mandatory: false,
        immediate: false,
    }
}

fn headers() -> FieldTable {
    FieldTable::new()
        .with("x-delay", 500)
        .with("trace-id", "4bf92f3577b34da6a3ce929d0e0e4736")
        .with("retry", false)
}

fn properties() -> Vec<u8> {
    let mut out = Vec::new();
    let properties = Properties {
        content_type: Some(ShortString::from_static("application/json")),
        headers: Some(headers()),
        delivery_mode: Some(2),
        message_id: Some(ShortString::from_static("0d6f9f6e-3a1c-4c53-a1a5-5e0b7a1d3c11")),
        ..Properties::default()
    };
    properties.encode(&mut out);
    out
}

/// As many whole publishes of 16 bytes as one read holds.
fn one_read() -> Vec<u8> {
    let mut message = Vec::new();
    write_method(&mut message, 1, &publish());
    write_header(&mut message, 1, basic::CLASS_ID, BODY.len() as u64, &[0x10, 0, 2]);
    write_bodies(&mut message, 1, &BODY, FRAME_SIZE_BYTES_MAX);
    message.repeat(READ_BYTES / message.len())
}

fn frames(criterion: &mut Criterion) {
    let read = one_read();
    let mut group = criterion.benchmark_group("split");
    group.throughput(Throughput::Bytes(read.len() as u64));
    group.bench_function("64 KiB of publishes", |bencher| {
        bencher.iter(|| {
            let mut rest = black_box(read.as_slice());
            let mut payload_bytes = 0;
            while let Ok(Some((frame, used))) = split(rest, FRAME_SIZE_BYTES_MAX) {
                payload_bytes += frame.payload.len();
                rest = &rest[used..];
            }
            payload_bytes
        });
    });
    group.finish();
}

fn methods(criterion: &mut Criterion) {
    let mut frame = Vec::new();
    write_method(&mut frame, 1, &publish());
    let payload = &frame[7..frame.len() - 1];
    let mut group = criterion.benchmark_group("publish");
    group.bench_function("decode, owned", |bencher| bencher.iter(|| Method::decode(black_box(payload))));
    group.bench_function("decode, borrowed", |bencher| {
        bencher
            .iter(|| basic::PublishView::decode(black_box(&payload[4..])).map(|view| view.routing_key.len()));
    });
    let mut out = Vec::with_capacity(256);
    let method = publish();
    group.bench_function("encode a frame", |bencher| {
        bencher.iter(|| {
            out.clear();
            write_method(&mut out, 1, black_box(&method));
            out.len()
        });
    });
    group.finish();
}

fn content(criterion: &mut Criterion) {
    let properties = properties();
    let mut table = Vec::new();
    headers().encode(&mut table);
    let table = &table[4..];
    let mut group = criterion.benchmark_group("content");
    group.bench_function("view properties", |bencher| {
        bencher.iter(|| PropertiesView::parse(black_box(&properties)).map(|view| view.is_persistent()));
    });
    group.bench_function("decode properties", |bencher| {
        bencher.iter(|| Properties::decode(black_box(&properties)));
    });
    group.bench_function("decode table", |bencher| bencher.iter(|| FieldTable::decode(black_box(table))));
    group.bench_function("validate table", |bencher| bencher.iter(|| FieldTable::validate(black_box(table))));
    group.bench_function("find a name in a table", |bencher| {
        bencher.iter(|| TableView::new(black_box(table)).get("retry").map(|entry| entry.tag));
    });
    group.finish();
}

criterion_group!(benches, frames, methods, content);
criterion_main!(benches);
