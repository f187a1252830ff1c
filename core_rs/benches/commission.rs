//! Splits of a three-level percentage rule, in the batch call.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tuike_core::commission::{Rule, split_many};

const RULE: &str = r#"{"type":"percentage","value":"12.5",
    "levels":[{"level":1,"value":"7"},{"level":2,"value":"3"},{"level":3,"value":"1.5"}]}"#;

fn splits(c: &mut Criterion) {
    let rule = Rule::parse(RULE, "CNY").expect("a sound rule");
    // from 1 分 to 1,000,000 元, spread by a multiplicative generator
    let amounts: Vec<u64> = (1..=10_000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 100_000_000 + 1).collect();
    let mut group = c.benchmark_group("commission");
    group.throughput(Throughput::Elements(amounts.len() as u64));
    for (name, present) in [("all levels", [true; 3]), ("level 1 only", [true, false, false])] {
        let mut parts = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                parts.clear();
                split_many(black_box(&rule), black_box(&amounts), present, &mut parts);
            })
        });
    }
    group.finish();
}

criterion_group!(benches, splits);
criterion_main!(benches);
