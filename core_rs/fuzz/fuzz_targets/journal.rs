//! A damaged incarnation → its sound records, in order, and an end: nothing is read that does not stand there with its
//! checksum. (A fuzzer finds checksums of its own: they keep out accidents, not authors.)
//!
//! The input: how many records, their lengths, then edits of the segment (where, how many bytes, the bytes). Where it
//! begins with an odd byte the rest is the segment's file as it is.
#![cfg_attr(fuzzing, no_main)]

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tuike_core::journal::{FORMAT, Next, Reader};

const SHM: &str = "/dev/shm";
const INCARNATION: u64 = 7;
const MAGIC: [u8; 4] = [0xc1, b't', b'k', 0xff];

thread_local!(static FOLDER: RefCell<TempDir> = RefCell::new(folder()));

fn folder() -> TempDir {
    let root = if Path::new(SHM).is_dir() { SHM.into() } else { std::env::temp_dir() };
    tempfile::tempdir_in(root).unwrap()
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| run(input));

pub fn run(input: &[u8]) {
    let Some((&first, rest)) = input.split_first() else { return };
    let segment = if first % 2 == 1 { rest.to_vec() } else { damaged(first / 2 % 16, rest) };
    FOLDER.with_borrow(|folder| {
        fs::write(folder.path().join("000000.seg"), &segment).unwrap();
        read(folder.path(), &segment);
    });
}

/// A segment of `count` records with edits.
fn damaged(count: u8, mut rest: &[u8]) -> Vec<u8> {
    let mut segment = header();
    for number in 1..=u64::from(count) {
        let Some((&length, after)) = rest.split_first() else { break };
        rest = after;
        let payload = vec![number as u8; 1 + usize::from(length)];
        segment.extend_from_slice(&frame(number, &payload));
    }
    while let [low, high, count, after @ ..] = rest {
        let at = usize::from(u16::from_le_bytes([*low, *high])) % segment.len();
        let bytes = &after[..usize::from(*count).min(after.len())];
        rest = &after[bytes.len()..];
        if bytes.is_empty() {
            segment.truncate(at.max(1));
        } else {
            let end = (at + bytes.len()).min(segment.len());
            segment[at..end].copy_from_slice(&bytes[..end - at]);
        }
    }
    segment
}

/// A record as it stands in a segment.
fn frame(seq: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(payload);
    let crc = crc32fast::hash(&out[MAGIC.len()..]);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

fn header() -> Vec<u8> {
    let mut out = b"tuikejnl".to_vec();
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&0_u32.to_le_bytes());
    out.extend_from_slice(&INCARNATION.to_le_bytes());
    out.extend_from_slice(&1_u64.to_le_bytes());
    out.resize(60, 0);
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

fn read(folder: &Path, segment: &[u8]) {
    let Ok(mut reader) = Reader::open(folder, 0) else { return };
    let (mut last, mut rest) = (0, segment);
    // each step passes over a byte at least
    for _ in 0..=segment.len() + 2 {
        match reader.next() {
            Next::Record { seq, payload } => {
                assert!(seq > last, "{seq} after {last}");
                last = seq;
                let frame = frame(seq, payload);
                let place = rest.windows(frame.len()).position(|bytes| bytes == frame);
                rest = &rest[place.expect("it stands there") + frame.len()..];
            }
            // without a byte where only numbers are missing
            Next::Damage { .. } => {}
            Next::Wait | Next::End | Next::Failed(_) => return,
        }
    }
    panic!("no end after {} bytes", segment.len());
}
