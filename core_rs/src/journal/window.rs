//! A segment's bytes as a reader sees them: read ahead in pieces, never further than it may.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use memchr::memmem;

use super::record::{self, HEADER, Header, MAGIC, OVERHEAD, PREFIX};

/// How much is read at once.
const READ_AHEAD: usize = 256 << 10;
/// The unit in which a disk loses bytes.
const BLOCK: usize = 4096;

pub struct Window {
    /// None where the segment is missing: it then has no bytes.
    file: Option<File>,
    /// The length of the file; it never grows.
    pub len: u64,
    /// Where `bytes` begin in the file.
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    pub fn open(path: &Path) -> io::Result<Window> {
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let len = file.as_ref().map_or(Ok(0), |f| f.metadata().map(|m| m.len()))?;
        Ok(Window { file, len, start: 0, bytes: Vec::new() })
    }

    pub fn header(&mut self) -> Option<Header> {
        Header::decode(self.bytes(0, HEADER as usize, HEADER))
    }

    /// The bytes from `at` on: `wanted` or more where there are as many before `limit`.
    #[inline]
    pub fn bytes(&mut self, at: u64, wanted: usize, limit: u64) -> &[u8] {
        let end = self.start + self.bytes.len() as u64;
        if at < self.start || at + wanted as u64 > end {
            self.fill(at, wanted, limit);
        }
        let skip = (at - self.start).min(self.bytes.len() as u64) as usize;
        &self.bytes[skip..]
    }

    #[cold]
    fn fill(&mut self, at: u64, wanted: usize, limit: u64) {
        let length = limit.min(self.len).saturating_sub(at).min(wanted.max(READ_AHEAD) as u64) as usize;
        self.start = at;
        self.bytes.resize(length, 0);
        let Some(file) = &self.file else { return };
        let mut done = 0;
        while done < length {
            match file.read_at(&mut self.bytes[done..], at + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // a block that cannot be read is one of zeros, which is damage, not the end of everything
                Err(_) => {
                    let lost = done..(done + BLOCK - (at as usize + done) % BLOCK).min(length);
                    done = lost.end;
                    self.bytes[lost].fill(0);
                }
            }
        }
        self.bytes[done..].fill(0);
    }

    /// Sequence number and size of the sound record at `at`.
    #[inline]
    pub fn record(&mut self, at: u64, limit: u64) -> Option<(u64, usize)> {
        let mut bytes = self.bytes(at, PREFIX, limit);
        let size = record::claimed_size(bytes.get(..PREFIX)?)?;
        if bytes.len() < size {
            bytes = self.bytes(at, size, limit);
        }
        let record = bytes.get(..size)?;
        record::is_sound(record).then(|| (record::seq(record), size))
    }

    /// The payload of the record that was just found at `at`.
    #[inline]
    pub fn payload(&self, at: u64, size: usize) -> &[u8] {
        let skip = (at - self.start) as usize;
        record::payload(&self.bytes[skip..skip + size])
    }

    /// The first sound record at or after `at` with a sequence number of at least `lowest`: where, and which.
    pub fn find(&mut self, mut at: u64, limit: u64, lowest: u64) -> Option<(u64, u64)> {
        loop {
            let bytes = self.bytes(at, OVERHEAD, limit);
            if bytes.len() < OVERHEAD {
                return None;
            }
            let Some(skip) = memmem::find(bytes, &MAGIC) else {
                at += (bytes.len() - MAGIC.len() + 1) as u64;
                continue;
            };
            at += skip as u64;
            match self.record(at, limit) {
                Some((seq, _)) if seq >= lowest => return Some((at, seq)),
                _ => at += 1,
            }
        }
    }

    /// Where the last byte other than zero in `[at, limit)` ends; `at` where there is none.
    pub fn end_of_data(&mut self, at: u64, limit: u64) -> u64 {
        let (mut from, mut end) = (at, at);
        loop {
            let bytes = self.bytes(from, 1, limit);
            if bytes.is_empty() {
                return end;
            }
            if let Some(last) = bytes.iter().rposition(|b| *b != 0) {
                end = from + last as u64 + 1;
            }
            from += bytes.len() as u64;
        }
    }
}
