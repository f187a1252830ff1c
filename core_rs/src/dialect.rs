//! A postback in another tracker's parameter names.
//!
//! The bookkeeper resolves what a merchant's `dialect` says into two maps; this module applies them. A name that the
//! dialect does not have is read as ours.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use crate::params::Pair;

/// Our name of the parameter that authenticates a postback in a dialect.
pub const TOKEN: &str = "token";
const STATUS: &str = "status";
const CURRENCY: &str = "currency";

/// How another tracker says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Dialect {
    /// Their name to ours; none: it is not read.
    names: HashMap<Box<str>, Option<Box<str>>>,
    /// Their status, in small letters, to ours.
    statuses: HashMap<Box<str>, Box<str>>,
}

impl Dialect {
    pub fn from_json(json: &str) -> Result<Dialect, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Our name of theirs; none where it is not read.
    pub fn name<'a>(&'a self, theirs: &'a str) -> Option<&'a str> {
        let theirs = theirs.trim_ascii();
        self.names.get(theirs).map_or(Some(theirs), Option::as_deref)
    }

    /// A pair in our words; none where it is not read, or is no word about an order.
    pub fn pair<'a>(&'a self, (name, value): &'a Pair<'_>) -> Option<Pair<'a>> {
        let name = self.name(name).filter(|name| *name != TOKEN)?;
        let value = match name {
            STATUS => {
                let theirs = value.trim_ascii().to_ascii_lowercase();
                self.statuses.get(&*theirs).map_or(Cow::Owned(theirs), |ours| Cow::Borrowed(&**ours))
            }
            CURRENCY => Cow::Owned(value.to_ascii_uppercase()),
            _ => Cow::Borrowed(&**value),
        };
        Some((Cow::Borrowed(name), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_statuses_become_ours_and_what_is_unknown_stays() {
        let json = r#"{"names":{"subid":"click_id","nid":null,"key":"token"},"statuses":{"lead":"pending"}}"#;
        let dialect = Dialect::from_json(json).unwrap();
        let read = |name: &str, value: &str| {
            let pair = (name.to_owned().into(), value.to_owned().into());
            dialect.pair(&pair).map(|(name, value)| (name.into_owned(), value.into_owned()))
        };
        for (name, value, ours) in [
            ("subid", "a1", Some(("click_id", "a1"))),
            (" subid ", "a1", Some(("click_id", "a1"))),
            ("nid", "7", None),
            ("key", "secret", None),
            ("token", "secret", None),
            ("status", "Lead", Some(("status", "pending"))),
            ("status", "Approved", Some(("status", "approved"))),
            ("currency", "usd", Some(("currency", "USD"))),
            ("gclid", "x", Some(("gclid", "x"))),
        ] {
            let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(read(name, value), ours, "{name}={value}");
        }
    }
}
