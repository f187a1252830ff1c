//! What an order pays, and to which level of the chain (money.md, section 3).
//!
//! A rule comes as JSON, is checked once when written and becomes integers: rates of 1e-6, amounts of
//! the minor unit, weights of the levels. After that `pool` says what the order pays in all, `split`
//! shares it out; neither allocates.

use std::fmt;

use serde_json::{Map, Value};

use crate::money::{self, DecimalError, MAX_AMOUNT};

/// Levels of a chain that can be paid: the promoter, the parent, the grandparent.
pub const MAX_LEVELS: usize = 3;

/// Decimals of a percentage, which makes rates integers of 1e-6.
pub const RATE_DECIMALS: u32 = 4;
const WHOLE_RATE: u64 = 1_000_000;

/// The platform's ceiling: no order pays more than this rate of its amount, floored.
pub const CEILING_RATE: u64 = 500_000;

/// A rule's text is no longer.
pub const MAX_RULE_BYTES: usize = 65_536;

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

fn refuse<T>(code: &'static str, detail: impl Into<String>) -> Result<T, RuleError> {
    Err(RuleError { code, detail: detail.into() })
}

/// What the pool is before any cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// A rate of the amount, in 1e-6.
    Percentage(u64),
    /// Minor units, whatever the amount.
    Fixed(u64),
}

/// What becomes of the part of a level that the chain does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MissingLevel {
    Platform,
    Redistribute,
}

/// A commission rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    base: Base,
    /// The highest level named; those below it that are not named have weight 0.
    levels: usize,
    /// In proportion to the parts: level 1, 2, 3, the platform. The order is that of ties.
    weights: [u128; MAX_LEVELS + 1],
    missing_level: MissingLevel,
    /// 0: none.
    min_amount: u64,
    max_per_order: Option<u64>,
}

/// One order's pool and its parts, which sum to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub pool: u64,
    pub levels: [u64; MAX_LEVELS],
    pub platform: u64,
}

impl Rule {
    /// How many parts a split has beside the platform's.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// Whether the order is too small to pay anything.
    pub fn below_min_amount(&self, amount: Option<u64>) -> bool {
        amount.is_some_and(|amount| amount < self.min_amount)
    }

    /// What the order pays in all; none where the rule needs an amount and there is none. Amounts are
    /// at most `MAX_AMOUNT`. Without an amount a fixed rule pays uncut: no cap applies.
    pub fn pool(&self, amount: Option<u64>) -> Option<u64> {
        let Some(amount) = amount else {
            return match self.base {
                Base::Fixed(value) => Some(value),
                Base::Percentage(_) => None,
            };
        };
        if self.below_min_amount(Some(amount)) {
            return Some(0);
        }
        let base = match self.base {
            Base::Fixed(value) => value,
            Base::Percentage(rate) => {
                money::round_half_even(u128::from(amount) * u128::from(rate), u128::from(WHOLE_RATE)) as u64
            }
        };
        let capped = base.min(self.max_per_order.unwrap_or(u64::MAX));
        Some(capped.min(rate_floor(amount, CEILING_RATE)))
    }

    /// The order's parts; `present` says which levels the chain has.
    pub fn split(&self, amount: Option<u64>, present: [bool; MAX_LEVELS]) -> Option<Split> {
        self.pool(amount).map(|pool| self.split_pool(pool, present))
    }

