//! Splits of a three-level percentage rule, in the batch call; orders with one, three and ten credited
//! promoters, by that rule and by one that has everything.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tuike_core::commission::{Credit, MAX_CEILING, Rule, split_many};

const RULE: &str = r#"{"type":"percentage","value":"12.5",
    "levels":[{"level":1,"value":"7"},{"level":2,"value":"3"},{"level":3,"value":"1.5"}]}"#;

const EVERYTHING: &str = r#"{"type":"hybrid","base":{"type":"tiered","mode":"marginal","tiers":[
    {"from":"0","value":"5"},{"from":"10000","value":"8"},{"from":"50000","value":"10"}]},
    "bonus":[{"type":"fixed","value":"2","min_amount":"100"},{"type":"percentage","value":"0.5","from":"2026-11-01"}],
    "multiplier":{"value":"1.5","from":"2026-11-11","until":"2026-11-12"},"max_per_order":"500",
    "promoter_tier_bonus":{"gold":"1"},"missing_level":"redistribute","overrides":[{"kind":"kol","value":"12"}],
    "levels":[{"level":1,"share":"60"},{"level":2,"share":"25"},{"level":3,"share":"10"}]}"#;

/// 2026-11-11.
const AT: u64 = 1_794_355_200_000;

fn credit(weight: u64, present: [bool; 3]) -> Credit<'static> {
    Credit { promoter: "p", kind: "member", weight, total: 990_000, tier: "gold", present }
}

/// From 1 fen to 1,000,000 yuan, spread by a multiplicative generator.
fn amounts() -> Vec<u64> {
    (1..=10_000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 100_000_000 + 1).collect()
}

fn splits(c: &mut Criterion) {
    let rule = Rule::parse(RULE, "CNY", MAX_CEILING).expect("a sound rule");
    let amounts = amounts();
    let mut group = c.benchmark_group("commission");
    group.throughput(Throughput::Elements(amounts.len() as u64));
    for (name, present) in [("all levels", [true; 3]), ("level 1 only", [true, false, false])] {
        let credit = credit(1_000_000_000, present);
        let mut parts = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                parts.clear();
                split_many(black_box(&rule), black_box(&amounts), AT, &credit, &mut parts).expect("sound orders");
            })
        });
    }
    group.finish();
}

fn bookings(c: &mut Criterion) {
    let amounts = amounts();
    let mut group = c.benchmark_group("booking");
    group.throughput(Throughput::Elements(amounts.len() as u64));
    for (name, rule) in [("three levels", RULE), ("everything", EVERYTHING)] {
        let rule = Rule::parse(rule, "CNY", MAX_CEILING).expect("a sound rule");
        for promoters in [1, 3, 10] {
            let mut credits = vec![credit(1_000_000_000 / promoters, [true, true, false]); promoters as usize];
            credits[0].weight += 1_000_000_000 % promoters;
            group.bench_function(BenchmarkId::new(name, promoters), |b| {
                b.iter(|| amounts.iter().for_each(|amount| drop(black_box(rule.book(Some(*amount), AT, &credits)))))
            });
        }
    }
    group.finish();
}

criterion_group!(benches, splits, bookings);
criterion_main!(benches);
