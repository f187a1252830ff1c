//! What an order pays, and to which level of the chain (money.md, section 3).
//!
//! A rule comes as JSON and is checked once when written (`parse`, with `fields`); then it is integers: rates of 1e-6,
//! amounts of the minor unit, weights of the levels. `pool` says what an order pays by one credited
//! promoter's terms, `split` shares it out over the credited promoters and the levels of their chains.

mod fields;
mod parse;
mod pool;
mod split;

use std::collections::HashMap;
use std::fmt;

use crate::money::MAX_AMOUNT;

pub use split::{BookError, Booking, Credit, Part, split_many};

/// Levels of a chain that can be paid: the promoter, the parent, the grandparent.
pub const MAX_LEVELS: usize = 3;

/// The platform's ceiling, the rate of an order's amount that it pays at most, is no higher. An operator may set it
/// lower, never higher: half is what the database checks too, and from 58 % on (pool² × 1e9 above 2^128) the pool of
/// the largest order could not be shared out.
pub const MAX_CEILING: u64 = 500_000;

/// What an order pays is no more: the highest ceiling of the largest amount. The fixed parts of a rule are kept
/// below it, times the largest multiplier, so that products with weights of 1e-9 fit 128 bits.
pub const MAX_POOL: u64 = MAX_AMOUNT / 2;

/// A rule's text is no longer.
pub const MAX_RULE_BYTES: usize = 65_536;
pub const MAX_BONUSES: usize = 64;

/// Multipliers are integers of 1e-4.
pub const MULTIPLIER_DECIMALS: u32 = 4;
pub const WHOLE_MULTIPLIER: u64 = 10_000;
pub const MAX_MULTIPLIER: u64 = 100 * WHOLE_MULTIPLIER;

/// Promoter tiers (money.md, section 7), the lowest first.
pub const TIERS: [&str; 4] = ["bronze", "silver", "gold", "diamond"];

/// The kinds of promoters.
pub const KINDS: [&str; 2] = ["member", "kol"];

/// Why a rule is refused: a stable code, and what is wrong in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    pub code: &'static str,
    pub detail: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for RuleError {}

/// A commission rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    terms: Terms,
    /// The highest level that these or any override's terms name.
    levels: usize,
    of_promoter: HashMap<String, Terms>,
    of_kind: HashMap<String, Terms>,
    bonuses: Vec<Bonus>,
    /// Apart from each other, in order.
    seasons: Vec<Season>,
    /// Rates of the amount, of each of `TIERS`; none where no tier has one.
    tier_bonus: Option<[u64; TIERS.len()]>,
    missing_level: MissingLevel,
    /// 0: none.
    min_amount: u64,
    max_per_order: Option<u64>,
    daily_budget: Option<u64>,
    /// Of the amount, at most `MAX_CEILING` and above 0.
    ceiling: u64,
}

/// What the rule, or an override in its place, pays to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Terms {
    base: Worth,
    /// The highest level named; those below it that are not named have weight 0.
    levels: usize,
    /// In proportion to the parts: level 1, 2, 3, the platform. The order is that of ties.
    weights: [u128; MAX_LEVELS + 1],
}

/// What an order is worth to a promoter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Worth {
    /// Minor units, whatever the amount.
    Fixed(u64),
    /// A rate of the amount: one tier from 0. `Slab` and `Marginal` are the same then.
    Rates(Mode, Vec<Tier>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// All of the order at the rate where the total stands before it.
    Slab,
    /// The order cut at the boundaries, each part at its own rate; their sum is rounded once.
    Marginal,
}

/// From this total on, this rate. The first is from 0, and they rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tier {
    from: u64,
    rate: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bonus {
    worth: Worth,
    min_amount: Option<u64>,
    period: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Season {
    period: Period,
    multiplier: u64,
}

/// From an instant (ms) on, until another, which is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Period {
    from: u64,
    until: u64,
}

impl Period {
    fn contains(&self, at: u64) -> bool {
        self.from <= at && at < self.until
    }
}

/// What becomes of the part of a level that the chain does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MissingLevel {
    Platform,
    Redistribute,
}

/// Which override stands in for the rule's own terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Override {
    Promoter,
    Kind,
}

impl Rule {
    /// The highest level that the rule or any of its overrides names.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// Whether the sales before an order matter.
    pub fn needs_total(&self) -> bool {
        matches!(&self.terms.base, Worth::Rates(_, tiers) if tiers.len() > 1)
    }

    /// Whether the promoter's tier matters.
    pub fn needs_tier(&self) -> bool {
        self.tier_bonus.is_some()
    }

    /// What all orders of a day may pay together.
    pub fn daily_budget(&self) -> Option<u64> {
        self.daily_budget
    }

    /// Whether the order is too small to pay anything.
    pub fn below_min_amount(&self, amount: Option<u64>) -> bool {
        amount.is_some_and(|amount| amount < self.min_amount)
    }

    /// The terms for a promoter: the most specific.
    fn terms_of(&self, promoter: &str, kind: &str) -> (&Terms, Option<Override>) {
        if let Some(terms) = self.of_promoter.get(promoter) {
            (terms, Some(Override::Promoter))
        } else if let Some(terms) = self.of_kind.get(kind) {
            (terms, Some(Override::Kind))
        } else {
            (&self.terms, None)
        }
    }
}

#[cfg(test)]
mod tests;