    /// A pool over all levels of the rule and the platform; then a missing level's units go to the
    /// platform, or once more over the present levels with weight above 0.
    pub fn split_pool(&self, pool: u64, present: [bool; MAX_LEVELS]) -> Split {
        let [first, second, third, mut platform] = share_out(pool, &self.weights);
        let mut levels = [first, second, third];
        let mut weights = [0; MAX_LEVELS];
        let mut freed = 0;
        for i in 0..MAX_LEVELS {
            if present[i] {
                weights[i] = self.weights[i];
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
        Split { pool, levels, platform }
    }
}

fn rate_floor(amount: u64, rate: u64) -> u64 {
    (u128::from(amount) * u128::from(rate) / u128::from(WHOLE_RATE)) as u64
}

/// `parse` keeps the sum of a rule's weights above 0 and below 10^22.
fn share_out<const N: usize>(total: u64, weights: &[u128; N]) -> [u64; N] {
    money::allocate_array(total, weights).expect("a rule's weights can share out its pool")
}

impl Rule {
    /// Reads and checks a rule written in JSON; its amounts are in `currency`.
    pub fn parse(json: &str, currency: &str) -> Result<Rule, RuleError> {
        let Some(decimals) = money::exponent(currency) else {
            return refuse("bad_currency", format!("{currency:?} is no currency"));
        };
        if json.len() > MAX_RULE_BYTES {
            return refuse("bad_rule", format!("a rule is at most {MAX_RULE_BYTES} bytes long"));
        }
        let rule: Value = match serde_json::from_str(json) {
            Ok(rule) => rule,
            Err(error) => return refuse("bad_rule", error.to_string()),
        };
        let rule = object(&rule, "the rule")?;
        let (kind, unit) = match rule.get("type").and_then(Value::as_str) {
            Some("percentage") => (Base::Percentage as fn(u64) -> Base, RATE_DECIMALS),
            Some("fixed") => (Base::Fixed as fn(u64) -> Base, decimals),
            Some(other) => return refuse("unknown_type", format!("no rule has the type {other:?}")),
            None => return refuse("bad_rule", "`type` is missing or no string"),
        };
        known_keys(rule, &["type", "value", "levels", "missing_level", "min_amount", "max_per_order"])?;
        let Some(value) = decimal(rule, "value", unit)? else {
            return refuse("bad_value", "`value` is missing");
        };
        let base = kind(value);
        if matches!(base, Base::Percentage(rate) if rate > CEILING_RATE) {
            return refuse("above_ceiling", "`value` is above the platform's ceiling of 50 %");
        }
        let (levels, weights) = match rule.get("levels") {
            None => (1, [1, 0, 0, 0]),
            Some(levels) => parse_levels(levels, value, unit)?,
        };
        Ok(Rule {
            base,
            levels,
            weights,
            missing_level: parse_missing_level(rule)?,
            min_amount: decimal(rule, "min_amount", decimals)?.unwrap_or(0),
            max_per_order: decimal(rule, "max_per_order", decimals)?,
        })
    }
}

fn parse_missing_level(rule: &Map<String, Value>) -> Result<MissingLevel, RuleError> {
    match rule.get("missing_level").map(Value::as_str) {
        None | Some(Some("platform")) => Ok(MissingLevel::Platform),
        Some(Some("redistribute")) => Ok(MissingLevel::Redistribute),
        Some(_) => refuse("bad_rule", "`missing_level` is \"platform\" or \"redistribute\""),
    }
}

/// The highest level named and the weights of all levels and the platform. Levels may come in any
/// order and leave gaps; a `value` is in `unit` decimals like the rule's own `total`.
fn parse_levels(levels: &Value, total: u64, unit: u32) -> Result<(usize, [u128; MAX_LEVELS + 1]), RuleError> {
    let Some(levels) = levels.as_array().filter(|levels| !levels.is_empty()) else {
        return refuse("bad_level", "`levels` is a list of at least one level");
    };
    if levels.len() > MAX_LEVELS {
        return refuse("too_many_levels", format!("a rule has at most {MAX_LEVELS} levels"));
    }
    // value ÷ total and share ÷ 100 %, both as parts of total × 100 %, so that no division is needed;
    // of a total of 0 only shares and values of 0 can be had, which are the same parts of 1
    let unit_of_shares = u128::from(total.max(1));
    let whole = unit_of_shares * u128::from(WHOLE_RATE);
    let mut weights = [None; MAX_LEVELS];
    for level in levels {
        let level = object(level, "a level")?;
        known_keys(level, &["level", "value", "share"])?;
        let number = level_number(level)?;
        let weight = match (decimal(level, "value", unit)?, decimal(level, "share", RATE_DECIMALS)?) {
            (Some(value), None) if value > total => return above_pool(),
            (Some(value), None) => u128::from(value) * u128::from(WHOLE_RATE),
            (None, Some(share)) => u128::from(share) * unit_of_shares,
            _ => return refuse("bad_level", format!("level {number} has either a `value` or a `share`")),
        };
        if weights[number - 1].replace(weight).is_some() {
            return refuse("duplicate_level", format!("level {number} is there twice"));
        }
    }
    let highest = weights.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
    let [first, second, third] = weights.map(|weight| weight.unwrap_or(0));
    let Some(platform) = whole.checked_sub(first + second + third) else {
        return above_pool();
    };
    Ok((highest, reduce([first, second, third, platform])))
}

fn above_pool<T>() -> Result<T, RuleError> {
    refuse("levels_above_pool", "the levels together get more than the rule pays")
}

fn level_number(level: &Map<String, Value>) -> Result<usize, RuleError> {
    match level.get("level").and_then(Value::as_u64) {
        None | Some(0) => refuse("bad_level", "`level` is a number from 1"),
        Some(number) if number > MAX_LEVELS as u64 => {
            refuse("too_many_levels", format!("there is no level {number}: {MAX_LEVELS} is the highest"))
        }
        Some(number) => Ok(number as usize),
    }
}

/// The same proportions, not all 0, in the smallest integers, which keeps most splits within 64 bits.
fn reduce<const N: usize>(weights: [u128; N]) -> [u128; N] {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor);
    weights.map(|weight| weight / divisor)
}

fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, RuleError> {
    value.as_object().map_or_else(|| refuse("bad_rule", format!("{what} is a JSON object")), Ok)
}

fn known_keys(map: &Map<String, Value>, known: &[&str]) -> Result<(), RuleError> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => refuse("unknown_key", format!("{key:?} is not known here")),
        None => Ok(()),
    }
}

/// A decimal string under a key, in units of 10^-`decimals`; none where the key is not there.
fn decimal(map: &Map<String, Value>, key: &str, decimals: u32) -> Result<Option<u64>, RuleError> {
    let Some(value) = map.get(key) else { return Ok(None) };
    let Some(text) = value.as_str() else {
        return refuse("bad_value", format!("`{key}` is a decimal in a string"));
    };
    match money::parse_decimal(text, decimals) {
        Ok(value) => Ok(Some(value)),
        Err(DecimalError::Negative) => refuse("negative_value", format!("`{key}` is negative")),
        Err(DecimalError::TooManyDecimals) => {
            refuse("too_many_decimals", format!("`{key}` has more than {decimals} decimals"))
        }
        Err(DecimalError::Malformed) => refuse("bad_value", format!("`{key}` is no decimal such as \"12.5\"")),
    }
}

/// Splits of many amounts under one `present`: per amount the levels' parts, then the platform's.
/// Appends `amounts.len() × (levels + 1)` numbers to `out`. Amounts are at most `MAX_AMOUNT`.
pub fn split_many(rule: &Rule, amounts: &[u64], present: [bool; MAX_LEVELS], out: &mut Vec<u64>) {
    out.reserve(amounts.len() * (rule.levels + 1));
    for &amount in amounts {
        debug_assert!(amount <= MAX_AMOUNT);
        let split = rule.split(Some(amount), present).expect("there is an amount");
        out.extend_from_slice(&split.levels[..rule.levels]);
        out.push(split.platform);
    }
}

#[cfg(test)]
mod tests;
