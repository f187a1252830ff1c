//! When the requests of the open loop are due: a Poisson process from a seed.

use std::time::{Duration, Instant};

pub struct Arrivals {
    due: Instant,
    mean: f64,
    state: u64,
}

impl Arrivals {
    /// `rate` in requests a second.
    pub fn new(start: Instant, rate: f64, seed: u64) -> Arrivals {
        Arrivals { due: start, mean: 1.0 / rate, state: seed }
    }

    /// The next one's instant.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Goes on to the one after it: the gaps are exponentially distributed.
    pub fn advance(&mut self) {
        // in (0, 1]: the logarithm is finite
        let uniform = ((self.random() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        self.due += Duration::from_secs_f64(-uniform.ln() * self.mean);
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::Arrivals;

    #[test]
    fn gaps_are_exponential_with_the_rates_mean() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start, 1000.0, 7);
        let (mut before, mut long) = (start, 0);
        for _ in 0..100_000 {
            arrivals.advance();
            long += usize::from((arrivals.due() - before).as_secs_f64() > 0.001);
            before = arrivals.due();
        }
        let total = (before - start).as_secs_f64();
        assert!((99.0..101.0).contains(&total), "{total}");
        // P(gap > mean) = 1/e
        assert!((36_200..37_400).contains(&long), "{long}");
    }
}
