//! Reads a rule written in JSON, and refuses what is not one.

use std::collections::HashMap;

use serde_json::Value;

use super::fields::{Object, Read, decimal, is_code, known_keys, list, needed, object, period, rate, refuse};
use super::{
    Bonus, KINDS, MAX_BONUSES, MAX_CEILING, MAX_LEVELS, MAX_MULTIPLIER, MAX_POOL, MAX_RULE_BYTES, MULTIPLIER_DECIMALS,
    MissingLevel, Mode, Rule, RuleError, Season, TIERS, Terms, Tier, WHOLE_MULTIPLIER, Worth,
};
use crate::money::{self, RATE_DECIMALS, WHOLE_RATE};

/// The keys that rules of every type may have.
const COMMON_KEYS: [&str; 9] = [
    "type",
    "levels",
    "missing_level",
    "min_amount",
    "max_per_order",
    "daily_budget",
    "season",
    "promoter_tier_bonus",
    "overrides",
];

impl Rule {
    /// Reads and checks a rule; its amounts are in `currency`, and no order pays more than the rate `ceiling` of its
    /// amount, floored.
    pub fn parse(json: &str, currency: &str, ceiling: u64) -> Read<Rule> {
        if !(1..=MAX_CEILING).contains(&ceiling) {
            let most = money::format_rate(MAX_CEILING);
            return refuse("bad_ceiling", format!("the platform's ceiling is above 0 and at most {most} %"));
        }
        let Some(decimals) = money::exponent(currency) else {
            return refuse("bad_currency", format!("{currency:?} is no currency"));
        };
        if json.len() > MAX_RULE_BYTES {
            return refuse("bad_rule", format!("a rule is at most {MAX_RULE_BYTES} bytes long"));
        }
        let value: Value = match serde_json::from_str(json) {
            Ok(value) => value,
            Err(error) => return refuse("bad_rule", error.to_string()),
        };
        Reader { decimals, ceiling }.rule(object(&value, "the rule")?)
    }
}

/// Knows how many decimals the rule's currency has, and the platform's ceiling.
#[derive(Clone, Copy)]
struct Reader {
    decimals: u32,
    ceiling: u64,
}

impl Reader {
    fn rule(self, rule: &Object) -> Read<Rule> {
        let kind = type_of(rule)?;
        let own_keys: &[&str] = if kind == "hybrid" { &["base", "bonus"] } else { base_keys(kind) };
        known_keys(rule, &[&COMMON_KEYS, own_keys])?;
        let (base, bonuses) = match kind {
            "hybrid" => (self.hybrid_base(rule)?, self.bonuses(rule)?),
            _ => (self.base(rule, kind)?, Vec::new()),
        };
        // the unit of the levels' values is that of the rule's own, which tiered and hybrid rules have not
        let by_value = matches!(kind, "percentage" | "fixed");
        let terms = self.terms(base, rule.get("levels"), by_value)?;
        let (of_promoter, of_kind) = self.overrides(rule, &terms.base, by_value)?;
        let highest = [&terms].into_iter().chain(of_promoter.values()).chain(of_kind.values());
        let rule = Rule {
            levels: highest.map(|terms| terms.levels).max().unwrap_or(0),
            terms,
            of_promoter,
            of_kind,
            bonuses,
            seasons: seasons(rule)?,
            tier_bonus: tier_bonus(rule)?,
            missing_level: missing_level(rule)?,
            min_amount: decimal(rule, "min_amount", self.decimals)?.unwrap_or(0),
            max_per_order: decimal(rule, "max_per_order", self.decimals)?,
            daily_budget: decimal(rule, "daily_budget", self.decimals)?,
            ceiling: self.ceiling,
        };
        check_fixed_parts(&rule)?;
        Ok(rule)
    }

    /// What an object with `type` percentage, fixed or tiered is worth.
    fn base(self, object: &Object, kind: &str) -> Read<Worth> {
        match kind {
            "tiered" => self.tiered(object),
            _ => self.flat(object, kind == "fixed"),
        }
    }

    /// A `value` that is at most the platform's ceiling.
    fn flat(self, object: &Object, fixed: bool) -> Read<Worth> {
        match fixed {
            true => Ok(Worth::Fixed(needed(object, "value", self.decimals)?)),
            false => Ok(at_one_rate(self.rate_below_ceiling(object)?)),
        }
    }

    /// A `value` in percent that is no more than the platform's ceiling.
    fn rate_below_ceiling(self, object: &Object) -> Read<u64> {
        let rate = needed(object, "value", RATE_DECIMALS)?;
        if rate > self.ceiling {
            let ceiling = money::format_rate(self.ceiling);
            return refuse("above_ceiling", format!("`value` is above the platform's ceiling of {ceiling} %"));
        }
        Ok(rate)
    }

