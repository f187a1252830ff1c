//! Reads one incarnation: up to its writer's mark while that lives, to its end afterwards.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::mark::{MarkReader, Position, Published, State};
use super::record::HEADER;
use super::window::Window;
use super::{Error, FORMAT, name, segment};

/// What [`Reader::next`] brings.
#[derive(Debug)]
pub enum Next<'a> {
    Record {
        seq: u64,
        payload: &'a [u8],
    },
    /// There is nothing more yet.
    Wait,
    /// The incarnation has ended and all of it was read.
    End,
    /// These bytes of the segment, which held records, hold none any more; reading goes on behind them. What
    /// is missing may reach into later segments. No bytes, where numbers are missing and nothing stands in their place.
    Damage {
        segment: u64,
        offset: u64,
        length: u64,
    },
    /// Reading failed for a reason that may pass; nothing was skipped.
    Failed(Error),
}

/// What a producer says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The last event that readers may see.
    pub seq: u64,
    /// Nothing received before this instant comes after `seq`.
    pub clock_ms: u64,
    /// The registry version that the producer has applied.
    pub registry: u64,
    /// Whether more may come. Where not, there may be more than `seq` says.
    pub live: bool,
}

/// Where reading has to stop for now.
enum Bound {
    /// The writer lives: its mark.
    Live(Position),
    /// It has ended, exactly here.
    Exact(Position),
    /// It has ended without a word: every sound record counts.
    Whatever,
}

pub struct Reader {
    dir: PathBuf,
    mark: Option<MarkReader>,
    lock: Option<File>,
    bound: Bound,
    window: Window,
    /// The next byte to read.
    segment: u64,
    offset: u64,
    /// The next sequence number in the segments; those up to `after` are passed over.
    seq: u64,
    after: u64,
    /// Where the sound records of an ended incarnation end.
    ended: Option<(u64, u64)>,
}

impl Reader {
    /// Opens an incarnation's directory to read what comes after the sequence number `after`.
    pub fn open(dir: &Path, after: u64) -> Result<Reader, Error> {
        let lock = match File::open(dir.join("lock")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => None, // a copy, which nobody writes
            other => Some(other.map_err(Error::io(dir))?),
        };
        let (segment, seq) = start(dir, after)?;
        let path = segment::path(dir, segment);
        let mut reader = Reader {
            dir: dir.to_owned(),
            mark: MarkReader::open(dir)?,
            lock,
            bound: Bound::Whatever,
            window: Window::open(&path).map_err(Error::io(&path))?,
            segment,
            offset: HEADER,
            seq,
            after,
            ended: None,
        };
        reader.bound = reader.look()?;
        Ok(reader)
    }

