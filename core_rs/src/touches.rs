//! The embedded touch store: clicks and views by visitor, customer, device, fingerprint and address.
//!
//! An LSM tree (fjall) in *slices*, one per UTC day of `at`, so that expiry is dropping whole slices.
//! In its slice a touch is one record under its event id, and one entry without a value for each key
//! it can be found by:
//!
//! ```text
//! 0  id                                                   → the event, cut to what attribution needs
//! 1  length merchant  length visitor      at  id          → nothing
//! 2  length merchant  length customer     at  id          → nothing
//! 3  length merchant  length device       at  id          → nothing
//! 4  length merchant  length fingerprint  at  id          → nothing
//! 5  length merchant  length address      at  id          → nothing (counted clicks alone)
//! ```
//!
//! Numbers are big-endian (lengths 2 bytes, `at` 8), so a path is one range, ordered by time then id.
//! Keys and values follow from the event alone: putting one again changes nothing.
//!
//! Clicks that bind their customer count for good, so they stand a second time, in a keyspace of their
//! own that no day takes with it: under visitor and customer as above, each with its record.
//!
//! A click is looked for in the slice of its id's own time first, where every click of an edge is but
//! for those at midnight. An imported click has its own `at` and an id of another time, so the other
//! slices are asked after that: their filters make a miss there about a microsecond each.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

mod facts;
mod listing;
mod rows;
mod table;

pub use facts::{Ask, MAX_LOOKED_AT, Seen, Tally};
pub use listing::Wanted;
pub use rows::{Row, Rows, erased_rows, range, record_key, rows};

use fjall::compaction::Leveled;
use fjall::config::{PartitioningPolicy, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode, Slice};

use crate::erasure::{Erasure, Erasures};
use crate::event::{DecodeError, Event, Id, Kind};
use crate::journal::sync_directory;
use table::Table;

/// Blocks, filters and indexes kept in memory, bytes.
const CACHE: u64 = 16 << 20;
/// A slice's write buffer goes to disk at this size, bytes.
const SLICE_BUFFER: u64 = 16 << 20;
/// So many tables as they were written, in any order of keys, are merged into the first level of sorted ones.
const TABLES: u8 = 8;
/// A sorted table's size, bytes; [`TABLES`] of them are the first level. More of the first and less of this
/// makes a merge rewrite less, and a search look at more.
const TABLE: u64 = 32 << 20;
/// All slices' write buffers, those on their way to disk included, bytes.
const BUFFERS: u64 = 64 << 20;
/// fjall's own journals on disk, bytes.
const JOURNALS: u64 = 256 << 20;
/// Files kept open.
const OPEN_FILES: usize = 256;
/// Flushing and compaction. With more than one, fjall's first worker spins while another compacts.
const WORKERS: usize = 1;
/// A slice of up to so many bytes is written anew when something in it was erased.
const COMPACT: u64 = 256 << 20;
/// A path longer than this is cut to its newest touches.
pub const MAX_PATH: usize = 2_000;
/// Of more clicks that bind one customer, the first and the newest half are looked at.
pub const MAX_BINDINGS: usize = 1_000;

const DAY_MS: u64 = 86_400_000;
/// The keyspace of clicks that bind; the others are named by their days.
const BINDINGS: &str = "bindings";
const ID: usize = size_of::<Id>();

