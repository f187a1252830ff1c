//! The registry of an edge with a thousand and with 10 million promoters and links: writing its snapshot, opening it,
//! finding random codes in it, and answering hits for them.

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tuike_core::identity;
use tuike_core::journal::Batch;
use tuike_core::metrics::Metrics;
use tuike_core::registry::{Builder, HashKey, Registry, Snapshot};
use tuike_core::respond::{Headers, Method, Request, Responder, Settings};

const SIZES: [u64; 2] = [1_000, 10_000_000];
const ROWS: u64 = 10_000;
const LOOKUPS: usize = 1 << 16;
const SECRET: [u8; 32] = [1; 32];
const NOW: u64 = 1_763_900_000_000;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// xorshift64: the same codes on each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(limit)) >> 64) as u64
    }
}

/// Eight characters, another for each number below 2^40.
fn code(number: u64) -> String {
    let mixed = number.wrapping_mul(SPREAD) & ((1 << 40) - 1);
    (0..8).map(|i| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[(mixed >> (5 * i)) as usize & 31])).collect()
}

fn build(path: &std::path::Path, size: u64) {
    let mut builder = Builder::create(path, HashKey([7; 16]), size as usize, size as usize).unwrap();
    for start in (0..size).step_by(ROWS as usize) {
        let rows: Vec<_> = (start..(start + ROWS).min(size)).map(|i| format!(r#"["{}","active"]"#, code(i))).collect();
        builder.add_promoters(rows.iter().map(String::as_str)).unwrap();
    }
    let urls = ["", "", "https://shop.example/sale?from={aff}&click_id={click_id}"];
    for start in (0..size).step_by(ROWS as usize) {
        let row = |i: u64| {
            let (code, promoter) = (code(i), code(i.wrapping_mul(SPREAD) % size));
            let (url, channel) = (urls[(i % 3) as usize], ["wechat", "douyin", ""][(i % 3) as usize]);
            let product = i % 50;
            format!(
                r#"["{code}","{promoter}","prod-{product:04}","{url}","{channel}","","","","","","",null,"active"]"#
            )
        };
        let rows: Vec<_> = (start..(start + ROWS).min(size)).map(row).collect();
        builder.add_links(rows.iter().map(String::as_str)).unwrap();
    }
    builder.finish().unwrap();
}

fn registry(snapshot: Snapshot) -> Registry {
    let mut registry = Registry::default();
    let merchant = identity::seal(&SECRET, "merchant", b"key", &[0; 12]);
    let key = identity::seal(&SECRET, "day", &[9; 32], &[0; 12]);
    let mut entries = vec![
        format!(r#"{{"t":"key","day":{},"key":"{key}"}}"#, NOW / 86_400_000),
        format!(r#"{{"t":"merchant","id":"shop","currency":"CNY","secret":"{merchant}","status":"active"}}"#),
    ];
    entries.extend((0..50).map(|i| {
        format!(
            r#"{{"t":"product","id":"prod-{i:04}","merchant":"shop","url":"https://shop.example/{i}?from={{aff}}&click_id={{click_id}}","allowed_hosts":[],"cookie_days":30,"status":"active"}}"#
        )
    }));
    for entry in entries {
        registry.apply(entry.as_bytes(), 1, &SECRET).unwrap();
    }
    registry.attach(snapshot);
    registry
}

fn lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("registry");
    group.throughput(Throughput::Elements(LOOKUPS as u64)).sample_size(20);
    let dir = tempfile::tempdir_in(".").unwrap();
    let metrics = Metrics::open(&dir.path().join("metrics"), "edge-0").unwrap();
    for size in SIZES {
        let path = dir.path().join("snapshot");
        let began = Instant::now();
        build(&path, size);
        let built = began.elapsed();
        let began = Instant::now();
        let registry = registry(Snapshot::open(&path).unwrap());
        let mib = std::fs::metadata(&path).unwrap().len() as f64 / f64::from(1 << 20);
        eprintln!("{size} of each: built in {built:.2?}, {mib:.1} MiB, opened in {:.2?}", began.elapsed());
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let codes: Vec<String> = (0..LOOKUPS).map(|_| code(random.below(size))).collect();
        group.bench_function(BenchmarkId::new("promoter", size), |b| {
            b.iter(|| codes.iter().filter(|code| registry.promoter(black_box(code)).is_some()).count())
        });
        group.bench_function(BenchmarkId::new("link", size), |b| {
            let found = |code: &&String| registry.link(black_box(code)).and_then(|link| registry.promoter_of(&link));
            b.iter(|| codes.iter().filter(|code| found(code).is_some()).count())
        });
        let mut responder = Responder::new(&SECRET, &[2; 32], Settings::default());
        responder.turn(NOW);
        let mut hits = |name: &str, target: fn(&str) -> String| {
            let targets: Vec<String> = codes.iter().map(|code| target(code)).collect();
            let (mut out, mut batch) = (Vec::new(), Batch::new());
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter(|| {
                    for target in &targets {
                        let headers = Headers { user_agent: b"Mozilla/5.0", ..Headers::default() };
                        let request = Request { method: Method::Get, target: target.as_bytes(), headers, body: None };
                        out.clear();
                        batch.clear();
                        responder.respond(&registry, &request, [192, 0, 2, 9].into(), false, &mut out, &mut batch);
                    }
                    responder.settle(&metrics, true);
                })
            });
        };
        hits("pixel", |code| format!("/p.gif?aff={code}&pid=prod-0007"));
        hits("click", |code| format!("/c/{code}"));
    }
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
