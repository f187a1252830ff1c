//! Appending a turn's events, reading them back, and asking a quiet journal for news.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use tuike_core::journal::{Batch, Durability, MAX_SEGMENT, Next, Reader, Writer, incarnations};

const TURN: u64 = 256;
const PAYLOAD: [u8; 200] = [b'x'; 200];
/// Then another journal is begun: 54 MiB.
const TURNS: u64 = 1000;

fn turn() -> Batch {
    let mut batch = Batch::new();
    (0..TURN).for_each(|_| batch.push_payload(&PAYLOAD));
    batch
}

/// A journal in memory, so that the disk is not what is measured.
fn journal(durability: Durability) -> (TempDir, Writer) {
    let root = tempfile::tempdir_in("/dev/shm").expect("a file system in memory");
    let writer = Writer::open(root.path(), "bench", 1, durability, MAX_SEGMENT).expect("room");
    (root, writer)
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append 256 records of 200 bytes");
    group.throughput(Throughput::Elements(TURN));
    for durability in [Durability::Process, Durability::Interval] {
        group.bench_function(format!("{durability:?}"), |b| {
            b.iter_custom(|turns| {
                let mut spent = Duration::ZERO;
                let mut left = turns;
                while left > 0 {
                    let (_root, writer) = journal(durability);
                    let some = left.min(TURNS);
                    for _ in 0..some {
                        let mut batch = turn();
                        let begun = Instant::now();
                        writer.append(&mut batch).expect("room");
                        spent += begun.elapsed();
                    }
                    left -= some;
                }
                spent
            });
        });
    }
}

fn read(c: &mut Criterion) {
    let (root, writer) = journal(Durability::Process);
    for _ in 0..TURNS {
        writer.append(&mut turn()).expect("room");
    }
    let dir = incarnations(root.path()).expect("readable").remove(0).2;
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Elements(TURNS * TURN));
    group.bench_function("all", |b| {
        b.iter(|| {
            let mut reader = Reader::open(&dir, 0).expect("readable");
            let mut bytes = 0;
            while let Next::Record { payload, .. } = reader.next() {
                bytes += black_box(payload).len();
            }
            bytes
        });
    });
    group.throughput(Throughput::Elements(1));
    let mut reader = Reader::open(&dir, u64::MAX).expect("readable");
    while !matches!(reader.next(), Next::Wait) {}
    group.bench_function("nothing new", |b| b.iter(|| matches!(reader.next(), Next::Wait)));
}

criterion_group!(benches, append, read);
criterion_main!(benches);
