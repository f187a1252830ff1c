//! The snapshot's file: all promoters and links at one number of the books. Workers map it read-only, so a machine
//! has it in memory once, and nothing of it is read at a start but for the checksum.
//!
//! ```text
//! 0     magic (8 bytes), version (4), CRC-32 of all behind the header (4), the file's length (8), hash key (16),
//!       of promoters, then of links: where their slots begin (8), how many they are (8)
//! 124   CRC-32 of the header so far
//! 128   promoters' records, their slots, links' records, their slots; slots begin at multiples of 64
//! ```
//!
//! Numbers are little-endian. The whole file is the heap of `table`. It is written under another name, synced and
//! renamed, and never changed after that; who has it mapped keeps it when it is deleted.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use memmap2::Mmap;

use super::record::{self, LinkEntry, PromoterEntry, TooLong, Written};
use super::table::{self, HashKey, MAX_HEAP, SLOT};
use super::{Link, Status};
use crate::journal::sync_directory;

/// The format that this program writes, and the newest it reads.
const FORMAT: u32 = 1;
const MAGIC: [u8; 8] = *b"TUIKEREG";
const HEADER: usize = 128;
const HEADER_SUM: usize = HEADER - 4;
const LINE: usize = 64;
const BUFFER: usize = 1 << 20;
/// Memory for texts that several links may have in common; later texts are written out each time. Bytes.
const TEXTS: usize = 16 << 20;
/// What a text costs there beside its bytes.
const TEXT_OVERHEAD: usize = 64;
/// A shorter text is not longer than a reference to it.
const SHORTEST_REFERRED: usize = 6;

