//! What was read, packed by partition for folds on other machines; and a batch made of that again.
//!
//! The packed form of records is, for each: its sequence number u64, the length of its payload u32, both
//! little-endian, its payload.

use std::sync::Arc;

use super::follower::Sink;
use super::{Batch, Damage, Error, Records, Source};
use crate::event::{Event, whose_hit};

/// The mark of an incarnation of which nothing more is to come.
pub const ENDED: u64 = 1 << 62;
/// The position of an incarnation that is known to be wholly applied, wherever it ends.
pub const GONE: u64 = 1 << 62;

/// Of hits; what is no hit has one more behind them.
pub const PARTITIONS: u32 = 64;
const PLACES: usize = PARTITIONS as usize + 1;

const HEAD: usize = 12;

/// What is known of an incarnation after a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub source: Source,
    /// The last sequence number read, in this read or before.
    pub upto: u64,
    /// Nothing received before this instant comes after `upto`, ms; 0: no word of that, [`ENDED`]: nothing at all.
    pub mark: u64,
}

/// One read, packed.
pub struct Shipment {
    /// Packed records with their incarnation and partition, where there are any.
    pub packed: Vec<(u64, u32, Vec<u8>)>,
    /// How many records.
    pub count: usize,
    /// All incarnations that are there.
    pub heard: Vec<Heard>,
    pub damage: Vec<Damage>,
    /// Whether the limit cut the read short.
    pub more: bool,
}

/// Records packed as they are read: each is copied once.
pub(super) struct Packing {
    /// Those that were read, each once.
    incarnations: Vec<u64>,
    /// Of each of them, one for every partition.
    places: Vec<Vec<u8>>,
    /// Which incarnation's turn it is.
    turn: usize,
    /// Which place had the last record, and of how many bytes its payload is.
    last: (usize, usize),
    /// Bytes that a place gets when it is begun, as long as `left` has them.
    room: usize,
    left: usize,
}

impl Packing {
    /// With room for as many bytes in as many places.
    pub fn sized((places, bytes): (usize, usize)) -> Packing {
        let (left, room) = (bytes * 5 / 4, bytes / places.max(1) * 5 / 4);
        Packing { incarnations: Vec::new(), places: Vec::new(), turn: 0, last: (0, 0), room, left }
    }

    /// As [`Shipment::packed`].
    pub fn into_places(self) -> Vec<(u64, u32, Vec<u8>)> {
        let places = self.places.into_iter().enumerate().filter(|(_, place)| !place.is_empty());
        places.map(|(at, place)| (self.incarnations[at / PLACES], (at % PLACES) as u32, place)).collect()
    }
}

impl Sink for Packing {
    fn begin(&mut self, source: &Source) {
        let known = self.incarnations.iter().position(|incarnation| *incarnation == source.incarnation);
        self.turn = known.unwrap_or(self.incarnations.len());
        if known.is_none() {
            self.incarnations.push(source.incarnation);
            self.places.resize_with(self.incarnations.len() * PLACES, Vec::new);
        }
    }

    fn push(&mut self, seq: u64, payload: &[u8]) {
        let at = self.turn * PLACES + partition(payload, seq) as usize;
        let place = &mut self.places[at];
        if place.is_empty() {
            let room = self.room.min(self.left);
            place.reserve(room);
            self.left -= room;
        }
        place.extend_from_slice(&seq.to_le_bytes());
        place.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        place.extend_from_slice(payload);
        self.last = (at, payload.len());
    }

    fn last(&self) -> &[u8] {
        let (at, length) = self.last;
        self.places.get(at).map_or(&[], |place| &place[place.len() - length..])
    }

    fn usual(&self) -> (usize, usize) {
        let used = self.places.iter().filter(|place| !place.is_empty());
        used.fold((0, 0), |(places, bytes), place| (places + 1, bytes + place.len()))
    }
}

/// A visitor's hits go to one partition. What does not read is counted where hits are.
fn partition(payload: &[u8], seq: u64) -> u32 {
    match whose_hit(payload) {
        Some(id) => crc32fast::hash(&id) % PARTITIONS,
        None => match Event::decode(payload) {
            Ok(event) if !event.kind.is_hit() => PARTITIONS,
            _ => seq as u32 % PARTITIONS,
        },
    }
}

/// Packed records of one incarnation and partition; those up to `after` are passed over.
pub struct Entry<'a> {
    pub producer: &'a str,
    pub incarnation: u64,
    pub after: u64,
    pub data: &'a [u8],
}

impl Batch {
    /// The records of entries, each incarnation's in its order. Neither watermark nor damage comes with them.
    pub fn of_entries<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Result<Batch, Error> {
        let mut records = Records::default();
        for entry in entries {
            let source = Source { producer: Arc::from(entry.producer), incarnation: entry.incarnation };
            records.begin(&source);
            let mut rest = entry.data;
            while !rest.is_empty() {
                let (seq, payload, after) = split(rest).ok_or(Error::CutShort(entry.incarnation))?;
                if seq > entry.after {
                    records.push(seq, payload);
                }
                rest = after;
            }
        }
        Batch::of(records)
    }
}

/// The first packed record's sequence number and payload, and what follows it.
fn split(packed: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (head, rest) = packed.split_at_checked(HEAD)?;
    let (seq, length) = head.split_at(8);
    let seq = u64::from_le_bytes(seq.try_into().ok()?);
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let (payload, rest) = rest.split_at_checked(length)?;
    Some((seq, payload, rest))
}