    fn tiered(self, object: &Object) -> Read<Worth> {
        let mode = match object.get("mode").map(Value::as_str) {
            None | Some(Some("slab")) => Mode::Slab,
            Some(Some("marginal")) => Mode::Marginal,
            Some(_) => return refuse("bad_tiers", "`mode` is \"slab\" or \"marginal\""),
        };
        let Some(values) = list(object, "tiers").filter(|tiers| !tiers.is_empty()) else {
            return refuse("bad_tiers", "`tiers` is a list of at least one tier");
        };
        let mut tiers: Vec<Tier> = Vec::with_capacity(values.len());
        for value in values {
            let tier = self::object(value, "a tier")?;
            known_keys(tier, &[&["from", "value"]])?;
            let from = needed(tier, "from", self.decimals)?;
            if tiers.last().map_or(from != 0, |before| from <= before.from) {
                return refuse(
                    "tiers_out_of_order",
                    "the first tier is from \"0\", each other from more than the last",
                );
            }
            tiers.push(Tier { from, rate: self.rate_below_ceiling(tier)? });
        }
        Ok(Worth::Rates(mode, tiers))
    }

    fn hybrid_base(self, rule: &Object) -> Read<Worth> {
        let Some(base) = rule.get("base") else {
            return refuse("bad_rule", "a hybrid rule has a `base`");
        };
        let base = object(base, "`base`")?;
        let kind = type_of(base)?;
        if kind == "hybrid" {
            return refuse("unknown_type", "the base of a hybrid rule is not hybrid itself");
        }
        known_keys(base, &[&["type"], base_keys(kind)])?;
        self.base(base, kind)
    }

    fn bonuses(self, rule: &Object) -> Read<Vec<Bonus>> {
        if !rule.contains_key("bonus") {
            return Ok(Vec::new());
        }
        let Some(values) = list(rule, "bonus").filter(|bonuses| bonuses.len() <= MAX_BONUSES) else {
            return refuse("bad_bonus", format!("`bonus` is a list of at most {MAX_BONUSES}"));
        };
        values.iter().map(|value| self.bonus(object(value, "a bonus")?)).collect()
    }

    fn bonus(self, bonus: &Object) -> Read<Bonus> {
        known_keys(bonus, &[&["type", "value", "min_amount", "from", "until"]])?;
        let worth = match type_of(bonus)? {
            "fixed" => Worth::Fixed(needed(bonus, "value", self.decimals)?),
            "percentage" => at_one_rate(rate(bonus, "value")?),
            kind => return refuse("unknown_type", format!("a bonus is fixed or percentage, not {kind}")),
        };
        let min_amount = decimal(bonus, "min_amount", self.decimals)?;
        Ok(Bonus { worth, min_amount, period: period(bonus, "bad_bonus")? })
    }

    fn terms(self, base: Worth, levels: Option<&Value>, by_value: bool) -> Read<Terms> {
        let Some(levels) = levels else {
            return Ok(Terms { base, levels: 1, weights: [1, 0, 0, 0] });
        };
        let value = by_value.then(|| match &base {
            Worth::Fixed(value) => (*value, self.decimals),
            Worth::Rates(_, tiers) => (tiers[0].rate, RATE_DECIMALS),
        });
        let (levels, weights) = parse_levels(levels, value)?;
        Ok(Terms { base, levels, weights })
    }

    /// The terms of promoters, and of kinds of promoters.
    fn overrides(
        self,
        rule: &Object,
        base: &Worth,
        by_value: bool,
    ) -> Read<(HashMap<String, Terms>, HashMap<String, Terms>)> {
        let (mut of_promoter, mut of_kind) = (HashMap::new(), HashMap::new());
        if !rule.contains_key("overrides") {
            return Ok((of_promoter, of_kind));
        }
        let Some(values) = list(rule, "overrides") else {
            return refuse("bad_override", "`overrides` is a list");
        };
        for value in values {
            let given = object(value, "an override")?;
            known_keys(given, &[&["promoter", "kind", "value", "levels"]])?;
            let (overridden, name) = match (given.get("promoter"), given.get("kind")) {
                (Some(Value::String(promoter)), None) if is_code(promoter) => (&mut of_promoter, promoter),
                (None, Some(Value::String(kind))) if KINDS.contains(&kind.as_str()) => (&mut of_kind, kind),
                _ => return refuse("bad_override", "an override is of a `promoter`, or of a `kind`: member or kol"),
            };
            let levels = given.get("levels").or(rule.get("levels"));
            let terms = self.flat(given, matches!(base, Worth::Fixed(_)));
            let terms = terms.and_then(|base| self.terms(base, levels, by_value)).map_err(|error| RuleError {
                code: error.code,
                detail: format!("with the override of {name:?}: {}", error.detail),
            })?;
            if overridden.insert(name.clone(), terms).is_some() {
                return refuse("bad_override", format!("{name:?} is overridden twice"));
            }
        }
        Ok((of_promoter, of_kind))
    }
}

