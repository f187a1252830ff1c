//! Erasure of a person: what stands about a visitor or a customer is written again under one fresh random id.
//!
//! The fresh id takes the place of visitor, customer and device; address, agent, fingerprint, referrer and unknown
//! parameters go. What money follows from (who promoted what, amounts, numbers, times, click ids) stays, so sums and
//! hash chain stay. **Nothing changes its length**: a record that lost fields is filled up with a field that nobody
//! reads, so that marks, offsets and sequence numbers stay true. Writing again what was written again changes nothing.
//!
//! An id made by erasure ends in [`ENDING`], a text made by it begins with [`MARK`]: so whoever checks the past knows
//! what can no longer be told, and nothing else about the person has to be kept.

use crate::event::{Event, Id, Kind, hex};
use memchr::memmem;

mod text;

/// The last bytes of an id that erasure made; of others, one in 2^32 has them.
pub const ENDING: [u8; 4] = [0xe7, 0xa5, 0xed, 0x1d];
/// The first character of a customer or device that erasure made (delete): no id of a merchant's has it.
pub const MARK: char = '\u{7f}';
/// The number of the field that fills a record up.
const FILLER: u8 = 127;

/// Who is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Visitor(Id),
    /// A merchant's id of its customer.
    Customer {
        merchant: String,
        cust: String,
    },
}

#[derive(Clone, Debug)]
pub struct Erasure {
    pub subject: Subject,
    /// What was received later is not erased, ms.
    pub until: u64,
    /// What the books booked under a later number is not erased.
    pub number: u64,
    fresh: Id,
}

impl Erasure {
    /// `random` makes the fresh id.
    pub fn new(subject: Subject, until: u64, number: u64, random: Id) -> Erasure {
        let mut fresh = random;
        fresh[12..].copy_from_slice(&ENDING);
        Erasure { subject, until, number, fresh }
    }

    pub fn fresh(&self) -> &Id {
        &self.fresh
    }

    /// Whether the event names the person, whenever it was received.
    pub fn names(&self, event: &Event<'_>) -> bool {
        match &self.subject {
            Subject::Visitor(id) => event.visitor == Some(*id),
            Subject::Customer { merchant, cust } => event.merchant == merchant && event.cust == cust,
        }
    }

    /// Whether bytes may name the person; where not, none of the records in them does.
    fn mentioned(&self, bytes: &[u8]) -> bool {
        match &self.subject {
            Subject::Visitor(id) => memmem::find(bytes, id).is_some() || memmem::find(bytes, &hex(id)).is_some(),
            Subject::Customer { cust, .. } => {
                let escaped = text::escaped(cust);
                memmem::find(bytes, cust.as_bytes()).is_some() || memmem::find(bytes, escaped.as_bytes()).is_some()
            }
        }
    }

    /// A customer or device of `length` bytes.
    fn fresh_text(&self, length: usize) -> String {
        let digits = hex(&self.fresh);
        std::iter::once(MARK).chain(digits.iter().cycle().map(|d| *d as char)).take(length).collect()
    }
}

/// Whether an erasure made the event's identifiers.
pub fn is_erased(event: &Event<'_>) -> bool {
    event.visitor.is_some_and(|id| id.ends_with(&ENDING)) || event.cust.starts_with(MARK) || event.did.starts_with(MARK)
}

/// Erasures that are under way, the first of them first.
#[derive(Clone, Debug, Default)]
pub struct Erasures(pub Vec<Erasure>);

impl Erasures {
    pub fn mentioned(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|erasure| erasure.mentioned(bytes))
    }

    /// The wire form of an event, of the same length, that no longer names the person; none where it never did, or is
    /// no event of this version.
    pub fn rewrite(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let event = Event::decode(payload).ok()?;
        if event.kind == Kind::Booked {
            let body = std::str::from_utf8(event.body).ok()?;
            let body = self.rewrite_booked(body)?;
            return Some(fill(&Event { body: body.as_bytes(), ..event }, payload.len()));
        }
        let erasure = self.0.iter().find(|erasure| event.received <= erasure.until && erasure.names(&event))?;
        let mut texts = Texts::default();
        Some(fill(&erased(&event, erasure, &mut texts), payload.len()))
    }

    /// A booked record (JSON) of the same length that no longer names the person; none where it never did.
    pub fn rewrite_booked(&self, record: &str) -> Option<String> {
        let number = text::number(record)?;
        let merchant = text::merchant(record);
        let due: Vec<&Erasure> = self.0.iter().filter(|erasure| number <= erasure.number).collect();
        text::rewrite(&due, &merchant, record)
    }

    /// JSON of one order of the merchant's (its evidence, a message about it) likewise, whatever its number.
    pub fn rewrite_text(&self, merchant: &str, json: &str) -> Option<String> {
        text::rewrite(&self.0.iter().collect::<Vec<_>>(), merchant, json)
    }
}

/// What the erased event borrows.
#[derive(Default)]
pub struct Texts {
    cust: String,
    did: String,
}

/// The event under the erasure's fresh id.
pub fn erased<'a>(event: &Event<'a>, erasure: &Erasure, texts: &'a mut Texts) -> Event<'a> {
    texts.cust = erasure.fresh_text(event.cust.len());
    texts.did = erasure.fresh_text(event.did.len());
    Event { visitor: event.visitor.map(|_| erasure.fresh), cust: &texts.cust, did: &texts.did, ..stripped(event) }
}

/// The event without where it came from: address, agent, fingerprint, referrer, unknown parameters, and all of those of a
/// postback that was refused.
fn stripped<'a>(event: &Event<'a>) -> Event<'a> {
    Event {
        fingerprint: None,
        fingerprint_before: None,
        address: None,
        prefix: "",
        agent: 0,
        referrer: "",
        extra: "",
        body: if event.kind == Kind::Refused { b"[]" } else { event.body },
        ..*event
    }
}

/// Without anything of a person: what is left of a hit that is past its keeping. None where there is nothing to take,
/// or it is no hit.
pub fn anonymous(payload: &[u8], before: u64) -> Option<Vec<u8>> {
    let event = Event::decode(payload).ok().filter(|event| event.kind.is_hit() && event.received < before)?;
    let left = Event { visitor: None, cust: "", did: "", ..stripped(&event) };
    (left != event).then(|| fill(&left, payload.len()))
}

/// The wire form of an event, filled up to `length` bytes.
///
/// # Panics
/// Where it is longer, or shorter by one byte: no field that was taken out has one byte.
fn fill(event: &Event<'_>, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length);
    event.encode(&mut out);
    let missing = length.checked_sub(out.len()).expect("erasure adds nothing");
    if missing == 0 {
        return out;
    }
    assert!(missing > 1, "no field has one byte");
    // the version byte, then a map16 with its length
    let count = u16::from_be_bytes([out[2], out[3]]) + 1;
    out[2..4].copy_from_slice(&count.to_be_bytes());
    out.push(FILLER);
    match missing {
        2 => out.push(0xc2), // false
        3..=258 => out.extend_from_slice(&[0xc4, (missing - 3) as u8]),
        259..=65_539 => {
            out.push(0xc5);
            out.extend_from_slice(&((missing - 4) as u16).to_be_bytes());
        }
        _ => {
            out.push(0xc6);
            out.extend_from_slice(&((missing - 6) as u32).to_be_bytes());
        }
    }
    out.resize(length, 0);
    out
}

#[cfg(test)]
mod tests;
