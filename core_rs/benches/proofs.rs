//! The hash chain and Merkle trees over as many transfers as a busy day has.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tuike_core::{ledger::Texts, merkle::Tree};

/// As an order with three levels is accrued.
const ENTRIES: [(&str, i64); 5] = [
    ("merchant:teashop:payable", -12_345),
    ("promoter:anna.lee:pending", 6_913),
    ("promoter:bob-2:pending", 2_963),
    ("promoter:carol_33:pending", 1_481),
    ("platform:revenue", 988),
];

fn chain(c: &mut Criterion) {
    let mut group = c.benchmark_group("ledger");
    for transfers in [10_000u64, 100_000] {
        group.throughput(Throughput::Elements(transfers));
        group.bench_function(BenchmarkId::new("chain hashes", transfers), |b| {
            b.iter(|| {
                let mut texts = Texts::default();
                (1..=transfers).for_each(|number| texts.push(number, "CNY", ENTRIES));
                black_box(texts.chain([0; 32]))
            })
        });
    }
    group.finish();
}

fn trees(c: &mut Criterion) {
    let mut group = c.benchmark_group("merkle");
    for leaves in [10_000u64, 100_000] {
        let leaves: Vec<[u8; 8]> = (0..leaves).map(u64::to_le_bytes).collect();
        group.throughput(Throughput::Elements(leaves.len() as u64));
        group.bench_function(BenchmarkId::new("tree", leaves.len()), |b| {
            b.iter(|| black_box(Tree::new(black_box(&leaves))))
        });
    }
    group.finish();
}

criterion_group!(benches, chain, trees);
criterion_main!(benches);
