//! The bytes of a journal. All numbers are little-endian.
//!
//! Segment header (64 bytes): magic (8), format version u32, index of the segment u32, incarnation u64,
//! sequence number of its first record u64, zeros, CRC-32 of the 60 bytes before it.
//!
//! Record: magic (4), length of the payload u32 above 0, sequence number u64, payload, CRC-32 of everything
//! but the magic. CRC-32 is zlib's.

use crate::event::{Event, MAX_EVENT};

pub const HEADER: u64 = 64;
const SEGMENT_MAGIC: [u8; 8] = *b"tuikejnl";

/// Contains bytes that no UTF-8 text has, so nothing that a client sends can look like a record.
pub const MAGIC: [u8; 4] = [0xc1, b't', b'k', 0xff];

/// Magic, length and sequence number.
pub const PREFIX: usize = 16;
const CRC: usize = 4;
/// What a record has beside its payload.
pub const OVERHEAD: usize = PREFIX + CRC;

/// What stands at the head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub version: u32,
    pub index: u64,
    pub incarnation: u64,
    pub first_seq: u64,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER as usize] {
        let mut out = [0; HEADER as usize];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&self.version.to_le_bytes());
        out[12..16].copy_from_slice(&(self.index as u32).to_le_bytes());
        out[16..24].copy_from_slice(&self.incarnation.to_le_bytes());
        out[24..32].copy_from_slice(&self.first_seq.to_le_bytes());
        let crc = crc32fast::hash(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// None where the segment has not begun or its header is damaged.
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let sound = bytes.len() >= HEADER as usize
            && bytes[..8] == SEGMENT_MAGIC
            && crc32fast::hash(&bytes[..60]) == read_u32(bytes, 60);
        sound.then(|| Header {
            version: read_u32(bytes, 8),
            index: u64::from(read_u32(bytes, 12)),
            incarnation: read_u64(bytes, 16),
            first_seq: read_u64(bytes, 24),
        })
    }
}

/// Events of one turn, framed as records; [`number`] fills in sequence numbers and checksums.
#[derive(Default)]
pub struct Batch {
    frames: Vec<u8>,
    count: usize,
}

impl Batch {
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds an event.
    ///
    /// # Panics
    /// Where its wire form is longer than [`MAX_EVENT`]: the doors' limits are far below.
    pub fn push(&mut self, event: &Event<'_>) {
        self.frame(|out| event.encode(out));
    }

    /// Adds an event's wire form of 1 to [`MAX_EVENT`] bytes; panics on any other.
    pub fn push_payload(&mut self, payload: &[u8]) {
        self.frame(|out| out.extend_from_slice(payload));
    }

    #[inline]
    fn frame(&mut self, payload: impl FnOnce(&mut Vec<u8>)) {
        let start = self.frames.len();
        self.frames.extend_from_slice(&MAGIC);
        self.frames.resize(start + PREFIX, 0);
        payload(&mut self.frames);
        let length = self.frames.len() - start - PREFIX;
        assert!((1..=MAX_EVENT).contains(&length), "an event of {length} bytes");
        self.frames[start + 4..start + 8].copy_from_slice(&(length as u32).to_le_bytes());
        self.frames.resize(start + OVERHEAD + length, 0);
        self.count += 1;
    }

    /// How many events.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn clear(&mut self) {
        self.frames.clear();
        self.count = 0;
    }

    /// Keeps the first `count` events.
    pub fn truncate(&mut self, count: usize) {
        let mut end = 0;
        for _ in 0..count.min(self.count) {
            end += size(&self.frames[end..]);
        }
        self.frames.truncate(end);
        self.count = self.count.min(count);
    }

    /// The wire forms of the events.
    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.frames[..];
        std::iter::from_fn(move || {
            let (frame, after) = (!rest.is_empty()).then(|| rest.split_at(size(rest)))?;
            rest = after;
            Some(payload(frame))
        })
    }

    pub(super) fn frames(&mut self) -> &mut [u8] {
        &mut self.frames
    }
}

/// Gives the framed records the sequence numbers from `first` on, and their checksums. Returns how many.
pub fn number(frames: &mut [u8], first: u64) -> u64 {
    let mut seq = first;
    let mut rest = frames;
    while !rest.is_empty() {
        let (frame, after) = rest.split_at_mut(size(rest));
        frame[8..PREFIX].copy_from_slice(&seq.to_le_bytes());
        let end = frame.len() - CRC;
        let crc = crc32fast::hash(&frame[4..end]);
        frame[end..].copy_from_slice(&crc.to_le_bytes());
        seq += 1;
        rest = after;
    }
    seq - first
}

/// How many bytes of whole records at the head of `frames` fit into `room`.
pub fn fit(frames: &[u8], room: u64) -> usize {
    if frames.len() as u64 <= room {
        return frames.len();
    }
    let mut end = 0;
    while end < frames.len() && (end + size(&frames[end..])) as u64 <= room {
        end += size(&frames[end..]);
    }
    end
}

/// The size of the framed record at the head of `frames`.
fn size(frames: &[u8]) -> usize {
    OVERHEAD + read_u32(frames, 4) as usize
}

/// The sequence number of the record at the head of `bytes`.
pub fn seq(bytes: &[u8]) -> u64 {
    read_u64(bytes, 8)
}

/// The size that the record at the head of `bytes` (at least [`PREFIX`]) claims; None where there is none.
#[inline]
pub fn claimed_size(bytes: &[u8]) -> Option<usize> {
    let length = read_u32(bytes, 4) as usize;
    (bytes[..4] == MAGIC && (1..=MAX_EVENT).contains(&length)).then_some(OVERHEAD + length)
}

/// Whether the checksum of a record of the claimed size holds.
#[inline]
pub fn is_sound(record: &[u8]) -> bool {
    let end = record.len() - CRC;
    crc32fast::hash(&record[4..end]) == read_u32(record, end)
}

pub fn payload(record: &[u8]) -> &[u8] {
    &record[PREFIX..record.len() - CRC]
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
