//! Weights of paths of five touches.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tuike_core::attribution::{DEFAULT_HALF_LIFE, Model, weights};

fn paths(c: &mut Criterion) {
    let hour = 3_600_000;
    let paths: Vec<[u64; 5]> = (1..=1_000u64)
        .map(|i| {
            let mut path = [1, 2, 3, 4, 5].map(|j| (i * j).wrapping_mul(0x9e37_79b9_7f4a_7c15) % (720 * hour));
            path.sort_unstable();
            path
        })
        .collect();
    let mut group = c.benchmark_group("attribution");
    group.throughput(Throughput::Elements(paths.len() as u64));
    for (name, model) in [("time decay", Model::TimeDecay), ("position", Model::Position), ("linear", Model::Linear)] {
        group.bench_function(name, |b| {
            b.iter(|| paths.iter().for_each(|path| drop(black_box(weights(model, path, DEFAULT_HALF_LIFE)))))
        });
    }
    group.finish();
}

criterion_group!(benches, paths);
criterion_main!(benches);
