//! Latencies in log-linear buckets: fixed memory, any quantile with an error below 1 %.

use std::time::Duration;

/// Buckets in each power of two, as a power of two.
const FINE: u32 = 7;

pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub fn new() -> Histogram {
        Histogram { counts: vec![0; bucket(u64::MAX) + 1], total: 0 }
    }

    pub fn add(&mut self, latency: Duration) {
        self.counts[bucket(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX))] += 1;
        self.total += 1;
    }

    /// The latency in µs that `share` (0 to 1) of all did not exceed; 0 with none.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = (self.total as f64 * share).ceil() as u64;
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += count;
            below >= rank && below > 0
        });
        found.map_or(0.0, |bucket| top(bucket) as f64 / 1000.0)
    }
}

/// The bucket of `value`: its leading `FINE` + 1 bits.
fn bucket(value: u64) -> usize {
    let shift = (value | 1).ilog2().saturating_sub(FINE);
    ((shift as usize) << FINE) + (value >> shift) as usize
}

/// The largest value of a bucket.
fn top(bucket: usize) -> u64 {
    let shift = (bucket >> FINE).saturating_sub(1);
    let leading = (bucket - (shift << FINE)) as u64;
    (leading << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Histogram, bucket, top};

    #[test]
    fn buckets_follow_each_other_and_are_narrow() {
        for value in (0..5000).chain((13..64).flat_map(|p| [(1_u64 << p) - 1, 1 << p, (1 << p) + 1])) {
            let highest = top(bucket(value));
            assert!(highest >= value && highest - value <= value / 128, "{value} {highest}");
            assert_eq!(bucket(highest), bucket(value));
            assert_eq!(bucket(highest + 1), bucket(value) + 1);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        let mut latencies = Histogram::new();
        assert!(latencies.quantile(0.5).abs() < f64::EPSILON);
        (1..=1000).for_each(|us| latencies.add(Duration::from_micros(us)));
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let found = latencies.quantile(share);
            assert!((found - expected).abs() <= expected / 128.0, "{share}: {found}");
        }
    }
}
