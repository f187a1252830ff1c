//! What was read, packed by partition for folds on other machines; and a batch made of that again.
//!
//! The packed form of records is, for each: its sequence number u64, the length of its payload u32, both
//! little-endian, its payload.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Batch, Damage, Error, Record, Records, Source};
use crate::event::{Event, whose_hit};

/// The mark of an incarnation of which nothing more is to come.
pub const ENDED: u64 = 1 << 62;
/// The position of an incarnation that is known to be wholly applied, wherever it ends.
pub const GONE: u64 = 1 << 62;

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

/// One read, as it stands in the journals.
pub struct Shipment {
    records: Records,
    /// All incarnations that are there.
    pub heard: Vec<Heard>,
    pub damage: Vec<Damage>,
    /// Whether the limit cut the read short.
    pub more: bool,
}

impl Shipment {
    pub(super) fn new(records: Records, heard: Vec<Heard>, damage: Vec<Damage>, more: bool) -> Shipment {
        Shipment { records, heard, damage, more }
    }

    /// How many records.
    pub fn count(&self) -> usize {
        self.records.list.len()
    }

    /// Where the records belong, by incarnation and partition: hits go to 0 up to `partitions`, all else to `partitions`
    /// itself.
    pub fn places(&self, partitions: u32) -> BTreeMap<(u64, u32), Place<'_>> {
        let each = partitions as usize + 1;
        // one incarnation is a source once for each of its turns
        let sources = self.records.sources.iter().map(|source| source.incarnation);
        let whose: Vec<u64> = sources.clone().collect::<BTreeSet<_>>().into_iter().collect();
        let index: Vec<usize> = sources.map(|one| whose.binary_search(&one).expect("of them")).collect();
        let usual = self.count() / (whose.len() * each).max(1) * 5 / 4;
        let mut places: Vec<Place> = (0..whose.len() * each).map(|_| Place::of(&self.records, usual)).collect();
        for record in &self.records.list {
            let partition = partition(self.records.payload(record), record.seq, partitions);
            places[index[record.source] * each + partition as usize].push(record);
        }
        let named = places.into_iter().enumerate().map(|(at, place)| ((whose[at / each], (at % each) as u32), place));
        named.filter(|(_, place)| place.size > 0).collect()
    }
}

/// The records of one incarnation and partition.
pub struct Place<'a> {
    records: &'a Records,
    list: Vec<&'a Record>,
    /// Of them, packed; bytes.
    pub size: usize,
}

impl<'a> Place<'a> {
    fn of(records: &'a Records, usual: usize) -> Place<'a> {
        Place { records, list: Vec::with_capacity(usual), size: 0 }
    }

    fn push(&mut self, record: &'a Record) {
        self.list.push(record);
        self.size += HEAD + record.payload.len();
    }

    /// Packs them into `out`, which has their size.
    pub fn pack(&self, mut out: &mut [u8]) {
        for record in &self.list {
            let payload = self.records.payload(record);
            let (packed, rest) = out.split_at_mut(HEAD + payload.len());
            packed[..8].copy_from_slice(&record.seq.to_le_bytes());
            packed[8..HEAD].copy_from_slice(&(payload.len() as u32).to_le_bytes());
            packed[HEAD..].copy_from_slice(payload);
            out = rest;
        }
    }
}

/// A visitor's hits go to one partition. What does not read is counted where hits are.
fn partition(payload: &[u8], seq: u64, partitions: u32) -> u32 {
    match whose_hit(payload) {
        Some(id) => crc32fast::hash(&id) % partitions,
        None => match Event::decode(payload) {
            Ok(event) if !event.kind.is_hit() => partitions,
            _ => seq as u32 % partitions,
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
            let index = records.sources.len();
            records.sources.push(source);
            let mut rest = entry.data;
            while !rest.is_empty() {
                let (seq, payload, after) = split(rest).ok_or(Error::CutShort(entry.incarnation))?;
                if seq > entry.after {
                    records.push(index, seq, payload);
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
