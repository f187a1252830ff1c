//! Reading what all producers have journalled, and folding the hits of it.
//!
//! [`Follower`] reads, fairly, each incarnation up to its writer's mark; [`Batch`] holds what one read
//! brought, [`Sums`] what the hits of batches add up to. Where folds run on other machines, a [`Shipment`] is what is
//! read and packed by partition, and a [`Batch`] is made of its entries.

mod follower;
mod rollups;
mod shipment;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use follower::Follower;
pub use rollups::{Counts, Dimensions, Rollup};
pub use shipment::{ENDED, Entry, GONE, Heard, PARTITIONS, Shipment};

use crate::event::{DecodeError, Event};
use crate::journal;
use follower::Sink;
use rollups::{MALFORMED, Rollups, outcome};

#[derive(Debug)]
pub enum Error {
    Journal(journal::Error),
    /// An event of a newer tuike: this program must not go past it.
    Newer {
        producer: String,
        incarnation: u64,
        seq: u64,
        version: u8,
    },
    /// Packed records that end in the middle of one: the incarnation they are of.
    CutShort(u64),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Journal(e) => write!(f, "{e}"),
            Error::Newer { producer, incarnation, seq, version } => write!(
                f,
                "journal {producer}/{incarnation:016x}, event {seq}: written by a newer tuike (version {version})"
            ),
            Error::CutShort(incarnation) => write!(f, "packed records of {incarnation:016x} are cut short"),
        }
    }
}

impl std::error::Error for Error {}

impl From<journal::Error> for Error {
    fn from(e: journal::Error) -> Error {
        Error::Journal(e)
    }
}

/// Whose record it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub producer: Arc<str>,
    pub incarnation: u64,
}

/// A stretch of an incarnation that holds no valid record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub source: Source,
    /// Where it begins, bytes, as if the incarnation's segments were one file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// A record that was read, its payload in [`Records::bytes`].
struct Record {
    /// Index into [`Records::sources`].
    source: usize,
    seq: u64,
    payload: Range<usize>,
}

/// What one read brought, as it stands in the journals.
#[derive(Default)]
struct Records {
    bytes: Vec<u8>,
    sources: Vec<Source>,
    list: Vec<Record>,
}

impl Records {
    /// With room for so many records and bytes.
    fn sized((records, bytes): (usize, usize)) -> Records {
        Records { bytes: Vec::with_capacity(bytes), sources: Vec::new(), list: Vec::with_capacity(records) }
    }

    fn payload(&self, record: &Record) -> &[u8] {
        &self.bytes[record.payload.clone()]
    }
}

impl Sink for Records {
    fn begin(&mut self, source: &Source) {
        self.sources.push(source.clone());
    }

    fn push(&mut self, seq: u64, payload: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.list.push(Record { source: self.sources.len() - 1, seq, payload: start..self.bytes.len() });
    }

    fn last(&self) -> &[u8] {
        self.list.last().map_or(&[], |record| self.payload(record))
    }

    fn usual(&self) -> (usize, usize) {
        (self.list.len(), self.bytes.len())
    }
}

/// What one read brought.
pub struct Batch {
    records: Records,
    /// Incarnation to the last sequence number read, for those that brought something.
    pub upto: BTreeMap<u64, u64>,
    /// Everything received before this instant is in this batch or an earlier one, ms.
    pub watermark: u64,
    /// Whether the limit cut this read short.
    pub more: bool,
    pub damage: Vec<Damage>,
    /// Hits by outcome: `counted`, or the reason set aside. An event that does not read is counted here as `malformed`.
    pub hit_counts: HitCounts,
}

/// By incarnation and outcome.
pub type HitCounts = BTreeMap<u64, BTreeMap<String, u64>>;

impl Batch {
    /// Looks through what was read.
    fn of(records: Records) -> Result<Batch, Error> {
        let mut upto = BTreeMap::new();
        let mut counts: BTreeMap<(usize, &str), u64> = BTreeMap::new();
        for record in &records.list {
            let source = &records.sources[record.source];
            upto.insert(source.incarnation, record.seq);
            match Event::decode(records.payload(record)) {
                Ok(event) if event.kind.is_hit() => {
                    *counts.entry((record.source, outcome(&event))).or_default() += 1;
                }
                Ok(_) => {}
                Err(DecodeError::Malformed(_)) => *counts.entry((record.source, MALFORMED)).or_default() += 1,
                Err(DecodeError::Version(version)) => {
                    return Err(Error::Newer {
                        producer: source.producer.to_string(),
                        incarnation: source.incarnation,
                        seq: record.seq,
                        version,
                    });
                }
            }
        }
        let mut hit_counts = HitCounts::new();
        for ((source, outcome), count) in counts {
            // one incarnation is a source once for each of its turns
            let outcomes = hit_counts.entry(records.sources[source].incarnation).or_default();
            *outcomes.entry(outcome.to_owned()).or_default() += count;
        }
        Ok(Batch { records, upto, hit_counts, watermark: 0, more: false, damage: Vec::new() })
    }

    /// Records read, malformed ones included.
    pub fn count(&self) -> usize {
        self.records.list.len()
    }

    /// The hits, for the touch store.
    pub fn hits(&self) -> impl Iterator<Item = Event<'_>> {
        self.decoded().map(|(_, _, event)| event).filter(|event| event.kind.is_hit())
    }

    /// All that is no hit, with its source and sequence number, each source's in its order.
    pub fn events(&self) -> impl Iterator<Item = (&Source, u64, Event<'_>)> {
        self.decoded().filter(|(_, _, event)| !event.kind.is_hit())
    }

    fn decoded(&self) -> impl Iterator<Item = (&Source, u64, Event<'_>)> {
        self.records.list.iter().filter_map(|record| {
            let event = Event::decode(self.records.payload(record)).ok()?;
            Some((&self.records.sources[record.source], record.seq, event))
        })
    }
}

/// What the hits of any number of batches add up to. Its memory is that of at most six rows a hit.
#[derive(Default)]
pub struct Sums {
    pub hit_counts: HitCounts,
    rollups: Rollups,
}

impl Sums {
    pub fn add(&mut self, batch: &Batch) {
        for (incarnation, outcomes) in &batch.hit_counts {
            let counts = self.hit_counts.entry(*incarnation).or_default();
            for (outcome, count) in outcomes {
                *counts.entry(outcome.clone()).or_default() += count;
            }
        }
        batch.hits().for_each(|hit| self.rollups.add(&hit));
    }

    /// The rows in the order of their dimensions.
    pub fn into_rollups(self) -> Vec<Rollup> {
        self.rollups.into_rows()
    }
}

#[cfg(test)]
mod tests;
