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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_asked_for_by_itself_and_an_embedded_click_does_not_count() {
        let click = Event {
            kind: Kind::Click,
            at: 5,
            aff: "ann",
            pid: "tea",
            merchant: "shop",
            visitor: Some([1; ID]),
            counted: true,
            ..Event::default()
        };
        let embedded = Event { embedded: true, ..click };
        let bot = Event { counted: false, reason: "bot", ..click };
        let all = Wanted { until: u64::MAX, ..Wanted::default() };
        for (wanted, takes) in [
            (all, [true, true, true]),
            (Wanted { kind: Some(Kind::View), ..all }, [false; 3]),
            (Wanted { kind: Some(Kind::Click), aff: "ann", pid: "tea", merchant: "shop", ..all }, [true; 3]),
            (Wanted { aff: "an", ..all }, [false; 3]),
            (Wanted { pid: "cup", ..all }, [false; 3]),
            (Wanted { merchant: "other", ..all }, [false; 3]),
            (Wanted { visitor: Some([1; ID]), ..all }, [true; 3]),
            (Wanted { visitor: Some([2; ID]), ..all }, [false; 3]),
            (Wanted { counted: Some(true), ..all }, [true, false, false]),
            (Wanted { counted: Some(false), ..all }, [false, true, true]),
            (Wanted { reason: "bot", ..all }, [false, false, true]),
            (Wanted { reason: EMBEDDED, ..all }, [false, true, false]),
            (Wanted { since: 5, until: 5, ..all }, [true; 3]),
            (Wanted { since: 6, ..all }, [false; 3]),
            (Wanted { until: 4, ..all }, [false; 3]),
        ] {
            assert_eq!([&click, &embedded, &bot].map(|hit| wanted.takes(hit)), takes, "{wanted:?}");
        }
    }
}