/// What touches are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    Visitor(Id),
    Customer(&'a str),
    Device(&'a str),
    Fingerprint(Id),
    /// The keyed hash of an address, under the day's key.
    Address(Id),
}

#[derive(Debug)]
pub enum Error {
    /// Another process has the store open.
    Locked,
    /// The disk, or what is on it. The store takes no more writes; open it again.
    Store(fjall::Error),
    /// A record that does not read as an event.
    Record(DecodeError),
    /// What is in the slice of this name is not what `put` writes.
    Slice(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Locked => write!(f, "the touch store is open in another process"),
            Error::Store(e) => write!(f, "touch store: {e}"),
            Error::Record(e) => write!(f, "touch store: {e}"),
            Error::Slice(name) => write!(f, "touch store: slice {name} is damaged"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Whether there is no room on the disk.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Error::Store(fjall::Error::Io(e) | fjall::Error::Storage(LsmError::Io(e))) => {
                e.kind() == ErrorKind::StorageFull
            }
            _ => false,
        }
    }
}

impl From<fjall::Error> for Error {
    fn from(e: fjall::Error) -> Error {
        match e {
            fjall::Error::Locked => Error::Locked,
            e => Error::Store(e),
        }
    }
}

/// A touch as it is stored.
pub struct Touch(Slice);

impl Touch {
    pub fn record(&self) -> &[u8] {
        &self.0
    }

    pub fn event(&self) -> Result<Event<'_>, Error> {
        Event::decode(&self.0).map_err(Error::Record)
    }
}

/// Owned by one process and, for writing, by one thread of it.
pub struct TouchStore {
    db: Database,
    /// By day since 1970-01-01 UTC.
    slices: BTreeMap<u64, Keyspace>,
    bindings: Keyspace,
}

impl TouchStore {
    /// Opens the store at `path`, creating it where there is none or an empty directory.
    pub fn open(path: &Path) -> Result<TouchStore, Error> {
        if !is_there(path).map_err(fjall::Error::Io)? {
            create(path)?;
        }
        let db = database(path)?;
        let mut slices = BTreeMap::new();
        for name in db.list_keyspace_names().iter().filter(|name| &***name != BINDINGS) {
            let day = name.parse().map_err(|_| Error::Slice(name.to_string()))?;
            slices.insert(day, db.keyspace(name, slice_options)?);
        }
        let bindings = db.keyspace(BINDINGS, slice_options)?;
        Ok(TouchStore { db, slices, bindings })
    }

