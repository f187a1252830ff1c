//! Reads the journals of all producers, each up to its writer's mark.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::shipment::{ENDED, GONE, Heard, Packing, Shipment};
use super::{Batch, Damage, Error, Records, Source};
use crate::event::Event;
use crate::journal::{self, Mark, Next, Reader};

/// Records of one incarnation before it is the next one's turn.
const QUANTUM: usize = 256;
/// Of those that have ended, so many are read by turns: what is left of a small one is not behind all of a large one.
const ENDED_AT_ONCE: usize = 16;
/// A read is cut short at this many bytes of records too.
const MAX_BYTES: usize = 64 << 20;
/// A live producer that has promised nothing for so long does not hold the watermark, ms.
const SILENT_MS: u64 = 30_000;

/// One incarnation, as far as it is known.
struct Followed {
    producer: Arc<str>,
    dir: PathBuf,
    /// The last sequence number read.
    position: u64,
    /// No earlier than this was received what is still to be read, ms; 0: that is not known.
    received: u64,
    /// When it was first seen, ms.
    since: u64,
    state: State,
}

enum State {
    /// Its writer lives.
    Live(Reader),
    /// Its writer has ended and there may be more to read. Opened when it is its turn, so that
    /// thousands of them take one open file.
    Ended(Option<Reader>),
    /// Ended and read to its end.
    Drained,
}

impl Followed {
    fn open(producer: Arc<str>, dir: PathBuf, after: u64, now: u64) -> Result<Followed, Error> {
        let mut reader = Reader::open(&dir, after)?;
        let state = match reader.mark().live {
            true => State::Live(reader),
            // one with nothing more to read would hold the watermark until its turn
            false if matches!(reader.next(), Next::End) => State::Drained,
            false => State::Ended(None),
        };
        Ok(Followed { producer, dir, position: after, received: 0, since: now, state })
    }

    /// What its writer promises; none where it has ended.
    fn promise(&mut self) -> Option<Mark> {
        let State::Live(reader) = &self.state else { return None };
        let mark = reader.mark();
        if mark.live {
            return Some(mark);
        }
        self.state = match std::mem::replace(&mut self.state, State::Drained) {
            State::Live(reader) => State::Ended(Some(reader)),
            other => other,
        };
        None
    }

    /// No earlier than this is received what has not been read of it, ms: what its writer promised, or, as events are
    /// journalled as they are received, what was read last; 0: that is not known.
    fn heard(&self, mark: Option<&Mark>) -> u64 {
        match (&self.state, mark) {
            (State::Drained, _) => ENDED,
            (_, Some(mark)) if self.position >= mark.seq => mark.clock_ms,
            (State::Live(_), None) => 0,
            _ => self.received,
        }
    }

    /// Goes to the position that the caller has, if that is another than where the last read ended:
    /// its transaction was rolled back. Whether it was.
    fn go_to(&mut self, after: u64) -> Result<bool, Error> {
        if self.position == after {
            return Ok(false);
        }
        self.state = match &self.state {
            State::Live(_) => State::Live(Reader::open(&self.dir, after)?),
            State::Ended(_) | State::Drained => State::Ended(None),
        };
        self.position = after;
        self.received = 0;
        Ok(true)
    }

    /// Reads up to `limit` records; whether there may be more. One that was read as far as is wanted goes on in
    /// a later read that wants more; where nothing of it was, it takes no open file. When what came last was received
    /// is noted.
    fn read<S: Sink>(&mut self, incarnation: u64, limit: usize, into: &mut Read<'_, S>) -> Result<bool, Error> {
        let position = self.position;
        let more = self.read_on(incarnation, limit, into)?;
        if self.position > position
            && let Ok(event) = Event::decode(into.sink.last())
        {
            self.received = self.received.max(event.received);
        }
        Ok(more)
    }

