//! What a route costs with 10, 10,000 and 100,000 bindings of which exactly one matches: it should stay level.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use leveret::core::routing::{Addressing, ExchangeKind, Router};
use leveret::protocol::FieldTable;

/// Makes the pattern of binding number `n`.
type Pattern = fn(i32) -> String;

/// A router whose binding number `n` is made by `binding`.
fn router(kind: ExchangeKind, bindings: i32, binding: impl Fn(i32) -> (String, FieldTable)) -> Router<i32> {
    let mut router = Router::new(kind, &FieldTable::new());
    for n in 0..bindings {
        let (key, arguments) = binding(n);
        router.bind(key.as_bytes(), &arguments, n);
    }
    router
}

fn routed(router: &Router<i32>, key: &[u8], headers: Option<&FieldTable>) -> usize {
    let mut destinations = 0;
    let keys = [key];
    let message = Addressing { headers, ..Addressing::by_keys(&keys) };
    router.route(black_box(&message), &mut |_| destinations += 1);
    destinations
}

fn direct(c: &mut Criterion) {
    let mut group = c.benchmark_group("route/direct");
    for bindings in SIZES {
        let router = router(ExchangeKind::Direct, bindings, |n| (format!("orders.{n}"), FieldTable::new()));
        group.bench_function(BenchmarkId::from_parameter(bindings), |b| {
            b.iter(|| assert_eq!(routed(&router, b"orders.7", None), 1));
        });
    }
}

fn topic(c: &mut Criterion) {
    let patterns: [(&str, Pattern); 3] = [
        ("words", |n| format!("sensor.{n}.temp")),
        ("star", |n| format!("sensor.{n}.*")),
        ("hash", |n| format!("#.{n}.#")),
    ];
    for (name, pattern) in patterns {
        let mut group = c.benchmark_group(format!("route/topic/{name}"));
        for bindings in SIZES {
            let router = router(ExchangeKind::Topic, bindings, |n| (pattern(n), FieldTable::new()));
            group.bench_function(BenchmarkId::from_parameter(bindings), |b| {
                b.iter(|| assert_eq!(routed(&router, b"sensor.7.temp", None), 1));
            });
        }
    }
}

fn headers(c: &mut Criterion) {
    for word in ["all", "any"] {
        let mut group = c.benchmark_group(format!("route/headers/{word}"));
        for bindings in SIZES {
            let router = router(ExchangeKind::Headers, bindings, |n| {
                let arguments = FieldTable::new().with("x-match", word).with("page", n);
                (String::new(), arguments.with(if word == "all" { "format" } else { "other" }, "pdf"))
            });
            let message = FieldTable::new().with("page", 7).with("format", "pdf").with("size", 12);
            group.bench_function(BenchmarkId::from_parameter(bindings), |b| {
                b.iter(|| assert_eq!(routed(&router, b"", Some(&message)), 1));
            });
        }
    }
}

const SIZES: [i32; 3] = [10, 10_000, 100_000];

criterion_group!(benches, direct, topic, headers);
criterion_main!(benches);
