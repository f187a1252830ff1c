//! The touch store: batches of clicks put, each by another visitor, with a new address or with one that all share; and
//! what fraud rules ask of an order whose click is one of a million of one address.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tuike_core::event::{Event, Id, Kind};
use tuike_core::touches::{Ask, TouchStore};

const BATCH: u64 = 10_000;
const FLOOD: u64 = 1_000_000;
const DAY: u64 = 86_400_000;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

fn id(number: u64) -> Id {
    (u128::from(number.wrapping_mul(SPREAD)) << 64 | u128::from(number)).to_be_bytes()
}

fn click(number: u64, address: Option<u64>) -> Event<'static> {
    Event {
        kind: Kind::Click,
        id: Some(id(number)),
        at: 20_000 * DAY + number % DAY,
        merchant: "merchant",
        aff: "promoter",
        pid: "product",
        channel: "wechat",
        visitor: Some(id(!number)),
        fingerprint: Some(id(address.unwrap_or(number) + 1)),
        address: address.map(id),
        prefix: "192.0.2.0/24",
        agent: 7,
        counted: true,
        ..Event::default()
    }
}

fn put(c: &mut Criterion) {
    let mut group = c.benchmark_group("touches");
    group.throughput(Throughput::Elements(BATCH)).sample_size(20);
    for (name, address) in [
        ("put, no address", (|_| None) as fn(u64) -> Option<u64>),
        ("put, each its address", Some),
        ("put, one address", |_| Some(1)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = TouchStore::open(dir.path()).unwrap();
        let mut next = 0;
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    next += BATCH;
                    (next..next + BATCH).map(|n| click(n, address(n))).collect::<Vec<_>>()
                },
                |clicks| store.put(clicks).unwrap(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn seen(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TouchStore::open(dir.path()).unwrap();
    for first in (0..FLOOD).step_by(BATCH as usize) {
        store.put((first..first + BATCH).map(|n| click(n, (n % 2 == 0).then_some(1).or(Some(n))))).unwrap();
    }
    let ask = |number: u64| Ask {
        merchant: "merchant",
        click: Some(id(number)),
        visitor: None,
        cust: "",
        did: "",
        since: 0,
        at: 20_001 * DAY,
        most: 201,
    };
    let mut n = 0;
    c.bench_function("touches/facts of a click of its own address", |b| {
        b.iter(|| {
            n = (n + 2) % FLOOD;
            black_box(store.seen(&ask(n + 1)).unwrap())
        });
    });
    c.bench_function("touches/facts of a click of half a million's address", |b| {
        b.iter(|| {
            n = (n + 2) % FLOOD;
            black_box(store.seen(&ask(n)).unwrap())
        });
    });
}

criterion_group!(benches, put, seen);
criterion_main!(benches);
