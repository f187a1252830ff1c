//! Sharing an order's pool out: over the credited promoters, each part over the levels of that
//! promoter's chain and the platform.

use super::pool::{Order, Payee, Pool, in_proportion};
use super::{MAX_LEVELS, MissingLevel, Override, Rule, Terms};
use crate::attribution::WHOLE;
use crate::money::{self, MAX_AMOUNT};

/// One credited promoter of an order, in the order of their touches.
#[derive(Clone, Copy, Debug)]
pub struct Credit<'a> {
    pub promoter: &'a str,
    pub kind: &'a str,
    /// Of 1e-9; all of an order sum to 1e9.
    pub weight: u64,
    /// The promoter's sales before this order, for tiered rules.
    pub total: u64,
    /// One of `TIERS`, or empty.
    pub tier: &'a str,
    /// Which levels of the promoter's chain can be paid.
    pub present: [bool; MAX_LEVELS],
}

/// What a caller must not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookError {
    Amount,
    Weights,
    Tier,
}

impl BookError {
    pub fn code(self) -> &'static str {
        match self {
            BookError::Amount => "bad_amount",
            BookError::Weights => "bad_weights",
            BookError::Tier => "unknown_tier",
        }
    }
}

/// An order's pool and its parts, one of each credit, which sum to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    pub pool: u64,
    pub parts: Vec<Part>,
}

/// One credit's part of an order's pool, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub by: Option<Override>,
    /// The parts of the order's amount that have a rate of their own, and it.
    pub rates: Vec<(u64, u64)>,
    pub base: u64,
    /// As they stand in the rule; none for one that does not apply.
    pub bonuses: Vec<Option<u64>>,
    pub multiplier: u64,
    pub main: u64,
    pub tier_bonus: u64,
    pub max_per_order: Option<u64>,
    pub ceiling: Option<u64>,
    /// What the order would pay if it were this credit's alone.
    pub pool: u64,
    pub part: u64,
    /// What of the part is tier bonus.
    pub bonus: u64,
    /// Level 1's holds the bonus. They and the platform's sum to the part.
    pub levels: [u64; MAX_LEVELS],
    pub platform: u64,
}

impl Rule {
    /// Shares an order out over its credits; none where the rule needs an amount and there is none.
    pub fn book(&self, amount: Option<u64>, at: u64, credits: &[Credit]) -> Result<Option<Booking>, BookError> {
        if credits.iter().try_fold(0u64, |sum, credit| sum.checked_add(credit.weight)) != Some(WHOLE) {
            return Err(BookError::Weights);
        }
        let order = order(amount, at)?;
        let payees = credits.iter().map(|credit| self.payee_of(credit)).collect::<Result<Vec<_>, _>>()?;
        let Some(pools) = payees.iter().map(|payee| self.pool(order, payee)).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        // each pool is at most `MAX_POOL` and the weights sum to 1e9: this sum is below 5e23, and times
        // the pool below 2^128
        let weighted: Vec<u128> = credits.iter().zip(&pools).map(|(c, pool)| product(c.weight, pool.total())).collect();
        let pool = money::round_half_even(weighted.iter().sum(), u128::from(WHOLE)) as u64;
        let parts = money::allocate(pool, &weighted).expect("a pool above 0 has a weight above 0");
        let parts = parts.into_iter().zip(credits).zip(payees.iter().zip(&pools));
        let parts = parts.map(|((part, credit), (payee, pool))| self.part(order, payee, pool, part, credit.present));
        Ok(Some(Booking { pool, parts: parts.collect() }))
    }

    fn payee_of(&self, credit: &Credit) -> Result<Payee<'_>, BookError> {
        if credit.total > MAX_AMOUNT {
            return Err(BookError::Amount);
        }
        self.payee(credit.promoter, credit.kind, credit.tier, credit.total).ok_or(BookError::Tier)
    }

    fn part(&self, order: Order, payee: &Payee, pool: &Pool, part: u64, present: [bool; MAX_LEVELS]) -> Part {
        let [main, bonus] = in_proportion(part, &pool.capped);
        let (levels, platform) = self.split(payee.terms, main, bonus, present);
        let counts = !self.below_min_amount(order.amount);
        let amount = order.amount.filter(|_| counts).unwrap_or(0);
        Part {
            by: payee.by,
            rates: payee.terms.base.slices(amount, payee.total).collect(),
            base: pool.base,
            bonuses: self.bonuses(order).map(|bonus| bonus.filter(|_| counts)).collect(),
            multiplier: pool.multiplier,
            main: pool.main,
            tier_bonus: pool.tier_bonus,
            max_per_order: pool.max_per_order,
            ceiling: pool.ceiling,
            pool: pool.total(),
            part,
            bonus,
            levels,
            platform,
        }
    }

    /// `main` over all levels of the terms and the platform, and the bonus to level 1; then a missing
    /// level's units go to the platform, or once more over the present levels with weight above 0.
    fn split(&self, terms: &Terms, main: u64, bonus: u64, present: [bool; MAX_LEVELS]) -> ([u64; MAX_LEVELS], u64) {
        let [first, second, third, mut platform] = share_out(main, &terms.weights);
        let mut levels = [first + bonus, second, third];
        let mut weights = [0; MAX_LEVELS];
        let mut freed = 0;
        for i in 0..MAX_LEVELS {
            if present[i] {
                weights[i] = terms.weights[i];
            } else {
                freed += std::mem::take(&mut levels[i]);
            }
        }
        if self.missing_level == MissingLevel::Redistribute && freed > 0 && weights != [0; MAX_LEVELS] {
            for (level, more) in levels.iter_mut().zip(share_out(freed, &weights)) {
                *level += more;
            }
        } else {
            platform += freed;
        }
        (levels, platform)
    }
}

fn order(amount: Option<u64>, at: u64) -> Result<Order, BookError> {
    if amount.is_some_and(|amount| amount > MAX_AMOUNT) {
        return Err(BookError::Amount);
    }
    Ok(Order { amount, at })
}

fn product(weight: u64, pool: u64) -> u128 {
    u128::from(weight) * u128::from(pool)
}

/// `parse` keeps the sum of a rule's weights above 0 and below 10^22.
fn share_out<const N: usize>(total: u64, weights: &[u128; N]) -> [u64; N] {
    money::allocate_array(total, weights).expect("a rule's weights can share out its pool")
}

/// Splits of many orders that are each `credit`'s alone, whatever its weight: per amount the levels'
/// parts, then the platform's. Appends `amounts.len() × (levels + 1)` numbers to `out`.
pub fn split_many(rule: &Rule, amounts: &[u64], at: u64, credit: &Credit, out: &mut Vec<u64>) -> Result<(), BookError> {
    let payee = rule.payee_of(credit)?;
    let levels = rule.levels();
    out.reserve(amounts.len() * (levels + 1));
    for &amount in amounts {
        let pool = rule.pool(order(Some(amount), at)?, &payee).expect("there is an amount");
        let [main, bonus] = pool.capped;
        let (parts, platform) = rule.split(payee.terms, main, bonus, credit.present);
        out.extend_from_slice(&parts[..levels]);
        out.push(platform);
    }
    Ok(())
}
