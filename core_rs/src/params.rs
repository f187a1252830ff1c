//! Request parameters: `application/x-www-form-urlencoded` (WHATWG URL, section 5.1) and their aliases.

use std::borrow::Cow;
use std::sync::LazyLock;

use hashbrown::HashMap;
use memchr::{memchr, memchr2};

/// Longest value, decoded, in bytes.
pub const MAX_VALUE: usize = 512;
/// More parameters than this in one request are refused.
pub const MAX_PARAMS: usize = 64;

/// One pair, decoded.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Why a parameter list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamError {
    MalformedEscape,
    ValueTooLong,
    TooMany,
}

/// The pairs of a query or form as the WHATWG parser gives them, each with whether all its escapes
/// were well formed.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = (Pair<'_>, bool)> {
    query.split(|&c| c == b'&').filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = match memchr(b'=', part) {
            Some(at) => (&part[..at], &part[at + 1..]),
            None => (part, &b""[..]),
        };
        let ((name, sound), (value, sound_too)) = (decode(name, b' '), decode(value, b' '));
        ((name, value), sound && sound_too)
    })
}

/// A segment of a path, where `+` is itself; none where an escape is malformed.
pub fn segment(text: &[u8]) -> Option<Cow<'_, str>> {
    let (text, sound) = decode(text, b'+');
    sound.then_some(text)
}

/// Invalid UTF-8 to U+FFFD. Nearly all is valid, and to see that is quicker than to look for what is not.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// `+` to `plus`, `%XX` to bytes, invalid UTF-8 to U+FFFD; false where a `%` starts no escape.
fn decode(text: &[u8], plus: u8) -> (Cow<'_, str>, bool) {
    if memchr2(b'%', b'+', text).is_none() {
        return (self::text(text), true);
    }
    let mut out = Vec::with_capacity(text.len());
    let (mut sound, mut i) = (true, 0);
    while i < text.len() {
        match text[i] {
            b'+' => out.push(plus),
            b'%' => match text.get(i + 1..i + 3).and_then(hex_byte) {
                Some(byte) => {
                    out.push(byte);
                    i += 2;
                }
                None => {
                    sound = false;
                    out.push(b'%');
                }
            },
            byte => out.push(byte),
        }
        i += 1;
    }
    let text = String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
    (Cow::Owned(text), sound)
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    let digit = |c: u8| char::from(c).to_digit(16);
    Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)
}

/// Appends `text` percent-encoded as RFC 3986 has it: unreserved bare, the rest upper-case hex.
pub fn encode(text: &str, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

/// Declares the parameters once: name in the code, canonical name, aliases in their order.
macro_rules! names {
    ($($name:ident: $canonical:literal $(, $alias:literal)*;)*) => {
        /// A parameter that we know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Name { $($name,)* }

        const KNOWN: usize = [$(Name::$name,)*].len();
        const TABLE: [(Name, &[&str]); KNOWN] = [$((Name::$name, &[$canonical $(, $alias)*]),)*];
    };
}

names! {
    Aff: "aff", "affiliate_id", "aff_id", "affid", "via", "uid";
    Pid: "pid", "offer_id";
    Oid: "oid", "order_id", "txid";
    Click: "click_id", "clickid", "transaction_id", "tid", "cid";
    Amount: "amount", "sale_amount";
    Currency: "currency", "cur";
    Cust: "cust", "customer_id";
    Did: "did", "device_id";
    Sub1: "sub1", "aff_sub", "aff_sub1";
    Sub2: "sub2", "aff_sub2";
    Sub3: "sub3", "aff_sub3";
    Sub4: "sub4", "aff_sub4";
    Sub5: "sub5", "aff_sub5";
    Channel: "ch", "channel";
    Coupon: "coupon", "coupon_code";
    Referrer: "ref";
    Buster: "t";
    Time: "time", "order_time";
    RefundId: "refund_id";
    Status: "status";
    Merchant: "merchant";
    Stamp: "ts";
    Signature: "sig";
    Url: "url";
    Consent: "consent";
}

/// What a name means and its rank: 0 the canonical one, then the aliases.
fn lookup(name: &str) -> Option<(Name, u8)> {
    static INDEX: LazyLock<HashMap<&str, (Name, u8)>> = LazyLock::new(|| {
        let ranked = |names: &'static [&str]| names.iter().zip(0..);
        TABLE.iter().flat_map(|(known, names)| ranked(names).map(|(name, rank)| (*name, (*known, rank)))).collect()
    });
    INDEX.get(name).copied()
}

impl Name {
    /// What a canonical name or an alias stands for.
    pub fn of(name: &str) -> Option<Name> {
        lookup(name).map(|(known, _)| known)
    }
}

/// The known parameters of one request, and the others as they came.
pub struct Params<'a> {
    known: [Option<(u8, Cow<'a, str>)>; KNOWN],
    /// Whether a name came twice, or beside its alias.
    pub duplicate: bool,
    /// Unknown parameters, encoded again: `a=b&c=d`.
    pub extra: String,
    count: usize,
}

impl<'a> Params<'a> {
    pub fn new() -> Params<'a> {
        Params { known: [const { None }; KNOWN], duplicate: false, extra: String::new(), count: 0 }
    }

    /// Adds all of a query. It is filled where it is, because to hand a new one on would cost as much as to read it.
    pub fn read(&mut self, query: &'a [u8]) -> Result<(), ParamError> {
        for (pair, sound) in pairs(query) {
            if !sound {
                return Err(ParamError::MalformedEscape);
            }
            self.add(pair)?;
        }
        Ok(())
    }

    /// Adds a pair: the canonical name wins, then the aliases in their order, then the first.
    pub fn add(&mut self, (name, value): Pair<'a>) -> Result<(), ParamError> {
        self.count += 1;
        if self.count > MAX_PARAMS {
            return Err(ParamError::TooMany);
        }
        if value.len() > MAX_VALUE || name.len() > MAX_VALUE {
            return Err(ParamError::ValueTooLong);
        }
        let name = trim(&name);
        let Some((known, rank)) = lookup(name) else {
            self.keep(name, &value);
            return Ok(());
        };
        let value = trimmed(value);
        let slot = &mut self.known[known as usize];
        self.duplicate |= slot.is_some();
        // an empty value is a missing one: it never stands before a given one
        let better = match slot {
            None => true,
            Some((_, old)) if old.is_empty() => !value.is_empty(),
            Some((old, _)) => rank < *old && !value.is_empty(),
        };
        if better {
            *slot = Some((rank, value));
        }
        Ok(())
    }

    fn keep(&mut self, name: &str, value: &str) {
        let mut out = std::mem::take(&mut self.extra).into_bytes();
        if !out.is_empty() {
            out.push(b'&');
        }
        encode(name, &mut out);
        out.push(b'=');
        encode(value, &mut out);
        self.extra = String::from_utf8(out).expect("percent-encoded text is ASCII");
    }

    /// The value; empty where it is missing.
    pub fn get(&self, name: Name) -> &str {
        self.known[name as usize].as_ref().map_or("", |(_, value)| value)
    }
}

impl Default for Params<'_> {
    fn default() -> Self {
        Params::new()
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace())
}

