//! What fraud rules ask of the touches behind an order: counts over ranges of keys, each with a limit, so that a flood
//! costs no more than a busy day.

use std::collections::HashSet;

use super::{DAY_MS, Error, Key, TouchStore, rows};
use crate::event::{Event, Id};
use crate::fraud::SHORTLY;

/// Of a visitor's, a customer's or a fingerprint's hits the newest are looked at, so many.
pub const MAX_LOOKED_AT: usize = 200;

/// The order whose touches are asked about.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub merchant: &'a str,
    /// Of one promoter the newest click that the order is credited to; none: a view, or no touch of the store's.
    pub click: Option<Id>,
    /// The buyer's, where the order or its click says so.
    pub visitor: Option<Id>,
    pub cust: &'a str,
    pub did: &'a str,
    /// Where the attribution window begins, and the order's instant, ms.
    pub since: u64,
    pub at: u64,
    /// Clicks of an address are counted up to this many.
    pub most: u64,
}

/// What the store says of them. Texts are the click's, empty without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub prefix: String,
    pub referrer: String,
    pub address_clicks: u64,
    pub fingerprint_visitors: u64,
    pub devices: u64,
    pub clicks_before: u64,
    pub agents: u64,
}

/// Hits of one visitor, customer or fingerprint, summed up.
#[derive(Default)]
pub struct Tally {
    at: u64,
    click_at: u64,
    clicks_before: u64,
    /// A device, or the visitor of a browser that has none.
    devices: HashSet<Vec<u8>>,
    visitors: HashSet<Id>,
    agents: HashSet<u64>,
}

impl Tally {
    /// For an order at `at` after a click at `click_at`. A `did` of the order's own is one of the devices.
    pub fn new(at: u64, click_at: u64, did: &str) -> Tally {
        let mut tally = Tally { at, click_at, ..Tally::default() };
        if !did.is_empty() {
            tally.devices.insert(did.as_bytes().to_vec());
        }
        tally
    }

    pub fn add(&mut self, hit: &Event<'_>) {
        if rows::is_counted_click(hit) && hit.at.saturating_add(SHORTLY) >= self.at {
            self.clicks_before += 1;
        }
        if !hit.did.is_empty() {
            self.devices.insert(hit.did.as_bytes().to_vec());
        } else if let Some(visitor) = hit.visitor {
            self.devices.insert(visitor.to_vec());
        }
        self.visitors.extend(hit.visitor);
        if hit.agent != 0 && hit.at.abs_diff(self.click_at) <= SHORTLY {
            self.agents.insert(hit.agent);
        }
    }

    pub fn clicks_before(&self) -> u64 {
        self.clicks_before
    }

    pub fn devices(&self) -> u64 {
        self.devices.len() as u64
    }

    pub fn visitors(&self) -> u64 {
        self.visitors.len() as u64
    }

    pub fn agents(&self) -> u64 {
        self.agents.len() as u64
    }
}

/// The part of the click's day (UTC) that lies before the order.
fn day_of(click_at: u64, at: u64) -> (u64, u64) {
    let begins = click_at / DAY_MS * DAY_MS;
    (begins, at.min(begins + DAY_MS - 1))
}

impl TouchStore {
    /// What of an order's touches fraud rules are about.
    pub fn seen(&self, ask: &Ask<'_>) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        let record = match &ask.click {
            Some(id) => self.click(id)?,
            None => None,
        };
        let click = record.as_ref().map(|touch| touch.event()).transpose()?;
        let click_at = click.map_or(ask.at, |click| click.at);
        if let Some(click) = &click {
            seen.prefix = click.prefix.to_owned();
            seen.referrer = click.referrer.to_owned();
            let (since, until) = day_of(click_at, ask.at);
            if let Some(address) = click.address {
                let most = usize::try_from(ask.most).unwrap_or(usize::MAX);
                seen.address_clicks = self.count(Key::Address(address), ask.merchant, since, until, most)? as u64;
            }
            if let Some(fingerprint) = click.fingerprint {
                let key = Key::Fingerprint(fingerprint);
                seen.fingerprint_visitors = self.tally(key, since, until, ask, click_at, "")?.visitors();
            }
        }
        if let Some(visitor) = ask.visitor.or(click.and_then(|click| click.visitor)) {
            let tally = self.tally(Key::Visitor(visitor), ask.since, ask.at, ask, click_at, ask.did)?;
            (seen.devices, seen.clicks_before, seen.agents) = (tally.devices(), tally.clicks_before(), tally.agents());
        }
        if !ask.cust.is_empty() {
            let tally = self.tally(Key::Customer(ask.cust), ask.since, ask.at, ask, click_at, ask.did)?;
            seen.devices = seen.devices.max(tally.devices());
            seen.clicks_before = seen.clicks_before.max(tally.clicks_before());
        }
        Ok(seen)
    }

    /// Sums up the newest [`MAX_LOOKED_AT`] hits of a key in [since, until].
    fn tally(
        &self,
        key: Key<'_>,
        since: u64,
        until: u64,
        ask: &Ask<'_>,
        click_at: u64,
        did: &str,
    ) -> Result<Tally, Error> {
        let mut tally = Tally::new(ask.at, click_at, did);
        for touch in self.newest(key, ask.merchant, since, until, MAX_LOOKED_AT)? {
            tally.add(&touch.event()?);
        }
        Ok(tally)
    }

    /// How many hits of a key lie in [since, until]; counted up to `most`.
    fn count(&self, key: Key<'_>, merchant: &str, since: u64, until: u64, most: usize) -> Result<usize, Error> {
        let Some(range) = rows::range(key, merchant, since, until) else { return Ok(0) };
        let mut count = 0;
        for (_, slice) in self.slices.range(since / DAY_MS..=until / DAY_MS) {
            for entry in slice.range(range.clone()).take(most - count) {
                entry.key()?;
                count += 1;
            }
        }
        Ok(count)
    }
}
