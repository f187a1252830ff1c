//! The entries that a touch has in its slice: the same whatever store keeps them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{DAY_MS, ID, Key};
use crate::erasure::{Erasure, Subject, Texts, erased};
use crate::event::{DecodeError, Event, Id, Kind};

/// Keys longer than this are not indexed; the edge refuses values over 512 bytes.
const MAX_KEY: usize = 1024;
const RECORD: u8 = 0;

/// A key with its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// What a batch of hits adds to a store, each key once, in their order: so a B-tree takes it up in two thirds of the time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// By day since 1970-01-01 UTC.
    pub days: BTreeMap<u64, Vec<Row>>,
    pub bindings: Vec<Row>,
}

/// The entries of those hits that touch a merchant's customers.
pub fn rows<'a>(hits: impl IntoIterator<Item = Event<'a>>) -> Rows {
    let mut rows = Rows::default();
    for hit in hits {
        let Some(id) = hit.id.filter(|_| !hit.merchant.is_empty()) else { continue };
        let day = rows.days.entry(hit.at / DAY_MS).or_default();
        of_day(&hit, &id, |key, record| day.push((key, record.to_vec())));
        of_binding(&hit, &id, |key, record| rows.bindings.push((key, record.to_vec())));
    }
    for some in rows.days.values_mut().chain([&mut rows.bindings]) {
        some.sort_unstable();
        some.dedup_by(|later, earlier| later.0 == earlier.0);
    }
    rows
}

/// All keys of a merchant's touches in [since, until], by time then event id; none where there can be none.
pub fn range(key: Key<'_>, merchant: &str, since: u64, until: u64) -> Option<RangeInclusive<Vec<u8>>> {
    let prefix = key.prefix(merchant).filter(|_| since <= until)?;
    Some(bound(&prefix, since, &[0; ID])..=bound(&prefix, until, &[0xff; ID]))
}

/// What the touches of somebody who is to be forgotten are found by at a merchant.
pub(super) fn key_of<'a>(subject: &'a Subject, merchant: &str) -> Option<Key<'a>> {
    match subject {
        Subject::Visitor(id) => Some(Key::Visitor(*id)),
        Subject::Customer { merchant: whose, cust } => (whose == merchant).then_some(Key::Customer(cust)),
    }
}

/// Of a record that is written again: the keys that go, and the rows that come.
pub type Rewritten = (Vec<Vec<u8>>, Vec<Row>);

/// What rows of a database become where the persons in them are forgotten: keys that go, rows that come.
pub fn erased_rows(erasure: &Erasure, record: &[u8], binds: bool) -> Result<Option<Rewritten>, DecodeError> {
    let hit = Event::decode(record)?;
    let Some(id) = hit.id.filter(|_| hit.received <= erasure.until && erasure.names(&hit)) else { return Ok(None) };
    let (mut gone, mut come, mut texts) = (Vec::new(), Vec::new(), Texts::default());
    let rows_of = |hit: &Event<'_>, put: &mut dyn FnMut(Vec<u8>, &[u8])| {
        if binds { of_bound(hit, &id, put) } else { of_day(hit, &id, put) }
    };
    rows_of(&hit, &mut |key, _| gone.push(key));
    rows_of(&erased(&hit, erasure, &mut texts), &mut |key, record| come.push((key, record.to_vec())));
    Ok(Some((gone, come)))
}

/// Under what a touch's record stands.
pub fn record_key(id: &Id) -> [u8; 1 + ID] {
    let mut key = [RECORD; 1 + ID];
    key[1..].copy_from_slice(id);
    key
}

fn bound(prefix: &[u8], at: u64, id: &Id) -> Vec<u8> {
    [prefix, &at.to_be_bytes(), id].concat()
}

