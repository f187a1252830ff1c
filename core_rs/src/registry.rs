//! What the edge must know of merchants, products, promoters, links and daily keys.
//!
//! Promoters and links are many: they stand in a snapshot's file that the workers of a machine share, and what has
//! changed since lies over it in each worker. All else is told by the registry log, one JSON entry a record, and so
//! are the changes; the log's writer is the bookkeeper.
//!
//! | module | what it knows |
//! |---|---|
//! | [`table`] | finding records by their keys |
//! | [`record`] | the bytes of a promoter and of a link |
//! | [`snapshot`] | the file: [`Snapshot`] maps it, [`Builder`] writes it |

mod record;
mod snapshot;
mod table;
#[cfg(test)]
mod tests;

use hashbrown::HashMap;
use serde::Deserialize;

use self::record::{LinkEntry, PromoterEntry, TooLong, Written};
use self::table::Table;
use crate::dialect::Dialect;
use crate::event;
use crate::identity::{self, DayKey};
use crate::target;

pub use snapshot::{Builder, Error as SnapshotError, Snapshot};
pub use table::HashKey;

const DAY_MS: u64 = 86_400_000;

/// What may be done with a merchant, product, promoter or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    Paused,
    Blocked,
}

impl Status {
    /// Of `status as u8`.
    fn from_byte(byte: u8) -> Status {
        match byte {
            0 => Status::Active,
            1 => Status::Paused,
            _ => Status::Blocked,
        }
    }
}

pub struct Merchant {
    pub currency: Box<str>,
    /// Key of its signed postbacks.
    pub secret: Box<[u8]>,
    /// The key before, and until when it is valid too (milliseconds).
    pub replaced: Option<(Box<[u8]>, u64)>,
    pub status: Status,
    /// How it says what it posts where it does not sign.
    pub dialect: Option<Dialect>,
    /// SHA-256 of the tokens that authenticate that, and until when each is valid (milliseconds).
    pub tokens: Box<[([u8; 32], u64)]>,
}

impl Merchant {
    /// The keys that sign its postbacks at an instant.
    pub fn secrets(&self, now_ms: u64) -> impl Iterator<Item = &[u8]> {
        let replaced = self.replaced.iter().filter(move |(_, until)| now_ms < *until);
        std::iter::once(&*self.secret).chain(replaced.map(|(secret, _)| &**secret))
    }

    /// The digests of the tokens that are valid at an instant; none without a dialect.
    pub fn tokens(&self, now_ms: u64) -> impl Iterator<Item = &[u8; 32]> {
        let valid = self.tokens.iter().filter(move |(_, until)| now_ms < *until);
        valid.filter(|_| self.dialect.is_some()).map(|(digest, _)| digest)
    }
}

pub struct Product {
    pub merchant: Box<str>,
    /// See [`target::write`].
    pub target: Box<str>,
    /// Where paused and expired links go; empty: nowhere.
    pub fallback: Box<str>,
    pub allowed_hosts: Box<[Box<str>]>,
    pub cookie_days: u32,
    /// Its clicks bind customers.
    pub binds: bool,
    pub status: Status,
}

/// A link as it stands in the snapshot or among the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    pub promoter: &'a str,
    pub product: &'a str,
    /// Its own target, see [`target::write`]; empty: the product's.
    pub url: &'a str,
    pub channel: &'a str,
    pub sub: [&'a str; 5],
    pub coupon: &'a str,
    /// Milliseconds.
    pub expires: Option<u64>,
    pub status: Status,
    /// The promoter's status as of the snapshot, where it is of that.
    standing: Option<Status>,
}

/// One record of the registry log.
#[derive(Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
enum Entry<'a> {
    Merchant {
        id: Box<str>,
        currency: Box<str>,
        secret: String,
        #[serde(default)]
        old_secret: Option<String>,
        #[serde(default)]
        old_secret_until: u64,
        status: Status,
        #[serde(default)]
        dialect: Option<Dialect>,
        /// Digests in hex; with an end until when they are valid.
        #[serde(default)]
        tokens: Vec<(String, Option<u64>)>,
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
    #[serde(borrow)]
    Promoter(PromoterEntry<'a>),
    #[serde(borrow)]
    Link(Box<LinkEntry<'a>>),
    Key {
        day: u64,
        key: String,
    },
    /// All promoters and links stand in the file beside the log.
    Snapshot,
    /// What the log begins with is complete.
    Ready,
    /// Nothing has changed but the books' number.
    Number,
}

/// Why an entry of the registry log cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// Not an entry of this version.
    Malformed(String),
    /// Sealed under another secret than this process was given.
    OtherSecret,
}

/// What an entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    GoOn,
    /// [`Registry::attach`] the snapshot before the next entry.
    Attach,
}

/// One version of the registry.
#[derive(Default)]
pub struct Registry {
    /// The books' number of the newest change in it.
    pub version: u64,
    /// Whether what the log begins with is complete.
    pub ready: bool,
    merchants: HashMap<Box<str>, Merchant>,
    products: HashMap<Box<str>, Product>,
    keys: HashMap<u64, DayKey>,
    snapshot: Option<Snapshot>,
    /// The snapshot's, so that one hash serves it and what lies over it.
    hash_key: HashKey,
    promoters: Table,
    links: Table,
}

