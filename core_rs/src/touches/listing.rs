//! Touches in the order in which they came. A record stands in its day under its id, and ids begin with their time: so
//! the list has no index of its own, costs the fold nothing, and is looked through from its newest end.

use super::{Error, ID, Touch, TouchStore, rows};
use crate::event::{Event, Id, Kind};

/// Reason of a click that was no navigation: the edge counts it, and no order is credited to it.
const EMBEDDED: &str = "embedded";

/// What is looked for; what is empty is no condition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    pub kind: Option<Kind>,
    pub aff: &'a str,
    pub pid: &'a str,
    pub merchant: &'a str,
    pub visitor: Option<Id>,
    pub counted: Option<bool>,
    pub reason: &'a str,
    /// Of `at`, both included, ms.
    pub since: u64,
    pub until: u64,
}

impl Wanted<'_> {
    pub fn takes(&self, hit: &Event<'_>) -> bool {
        let embedded = hit.counted && hit.embedded;
        let reason = if embedded { EMBEDDED } else { hit.reason };
        let is = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
        is(self.aff, hit.aff)
            && is(self.pid, hit.pid)
            && is(self.merchant, hit.merchant)
            && is(self.reason, reason)
            && self.kind.is_none_or(|kind| kind == hit.kind)
            && self.visitor.is_none_or(|visitor| hit.visitor == Some(visitor))
            && self.counted.is_none_or(|counted| counted == (hit.counted && !embedded))
            && (self.since..=self.until).contains(&hit.at)
    }
}

impl TouchStore {
    /// The days since 1970-01-01 UTC that have touches, ascending.
    pub fn days(&self) -> Vec<u64> {
        self.slices.keys().copied().collect()
    }

    /// The touches of a day whose ids are below `before` (none: all), the highest first, so many at most.
    pub fn newest_of_day(&self, day: u64, before: Option<&Id>, most: usize) -> Result<Vec<Touch>, Error> {
        let Some(slice) = self.slices.get(&day) else { return Ok(Vec::new()) };
        let first = rows::record_key(&[0; ID]);
        let found = match before {
            Some(id) => slice.range(first..rows::record_key(id)),
            None => slice.range(first..=rows::record_key(&[0xff; ID])),
        };
        found.rev().take(most).map(|entry| Ok(Touch(entry.value()?))).collect()
    }
}
