//! The journal's rules, on real files. Faults of the disk are tested from outside: tests/chaos.

mod damage;
mod incarnation;
mod rewriting;
mod writing;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::segment::Sizes;
use super::{Batch, Durability, Next, Reader, Writer, incarnations};

/// Small, so that a few records cross into the next segment.
const SMALL: Sizes = Sizes { first: 512, max: 2048 };
const PATIENCE: Duration = Duration::from_secs(120);

/// A root of its own, with the one producer `p`.
struct Journal(TempDir);

impl Journal {
    fn new() -> Journal {
        Journal(tempfile::tempdir().unwrap())
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn writer(&self, incarnation: u64, durability: Durability) -> Writer {
        Writer::open_sized(self.root(), "p", incarnation, durability, SMALL).unwrap()
    }

    /// The only incarnation's directory.
    fn dir(&self) -> PathBuf {
        let [(_, _, dir)] = &incarnations(self.root()).unwrap()[..] else { panic!("one incarnation") };
        dir.clone()
    }
}

/// A journal that its writer left without closing it, with these payloads.
fn left_behind(payloads: &[Vec<u8>]) -> Journal {
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Process);
    append_each(&writer, payloads);
    journal
}

fn append_each(writer: &Writer, payloads: &[Vec<u8>]) {
    for payload in payloads {
        append(writer, std::slice::from_ref(payload));
    }
}

/// Appends the payloads as one batch.
fn append(writer: &Writer, payloads: &[Vec<u8>]) -> u64 {
    let mut batch = Batch::new();
    payloads.iter().for_each(|payload| batch.push_payload(payload));
    let seq = writer.append(&mut batch).unwrap();
    assert!(batch.is_empty());
    seq
}

/// Payloads of growing length that differ.
fn payloads(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|i| vec![i + 1; 20 + 7 * usize::from(i)]).collect()
}

/// Everything a reader brings until it waits or ends.
#[derive(Debug, Default, PartialEq)]
struct Read {
    records: Vec<(u64, Vec<u8>)>,
    damage: Vec<(u64, u64, u64)>,
    ended: bool,
}

fn read(reader: &mut Reader) -> Read {
    let mut read = Read::default();
    loop {
        match reader.next() {
            Next::Record { seq, payload } => read.records.push((seq, payload.to_vec())),
            Next::Damage { segment, offset, length } => read.damage.push((segment, offset, length)),
            Next::Wait => return read,
            Next::End => return Read { ended: true, ..read },
            Next::Failed(error) => panic!("{error}"),
        }
    }
}

fn read_dir(dir: &Path, after: u64) -> Read {
    read(&mut Reader::open(dir, after).unwrap())
}

/// The payloads numbered from 1, as a reader brings them.
fn numbered(payloads: &[Vec<u8>]) -> Vec<(u64, Vec<u8>)> {
    (1..).zip(payloads.iter().cloned()).collect()
}
