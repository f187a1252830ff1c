//! Chains of three levels in forests of 1 and 10 million promoters, in the batch call.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tuike_core::forest::Forest;

/// So many that hardly one finds its promoter in a cache from the time before.
const LOOKUPS: usize = 1 << 22;

/// xorshift64: the same forest on each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(limit)) >> 64) as u64
    }
}

/// One promoter in ten came by himself; the others were invited by someone before them, the earlier
/// the likelier: a few have teams of thousands, most have none.
fn forest(promoters: usize, random: &mut Random) -> Forest {
    let parents: Vec<i64> = (0..promoters as u64)
        .map(|i| {
            let before = random.below(i.max(1));
            let inviter = random.below(before.max(1)) as i64;
            if i == 0 || random.below(10) == 0 { -1 } else { inviter }
        })
        .collect();
    let codes: Vec<String> = (0..promoters).map(|i| format!("p{i}")).collect();
    let mut forest = Forest::new();
    forest.load(&codes, &parents).expect("parents come before their children");
    forest
}

fn chains(c: &mut Criterion) {
    let mut group = c.benchmark_group("forest");
    group.throughput(Throughput::Elements(LOOKUPS as u64)).sample_size(10);
    for promoters in [1_000_000, 10_000_000] {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let forest = forest(promoters, &mut random);
        let indexes: Vec<u32> = (0..LOOKUPS).map(|_| random.below(promoters as u64) as u32).collect();
        group.bench_function(BenchmarkId::new("chains", promoters), |b| {
            b.iter(|| black_box(forest.chains(black_box(&indexes), 3)))
        });
    }
    group.finish();
}

criterion_group!(benches, chains);
criterion_main!(benches);
