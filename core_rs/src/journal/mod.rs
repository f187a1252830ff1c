//! The journal: what happened, append-only, in files. Everything else in tuike is a fold of it.
//!
//! ```text
//! ROOT/PRODUCER/INCARNATION (16 hex digits)/
//!     000000.seg 000001.seg …   segments: a header, records, zeros
//!     mark                      one mapped page: how far readers may go, the clock, the end
//!     lock                      held (flock) while the writer lives
//!     turn                      somebody asks for another segment, so that the one before can be rewritten
//! ```
//!
//! Each start of a producer is a new *incarnation* with sequence numbers from 1; nothing is ever continued,
//! truncated or written twice, but by the law: see [`rewrite`]. Its directory is made under a hidden name and
//! appears complete. Where a sync fails, another incarnation takes over what was not durable: who deletes
//! incarnations begins with the oldest.
//!
//! | module | what it knows |
//! |---|---|
//! | [`record`] | the bytes: segment header, record, [`Batch`] |
//! | [`segment`] | making files that are safe to write to |
//! | [`mark`] | the shared page |
//! | [`live`] | one incarnation on disk, as its writer has it |
//! | [`writer`] | [`Writer`]: what a producer calls |
//! | [`shared`] | the writer's state; append, and moving on to another incarnation |
//! | [`upkeep`] | the writer's two threads: syncing and mending, allocating ahead |
//! | [`event_fd`] | how the upkeep wakes an event loop |
//! | [`window`], [`reader`] | [`Reader`]: one incarnation, live or ended |
//! | [`check`] | goes through all of an incarnation |
//! | [`rewrite`] | puts other payloads of the same length into a segment that is written to its end |
//!
//! **For those who follow several producers.** The promise "nothing of mine received before `clock_ms` is to
//! come" holds for what lies behind a mark's `seq`. So: take the time, take each known reader's [`Mark`], list
//! [`incarnations`] and take the marks of new ones, then read each up to its mark's `seq`. The watermark is the
//! least clock of those alive, or the time taken first where none is. In this order no incarnation is
//! overlooked, not even one that takes over the unsynced rest of another.

mod check;
mod event_fd;
mod live;
mod mark;
mod reader;
mod record;
mod rewrite;
mod segment;
mod shared;
#[cfg(test)]
mod tests;
mod upkeep;
mod window;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use check::{Report, check};
pub use reader::{Mark, Next, Reader};
pub use record::Batch;
pub use rewrite::{Rewritten, ask_to_turn, find, rewrite, segments};
pub(crate) use segment::sync_directory;
pub use writer::{AppendError, Writer};

/// The format of segments and marks that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// Segments grow up to this by default.
pub const MAX_SEGMENT: u64 = 64 << 20;

/// What an append's return, and the mark, promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Written: survives the end of the process, not a power cut.
    Process,
    /// Synced within 100 ms, or at once when asked; only what is synced is shown to readers.
    Interval,
    /// Synced before append returns.
    Always,
}

impl Durability {
    pub fn from_name(name: &str) -> Option<Durability> {
        match name {
            "process" => Some(Durability::Process),
            "interval" => Some(Durability::Interval),
            "always" => Some(Durability::Always),
            _ => None,
        }
    }
}

/// Why a journal cannot be opened or closed.
#[derive(Debug)]
pub enum Error {
    Io {
        path: PathBuf,
        source: io::Error,
    },
    /// Written by a newer tuike.
    Newer {
        path: PathBuf,
        version: u32,
    },
    /// Producers are named by 1 to 64 of `A-Za-z0-9._-`, not a dot first.
    Producer(String),
    /// A segment must have room for the longest event.
    SegmentSize(u64),
    /// On closing: this many events of the last incarnation could not be made durable.
    Unsynced {
        events: u64,
        reason: &'static str,
    },
}

impl Error {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Error {
        |source| Error::Io { path: path.to_owned(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Error::Newer { path, version } => write!(
                f,
                "{}: journal format {version} is newer than this program's {FORMAT}; use the newer tuike",
                path.display()
            ),
            Error::Producer(name) => write!(f, "{name:?} cannot name a producer: 1 to 64 of A-Za-z0-9._-"),
            Error::SegmentSize(size) => write!(f, "segments of {size} bytes are too small for the longest event"),
            Error::Unsynced { events, reason } => write!(f, "{events} events could not be synced ({reason})"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// All incarnations under a root, sorted by producer and number. A missing root has none.
pub fn incarnations(root: &Path) -> Result<Vec<(String, u64, PathBuf)>, Error> {
    let mut found = Vec::new();
    for (producer, dir) in subdirectories(root)? {
        for (name, path) in subdirectories(&dir)? {
            if let Some(incarnation) = parse_name(&name) {
                found.push((producer.clone(), incarnation, path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The registry version that each live producer has applied, by producer.
pub fn live_marks(root: &Path) -> Result<BTreeMap<String, u64>, Error> {
    let mut versions = BTreeMap::new();
    for (producer, _, dir) in incarnations(root)? {
        let mark = Reader::open(&dir, u64::MAX)?.mark();
        if mark.live {
            // a producer has two while it moves to another incarnation
            let version = versions.entry(producer).or_insert(mark.registry);
            *version = mark.registry.min(*version);
        }
    }
    Ok(versions)
}

/// The visible directories in `dir` with names of UTF-8.
fn subdirectories(dir: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let entries = match dir.read_dir() {
        // a directory may go while we look, such as an old one of the registry log
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io(dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io(dir))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with('.') && entry.file_type().is_ok_and(|t| t.is_dir()) {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// The directory name of an incarnation.
fn name(incarnation: u64) -> String {
    format!("{incarnation:016x}")
}

fn parse_name(name: &str) -> Option<u64> {
    let digits = name.len() == 16 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if digits { u64::from_str_radix(name, 16).ok() } else { None }
}