fn trimmed(value: Cow<'_, str>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(trim(text)),
        Cow::Owned(text) => {
            let kept = trim(&text);
            if kept.len() == text.len() { Cow::Owned(text) } else { Cow::Owned(kept.to_owned()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(query: &[u8]) -> Result<Params<'_>, ParamError> {
        let mut params = Params::new();
        params.read(query).map(|()| params)
    }

    fn get(query: &str, name: Name) -> String {
        read(query.as_bytes()).unwrap().get(name).to_owned()
    }

    #[test]
    fn aliases_mean_the_same() {
        for (known, names) in TABLE {
            for name in names {
                assert_eq!(get(&format!("{name}=x"), known), "x", "{name}");
            }
        }
    }

    #[test]
    fn the_canonical_name_wins_then_the_aliases_then_the_first() {
        assert_eq!(get("uid=u&via=v&aff=a", Name::Aff), "a");
        assert_eq!(get("uid=u&via=v", Name::Aff), "v");
        assert_eq!(get("aff=1&aff=2", Name::Aff), "1");
        assert_eq!(get("aff=&uid=u", Name::Aff), "u");
        assert!(read(b"aff=1&uid=2").unwrap().duplicate);
    }

    #[test]
    fn names_and_values_are_trimmed_and_empty_is_missing() {
        assert_eq!(get("+aff+=+ann+", Name::Aff), "ann");
        assert_eq!(get("aff=+", Name::Aff), "");
    }

    #[test]
    fn unknown_parameters_are_kept() {
        let params = read(b"gclid=a%2Fb&aff=x&utm_source=y+z").unwrap();
        assert_eq!(params.extra, "gclid=a%2Fb&utm_source=y%20z");
    }

    #[test]
    fn limits_and_bad_escapes_are_named() {
        let long = format!("x={}", "a".repeat(513));
        assert_eq!(read(long.as_bytes()).err(), Some(ParamError::ValueTooLong));
        assert_eq!(read(b"a=%4").err(), Some(ParamError::MalformedEscape));
        assert_eq!(read(b"a=%zz").err(), Some(ParamError::MalformedEscape));
        let many = "a=1&".repeat(65);
        assert_eq!(read(many.as_bytes()).err(), Some(ParamError::TooMany));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(name in "[^\u{0}]{1,20}", value in ".{0,60}") {
            let mut query = Vec::new();
            encode(&name, &mut query);
            query.push(b'=');
            encode(&value, &mut query);
            let ((n, v), sound) = pairs(&query).next().unwrap();
            prop_assert!(sound);
            prop_assert_eq!((n.as_ref(), v.as_ref()), (name.as_str(), value.as_str()));
        }
    }
}