    /// Adds hits, all those of a day at once; one that is there already changes nothing. Hits without
    /// a merchant and events that are no hits are passed over.
    pub fn put<'a>(&mut self, hits: impl IntoIterator<Item = Event<'a>>) -> Result<(), Error> {
        let mut days: BTreeMap<u64, Table> = BTreeMap::new();
        let mut bindings = self.db.batch();
        for hit in hits {
            let Some(id) = hit.id else { continue };
            if !hit.kind.is_hit() || hit.merchant.is_empty() {
                continue;
            }
            let day = days.entry(hit.at / DAY_MS).or_default();
            rows::of_day(&hit, &id, |key, record| day.push(&key, record));
            rows::of_binding(&hit, &id, |key, record| bindings.insert(&self.bindings, key, record));
        }
        for (day, table) in days {
            let slice = self.slice(day)?;
            // what would fill a write buffer by itself goes past it: sorted once, and no journal
            if table.bytes() >= SLICE_BUFFER {
                table.ingest(&slice)?;
                continue;
            }
            let mut batch = self.db.batch();
            table.rows().for_each(|(key, record)| batch.insert(&slice, key, record));
            batch.commit()?;
        }
        bindings.commit()?;
        self.make_room()
    }

    /// Hands what was put to the operating system, or with `sync` to the disk.
    pub fn persist(&self, sync: bool) -> Result<(), Error> {
        let mode = if sync { PersistMode::SyncData } else { PersistMode::Buffer };
        Ok(self.db.persist(mode)?)
    }

    /// The click of this id.
    pub fn click(&self, id: &Id) -> Result<Option<Touch>, Error> {
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&id[..6]);
        let day = u64::from_be_bytes(ms) / DAY_MS;
        let key = rows::record_key(id);
        let likely = self.slices.get(&day);
        let others = self.slices.iter().rev().filter(|(d, _)| **d != day).map(|(_, slice)| slice);
        for slice in likely.into_iter().chain(others) {
            if let Some(value) = slice.get(key)? {
                let touch = Touch(value);
                return Ok((touch.event()?.kind == Kind::Click).then_some(touch));
            }
        }
        Ok(None)
    }

    /// The touches of a key and merchant in [since, until], by time then event id; the newest
    /// [`MAX_PATH`] of them.
    pub fn path(&self, key: Key<'_>, merchant: &str, since: u64, until: u64) -> Result<Vec<Touch>, Error> {
        self.newest(key, merchant, since, until, MAX_PATH)
    }

    fn newest(&self, key: Key<'_>, merchant: &str, since: u64, until: u64, most: usize) -> Result<Vec<Touch>, Error> {
        let Some(range) = rows::range(key, merchant, since, until) else { return Ok(Vec::new()) };
        let mut path = Vec::new();
        for (day, slice) in self.slices.range(since / DAY_MS..=until / DAY_MS).rev() {
            for entry in slice.range(range.clone()).rev().take(most - path.len()) {
                let entry = entry.key()?;
                let id = entry.last_chunk().expect("the range's keys end in an id");
                let record = slice.get(rows::record_key(id))?.ok_or_else(|| Error::Slice(day.to_string()))?;
                path.push(Touch(record));
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The clicks that bind a visitor or customer to a promoter of the merchant's, up to `until`, by time then
    /// event id; of more than [`MAX_BINDINGS`] the first and the newest. They count, as far as the edge could say.
    pub fn bindings(&self, key: Key<'_>, merchant: &str, until: u64) -> Result<Vec<Touch>, Error> {
        let Some(range) = rows::range(key, merchant, 0, until) else { return Ok(Vec::new()) };
        let (mut from, end) = range.into_inner();
        let mut clicks = Vec::new();
        for entry in self.bindings.range(&from[..]..=&end[..]).take(MAX_BINDINGS / 2) {
            let (key, record) = entry.into_inner()?;
            from.clear();
            from.extend_from_slice(&key);
            from.push(0); // the next of all keys
            clicks.push(Touch(record));
        }
        let oldest = clicks.len();
        for entry in self.bindings.range(&from[..]..=&end[..]).rev().take(MAX_BINDINGS - oldest) {
            clicks.push(Touch(entry.value()?));
        }
        clicks[oldest..].reverse();
        Ok(clicks)
    }

    /// Drops the slices of the days that ended at or before `instant`; how many there were.
    pub fn drop_before(&mut self, instant: u64) -> Result<usize, Error> {
        let mut dropped = 0;
        while let Some(oldest) = self.slices.first_entry().filter(|oldest| *oldest.key() < instant / DAY_MS) {
            self.db.delete_keyspace(oldest.remove())?;
            dropped += 1;
        }
        Ok(dropped)
    }

    /// Writes the touches of those who are to be forgotten again under their fresh ids; how many there were. Where they
    /// were found by fingerprint that stays until their day is dropped: its day's key is destroyed long before.
    ///
    /// What the old ones said is gone from the files of slices of up to [`COMPACT`] bytes; from larger ones and from
    /// the store's own journals (256 MiB at most) it goes as they are written anew.
    pub fn erase(&mut self, erasures: &Erasures, merchants: &[String]) -> Result<u64, Error> {
        let mut touches = 0;
        for erasure in &erasures.0 {
            for merchant in merchants {
                let Some(key) = rows::key_of(&erasure.subject, merchant) else { continue };
                let Some(range) = rows::range(key, merchant, 0, erasure.until) else { continue };
                for (day, slice) in &self.slices {
                    let record = |entry: &[u8]| {
                        let id = entry.last_chunk().expect("the range's keys end in an id");
                        slice.get(rows::record_key(id))?.ok_or_else(|| Error::Slice(day.to_string()))
                    };
                    touches += erase_in(&self.db, slice, &range, record, false, erasure)?;
                }
                let bindings = &self.bindings;
                let record = |entry: &[u8]| bindings.get(entry)?.ok_or_else(|| Error::Slice(BINDINGS.into()));
                erase_in(&self.db, bindings, &range, record, true, erasure)?;
            }
        }
        Ok(touches)
    }

    fn slice(&mut self, day: u64) -> Result<Keyspace, Error> {
        if let Some(slice) = self.slices.get(&day) {
            return Ok(slice.clone());
        }
        let slice = self.db.keyspace(&day.to_string(), slice_options)?;
        self.slices.insert(day, slice.clone());
        Ok(slice)
    }

    /// Keeps the write buffers within [`BUFFERS`]: fjall itself flushes only a slice that is over its
    /// own limit, and the small buffers of many days (an import) would add up, and so would its journals.
    fn make_room(&self) -> Result<(), Error> {
        const PAUSE: Duration = Duration::from_millis(1);
        if self.db.write_buffer_size() <= BUFFERS {
            return Ok(());
        }
        for keyspace in self.slices.values().chain([&self.bindings]) {
            keyspace.rotate_memtable()?;
        }
        while self.db.write_buffer_size() > BUFFERS / 2 {
            self.persist(false)?; // an error when the flushing thread met one: it will free nothing more
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

fn database(path: &Path) -> Result<Database, fjall::Error> {
    Database::builder(path)
        .cache_size(CACHE)
        .max_journaling_size(JOURNALS)
        .max_cached_files(Some(OPEN_FILES))
        .worker_threads(WORKERS)
        .open()
}

fn is_there(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Makes an empty store beside `path` (with `.new` at its end) and gives it that name once it is whole: what fjall
/// has made of one when it is killed it neither opens nor makes anew.
fn create(path: &Path) -> Result<(), fjall::Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = path.with_file_name(name);
    if is_there(&draft)? {
        fs::remove_dir_all(&draft)?;
    }
    drop(database(&draft)?);
    fs::rename(&draft, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(sync_directory(parent.unwrap_or(Path::new(".")))?)
}

/// Erases what stands in a range of one keyspace; `binds`: that of the clicks that bind.
fn erase_in(
    db: &Database,
    keyspace: &Keyspace,
    range: &RangeInclusive<Vec<u8>>,
    record: impl Fn(&[u8]) -> Result<Slice, Error>,
    binds: bool,
    erasure: &Erasure,
) -> Result<u64, Error> {
    let entries: Vec<Slice> = keyspace.range(range.clone()).map(|entry| entry.key()).collect::<Result<_, _>>()?;
    let (mut batch, mut touches) = (db.batch(), 0);
    for entry in &entries {
        let found = rows::erased_rows(erasure, &record(entry)?, binds).map_err(Error::Record)?;
        let Some((gone, come)) = found else { continue };
        // a key once in a batch: a record stays under its id
        for key in gone.into_iter().filter(|key| come.iter().all(|(fresh, _)| fresh != key)) {
            batch.remove(keyspace, key);
        }
        for (key, record) in come {
            batch.insert(keyspace, key, record);
        }
        touches += 1;
    }
    if touches > 0 {
        batch.commit()?;
        db.persist(PersistMode::SyncData)?;
        if keyspace.disk_space() <= COMPACT {
            keyspace.rotate_memtable_and_wait()?;
            keyspace.major_compact()?;
        }
    }
    Ok(touches)
}

fn slice_options() -> KeyspaceCreateOptions {
    let levels = Leveled::default().with_l0_threshold(TABLES).with_table_target_size(TABLE);
    KeyspaceCreateOptions::default()
        .max_memtable_size(SLICE_BUFFER)
        .compaction_strategy(Arc::new(levels))
        // in parts, by way of the cache: else memory would grow with the touches
        .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        .filter_block_pinning_policy(PinningPolicy::all(false))
        .index_block_partitioning_policy(PartitioningPolicy::all(true))
        .index_block_pinning_policy(PinningPolicy::all(false))
}

#[cfg(test)]
mod tests;
