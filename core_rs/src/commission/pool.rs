//! What an order pays by one credited promoter's terms.
//!
//! The order of operations is money.md's: (base + bonuses) × multiplier; plus the tier bonus; then
//! `max_per_order`; then the platform's ceiling. Each step rounds half to even by itself, a cap shrinks
//! both parts in proportion.

use super::{Mode, Override, Rule, TIERS, Terms, WHOLE_MULTIPLIER, Worth};
use crate::money::{self, WHOLE_RATE};

/// Of an order, what its pool depends on. The amount is at most `MAX_AMOUNT`.
#[derive(Clone, Copy)]
pub(super) struct Order {
    pub amount: Option<u64>,
    pub at: u64,
}

/// Of a credited promoter, what the pool depends on.
#[derive(Clone, Copy)]
pub(super) struct Payee<'r> {
    pub terms: &'r Terms,
    pub by: Option<Override>,
    /// Sales before this order, at most `MAX_AMOUNT`.
    pub total: u64,
    /// The rate of the tier bonus.
    pub tier_rate: u64,
}

/// A pool and how it came about. All 0 where the order is below `min_amount`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pool {
    pub base: u64,
    pub multiplier: u64,
    /// (base + bonuses) × multiplier.
    pub main: u64,
    pub tier_bonus: u64,
    pub max_per_order: Option<u64>,
    pub ceiling: Option<u64>,
    /// `main` and `tier_bonus` after the caps.
    pub capped: [u64; 2],
}

impl Pool {
    pub fn total(&self) -> u64 {
        self.capped[0] + self.capped[1]
    }
}

impl Worth {
    /// The parts of an order that have a rate of their own, with it, by rising total.
    pub(super) fn slices(&self, amount: u64, total: u64) -> impl Iterator<Item = (u64, u64)> {
        let (mode, tiers) = match self {
            Worth::Fixed(_) => (Mode::Slab, &[][..]),
            Worth::Rates(mode, tiers) => (*mode, &tiers[..]),
        };
        tiers.iter().enumerate().filter_map(move |(i, tier)| {
            let next = tiers.get(i + 1).map_or(u64::MAX, |next| next.from);
            let part = match mode {
                Mode::Slab if tier.from <= total && total < next => amount,
                Mode::Slab => 0,
                Mode::Marginal => next.min(total + amount).saturating_sub(tier.from.max(total)),
            };
            (part > 0).then_some((part, tier.rate))
        })
    }

    /// Minor units, rounded half to even once; without an amount no rate has any.
    fn of(&self, amount: Option<u64>, total: u64) -> u64 {
        match self {
            Worth::Fixed(value) => *value,
            Worth::Rates(..) => {
                let slices = self.slices(amount.unwrap_or(0), total);
                let exact = slices.map(|(part, rate)| u128::from(part) * u128::from(rate)).sum();
                money::round_half_even(exact, u128::from(WHOLE_RATE)) as u64
            }
        }
    }

    fn needs_amount(&self) -> bool {
        matches!(self, Worth::Rates(..))
    }
}

impl Rule {
    /// The promoter's terms; none for a tier that there is not (`""` is none).
    pub(super) fn payee(&self, promoter: &str, kind: &str, tier: &str, total: u64) -> Option<Payee<'_>> {
        let (terms, by) = self.terms_of(promoter, kind);
        let tier = match tier {
            "" => None,
            _ => Some(TIERS.iter().position(|name| *name == tier)?),
        };
        let tier_rate = self.tier_bonus.zip(tier).map_or(0, |(rates, tier)| rates[tier]);
        Some(Payee { terms, by, total, tier_rate })
    }

    /// What the order pays in all; none where the rule has a rate and the order no amount. Without an
    /// amount fixed parts pay uncut: no cap applies, nor a bonus with a `min_amount`, nor the tier bonus.
    pub(super) fn pool(&self, order: Order, payee: &Payee) -> Option<Pool> {
        let base = &payee.terms.base;
        let needs_amount = base.needs_amount() || self.bonuses.iter().any(|bonus| bonus.worth.needs_amount());
        if needs_amount && order.amount.is_none() {
            return None;
        }
        if self.below_min_amount(order.amount) {
            return Some(Pool::default());
        }
        let base = base.of(order.amount, payee.total);
        let sum = base + self.bonuses(order).flatten().sum::<u64>();
        let season = self.seasons.iter().find(|season| season.period.contains(order.at));
        let multiplier = season.map_or(WHOLE_MULTIPLIER, |season| season.multiplier);
        let main = match multiplier {
            WHOLE_MULTIPLIER => sum,
            _ => ratio(sum, multiplier, WHOLE_MULTIPLIER),
        };
        let tier_bonus = order.amount.map_or(0, |amount| at_rate(amount, payee.tier_rate));
        let max_per_order = self.max_per_order.filter(|_| order.amount.is_some());
        let ceiling = order.amount.map(|amount| self.most(amount));
        let mut capped = [main, tier_bonus];
        for cap in [max_per_order, ceiling].into_iter().flatten() {
            shrink(&mut capped, cap);
        }
        Some(Pool { base, multiplier, main, tier_bonus, max_per_order, ceiling, capped })
    }

    /// The platform's ceiling in minor units.
    fn most(&self, amount: u64) -> u64 {
        (u128::from(amount) * u128::from(self.ceiling) / u128::from(WHOLE_RATE)) as u64
    }

    /// What each bonus is worth; none for one that does not apply.
    pub(super) fn bonuses(&self, order: Order) -> impl Iterator<Item = Option<u64>> {
        self.bonuses.iter().map(move |bonus| {
            let large_enough = bonus.min_amount.is_none_or(|least| order.amount.is_some_and(|amount| amount >= least));
            (large_enough && bonus.period.contains(order.at)).then(|| bonus.worth.of(order.amount, 0))
        })
    }
}

/// `value` × `numerator` / `denominator`, rounded half to even.
fn ratio(value: u64, numerator: u64, denominator: u64) -> u64 {
    money::round_half_even(u128::from(value) * u128::from(numerator), u128::from(denominator)) as u64
}

fn at_rate(amount: u64, rate: u64) -> u64 {
    if rate == 0 { 0 } else { ratio(amount, rate, WHOLE_RATE) }
}

/// Cuts two parts to `cap` together, in proportion, by largest remainder, ties to the first.
fn shrink(parts: &mut [u64; 2], cap: u64) {
    let total = parts[0] + parts[1];
    if total > cap {
        *parts = in_proportion(cap, parts);
    }
}

/// `total` shared out in proportion to two parts, not both 0 where there is something to share.
pub(super) fn in_proportion(total: u64, parts: &[u64; 2]) -> [u64; 2] {
    if parts[1] == 0 {
        return [total, 0];
    }
    money::allocate_array(total, &parts.map(u128::from)).expect("parts below 2^63 can share out a pool")
}
