//! Puts other payloads of the same length into a segment that is written to its end: what the law says has to go.
//!
//! The segment is written anew beside the old one, synced, and takes its name: who is killed leaves the old one or the
//! new one, whole. Header, sequence numbers, offsets and whatever is no sound record stay as they are, so marks hold,
//! and a reader that has the old file open reads on in it.

use std::fs::{File, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::live::TURN;
use super::record::{self, HEADER, Header, MAGIC, OVERHEAD, PREFIX};
use super::segment::{self, sync_directory};
use super::{Error, Reader};

/// What came of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewritten {
    /// Its writer has not come to its end yet: nothing was done.
    Open,
    /// So many records are other ones now.
    Records(u64),
}

/// Gives each record of a segment the payload that `change` makes of it, where it makes one. `concerns` says of the
/// whole segment's bytes whether any record can be changed. A segment that is not there has no records.
///
/// # Panics
/// Where `change` makes a payload of another length.
pub fn rewrite(
    dir: &Path,
    index: u64,
    concerns: impl Fn(&[u8]) -> bool,
    change: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Rewritten, Error> {
    let open = Reader::open(dir, u64::MAX)?.open_segment()?;
    if open.is_some_and(|(open, _)| index >= open) {
        return Ok(Rewritten::Open);
    }
    let path = segment::path(dir, index);
    let Some(mut bytes) = read(&path)?.filter(|bytes| concerns(bytes)) else { return Ok(Rewritten::Records(0)) };
    let changed = change_records(&mut bytes, change);
    if changed > 0 {
        replace(dir, index, &bytes).map_err(Error::io(&path))?;
    }
    Ok(Rewritten::Records(changed))
}

/// Calls `take` with each record that may be one of those which `concerns` a segment's bytes, up to the end of what is
/// written, until it says that it has enough.
pub fn find(
    dir: &Path,
    index: u64,
    concerns: impl Fn(&[u8]) -> bool,
    mut take: impl FnMut(u64, &[u8]) -> bool,
) -> Result<(), Error> {
    let Some(bytes) = read(&segment::path(dir, index))?.filter(|bytes| concerns(bytes)) else { return Ok(()) };
    let mut at = HEADER as usize;
    while let Some((start, size)) = next_record(&bytes, at) {
        let record = &bytes[start..start + size];
        if !take(record::seq(record), record::payload(record)) {
            break;
        }
        at = start + size;
    }
    Ok(())
}

/// The indexes of an incarnation's segments that have records, as far as readers may know, ascending.
pub fn segments(dir: &Path) -> Result<Vec<u64>, Error> {
    let open = Reader::open(dir, u64::MAX)?.open_segment()?;
    let begun = |index: &u64| open.is_none_or(|(open, shown)| *index < open || (*index == open && shown));
    Ok(segment::list(dir)?.into_iter().filter(begun).collect())
}

/// Asks whoever writes the incarnation to begin another segment with its next tick.
pub fn ask_to_turn(dir: &Path) -> Result<(), Error> {
    let path = dir.join(TURN);
    File::create(&path).map(drop).map_err(Error::io(&path))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => {
            let bytes = other.map_err(Error::io(path))?;
            // one that has not begun has no records
            Ok(Header::decode(&bytes).is_some().then_some(bytes))
        }
    }
}

fn change_records(bytes: &mut [u8], mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> u64 {
    let (mut at, mut changed) = (HEADER as usize, 0);
    while let Some((start, size)) = next_record(bytes, at) {
        let record = &mut bytes[start..start + size];
        if let Some(payload) = change(record::payload(record)) {
            assert_eq!(payload.len() + OVERHEAD, size, "a record keeps its length");
            record[PREFIX..PREFIX + payload.len()].copy_from_slice(&payload);
            record::number(record, record::seq(record));
            changed += 1;
        }
        at = start + size;
    }
    changed
}

/// The first sound record at or after `at`: where, and its size.
fn next_record(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    loop {
        let rest = bytes.get(at..).filter(|rest| rest.len() >= OVERHEAD)?;
        let size = record::claimed_size(rest);
        if let Some(size) = size.filter(|size| rest.len() >= *size && record::is_sound(&rest[..*size])) {
            return Some((at, size));
        }
        at += 1 + memmem::find(&rest[1..], &MAGIC)?;
    }
}

/// Puts the bytes in the segment's place, durably and at once.
fn replace(dir: &Path, index: u64, bytes: &[u8]) -> io::Result<()> {
    let (draft, path) = (draft(dir, index), segment::path(dir, index));
    // when it was written to last says how old what stands in it is
    let times = FileTimes::new().set_modified(std::fs::metadata(&path)?.modified()?);
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).open(&draft)?;
    let written = file.write_all(bytes).and_then(|()| file.set_times(times)).and_then(|()| file.sync_all());
    if let Err(error) = written {
        std::fs::remove_file(&draft)?;
        return Err(error);
    }
    std::fs::rename(&draft, path)?;
    sync_directory(dir)
}

/// No segment's name: readers pass it over, and whoever writes it next writes it whole.
fn draft(dir: &Path, index: u64) -> PathBuf {
    dir.join(format!(".{index:06}.rewritten"))
}
