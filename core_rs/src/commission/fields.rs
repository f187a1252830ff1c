//! Fields of a rule's JSON: present, known, and of the right form.

use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::{Map, Value};

use super::{Period, RuleError};
use crate::money::{self, DecimalError, RATE_DECIMALS, WHOLE_RATE};

pub type Read<T> = Result<T, RuleError>;
pub type Object = Map<String, Value>;

pub fn refuse<T>(code: &'static str, detail: impl Into<String>) -> Read<T> {
    Err(RuleError { code, detail: detail.into() })
}

pub fn rate(object: &Object, key: &str) -> Read<u64> {
    let rate = needed(object, key, RATE_DECIMALS)?;
    if rate > WHOLE_RATE {
        return refuse("too_large", format!("`{key}` is more than 100 %"));
    }
    Ok(rate)
}

/// `from` and `until`, each of which may be missing.
pub fn period(object: &Object, code: &'static str) -> Read<Period> {
    let read = |key: &str, otherwise| match object.get(key).map(|text| text.as_str().and_then(instant)) {
        None => Ok(otherwise),
        Some(Some(instant)) => Ok(instant),
        Some(None) => {
            refuse(code, format!("`{key}` is neither a date nor an instant such as 2026-11-11T00:00:00+08:00"))
        }
    };
    let period = Period { from: read("from", 0)?, until: read("until", u64::MAX)? };
    if period.from >= period.until {
        return refuse(code, "`until` is not after `from`");
    }
    Ok(period)
}

/// An instant of RFC 3339, or a date as its midnight in UTC, in ms since 1970.
fn instant(text: &str) -> Option<u64> {
    let instant: Timestamp = match text.len() {
        10 => text.parse::<civil::Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
        _ => text.parse().ok()?,
    };
    u64::try_from(instant.as_millisecond()).ok()
}

/// A code as merchants and promoters have it.
pub fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

pub fn object<'a>(value: &'a Value, what: &str) -> Read<&'a Object> {
    value.as_object().map_or_else(|| refuse("bad_rule", format!("{what} is a JSON object")), Ok)
}

pub fn list<'a>(object: &'a Object, key: &str) -> Option<&'a [Value]> {
    object.get(key)?.as_array().map(Vec::as_slice)
}

pub fn known_keys(object: &Object, known: &[&[&str]]) -> Read<()> {
    match object.keys().find(|key| !known.concat().contains(&key.as_str())) {
        Some(key) => refuse("unknown_key", format!("{key:?} is not known here")),
        None => Ok(()),
    }
}

pub fn needed(object: &Object, key: &str, decimals: u32) -> Read<u64> {
    decimal(object, key, decimals)?.map_or_else(|| refuse("bad_value", format!("`{key}` is missing")), Ok)
}

/// A decimal string under a key, in units of 10^-`decimals`; none where the key is not there.
pub fn decimal(object: &Object, key: &str, decimals: u32) -> Read<Option<u64>> {
    let Some(value) = object.get(key) else { return Ok(None) };
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
