//! The mark: one mapped page by which a writer tells its readers how far to go.
//!
//! A seqlock over two slots: the writer fills the slot that is not published, then counts up, which publishes
//! it. A reader takes the published slot and looks whether the count stood still. So a writer that is killed
//! in the middle leaves a whole mark behind, never a locked one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{Mmap, MmapMut};

use super::segment::sync_directory;
use super::{Error, FORMAT};

const PAGE: usize = 4096;
const MAGIC: [u8; 4] = *b"tkmk";
/// Words of eight bytes: where the count and the slots stand, each in a cache line of its own.
const COUNT: usize = 8;
const SLOTS: [usize; 2] = [16, 24];
const FIELDS: usize = 7;

/// A place in an incarnation, and the last sequence number before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub segment: u64,
    pub offset: u64,
    pub seq: u64,
}

/// What a mark says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    pub position: Position,
    /// Nothing received before this instant comes after the position.
    pub clock_ms: u64,
    /// The registry version that the producer has applied.
    pub registry: u64,
    pub state: State,
    /// Where the incarnation is `Ended`: the one that has what came after.
    pub successor: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Open = 0,
    /// Closed in order: the position is the end.
    Closed = 1,
    /// A sync failed: the position is the end as soon as the successor is there.
    Ended = 2,
}

impl Published {
    fn words(&self) -> [u64; FIELDS] {
        let Position { segment, offset, seq } = self.position;
        [segment, offset, seq, self.clock_ms, self.registry, self.state as u64, self.successor]
    }

    fn from_words([segment, offset, seq, clock_ms, registry, state, successor]: [u64; FIELDS]) -> Published {
        let state = match state {
            1 => State::Closed,
            2 => State::Ended,
            _ => State::Open,
        };
        Published { position: Position { segment, offset, seq }, clock_ms, registry, state, successor }
    }
}

/// A word of the mapped page.
fn word(page: &[u8], index: usize) -> &AtomicU64 {
    let bytes = &page[8 * index..8 * index + 8];
    // SAFETY: the map is page-aligned, so the word is aligned; both sides access the words behind the first
    // cache line by atomics only, and the borrow keeps the map alive.
    unsafe { &*bytes.as_ptr().cast::<AtomicU64>() }
}

/// The writer's side.
pub struct MarkWriter {
    page: MmapMut,
    count: u64,
    published: Published,
}

impl MarkWriter {
    pub fn create(dir: &Path, published: Published) -> io::Result<MarkWriter> {
        let file = write_page(&dir.join("mark"), &published)?;
        // SAFETY: the file is ours, of a full page, and nobody truncates it.
        let page = unsafe { MmapMut::map_mut(&file)? };
        Ok(MarkWriter { page, count: 0, published })
    }

    pub fn published(&self) -> &Published {
        &self.published
    }

    pub fn publish(&mut self, published: Published) {
        if published == self.published {
            return;
        }
        self.count += 1;
        let slot = SLOTS[self.count as usize & 1];
        // a reader that sees a word stored below must see the count that retired this slot
        fence(Ordering::Release);
        for (i, value) in published.words().into_iter().enumerate() {
            word(&self.page, slot + i).store(value, Ordering::Relaxed);
        }
        word(&self.page, COUNT).store(self.count, Ordering::Release);
        self.published = published;
    }
}

/// Puts a durable mark in the place of the one in `dir`: a fresh file each time, as a file whose sync failed
/// is not synced again.
pub fn replace(dir: &Path, published: &Published) -> io::Result<()> {
    let fresh = dir.join("mark.new");
    match std::fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => write_page(&fresh, published)?.sync_all()?,
    }
    std::fs::rename(&fresh, dir.join("mark"))?;
    sync_directory(dir)
}

fn write_page(path: &Path, published: &Published) -> io::Result<File> {
    let mut page = [0; PAGE];
    page[..4].copy_from_slice(&MAGIC);
    page[4..8].copy_from_slice(&FORMAT.to_le_bytes());
    for (i, value) in published.words().into_iter().enumerate() {
        let at = 8 * (SLOTS[0] + i);
        page[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    file.write_all(&page)?;
    Ok(file)
}

/// A reader's side.
pub struct MarkReader {
    page: Mmap,
}

impl MarkReader {
    /// None where there is no mark, or no whole one: then the records alone say what there is.
    pub fn open(dir: &Path) -> Result<Option<MarkReader>, Error> {
        let path = dir.join("mark");
        let file = match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(Error::io(&path))?,
        };
        if file.metadata().map_err(Error::io(&path))?.len() < PAGE as u64 {
            return Ok(None);
        }
        // SAFETY: the file has a full page, and nobody truncates it.
        let page = unsafe { Mmap::map(&file).map_err(Error::io(&path))? };
        if page[..4] != MAGIC {
            return Ok(None);
        }
        let version = u32::from_le_bytes(page[4..8].try_into().expect("four bytes"));
        if version > FORMAT { Err(Error::Newer { path, version }) } else { Ok(Some(MarkReader { page })) }
    }

    pub fn read(&self) -> Published {
        loop {
            let count = word(&self.page, COUNT).load(Ordering::Acquire);
            let slot = SLOTS[count as usize & 1];
            let words = std::array::from_fn(|i| word(&self.page, slot + i).load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if word(&self.page, COUNT).load(Ordering::Relaxed) == count {
                return Published::from_words(words);
            }
            std::hint::spin_loop();
        }
    }
}
