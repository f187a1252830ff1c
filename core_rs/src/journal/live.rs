//! One incarnation on disk, as its writer has it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::mark::{self, MarkWriter, Position, Published, State};
use super::record::{self, HEADER, Header};
use super::segment::{self, Segment, Sizes, sync_directory};
use super::{FORMAT, name};

/// A file by which somebody asks the writer for another segment.
pub const TURN: &str = "turn";

pub struct Live {
    pub incarnation: u64,
    pub dir: PathBuf,
    mark: MarkWriter,
    current: Segment,
    /// Allocated ahead, in order.
    spares: VecDeque<Segment>,
    /// Segments before `current` that hold something unsynced.
    unsynced: Vec<Arc<File>>,
    /// The end of what was written.
    written: Position,
    /// The end of what readers may see: synced, or under `process` written.
    pub durable: Position,
    _lock: File,
}

/// What a sync has to cover.
pub struct Unsynced {
    files: Vec<Arc<File>>,
    upto: Position,
}

impl Unsynced {
    pub fn sync(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.sync_data())
    }
}

impl Live {
    /// Makes an incarnation that already holds `frames` (numbered here, synced), and promises what `promise`
    /// says. It stays under a hidden name until [`Live::reveal`], and if it is never revealed the next one
    /// made sweeps it away: so readers only ever see whole incarnations with their lock held.
    pub fn create(
        producer: &Path,
        incarnation: u64,
        sizes: Sizes,
        promise: &Published,
        frames: &mut [u8],
    ) -> io::Result<Live> {
        sweep(producer)?;
        if producer.join(name(incarnation)).exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let dir = producer.join(format!(".{}", name(incarnation)));
        std::fs::create_dir(&dir)?;
        let lock = File::create_new(dir.join("lock"))?;
        lock.try_lock()?;
        let start = Position { segment: 0, offset: HEADER, seq: 0 };
        let promise = Published { position: start, state: State::Open, successor: 0, ..*promise };
        let mark = MarkWriter::create(&dir, promise)?;
        let current = segment::allocate(&dir, 0, sizes.of(0), || false)?;
        let (spares, unsynced) = (VecDeque::new(), Vec::new());
        let mut live =
            Live { incarnation, dir, mark, current, spares, unsynced, written: start, durable: start, _lock: lock };
        live.begin(1)?;
        let count = record::number(frames, 1);
        while live.shortage(frames) > 0 {
            let index = live.next_index();
            live.spares.push_back(segment::allocate(&live.dir, index, sizes.of(index), || false)?);
        }
        live.write(frames, count)?;
        live.take_unsynced().sync()?;
        sync_directory(&live.dir)?;
        Ok(live)
    }

    /// Gives the incarnation its name: from here on readers see it.
    pub fn reveal(&mut self) -> io::Result<()> {
        let visible = self.dir.with_file_name(name(self.incarnation));
        std::fs::rename(&self.dir, &visible)?;
        self.dir = visible;
        Ok(())
    }

    /// Makes the name durable; with it everything written by [`Live::create`] is.
    pub fn sync_name(&mut self) -> io::Result<()> {
        sync_directory(self.dir.parent().expect("an incarnation has a producer"))?;
        self.durable = self.written;
        Ok(())
    }

    pub fn written(&self) -> Position {
        self.written
    }

    /// The index of the next segment to allocate.
    pub fn next_index(&self) -> u64 {
        self.spares.back().unwrap_or(&self.current).index + 1
    }

    pub fn has_spare(&self) -> bool {
        !self.spares.is_empty()
    }

    pub fn is_half_full(&self) -> bool {
        self.written.offset > self.current.size / 2
    }

    pub fn add_spare(&mut self, spare: Segment) {
        self.spares.push_back(spare);
    }

    /// How many bytes of these framed records would not fit into the segments there are.
    pub fn shortage(&self, frames: &[u8]) -> usize {
        let mut rest = &frames[record::fit(frames, self.current.size - self.written.offset)..];
        for spare in &self.spares {
            rest = &rest[record::fit(rest, spare.size - HEADER)..];
        }
        rest.len()
    }