    fn read_on<S: Sink>(&mut self, incarnation: u64, limit: usize, into: &mut Read<'_, S>) -> Result<bool, Error> {
        let last = into.upto.map_or(u64::MAX, |upto| upto.get(&incarnation).copied().unwrap_or(0));
        if self.position >= last {
            if matches!(self.state, State::Ended(_)) {
                self.state = State::Ended(None);
            }
            return Ok(false);
        }
        let reader = match &mut self.state {
            State::Live(reader) => reader,
            State::Ended(reader) => match reader {
                Some(reader) => reader,
                None => reader.insert(Reader::open(&self.dir, self.position)?),
            },
            State::Drained => return Ok(false),
        };
        let source = Source { producer: self.producer.clone(), incarnation };
        into.sink.begin(&source);
        for _ in 0..limit {
            if self.position >= last {
                return Ok(false);
            }
            if into.is_full() {
                return Ok(true);
            }
            match reader.next() {
                Next::Record { seq, payload } => {
                    self.position = seq;
                    into.count += 1;
                    into.bytes += payload.len();
                    into.sink.push(seq, payload);
                }
                Next::Damage { segment, offset, length } => {
                    let offset = start_of(&self.dir, segment) + offset;
                    into.damage.push(Damage { source: source.clone(), offset, length });
                }
                Next::Failed(error) => return Err(error.into()),
                Next::Wait => return Ok(false),
                Next::End => {
                    self.state = State::Drained;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Bytes of an incarnation before a segment.
fn start_of(dir: &Path, segment: u64) -> u64 {
    (0..segment).filter_map(|i| dir.join(format!("{i:06}.seg")).metadata().ok()).map(|file| file.len()).sum()
}

/// Where the records that are read go.
pub(super) trait Sink {
    /// What follows is of this source.
    fn begin(&mut self, source: &Source);

    fn push(&mut self, seq: u64, payload: &[u8]);

    /// The payload that came last.
    fn last(&self) -> &[u8];

    /// In how many parts it is, and of how many bytes all together: the next one will be about as large.
    fn usual(&self) -> (usize, usize);
}

/// A read on its way.
struct Read<'a, S> {
    sink: S,
    count: usize,
    bytes: usize,
    damage: Vec<Damage>,
    limit: usize,
    upto: Option<&'a HashMap<u64, u64>>,
}

impl<S> Read<'_, S> {
    fn is_full(&self) -> bool {
        self.count >= self.limit || self.bytes >= MAX_BYTES
    }
}

/// Follows all incarnations of all producers under a root.
pub struct Follower {
    root: PathBuf,
    followed: BTreeMap<u64, Followed>,
    /// Who is first in the next read.
    turn: usize,
    /// The last one that was honest.
    watermark: u64,
    /// [`Sink::usual`] of the last read.
    usual: (usize, usize),
}

impl Follower {
    pub fn new(root: &Path) -> Follower {
        Follower { root: root.to_owned(), followed: BTreeMap::new(), turn: 0, watermark: 0, usual: (0, 0) }
    }

    /// The next events of each incarnation above `after` (its last applied sequence number; absent: none),
    /// `limit` at most. `now` is the time, taken before the call.
    pub fn read(&mut self, after: &HashMap<u64, u64>, limit: usize, now: u64) -> Result<Batch, Error> {
        self.read_between(after, None, limit, now)
    }

    /// The same, no further than `upto` (an incarnation absent there: nothing of it).
    pub fn read_between(
        &mut self,
        after: &HashMap<u64, u64>,
        upto: Option<&HashMap<u64, u64>>,
        limit: usize,
        now: u64,
    ) -> Result<Batch, Error> {
        let marks = self.look(after, now)?;
        let (read, unread) = self.read_fairly(Records::sized(self.usual), limit, upto)?;
        if let Some(watermark) = self.promised(&marks, &unread, now) {
            self.watermark = watermark;
        }
        let mut batch = Batch::of(read.sink)?;
        batch.watermark = self.watermark;
        batch.more = !unread.is_empty();
        batch.damage = read.damage;
        Ok(batch)
    }

    /// The same as [`Follower::read`], packed to be sent on. Incarnations at [`GONE`] are left out.
    pub fn take(&mut self, after: &HashMap<u64, u64>, limit: usize, now: u64) -> Result<Shipment, Error> {
        let marks = self.look(after, now)?;
        let (read, unread) = self.read_fairly(Packing::sized(self.usual), limit, None)?;
        let known = self.followed.iter().filter(|(_, followed)| followed.position != GONE);
        let heard = known.map(|(incarnation, followed)| {
            let source = Source { producer: followed.producer.clone(), incarnation: *incarnation };
            Heard { source, upto: followed.position, mark: followed.heard(marks.get(incarnation)) }
        });
        let heard = heard.collect();
        let Read { sink: packed, count, damage, .. } = read;
        Ok(Shipment { packed: packed.into_places(), count, heard, damage, more: !unread.is_empty() })
    }

    /// Finds out who is there and what the live ones promise, as of `now`. The order matters: first the
    /// promises, then the listing, so whoever is in neither began to receive after `now`.
    fn look(&mut self, after: &HashMap<u64, u64>, now: u64) -> Result<BTreeMap<u64, Mark>, Error> {
        let position = |incarnation: &u64| after.get(incarnation).copied().unwrap_or(0);
        let mut marks = BTreeMap::new();
        for (incarnation, followed) in &mut self.followed {
            if followed.go_to(position(incarnation))? {
                self.watermark = 0;
            }
            marks.extend(followed.promise().map(|mark| (*incarnation, mark)));
        }
        // one that is found ended may have handed its rest to a successor made after the listing
        let mut ended = true;
        while ended {
            ended = false;
            let listed = journal::incarnations(&self.root)?;
            let there: HashSet<u64> = listed.iter().map(|(_, incarnation, _)| *incarnation).collect();
            self.followed.retain(|incarnation, _| there.contains(incarnation));
            for (producer, incarnation, dir) in listed {
                if self.followed.contains_key(&incarnation) {
                    continue;
                }
                let mut new = Followed::open(producer.into(), dir, position(&incarnation), now)?;
                match new.promise() {
                    Some(mark) => drop(marks.insert(incarnation, mark)),
                    None => ended = true,
                }
                self.followed.insert(incarnation, new);
            }
        }
        marks.retain(|incarnation, _| self.followed.contains_key(incarnation));
        Ok(marks)
    }

    /// Reads by turns from all that live and from some that have ended; those that were cut short.
    fn read_fairly<'a, S: Sink>(
        &mut self,
        sink: S,
        limit: usize,
        upto: Option<&'a HashMap<u64, u64>>,
    ) -> Result<(Read<'a, S>, VecDeque<u64>), Error> {
        let mut into = Read { sink, count: 0, bytes: 0, damage: Vec::new(), limit, upto };
        let (mut queue, mut ended) = (VecDeque::new(), VecDeque::new());
        for (incarnation, followed) in &self.followed {
            match followed.state {
                State::Live(_) => queue.push_back(*incarnation),
                State::Ended(Some(_)) => ended.push_front(*incarnation),
                State::Ended(None) => ended.push_back(*incarnation),
                State::Drained => {}
            }
        }
        queue.extend(ended.drain(..ended.len().min(ENDED_AT_ONCE)));
        if !queue.is_empty() {
            self.turn = (self.turn + 1) % queue.len();
            queue.rotate_left(self.turn);
        }
        while !into.is_full() {
            let Some(incarnation) = queue.pop_front() else { break };
            let followed = self.followed.get_mut(&incarnation).expect("queued from there");
            let live = matches!(followed.state, State::Live(_));
            if followed.read(incarnation, QUANTUM, &mut into)? {
                queue.push_back(incarnation);
            } else if !live {
                queue.extend(ended.pop_front());
            }
        }
        queue.extend(ended);
        self.usual = into.sink.usual();
        Ok((into, queue))
    }

    /// The instant before which nothing is to come: live producers have promised it, and an incarnation that was cut
    /// short was read that far, since events are journalled as they are received. None where one has neither promised
    /// anything nor been read.
    fn promised(&self, marks: &BTreeMap<u64, Mark>, unread: &VecDeque<u64>, now: u64) -> Option<u64> {
        let mut watermark = now;
        for (incarnation, followed) in &self.followed {
            let until = match marks.get(incarnation) {
                Some(mark) if !unread.contains(incarnation) || followed.position >= mark.seq => {
                    let heard = if mark.clock_ms == 0 { followed.since } else { mark.clock_ms };
                    if heard + SILENT_MS < now {
                        continue;
                    }
                    mark.clock_ms
                }
                None if !matches!(followed.state, State::Ended(_)) => continue,
                _ => followed.received,
            };
            if until == 0 {
                return None;
            }
            watermark = watermark.min(until);
        }
        Some(watermark)
    }
}