    /// The next record, in order. With nothing new it costs about a microsecond.
    #[allow(clippy::should_implement_trait)] // it lends from the reader
    pub fn next(&mut self) -> Next<'_> {
        loop {
            let at = self.offset;
            match self.window.record(at, self.limit()) {
                Some((seq, size)) if seq == self.seq => {
                    self.offset += size as u64;
                    self.seq += 1;
                    if seq > self.after {
                        return Next::Record { seq, payload: self.window.payload(at, size) };
                    }
                }
                _ => match self.proceed() {
                    Ok(None) => {}
                    Ok(Some(stop)) => return stop,
                    Err(error) => return Next::Failed(error),
                },
            }
        }
    }

    /// What the producer says now. A promise holds for what comes after `seq`: take the mark first, then read
    /// up to it.
    pub fn mark(&self) -> Mark {
        let Published { position, clock_ms, registry, .. } = self.published();
        // looked at after the mark, which cannot change any more where this says so
        let live = matches!(self.look(), Ok(Bound::Live(_)));
        Mark { seq: position.seq, clock_ms, registry, live }
    }

    /// The first segment that may still be written to, and whether it has shown a record; none where the incarnation
    /// has ended.
    pub(super) fn open_segment(&self) -> Result<Option<(u64, bool)>, Error> {
        Ok(match self.look()? {
            Bound::Live(end) => Some((end.segment, end.offset > HEADER)),
            Bound::Exact(_) | Bound::Whatever => None,
        })
    }

    /// Whether the writer closed the incarnation in order.
    pub(super) fn is_closed(&self) -> bool {
        self.published().state == State::Closed
    }

    /// Where the sound records of an ended incarnation end (segment, offset), once [`Next::End`] was returned.
    pub(super) fn end(&self) -> Option<(u64, u64)> {
        self.ended
    }

    fn published(&self) -> Published {
        self.mark.as_ref().map(MarkReader::read).unwrap_or_default()
    }

    /// Where reading has to stop, as the files say now.
    fn look(&self) -> Result<Bound, Error> {
        let published = self.published();
        if let Some(bound) = self.exact(&published) {
            return Ok(bound);
        }
        if self.lock.as_ref().is_some_and(is_held) {
            let mark = self.mark.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into());
            mark.map_err(Error::io(&self.dir.join("mark")))?;
            return Ok(Bound::Live(published.position));
        }
        // the writer is gone; what it said last counts, perhaps in a mark that it put in this one's place
        let last = MarkReader::open(&self.dir)?.map(|mark| mark.read()).unwrap_or_default();
        Ok(self.exact(&last).unwrap_or(Bound::Whatever))
    }

    fn exact(&self, published: &Published) -> Option<Bound> {
        let ended = match published.state {
            State::Open => false,
            State::Closed => true,
            // whoever was killed between the two has no successor: then all that is there counts
            State::Ended => self.dir.with_file_name(name(published.successor)).exists(),
        };
        ended.then_some(Bound::Exact(published.position))
    }

    /// How far the current segment may be read.
    #[inline]
    fn limit(&self) -> u64 {
        match &self.bound {
            Bound::Live(end) | Bound::Exact(end) if end.segment == self.segment => end.offset,
            Bound::Live(end) | Bound::Exact(end) if end.segment < self.segment => 0,
            _ => self.window.len,
        }
    }

    /// There is no record where the next one should be: finds out why, and goes on to where there is one.
    /// None: read on.
    #[cold]
    fn proceed(&mut self) -> Result<Option<Next<'static>>, Error> {
        if self.ended.is_some() {
            return Ok(Some(Next::End));
        }
        if let Bound::Live(end) | Bound::Exact(end) = self.bound
            && end.seq < self.seq
        {
            return self.at_bound(end);
        }
        let found = self.find_record()?;
        let gap = (self.segment, self.offset);
        let to = match (found, &self.bound) {
            (Some(place), _) => place,
            // the mark vouches for records that are not there
            (None, Bound::Live(end) | Bound::Exact(end)) => *end,
            (None, Bound::Whatever) => {
                self.ended = Some(gap);
                return Ok(Some(Next::End));
            }
        };
        let same = to.segment == self.segment;
        let length = if same { to.offset } else { self.window.len }.saturating_sub(self.offset);
        // between two segments there are zeros, and nothing is missing where the numbers go on
        let lost = to.seq >= self.seq || (same && length > 0);
        if !same {
            let path = segment::path(&self.dir, to.segment);
            self.window = Window::open(&path).map_err(Error::io(&path))?;
        }
        (self.segment, self.offset, self.seq) = (to.segment, to.offset, to.seq + 1);
        // what is missing up to `after` was reported when it was read
        let news = lost && to.seq > self.after;
        Ok(news.then_some(Next::Damage { segment: gap.0, offset: gap.1, length }))
    }

    /// All up to the bound was read: looks whether there is more.
    fn at_bound(&mut self, end: Position) -> Result<Option<Next<'static>>, Error> {
        if let Bound::Exact(_) = self.bound {
            self.ended = Some((end.segment, end.offset));
            return Ok(Some(Next::End));
        }
        self.bound = self.look()?;
        match self.bound {
            Bound::Live(now) if now == end => Ok(Some(Next::Wait)),
            _ => Ok(None),
        }
    }

    /// Where to go on from here: to the first sound record of this segment; where it has none but a later one
    /// does, to the head of the first segment that tells with which number it begins.
    fn find_record(&mut self) -> Result<Option<Position>, Error> {
        let limit = self.limit();
        if let Some((offset, seq)) = self.window.find(self.offset, limit, self.seq) {
            return Ok(Some(Position { segment: self.segment, offset, seq: seq - 1 }));
        }
        let (last, last_limit) = match &self.bound {
            Bound::Live(end) | Bound::Exact(end) => (end.segment, end.offset),
            Bound::Whatever => (u64::MAX, u64::MAX),
        };
        let mut head = None;
        for segment in segment::list(&self.dir)? {
            if segment <= self.segment || segment > last {
                continue;
            }
            let path = segment::path(&self.dir, segment);
            let mut window = Window::open(&path).map_err(Error::io(&path))?;
            let limit = if segment == last { last_limit } else { window.len };
            let first = window.header().filter(|h| h.index == segment && h.first_seq >= self.seq);
            head = head.or(first.map(|h| Position { segment, offset: HEADER, seq: h.first_seq - 1 }));
            if let Some((offset, seq)) = window.find(HEADER, limit, self.seq) {
                return Ok(head.or(Some(Position { segment, offset, seq: seq - 1 })));
            }
        }
        Ok(None)
    }
}

/// The segment to begin with, and its first sequence number: the last that begins at or before what is wanted.
fn start(dir: &Path, after: u64) -> Result<(u64, u64), Error> {
    let segments = segment::list(dir)?;
    let mut start = None;
    for &index in &segments {
        let path = segment::path(dir, index);
        let Some(header) = Window::open(&path).map_err(Error::io(&path))?.header() else { continue };
        if header.version > FORMAT {
            return Err(Error::Newer { path, version: header.version });
        }
        if header.index == index && header.first_seq <= after.saturating_add(1) {
            start = Some((index, header.first_seq));
        }
    }
    Ok(start.unwrap_or((segments.first().copied().unwrap_or(0), 1)))
}

/// Whether the writer lives.
fn is_held(lock: &File) -> bool {
    let free = lock.try_lock_shared();
    if free.is_ok() {
        // cannot fail on a lock that we hold; closing the file would free it too
        let _ = lock.unlock();
    }
    matches!(free, Err(TryLockError::WouldBlock))
}