    /// Writes numbered records, for which there must be room, at the end: one write(2), and for each further
    /// segment that they cross into two more (its header, the records in it). A write cut short is continued.
    /// After an error the incarnation must not be written to any more.
    pub fn write(&mut self, frames: &[u8], count: u64) -> io::Result<()> {
        let mut offset = self.written.offset;
        let mut rest = frames;
        loop {
            let (part, after) = rest.split_at(record::fit(rest, self.current.size - offset));
            (&*self.current.file).write_all(part)?;
            offset += part.len() as u64;
            rest = after;
            if rest.is_empty() {
                break;
            }
            let next = self.spares.pop_front().expect("room was made before");
            self.unsynced.push(std::mem::replace(&mut self.current, next).file);
            self.begin(record::seq(rest))?;
            offset = HEADER;
        }
        self.written = Position { segment: self.current.index, offset, seq: self.written.seq + count };
        Ok(())
    }

    /// Whether somebody asks for another segment, and there is one to begin.
    pub fn is_to_turn(&self) -> bool {
        self.has_spare() && self.written.offset > HEADER && self.dir.join(TURN).exists()
    }

    /// Begins the next segment, with nothing in it yet. `shown`: what is written counts as durable.
    pub fn turn(&mut self, shown: bool) -> io::Result<()> {
        let whole = shown || self.durable == self.written;
        let next = self.spares.pop_front().expect("there is a spare");
        self.unsynced.push(std::mem::replace(&mut self.current, next).file);
        self.begin(self.written.seq + 1)?;
        self.written = Position { segment: self.current.index, offset: HEADER, seq: self.written.seq };
        if whole {
            self.durable = self.written;
        }
        std::fs::remove_file(self.dir.join(TURN))
    }

    /// Writes the current segment's header.
    fn begin(&mut self, first_seq: u64) -> io::Result<()> {
        let header = Header { version: FORMAT, index: self.current.index, incarnation: self.incarnation, first_seq };
        (&*self.current.file).write_all(&header.encode())
    }

    /// Everything written so far, to be synced; what is written later is not in it.
    pub fn take_unsynced(&mut self) -> Unsynced {
        let mut files = std::mem::take(&mut self.unsynced);
        files.push(self.current.file.clone());
        Unsynced { files, upto: self.written }
    }

    /// Says that a sync has succeeded.
    pub fn synced(&mut self, covered: &Unsynced) {
        // a segment that was begun meanwhile has nothing in it yet that could be lost
        let whole = covered.upto.seq == self.written.seq;
        self.durable = if whole { self.written } else { covered.upto };
    }

    /// Takes records back whose sync failed before anyone was told of them; nothing may be written after.
    pub fn forget(&mut self, before: Position) {
        self.written = before;
    }

    pub fn published(&self) -> &Published {
        self.mark.published()
    }

    /// Shows readers what is durable, with this promise.
    pub fn publish(&mut self, clock_ms: u64, registry: u64) {
        let clock_ms = clock_ms.max(self.published().clock_ms);
        self.mark.publish(Published { position: self.durable, clock_ms, registry, ..*self.published() });
    }

    /// Says, durably, that this incarnation ends at what is durable as soon as `successor` is visible.
    pub fn end(&mut self, successor: u64) -> io::Result<()> {
        let ended = Published { state: State::Ended, successor, ..*self.published() };
        self.mark.publish(ended);
        mark::replace(&self.dir, &ended)
    }

    /// Says that all is written and durable, and takes back what was allocated for more.
    pub fn close(mut self, clock_ms: u64) -> io::Result<()> {
        let clock_ms = clock_ms.max(self.published().clock_ms);
        let state = State::Closed;
        self.mark.publish(Published { position: self.durable, clock_ms, state, ..*self.published() });
        self.spares.iter().try_for_each(|spare| std::fs::remove_file(segment::path(&self.dir, spare.index)))
    }
}

/// Removes incarnations that were never revealed and that nobody is making.
fn sweep(producer: &Path) -> io::Result<()> {
    for entry in producer.read_dir()? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let being_made = File::open(entry.path().join("lock")).is_ok_and(|lock| lock.try_lock_shared().is_err());
        if !being_made {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
