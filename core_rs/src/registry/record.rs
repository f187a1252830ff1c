//! The bytes of a promoter and of a link, the same in the snapshot's file and in memory.
//!
//! ```text
//! promoter   key, status (1 byte)
//! link       key, head (2 bytes: status in the 2 lowest bits, the promoter's status in the next 2, above
//!            them what is present), expires (8 bytes, if present), promoter, product, and those of `PARTS`
//!            that are present
//! text       length (2 bytes), then the bytes; with the highest bit of the length set, 5 bytes that say
//!            where in the heap they stand
//! ```
//!
//! Numbers are little-endian; keys are as `table` has them. A link in the file has its promoter's status with it, as
//! of the snapshot, so that a click looks at one record only.

use std::borrow::Cow;

use serde::Deserialize;

use super::table::{MAX_KEY, key_at};
use super::{Link, Status};
use crate::target;

const STATUS_BITS: u32 = 2;
const STATUS: u16 = (1 << STATUS_BITS) - 1;
/// In place of the promoter's status: it is not told here.
const UNTOLD: u16 = STATUS;
const EXPIRES_BIT: u32 = 2 * STATUS_BITS;
const EXPIRES: u16 = 1 << EXPIRES_BIT;
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

/// Appends a link's record to `out`. `standing` is its promoter's status, `text` how a text is written whose bytes
/// would begin at this place in `out`.
pub fn write_link(
    link: &LinkEntry<'_>,
    standing: Option<Status>,
    mut text: impl FnMut(&str, usize) -> Written,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    write_key(&link.code, out)?;
    let mut parts = link.parts();
    let url = target::visible(parts[0]);
    parts[0] = &url;
    let mut head = link.status as u16 | standing.map_or(UNTOLD, |status| status as u16) << STATUS_BITS;
    if link.expires.is_some() {
        head |= EXPIRES;
    }
    for (bit, part) in parts.iter().enumerate() {
        head |= u16::from(!part.is_empty()) << (EXPIRES_BIT + 1 + bit as u32);
    }
    out.extend_from_slice(&head.to_le_bytes());
    if let Some(expires) = link.expires {
        out.extend_from_slice(&expires.to_le_bytes());
    }
    write_text(&link.promoter, Written::Whole, out)?;
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
    let (promoter, product) = (at.text(), at.text());
    let mut parts = [""; PARTS];
    for (bit, part) in parts.iter_mut().enumerate() {
        if head >> (EXPIRES_BIT + 1 + bit as u32) & 1 != 0 {
            *part = at.text();
        }
    }
    let [url, channel, sub1, sub2, sub3, sub4, sub5, coupon] = parts;
    let standing = head >> STATUS_BITS & STATUS;
    Link {
        promoter,
        product,
        url,
        channel,
        sub: [sub1, sub2, sub3, sub4, sub5],
        coupon,
        expires,
        status: Status::from_byte((head & STATUS) as u8),
        standing: (standing != UNTOLD).then(|| Status::from_byte(standing as u8)),
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

    fn text(&mut self) -> &'a str {
        let head = u16::from_le_bytes(self.take());
        let length = usize::from(head & !REFERENCE);
        let place = if head & REFERENCE == 0 {
            self.at += length;
            self.at - length
        } else {
            let mut place = [0; 8];
            place[..PLACE_BYTES].copy_from_slice(&self.take::<PLACE_BYTES>());
            u64::from_le_bytes(place) as usize
        };
        std::str::from_utf8(&self.heap[place..][..length]).expect("it was written as text")
    }
}
