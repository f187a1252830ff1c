//! Sums of hits by quarter-hour, merchant, product, promoter, channel and label.

use hashbrown::hash_map::EntryRef;
use hashbrown::{Equivalent, HashMap};

use crate::event::{Event, Kind};
use crate::sketch::{Visitor, Visitors};

/// Rows are by this many milliseconds of `at`: any time zone's days and hours are made of them.
const BUCKET_MS: u64 = 900_000;

/// Outcomes of hits; the others are the reasons that the edge gives.
pub const COUNTED: &str = "counted";
pub const BOT: &str = "bot";
pub const PREFETCH: &str = "prefetch";
pub const MALFORMED: &str = "malformed";

/// What became of a hit: `counted`, or why it does not count.
pub fn outcome<'a>(hit: &Event<'a>) -> &'a str {
    match hit.reason {
        _ if hit.counted => COUNTED,
        "" => MALFORMED, // who does not count it must say why
        reason => reason,
    }
}

/// What rows are kept by. Label number 0 is all hits, 1 to 5 are those that carried sub1 to sub5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dimensions<T> {
    /// Where the quarter-hour begins, seconds.
    pub bucket: u64,
    pub merchant: T,
    pub product: T,
    pub promoter: T,
    pub channel: T,
    pub label_number: u8,
    pub label: T,
}

impl From<&Dimensions<&str>> for Dimensions<String> {
    fn from(from: &Dimensions<&str>) -> Dimensions<String> {
        Dimensions {
            bucket: from.bucket,
            merchant: from.merchant.to_owned(),
            product: from.product.to_owned(),
            promoter: from.promoter.to_owned(),
            channel: from.channel.to_owned(),
            label_number: from.label_number,
            label: from.label.to_owned(),
        }
    }
}

impl Equivalent<Dimensions<String>> for Dimensions<&str> {
    fn equivalent(&self, other: &Dimensions<String>) -> bool {
        (self.bucket, self.label_number) == (other.bucket, other.label_number)
            && self.label == other.label
            && self.promoter == other.promoter
            && self.product == other.product
            && self.merchant == other.merchant
            && self.channel == other.channel
    }
}

/// Counts of hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Counted views.
    pub impressions: u64,
    /// Counted clicks.
    pub clicks: u64,
    pub bots: u64,
    pub prefetches: u64,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollup {
    pub dimensions: Dimensions<String>,
    pub counts: Counts,
    /// Sketch of the counted visitors; empty: none.
    pub visitors: Vec<u8>,
}

/// Rows on their way.
#[derive(Default)]
pub struct Rollups(HashMap<Dimensions<String>, (Counts, Visitors)>);

impl Rollups {
    /// Adds a hit to its rows. One with a code that nobody knows is in none.
    pub fn add(&mut self, hit: &Event<'_>) {
        let count: fn(&mut Counts) -> &mut u64 = match (outcome(hit), hit.kind) {
            (COUNTED, Kind::View) => |counts| &mut counts.impressions,
            (COUNTED, _) => |counts| &mut counts.clicks,
            (BOT, _) => |counts| &mut counts.bots,
            (PREFETCH, _) => |counts| &mut counts.prefetches,
            _ => return,
        };
        let all = Dimensions {
            bucket: hit.at / BUCKET_MS * BUCKET_MS / 1000,
            merchant: hit.merchant,
            product: hit.pid,
            promoter: hit.aff,
            channel: hit.channel,
            label_number: 0,
            label: "",
        };
        let visitor = hit.visitor.filter(|_| hit.counted).map(|id| Visitor::new(&id));
        let labels = [hit.sub1, hit.sub2, hit.sub3, hit.sub4, hit.sub5];
        let labelled = (1..).zip(labels).filter(|(_, label)| !label.is_empty());
        let rows = labelled.map(|(label_number, label)| Dimensions { label_number, label, ..all });
        for row in rows.chain([all]) {
            let (counts, visitors) = match self.0.entry_ref(&row) {
                EntryRef::Occupied(there) => there.into_mut(),
                EntryRef::Vacant(place) => place.insert_with_key(Dimensions::from(&row), Default::default()),
            };
            *count(counts) += 1;
            if let Some(visitor) = visitor {
                visitors.add(visitor);
            }
        }
    }

    /// The rows in the order of their dimensions.
    pub fn into_rows(self) -> Vec<Rollup> {
        let mut rows: Vec<_> = self.0.into_iter().collect();
        rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let row = |(dimensions, (counts, visitors)): (Dimensions<String>, (Counts, Visitors))| Rollup {
            dimensions,
            counts,
            visitors: visitors.to_bytes(),
        };
        rows.into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch;

    fn click() -> Event<'static> {
        Event {
            kind: Kind::Click,
            at: 1_800_001,
            merchant: "m",
            pid: "p",
            aff: "a",
            channel: "web",
            counted: true,
            ..Event::default()
        }
    }

    fn aside(reason: &'static str) -> Event<'static> {
        Event { counted: false, reason, ..click() }
    }

    fn rows(hits: &[Event<'static>]) -> Vec<Rollup> {
        let mut rollups = Rollups::default();
        hits.iter().for_each(|hit| rollups.add(hit));
        rollups.into_rows()
    }

    #[test]
    fn hits_are_summed_by_what_became_of_them() {
        let view = Event { kind: Kind::View, ..click() };
        let sums = rows(&[click(), view, view, aside("bot"), aside("prefetch"), aside("unknown_promoter"), aside("")]);
        assert_eq!(sums.len(), 1);
        assert_eq!(sums[0].counts, Counts { impressions: 2, clicks: 1, bots: 1, prefetches: 1 });
    }

    #[test]
    fn a_row_begins_with_its_quarter_hour() {
        let buckets = [0, 899_999, 900_000, 1_799_999].map(|at| rows(&[Event { at, ..click() }])[0].dimensions.bucket);
        assert_eq!(buckets, [0, 0, 900, 900]);
    }

    #[test]
    fn each_label_has_a_row_of_its_own_beside_the_row_of_all() {
        let sums = rows(&[Event { sub1: "x", sub5: "x", ..click() }, Event { sub1: "y", ..click() }, click()]);
        let by_label: Vec<_> =
            sums.iter().map(|r| (r.dimensions.label_number, &*r.dimensions.label, r.counts.clicks)).collect();
        assert_eq!(by_label, [(0, "", 3), (1, "x", 1), (1, "y", 1), (5, "x", 1)]);
    }

    #[test]
    fn visitors_are_counted_once_a_row_and_only_where_the_hit_counts() {
        let by = |n: u8| Event { visitor: Some([n; 16]), sub2: "s", ..click() };
        let bot = Event { visitor: Some([9; 16]), ..aside("bot") };
        let sums = rows(&[by(1), by(1), by(2), bot]);
        let visitors: Vec<_> = sums.iter().map(|row| sketch::estimate(&row.visitors).unwrap()).collect();
        assert_eq!(visitors, [2, 2]);
        assert_eq!(rows(&[bot])[0].visitors, b"");
    }
}