/// What stands in the slice of the hit's day.
pub(super) fn of_day(hit: &Event<'_>, id: &Id, mut put: impl FnMut(Vec<u8>, &[u8])) {
    put(record_key(id).to_vec(), &record(hit));
    let keys = [
        hit.visitor.map(Key::Visitor),
        (!hit.cust.is_empty()).then_some(Key::Customer(hit.cust)),
        (!hit.did.is_empty()).then_some(Key::Device(hit.did)),
        hit.fingerprint.map(Key::Fingerprint),
        hit.address.filter(|_| is_counted_click(hit)).map(Key::Address),
    ];
    for prefix in keys.into_iter().flatten().filter_map(|key| key.prefix(hit.merchant)) {
        put(bound(&prefix, hit.at, id), &[]);
    }
}

/// What a click that binds its customer has beside that.
pub(super) fn of_binding(hit: &Event<'_>, id: &Id, put: impl FnMut(Vec<u8>, &[u8])) {
    if hit.binds && is_counted_click(hit) && !hit.embedded {
        of_bound(hit, id, put);
    }
}

/// The same of a click that is known to bind.
fn of_bound(hit: &Event<'_>, id: &Id, mut put: impl FnMut(Vec<u8>, &[u8])) {
    let record = record(hit);
    let keys = [hit.visitor.map(Key::Visitor), (!hit.cust.is_empty()).then_some(Key::Customer(hit.cust))];
    for prefix in keys.into_iter().flatten().filter_map(|key| key.prefix(hit.merchant)) {
        put(bound(&prefix, hit.at, id), &record);
    }
}

pub(super) fn is_counted_click(hit: &Event<'_>) -> bool {
    hit.counted && hit.kind == Kind::Click
}

fn record(hit: &Event<'_>) -> Vec<u8> {
    let mut record = Vec::with_capacity(256);
    touch(hit).encode(&mut record);
    record
}

/// What of a hit is kept: what attribution and its explanation need, and what fraud rules compare: the agent, and of a
/// click that counts the pseudonyms of address and fingerprint, the prefix, and the site that it came from.
fn touch<'a>(hit: &Event<'a>) -> Event<'a> {
    Event {
        kind: hit.kind,
        id: hit.id,
        at: hit.at,
        received: hit.received,
        registry: hit.registry,
        aff: hit.aff,
        pid: hit.pid,
        merchant: hit.merchant,
        link: hit.link,
        channel: hit.channel,
        sub1: hit.sub1,
        sub2: hit.sub2,
        sub3: hit.sub3,
        sub4: hit.sub4,
        sub5: hit.sub5,
        coupon: hit.coupon,
        cust: hit.cust,
        did: hit.did,
        visitor: hit.visitor,
        bot: hit.bot,
        prefetch: hit.prefetch,
        counted: hit.counted,
        reason: hit.reason,
        private: hit.private,
        embedded: hit.embedded,
        agent: hit.agent,
        ..if is_counted_click(hit) { traces(hit) } else { Event::default() }
    }
}

fn traces<'a>(hit: &Event<'a>) -> Event<'a> {
    Event {
        address: hit.address,
        prefix: hit.prefix,
        fingerprint: hit.fingerprint,
        referrer: origin(hit.referrer),
        ..Event::default()
    }
}

/// Scheme and host of a referrer.
fn origin(referrer: &str) -> &str {
    let host = referrer.find("://").map_or(0, |end| end + 3);
    let end = referrer[host..].find('/').map_or(referrer.len(), |length| host + length);
    &referrer[..end]
}

impl Key<'_> {
    fn parts(&self) -> (u8, &[u8]) {
        match self {
            Key::Visitor(id) => (1, id),
            Key::Customer(text) => (2, text.as_bytes()),
            Key::Device(text) => (3, text.as_bytes()),
            Key::Fingerprint(id) => (4, id),
            Key::Address(id) => (5, id),
        }
    }

    /// What all touches of this key and merchant begin with; none where it is too long to be indexed.
    fn prefix(&self, merchant: &str) -> Option<Vec<u8>> {
        let (kind, key) = self.parts();
        let mut out = vec![kind];
        for part in [merchant.as_bytes(), key] {
            if part.len() > MAX_KEY {
                return None;
            }
            out.extend_from_slice(&(part.len() as u16).to_be_bytes());
            out.extend_from_slice(part);
        }
        Some(out)
    }
}
