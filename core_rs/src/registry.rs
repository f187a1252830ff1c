//! What the edge must know of merchants, products, promoters, links and daily keys.
//!
//! It is filled from the registry log, one JSON entry a record; the log's writer is the bookkeeper.

use hashbrown::HashMap;
use serde::Deserialize;

use crate::identity::{self, DayKey};
use crate::target::{self, Target};

const DAY_MS: u64 = 86_400_000;

/// What may be done with a merchant, product, promoter or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    Paused,
    Blocked,
}

pub struct Merchant {
    pub currency: Box<str>,
    /// Key of its signed postbacks.
    pub secret: Box<[u8]>,
    pub status: Status,
}

pub struct Product {
    pub merchant: Box<str>,
    pub target: Target,
    /// Where paused and expired links go; empty: nowhere.
    pub fallback: Box<[u8]>,
    pub allowed_hosts: Box<[Box<str>]>,
    pub cookie_days: u32,
    /// Its clicks bind customers.
    pub binds: bool,
    pub status: Status,
}

pub struct Link {
    pub promoter: Box<str>,
    pub product: Box<str>,
    /// The link's own target; the product's where none.
    pub target: Option<Target>,
    pub channel: Box<str>,
    pub sub: [Box<str>; 5],
    pub coupon: Box<str>,
    /// Milliseconds.
    pub expires: Option<u64>,
    pub status: Status,
}

/// One record of the registry log.
#[derive(Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
enum Entry {
    Merchant {
        id: Box<str>,
        currency: Box<str>,
        secret: String,
        status: Status,
    },
    Product {
        id: Box<str>,
        merchant: Box<str>,
        url: String,
        #[serde(default)]
        fallback_url: String,
        allowed_hosts: Box<[Box<str>]>,
        cookie_days: u32,
        #[serde(default)]
        binds: bool,
        status: Status,
    },
    Promoter {
        id: Box<str>,
        status: Status,
    },
    Link {
        code: Box<str>,
        promoter: Box<str>,
        product: Box<str>,
        #[serde(default)]
        url: String,
        #[serde(default)]
        channel: Box<str>,
        #[serde(default)]
        sub1: Box<str>,
        #[serde(default)]
        sub2: Box<str>,
        #[serde(default)]
        sub3: Box<str>,
        #[serde(default)]
        sub4: Box<str>,
        #[serde(default)]
        sub5: Box<str>,
        #[serde(default)]
        coupon: Box<str>,
        expires: Option<u64>,
        status: Status,
    },
    Key {
        day: u64,
        key: String,
    },
    Ready,
}

/// Why an entry of the registry log cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// Not an entry of this version.
    Malformed(String),
    /// Sealed under another secret than this process was given.
    OtherSecret,
}

/// One version of the registry.
#[derive(Default)]
pub struct Registry {
    /// The books' number of the newest change in it.
    pub version: u64,
    /// Whether the snapshot that begins the log is complete.
    pub ready: bool,
    merchants: HashMap<Box<str>, Merchant>,
    products: HashMap<Box<str>, Product>,
    promoters: HashMap<Box<str>, Status>,
    links: HashMap<Box<str>, Link>,
    keys: HashMap<u64, DayKey>,
}

impl Registry {
    /// Takes one entry of the log. `version` 0: part of the snapshot.
    pub fn apply(&mut self, json: &[u8], version: u64, secret: &[u8; 32]) -> Result<(), EntryError> {
        let entry = serde_json::from_slice(json).map_err(|e| EntryError::Malformed(e.to_string()))?;
        match entry {
            Entry::Merchant { id, currency, secret: sealed, status } => {
                let plain = identity::unseal(secret, "merchant", &sealed).ok_or(EntryError::OtherSecret)?;
                self.merchants.insert(id, Merchant { currency, secret: plain.into(), status });
            }
            Entry::Product { id, merchant, url, fallback_url, allowed_hosts, cookie_days, binds, status } => {
                let (target, fallback) = (Target::parse(&url), target::location(&fallback_url));
                let product = Product { merchant, target, fallback, allowed_hosts, cookie_days, binds, status };
                self.products.insert(id, product);
            }
            Entry::Promoter { id, status } => {
                self.promoters.insert(id, status);
            }
            Entry::Link {
                code,
                promoter,
                product,
                url,
                channel,
                sub1,
                sub2,
                sub3,
                sub4,
                sub5,
                coupon,
                expires,
                status,
            } => {
                let target = (!url.is_empty()).then(|| Target::parse(&url));
                let sub = [sub1, sub2, sub3, sub4, sub5];
                self.links.insert(code, Link { promoter, product, target, channel, sub, coupon, expires, status });
            }
            Entry::Key { day, key } => {
                let plain = identity::unseal(secret, "day", &key).ok_or(EntryError::OtherSecret)?;
                let key = plain.try_into().map_err(|_| EntryError::Malformed("a day's key is 32 bytes".into()))?;
                self.keys.insert(day, DayKey::new(key));
            }
            Entry::Ready => self.ready = true,
        }
        self.version = self.version.max(version);
        Ok(())
    }

    pub fn merchant(&self, id: &str) -> Option<&Merchant> {
        self.merchants.get(id)
    }

    pub fn product(&self, id: &str) -> Option<&Product> {
        self.products.get(id)
    }

    pub fn promoter(&self, id: &str) -> Option<Status> {
        self.promoters.get(id).copied()
    }

    pub fn link(&self, code: &str) -> Option<&Link> {
        self.links.get(code)
    }

    /// The key for pseudonyms of this instant's UTC day.
    pub fn key(&self, now_ms: u64) -> Option<&DayKey> {
        self.keys.get(&(now_ms / DAY_MS))
    }

    /// The key of the day before.
    pub fn key_before(&self, now_ms: u64) -> Option<&DayKey> {
        self.keys.get(&(now_ms / DAY_MS).checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [4; 32];

    #[test]
    fn entries_fill_it_and_the_newest_wins() {
        let mut registry = Registry::default();
        let product = |status: &str| {
            format!(
                r#"{{"t":"product","id":"p","merchant":"m","url":"https://s.example/","allowed_hosts":["s.example"],"cookie_days":30,"status":"{status}"}}"#
            )
        };
        registry.apply(product("active").as_bytes(), 0, &SECRET).unwrap();
        registry.apply(br#"{"t":"ready"}"#, 0, &SECRET).unwrap();
        assert!(registry.ready);
        registry.apply(product("paused").as_bytes(), 7, &SECRET).unwrap();
        assert_eq!(registry.product("p").unwrap().status, Status::Paused);
        assert_eq!(registry.version, 7);
    }

    #[test]
    fn another_secret_is_named() {
        let sealed = identity::seal(&SECRET, "merchant", b"key", &[0; 12]);
        let entry = format!(r#"{{"t":"merchant","id":"m","currency":"CNY","secret":"{sealed}","status":"active"}}"#);
        let mut registry = Registry::default();
        assert_eq!(registry.apply(entry.as_bytes(), 1, &[5; 32]), Err(EntryError::OtherSecret));
        registry.apply(entry.as_bytes(), 1, &SECRET).unwrap();
        assert_eq!(&*registry.merchant("m").unwrap().secret, b"key");
    }
}