impl Registry {
    /// Takes one entry of the log. `version` 0: part of what it begins with.
    pub fn apply(&mut self, json: &[u8], version: u64, secret: &[u8; 32]) -> Result<Then, EntryError> {
        let entry = serde_json::from_slice(json).map_err(|e| EntryError::Malformed(e.to_string()))?;
        let mut then = Then::GoOn;
        match entry {
            Entry::Merchant { id, currency, secret: sealed, old_secret, old_secret_until, status, dialect, tokens } => {
                let open = |sealed: &str| {
                    let plain = identity::unseal(secret, "merchant", sealed).ok_or(EntryError::OtherSecret)?;
                    Ok::<Box<[u8]>, EntryError>(plain.into())
                };
                let replaced = old_secret.map(|old| open(&old)).transpose()?.map(|old| (old, old_secret_until));
                let tokens = tokens.iter().map(digest).collect::<Result<_, _>>()?;
                let secret = open(&sealed)?;
                self.merchants.insert(id, Merchant { currency, secret, replaced, status, dialect, tokens });
            }
            Entry::Product { id, merchant, url, fallback_url, allowed_hosts, cookie_days, binds, status } => {
                let [target, fallback] = [&url, &fallback_url].map(|url| target::visible(url).into());
                let product = Product { merchant, target, fallback, allowed_hosts, cookie_days, binds, status };
                self.products.insert(id, product);
            }
            Entry::Promoter(promoter) => {
                let mut record = Vec::new();
                record::write_promoter(&promoter, &mut record).map_err(malformed)?;
                self.promoters.put(&self.hash_key, &record);
            }
            Entry::Link(link) => {
                let mut record = Vec::new();
                record::write_link(&link, None, |_, _| Written::Whole, &mut record).map_err(malformed)?;
                self.links.put(&self.hash_key, &record);
            }
            Entry::Key { day, key } => {
                let plain = identity::unseal(secret, "day", &key).ok_or(EntryError::OtherSecret)?;
                let key = plain.try_into().map_err(|_| EntryError::Malformed("a day's key is 32 bytes".into()))?;
                self.keys.insert(day, DayKey::new(key));
            }
            Entry::Snapshot if self.ready || !self.promoters.is_empty() || !self.links.is_empty() => {
                return Err(EntryError::Malformed("the snapshot comes before changes of it".into()));
            }
            Entry::Snapshot => then = Then::Attach,
            Entry::Ready => self.ready = true,
            Entry::Number => {}
        }
        self.version = self.version.max(version);
        Ok(then)
    }

    /// Puts the snapshot under all that will change.
    pub fn attach(&mut self, snapshot: Snapshot) {
        self.hash_key = snapshot.hash_key;
        self.snapshot = Some(snapshot);
    }

    pub fn merchant(&self, id: &str) -> Option<&Merchant> {
        self.merchants.get(id)
    }

    pub fn product(&self, id: &str) -> Option<&Product> {
        self.products.get(id)
    }

    pub fn promoter(&self, id: &str) -> Option<Status> {
        let hash = self.hash_key.hash(id.as_bytes());
        self.changed_promoter(hash, id).or_else(|| self.snapshot.as_ref()?.promoter(hash, id))
    }

    pub fn link(&self, code: &str) -> Option<Link<'_>> {
        let hash = self.hash_key.hash(code.as_bytes());
        let changed = self.links.find(hash, code.as_bytes()).map(|place| record::read_link(self.links.heap(), place));
        changed.or_else(|| self.snapshot.as_ref()?.link(hash, code))
    }

    /// The status of a link's promoter.
    pub fn promoter_of(&self, link: &Link<'_>) -> Option<Status> {
        match link.standing {
            None => self.promoter(link.promoter),
            standing if self.promoters.is_empty() => standing,
            standing => self.changed_promoter(self.hash_key.hash(link.promoter.as_bytes()), link.promoter).or(standing),
        }
    }

    fn changed_promoter(&self, hash: u64, id: &str) -> Option<Status> {
        let place = self.promoters.find(hash, id.as_bytes())?;
        Some(record::read_promoter(self.promoters.heap(), place))
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

fn malformed(TooLong(why): TooLong) -> EntryError {
    EntryError::Malformed(why)
}

/// A token's digest, and until when it is valid.
fn digest((hex, until): &(String, Option<u64>)) -> Result<([u8; 32], u64), EntryError> {
    let (high, low) = hex.as_bytes().split_at_checked(32).unwrap_or_default();
    let halves = event::unhex(high).zip(event::unhex(low));
    let (high, low) = halves.ok_or_else(|| EntryError::Malformed("a token's digest is 64 hex digits".into()))?;
    Ok(([high, low].concat().try_into().expect("two halves of 16 bytes"), until.unwrap_or(u64::MAX)))
}