/// No order without an amount, which no cap cuts, pays more than `MAX_POOL`.
fn check_fixed_parts(rule: &Rule) -> Read<()> {
    let fixed = |worth: &Worth| match worth {
        Worth::Fixed(value) => u128::from(*value),
        Worth::Rates(..) => 0,
    };
    let terms = [&rule.terms].into_iter().chain(rule.of_promoter.values()).chain(rule.of_kind.values());
    let base = terms.map(|terms| fixed(&terms.base)).max().unwrap_or(0);
    let sum = base + rule.bonuses.iter().map(|bonus| fixed(&bonus.worth)).sum::<u128>();
    let multiplier = rule.seasons.iter().map(|season| season.multiplier).fold(WHOLE_MULTIPLIER, u64::max);
    if sum * u128::from(multiplier) > u128::from(MAX_POOL) * u128::from(WHOLE_MULTIPLIER) {
        return refuse("too_large", format!("an order would be paid more than {MAX_POOL} minor units"));
    }
    Ok(())
}

fn seasons(rule: &Object) -> Read<Vec<Season>> {
    const SHAPE: &str = "`season` is {\"multiplier\", \"from\", \"until\"} or a list of them";
    let values = match rule.get("season") {
        None => &[],
        Some(season @ Value::Object(_)) => std::slice::from_ref(season),
        Some(Value::Array(seasons)) if !seasons.is_empty() => &seasons[..],
        Some(_) => return refuse("bad_season", SHAPE),
    };
    let mut seasons = Vec::with_capacity(values.len());
    for value in values {
        let Some(season) = value.as_object() else { return refuse("bad_season", SHAPE) };
        known_keys(season, &[&["multiplier", "from", "until"]])?;
        let multiplier = needed(season, "multiplier", MULTIPLIER_DECIMALS)?;
        if multiplier > MAX_MULTIPLIER {
            return refuse("too_large", format!("a multiplier is at most {}", MAX_MULTIPLIER / WHOLE_MULTIPLIER));
        }
        seasons.push(Season { period: period(season, "bad_season")?, multiplier });
    }
    seasons.sort_by_key(|season| season.period.from);
    if seasons.windows(2).any(|pair| pair[1].period.from < pair[0].period.until) {
        return refuse("bad_season", "two seasons are at the same time");
    }
    Ok(seasons)
}

fn tier_bonus(rule: &Object) -> Read<Option<[u64; TIERS.len()]>> {
    let Some(points) = rule.get("promoter_tier_bonus") else { return Ok(None) };
    let points = object(points, "`promoter_tier_bonus`")?;
    known_keys(points, &[&TIERS])?;
    let mut rates = [0; TIERS.len()];
    for (rate, tier) in rates.iter_mut().zip(TIERS) {
        if points.contains_key(tier) {
            *rate = self::rate(points, tier)?;
        }
    }
    Ok((rates != [0; TIERS.len()]).then_some(rates))
}

fn missing_level(rule: &Object) -> Read<MissingLevel> {
    match rule.get("missing_level").map(Value::as_str) {
        None | Some(Some("platform")) => Ok(MissingLevel::Platform),
        Some(Some("redistribute")) => Ok(MissingLevel::Redistribute),
        Some(_) => refuse("bad_rule", "`missing_level` is \"platform\" or \"redistribute\""),
    }
}

/// The highest level named and the weights of all levels and the platform. Levels may come in any
/// order and leave gaps. A level's `value` is one of the rule's own: its units and their decimals;
/// without one levels have only shares.
fn parse_levels(levels: &Value, value: Option<(u64, u32)>) -> Read<(usize, [u128; MAX_LEVELS + 1])> {
    let Some(levels) = levels.as_array().filter(|levels| !levels.is_empty()) else {
        return refuse("bad_level", "`levels` is a list of at least one level");
    };
    if levels.len() > MAX_LEVELS {
        return refuse("too_many_levels", format!("a rule has at most {MAX_LEVELS} levels"));
    }
    let (total, unit) = value.unwrap_or((1, 0));
    // value ÷ total and share ÷ 100 %, both as parts of total × 100 %, so that no division is needed;
    // of a total of 0 only shares and values of 0 can be had, which are the same parts of 1
    let unit_of_shares = u128::from(total.max(1));
    let whole = unit_of_shares * u128::from(WHOLE_RATE);
    let mut weights = [None; MAX_LEVELS];
    for level in levels {
        let level = object(level, "a level")?;
        known_keys(level, &[&["level", "value", "share"]])?;
        let number = level_number(level)?;
        if value.is_none() && level.contains_key("value") {
            return refuse("bad_level", "levels of a tiered or hybrid rule have a `share`, not a `value`");
        }
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

fn above_pool<T>() -> Read<T> {
    refuse("levels_above_pool", "the levels together get more than the rule pays")
}

fn level_number(level: &Object) -> Read<usize> {
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

fn at_one_rate(rate: u64) -> Worth {
    Worth::Rates(Mode::Slab, vec![Tier { from: 0, rate }])
}

fn type_of(object: &Object) -> Read<&str> {
    match object.get("type").and_then(Value::as_str) {
        Some(kind @ ("percentage" | "fixed" | "tiered" | "hybrid")) => Ok(kind),
        Some(other) => refuse("unknown_type", format!("no rule has the type {other:?}")),
        None => refuse("bad_rule", "`type` is missing or no string"),
    }
}

fn base_keys(kind: &str) -> &'static [&'static str] {
    if kind == "tiered" { &["tiers", "mode"] } else { &["value"] }
}