#[derive(Debug)]
pub enum Error {
    Io(PathBuf, io::Error),
    /// Written by a newer tuike.
    Newer(PathBuf, u32),
    /// Not a whole snapshot, and why not.
    Damaged(PathBuf, &'static str),
    /// A row that cannot stand in a snapshot, and why not.
    Row(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(path, source) => write!(f, "{}: {source}", path.display()),
            Error::Newer(path, version) => {
                let path = path.display();
                write!(
                    f,
                    "{path}: snapshot format {version} is newer than this program's {FORMAT}; use the newer tuike"
                )
            }
            Error::Damaged(path, why) => {
                let path = path.display();
                write!(f, "{path}: the registry's snapshot is damaged ({why}); restart the processor to write it anew")
            }
            Error::Row(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

/// Where a table's slots stand in the file, in bytes.
type Slots = std::ops::Range<usize>;

/// A mapped snapshot.
pub struct Snapshot {
    map: Mmap,
    pub hash_key: HashKey,
    promoters: Slots,
    links: Slots,
}

impl Snapshot {
    /// Maps the file and checks all of it.
    pub fn open(path: &Path) -> Result<Snapshot, Error> {
        let io = |source| Error::Io(path.to_owned(), source);
        let damaged = |why| Error::Damaged(path.to_owned(), why);
        let file = File::open(path).map_err(io)?;
        // SAFETY: once it has its name nobody writes to a snapshot or cuts it short; it is only deleted.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let header = map.get(..HEADER).ok_or_else(|| damaged("it is too short"))?;
        let u32_at = |at: usize| u32::from_le_bytes(header[at..][..4].try_into().expect("4 bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(header[at..][..8].try_into().expect("8 bytes"));
        if header[..8] != MAGIC {
            return Err(damaged("it is none"));
        }
        if u32_at(8) > FORMAT {
            return Err(Error::Newer(path.to_owned(), u32_at(8)));
        }
        if crc32fast::hash(&header[..HEADER_SUM]) != u32_at(HEADER_SUM) {
            return Err(damaged("its header's checksum is wrong"));
        }
        if u64_at(16) != map.len() as u64 {
            return Err(damaged("its length is wrong"));
        }
        if crc32fast::hash(&map[HEADER..]) != u32_at(12) {
            return Err(damaged("its checksum is wrong"));
        }
        let hash_key = HashKey(header[24..40].try_into().expect("16 bytes"));
        let slots = |at: usize| {
            let start = u64_at(at) as usize;
            start..start + u64_at(at + 8) as usize * SLOT
        };
        let (promoters, links) = (slots(40), slots(56));
        Ok(Snapshot { hash_key, promoters, links, map })
    }

    pub fn promoter(&self, hash: u64, id: &str) -> Option<Status> {
        let place = table::find(&self.map[self.promoters.clone()], &self.map, hash, id.as_bytes())?;
        Some(record::read_promoter(&self.map, place))
    }

    pub fn link(&self, hash: u64, code: &str) -> Option<Link<'_>> {
        let place = table::find(&self.map[self.links.clone()], &self.map, hash, code.as_bytes())?;
        Some(record::read_link(&self.map, place))
    }
}

/// Writes a snapshot: all promoters, then all links, in any order and each once. Takes 11 bytes of memory for each
/// promoter or each link, whichever are more.
pub struct Builder {
    path: PathBuf,
    draft: PathBuf,
    out: Output,
    hash_key: HashKey,
    /// Of what is being added.
    slots: Vec<u8>,
    /// How many may still be added.
    left: usize,
    links: usize,
    /// The file so far and the slots in it, once all promoters are there.
    promoters: Option<(Mmap, Slots)>,
    texts: HashMap<Box<str>, usize>,
    texts_room: usize,
    record: Vec<u8>,
}

impl Builder {
    /// The file gets its name `path` when it is finished. `promoters` and `links` are how many there will be at most.
    pub fn create(path: &Path, hash_key: HashKey, promoters: usize, links: usize) -> Result<Builder, Error> {
        let draft = path.with_extension("new");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&draft);
        let file = file.map_err(|source| Error::Io(draft.clone(), source))?;
        Ok(Builder {
            path: path.to_owned(),
            out: Output { file, buffer: vec![0; HEADER], flushed: 0, sum: crc32fast::Hasher::new() },
            draft,
            hash_key,
            slots: vec![0; table::slots_for(promoters) * SLOT],
            left: promoters,
            links,
            promoters: None,
            texts: HashMap::new(),
            texts_room: TEXTS,
            record: Vec::new(),
        })
    }

    /// Adds promoters, see [`PromoterEntry`].
    pub fn add_promoters<'a>(&mut self, rows: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
        if self.promoters.is_some() {
            return Err(Error::Row("promoters come before links".into()));
        }
        for row in rows {
            let promoter: PromoterEntry<'_> = parse(row)?;
            self.record.clear();
            record::write_promoter(&promoter, &mut self.record).map_err(too_long)?;
            self.add(&promoter.id)?;
        }
        Ok(())
    }

    /// Adds links, see [`LinkEntry`]. Each names a promoter that was added.
    pub fn add_links<'a>(&mut self, rows: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
        self.end_promoters()?;
        for row in rows {
            let link: LinkEntry<'_> = parse(row)?;
            self.write_link(&link)?;
            self.add(&link.code)?;
        }
        Ok(())
    }

    /// Gives the file its name: it is on the disk then, and whole.
    pub fn finish(mut self) -> Result<(), Error> {
        self.end_promoters()?;
        let links = self.end_slots()?;
        let (_, promoters) = self.promoters.take().expect("they have ended");
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        header[12..16].copy_from_slice(&self.out.sum.clone().finalize().to_le_bytes());
        header[16..24].copy_from_slice(&self.out.flushed.to_le_bytes());
        header[24..40].copy_from_slice(&self.hash_key.0);
        for (at, slots) in [(40, promoters), (56, links)] {
            header[at..at + 8].copy_from_slice(&(slots.start as u64).to_le_bytes());
            header[at + 8..at + 16].copy_from_slice(&((slots.len() / SLOT) as u64).to_le_bytes());
        }
        let sum = crc32fast::hash(&header[..HEADER_SUM]);
        header[HEADER_SUM..].copy_from_slice(&sum.to_le_bytes());
        let placed = self.out.file.write_all_at(&header, 0).and_then(|()| self.out.file.sync_all());
        placed.map_err(|source| Error::Io(self.draft.clone(), source))?;
        let directory = self.path.parent().expect("a file is in a directory");
        let named = std::fs::rename(&self.draft, &self.path).and_then(|()| sync_directory(directory));
        named.map_err(|source| Error::Io(self.path.clone(), source))
    }

    /// Writes a link's record, with what it has in common with others as references.
    fn write_link(&mut self, link: &LinkEntry<'_>) -> Result<(), Error> {
        let (file, slots) = self.promoters.as_ref().expect("they have ended");
        let id = link.promoter.as_bytes();
        let Some(promoter) = table::find(&file[slots.clone()], file, self.hash_key.hash(id), id) else {
            return Err(Error::Row(format!("link {} is of promoter {}, who is not there", link.code, link.promoter)));
        };
        let standing = record::read_promoter(file, promoter);
        let begins = self.out.place();
        let (texts, room) = (&mut self.texts, &mut self.texts_room);
        let refer = |text: &str, at: usize| {
            if text.len() < SHORTEST_REFERRED {
                return Written::Whole;
            }
            if let Some(&place) = texts.get(text) {
                return Written::At(place);
            }
            if let Some(rest) = room.checked_sub(text.len() + TEXT_OVERHEAD) {
                *room = rest;
                texts.insert(text.into(), begins + at);
            }
            Written::Whole
        };
        self.record.clear();
        record::write_link(link, Some(standing), refer, &mut self.record).map_err(too_long)
    }

    /// Adds the record that is written, under its key.
    fn add(&mut self, key: &str) -> Result<(), Error> {
        self.left = self.left.checked_sub(1).ok_or_else(|| Error::Row("more rows than were announced".into()))?;
        table::put_new(&mut self.slots, self.hash_key.hash(key.as_bytes()), self.out.place());
        self.out.write(&self.record).map_err(|source| Error::Io(self.draft.clone(), source))
    }

    fn end_promoters(&mut self) -> Result<(), Error> {
        if self.promoters.is_none() {
            let slots = self.end_slots()?;
            // SAFETY: nobody else writes to a draft, and what is behind the mapping is not read through it.
            let map = unsafe { Mmap::map(&self.out.file) };
            self.promoters = Some((map.map_err(|source| Error::Io(self.draft.clone(), source))?, slots));
            self.left = self.links;
            self.slots = vec![0; table::slots_for(self.links) * SLOT];
        }
        Ok(())
    }

    /// Writes the slots of what was added, and all before them; where they stand.
    fn end_slots(&mut self) -> Result<Slots, Error> {
        let slots = std::mem::take(&mut self.slots);
        let start = self.out.place().next_multiple_of(LINE);
        let padding = vec![0; start - self.out.place()];
        let written = self.out.write(&padding).and_then(|()| self.out.write(&slots)).and_then(|()| self.out.flush());
        written.map_err(|source| Error::Io(self.draft.clone(), source))?;
        if self.out.flushed > MAX_HEAP {
            return Err(Error::Row(format!("a snapshot has at most {MAX_HEAP} bytes")));
        }
        Ok(start..start + slots.len())
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(row: &'a str) -> Result<T, Error> {
    serde_json::from_str(row).map_err(|e| Error::Row(format!("{e}: {row:.80}")))
}

fn too_long(TooLong(why): TooLong) -> Error {
    Error::Row(why)
}

/// The file being written, and the checksum of all behind the header.
struct Output {
    file: File,
    buffer: Vec<u8>,
    flushed: u64,
    sum: crc32fast::Hasher,
}

impl Output {
    /// Where the next byte goes.
    fn place(&self) -> usize {
        self.flushed as usize + self.buffer.len()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let header = if self.flushed == 0 { HEADER } else { 0 };
        self.sum.update(&self.buffer[header..]);
        self.file.write_all(&self.buffer)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
