//! Rate limits in memory that does not grow: how often a key came in the minute that runs.
//!
//! A table of [`SETS`] sets of [`WAYS`] counters. A key has one set; where that is full, its least counted key makes
//! room. So
//!
//! * a count is never too high, unless two keys of one set have the same 32-bit tag: the hash is keyed, so nobody
//!   finds such a pair by design, and by chance one pair in 2^32 of a set is one;
//! * a count is too low only for a key that had the least count of its set when a fifth one came: of 10,000 keys in a
//!   minute one in fifty, and whoever floods has not the least.
//!
//! An honest key is marked by its own hits alone, and the price of a flood of keys is that some of them begin again.

const WAYS: usize = 4;
const SETS_BITS: u32 = 13;
const SETS: usize = 1 << SETS_BITS;
const MINUTE_MS: u64 = 60_000;

#[derive(Clone, Copy, Default)]
struct Counter {
    tag: u32,
    count: u32,
}

/// Counts keys of one kind; 256 KiB, or nothing where there is no limit.
pub struct Meter {
    /// Counts of a minute above it are over; 0: there is no limit.
    limit: u32,
    key: [u64; 2],
    minute: u64,
    sets: Box<[[Counter; WAYS]]>,
}

impl Meter {
    /// `seed` keys the hash: which keys share a set is nobody's to choose.
    pub fn new(limit: u32, seed: &[u8; 32]) -> Meter {
        let half = |at: usize| u64::from_le_bytes(seed[at..at + 8].try_into().expect("8 bytes"));
        let sets = if limit == 0 { 0 } else { SETS };
        Meter { limit, key: [half(0), half(8)], minute: 0, sets: vec![Default::default(); sets].into() }
    }

    /// Counts one more of `key` at `now_ms`; whether it is over the limit of its minute.
    #[inline]
    pub fn is_over(&mut self, key: u64, now_ms: u64) -> bool {
        if self.limit == 0 {
            return false;
        }
        let minute = now_ms / MINUTE_MS;
        if minute != self.minute {
            self.minute = minute;
            self.sets.fill(Default::default());
        }
        let hash = self.hash(key);
        let set = &mut self.sets[(hash >> (u64::BITS - SETS_BITS)) as usize];
        let tag = hash as u32;
        let place = match set.iter().position(|counter| counter.tag == tag && counter.count > 0) {
            Some(place) => place,
            None => {
                let least = (0..WAYS).min_by_key(|&way| set[way].count).expect("a set has ways");
                set[least] = Counter { tag, count: 0 };
                least
            }
        };
        set[place].count = set[place].count.saturating_add(1);
        set[place].count > self.limit
    }

    /// MurmurHash3's finalizer, keyed before each multiplication: no two keys have the same 64 bits.
    fn hash(&self, key: u64) -> u64 {
        let first = key ^ self.key[0];
        let second = (first ^ first >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd) ^ self.key[1];
        let third = (second ^ second >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        third ^ third >> 33
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    const NOW: u64 = 1_763_900_040_000;

    #[test]
    fn what_is_above_the_limit_of_a_minute_is_over_and_the_next_minute_begins_anew() {
        let mut meter = Meter::new(3, &[7; 32]);
        let hits: Vec<bool> = (0..5).map(|_| meter.is_over(1, NOW)).collect();
        assert_eq!(hits, [false, false, false, true, true]);
        assert!(!meter.is_over(2, NOW));
        assert!(!meter.is_over(1, NOW + MINUTE_MS));
    }

    #[test]
    fn without_a_limit_nothing_is_over_and_nothing_is_kept() {
        let mut meter = Meter::new(0, &[7; 32]);
        assert!((0..100_000).all(|_| !meter.is_over(1, NOW)));
        assert!(meter.sets.is_empty());
    }

    #[test]
    fn a_flood_of_keys_neither_hides_a_flooder_nor_marks_the_honest() {
        let mut meter = Meter::new(50, &[7; 32]);
        let (mut caught, mut honest) = (0, 0);
        for i in 0..1_000_000_u64 {
            honest += u32::from(meter.is_over(1_000_000 + i, NOW));
            if i % 100 == 0 {
                caught += u32::from(meter.is_over(7, NOW));
            }
            if i % 25_000 == 0 {
                honest += u32::from(meter.is_over(9, NOW));
            }
        }
        assert_eq!((caught, honest), (10_000 - 50, 0));
    }

    #[test]
    fn ten_thousand_keys_are_counted_nearly_exactly() {
        let mut meter = Meter::new(19, &[7; 32]);
        let over: usize = (0..200_000_u64).map(|i| usize::from(meter.is_over(i % 10_000, NOW))).sum();
        // of 32,768 counters in sets of four
        assert!((9_800..=10_000).contains(&over), "{over}");
    }

    #[test]
    fn no_two_keys_share_a_counter_whatever_the_seed() {
        for seed in [[0; 32], [1; 32], [3; 32], [7; 32], [0xff; 32]] {
            let meter = Meter::new(1, &seed);
            let places: HashSet<_> = (0..20_000_u64)
                .map(|key| meter.hash(key))
                .map(|hash| (hash >> (u64::BITS - SETS_BITS), hash as u32))
                .collect();
            assert_eq!(places.len(), 20_000, "{seed:?}");
        }
    }

    proptest! {
        #[test]
        fn no_count_is_too_high(keys in proptest::collection::vec(0_u64..5_000, 0..20_000)) {
            let mut meter = Meter::new(2, &[3; 32]);
            let mut exact: HashMap<u64, u32> = HashMap::new();
            for key in keys {
                let count = exact.entry(key).or_default();
                *count += 1;
                prop_assert!(!meter.is_over(key, NOW) || *count > 2);
            }
        }
    }
}
