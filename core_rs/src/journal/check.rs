//! Goes through all of an incarnation.

use std::path::Path;

use super::record::{HEADER, OVERHEAD};
use super::window::Window;
use super::{Error, Next, Reader, segment};

/// What an incarnation holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub records: u64,
    /// Of the sound records, with their frames.
    pub bytes: u64,
    /// The last sequence number.
    pub last: u64,
    /// Damaged stretches: segment, offset, length in bytes.
    pub damage: Vec<(u64, u64, u64)>,
    /// Bytes of a record that was being written when the writer died.
    pub torn: u64,
    /// Whether it is being written: then only what its mark shows was looked at.
    pub live: bool,
    /// Whether its writer closed it in order.
    pub closed: bool,
}

/// Checks every record of the incarnation in `dir`, up to the mark where it is live.
pub fn check(dir: &Path) -> Result<Report, Error> {
    let mut reader = Reader::open(dir, 0)?;
    let mut report = Report::default();
    loop {
        match reader.next() {
            Next::Record { seq, payload } => {
                report.records += 1;
                report.bytes += (payload.len() + OVERHEAD) as u64;
                report.last = seq;
            }
            Next::Damage { segment, offset, length } => report.damage.push((segment, offset, length)),
            Next::Wait => break,
            Next::End => break,
            Next::Failed(error) => return Err(error),
        }
    }
    report.closed = reader.is_closed();
    match reader.end() {
        None => report.live = true,
        Some(_) if report.closed => {}
        Some(end) => report.torn = torn_bytes(dir, end)?,
    }
    Ok(report)
}

/// What is not zero behind the last sound record.
fn torn_bytes(dir: &Path, (segment, offset): (u64, u64)) -> Result<u64, Error> {
    let mut torn = 0;
    for index in segment::list(dir)?.into_iter().filter(|index| *index >= segment) {
        let path = segment::path(dir, index);
        let mut window = Window::open(&path).map_err(Error::io(&path))?;
        let from = if index == segment { offset } else { HEADER };
        torn += window.end_of_data(from, window.len) - from;
    }
    Ok(torn)
}
