//! The bytes of a promoter and of a link, the same in the snapshot's file and in memory.
//!
//! ```text
//! promoter   key, status (1 byte)
//! link       key, head (2 bytes: status in the 2 lowest bits, above them what is present),
//!            expires (8 bytes, if present), promoter, product, and those of `PARTS` that are present
//! text       length (2 bytes), then the bytes; with the highest bit of the length set, 5 bytes that say
//!            where in the heap they stand
//! ```
//!
//! Numbers are little-endian; keys are as `table` has them. In the file a link's promoter refers to the bytes of the
//! promoter's own key, so the status stands behind them.

use std::borrow::Cow;

use serde::Deserialize;

use super::table::{MAX_KEY, key_at};
use super::{Link, Status};

const STATUS_BITS: u32 = 2;
const EXPIRES: u16 = 1 << STATUS_BITS;
const REFERENCE: u16 = 1 << 15;
const PLACE_BYTES: usize = 5;
/// Texts that may be absent: target, channel, five labels, coupon.
const PARTS: usize = 8;

/// A text of a link, or a key, is longer than a record can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLong(pub String);

/// A promoter as the bookkeeper tells of it: an object, or an array in this order.
#[derive(Deserialize)]
pub struct PromoterEntry<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    pub status: Status,
}

/// A link as the bookkeeper tells of it: an object, or an array in this order.
#[derive(Deserialize)]
pub struct LinkEntry<'a> {
    #[serde(borrow)]
    pub code: Cow<'a, str>,
    #[serde(borrow)]
    pub promoter: Cow<'a, str>,
    #[serde(borrow)]
    pub product: Cow<'a, str>,
    #[serde(borrow, default)]
    pub url: Cow<'a, str>,
    #[serde(borrow, default)]
    pub channel: Cow<'a, str>,
    #[serde(borrow, default)]
    pub sub1: Cow<'a, str>,
    #[serde(borrow, default)]
    pub sub2: Cow<'a, str>,
    #[serde(borrow, default)]
    pub sub3: Cow<'a, str>,
    #[serde(borrow, default)]
    pub sub4: Cow<'a, str>,
    #[serde(borrow, default)]
    pub sub5: Cow<'a, str>,
    #[serde(borrow, default)]
    pub coupon: Cow<'a, str>,
    pub expires: Option<u64>,
    pub status: Status,
}

impl LinkEntry<'_> {
    fn parts(&self) -> [&str; PARTS] {
        [&self.url, &self.channel, &self.sub1, &self.sub2, &self.sub3, &self.sub4, &self.sub5, &self.coupon]
    }
}

/// How a text is written into a record.
pub enum Written {
    /// Its bytes.
    Whole,
    /// Where in the heap its bytes stand already.
    At(usize),
}

pub fn write_promoter(promoter: &PromoterEntry<'_>, out: &mut Vec<u8>) -> Result<(), TooLong> {
    write_key(&promoter.id, out)?;
    out.push(promoter.status as u8);
    Ok(())
}

/// Appends a link's record to `out`; `promoter` is how its promoter is written, `text` says it of any other text,
/// given where in `out` its bytes would begin.
pub fn write_link(
    link: &LinkEntry<'_>,
    promoter: Written,
    mut text: impl FnMut(&str, usize) -> Written,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    write_key(&link.code, out)?;
    let parts = link.parts();
    let mut head = link.status as u16 | if link.expires.is_some() { EXPIRES } else { 0 };
    for (bit, part) in parts.iter().enumerate() {
        head |= u16::from(!part.is_empty()) << (STATUS_BITS + 1 + bit as u32);
    }
    out.extend_from_slice(&head.to_le_bytes());
    if let Some(expires) = link.expires {
        out.extend_from_slice(&expires.to_le_bytes());
    }
    write_text(&link.promoter, promoter, out)?;
    let present = parts.into_iter().filter(|part| !part.is_empty());
    for part in std::iter::once(&*link.product).chain(present) {
        let written = text(part, out.len() + size_of::<u16>());
        write_text(part, written, out)?;
    }
    Ok(())
}

fn write_key(key: &str, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let length = u8::try_from(key.len()).map_err(|_| TooLong(format!("a code has at most {MAX_KEY} bytes: {key}")))?;
    out.push(length);
    out.extend_from_slice(key.as_bytes());
    Ok(())
}

fn write_text(text: &str, written: Written, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let fits = u16::try_from(text.len()).ok().filter(|length| length & REFERENCE == 0);
    let length = fits.ok_or_else(|| TooLong(format!("a link's text has under {REFERENCE} bytes: {text:.40}…")))?;
    match written {
        Written::Whole => {
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        Written::At(place) => {
            out.extend_from_slice(&(length | REFERENCE).to_le_bytes());
            out.extend_from_slice(&(place as u64).to_le_bytes()[..PLACE_BYTES]);
        }
    }
    Ok(())
}

/// The status of the promoter whose record begins at `place`.
#[inline]
pub fn read_promoter(heap: &[u8], place: usize) -> Status {
    Status::from_byte(heap[place + 1 + usize::from(heap[place])])
}

/// The link whose record begins at `place`.
pub fn read_link(heap: &[u8], place: usize) -> Link<'_> {
    let mut at = Reading { heap, at: place + 1 + key_at(heap, place).len() };
    let head = u16::from_le_bytes(at.take());
    let expires = (head & EXPIRES != 0).then(|| u64::from_le_bytes(at.take()));
    let (promoter, behind) = at.text();
    let (product, _) = at.text();
    let mut parts = [""; PARTS];
    for (bit, part) in parts.iter_mut().enumerate() {
        if head >> (STATUS_BITS + 1 + bit as u32) & 1 != 0 {
            *part = at.text().0;
        }
    }
    let [url, channel, sub1, sub2, sub3, sub4, sub5, coupon] = parts;
    Link {
        promoter,
        product,
        url,
        channel,
        sub: [sub1, sub2, sub3, sub4, sub5],
        coupon,
        expires,
        status: Status::from_byte((head & (EXPIRES - 1)) as u8),
        standing: behind.map(|place| Status::from_byte(heap[place])),
    }
}

/// Reads a record on from `at`. Records come from this module's writers, the file's behind a checksum.
struct Reading<'a> {
    heap: &'a [u8],
    at: usize,
}

impl<'a> Reading<'a> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let bytes = self.heap[self.at..][..N].try_into().expect("N bytes");
        self.at += N;
        bytes
    }

    /// A text and, where it is referred to, what place is behind its bytes.
    fn text(&mut self) -> (&'a str, Option<usize>) {
        let head = u16::from_le_bytes(self.take());
        let length = usize::from(head & !REFERENCE);
        let (place, behind) = if head & REFERENCE == 0 {
            let place = self.at;
            self.at += length;
            (place, None)
        } else {
            let mut place = [0; 8];
            place[..PLACE_BYTES].copy_from_slice(&self.take::<PLACE_BYTES>());
            let place = u64::from_le_bytes(place) as usize;
            (place, Some(place + length))
        };
        let bytes = &self.heap[place..][..length];
        (std::str::from_utf8(bytes).expect("it was written as text"), behind)
    }
}
