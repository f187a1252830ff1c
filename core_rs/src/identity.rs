//! Who is who: visitor ids, click ids, tamper-evident cookies, pseudonyms, sealed secrets.
//!
//! Everything is keyed by BLAKE3 under the instance's secret or the day's random key; randomness comes
//! from one seed, so a test that gives the seed knows each id.

use std::fmt::Write;
use std::net::IpAddr;

use arrayvec::ArrayString;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};

use crate::digits;
use crate::event::{self, Id};

/// Bytes of a cookie's MAC. 64 bits can only be guessed online, one request a guess.
const MAC: usize = 8;
const NONCE: usize = 12;
/// Bytes that are hashed in one piece.
const SHORT: usize = 256;

/// A stream of unpredictable bytes from one seed (BLAKE3 in its XOF mode).
pub struct Entropy {
    stream: blake3::OutputReader,
    buffer: [u8; 4096],
    used: usize,
}

impl Entropy {
    pub fn new(seed: &[u8; 32]) -> Entropy {
        let stream = blake3::Hasher::new_keyed(seed).finalize_xof();
        Entropy { stream, buffer: [0; 4096], used: 4096 }
    }

    pub fn take<const N: usize>(&mut self) -> [u8; N] {
        if self.used + N > self.buffer.len() {
            self.stream.fill(&mut self.buffer);
            self.used = 0;
        }
        let bytes = self.buffer[self.used..self.used + N].try_into().expect("N bytes");
        self.used += N;
        bytes
    }

    /// A 128-bit id that sorts by time: 48 bits of milliseconds, 80 random bits.
    pub fn event_id(&mut self, now_ms: u64) -> Id {
        let random: [u8; 10] = self.take();
        let mut id = Id::default();
        id[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
        id[6..].copy_from_slice(&random);
        id
    }
}

/// The keys that all processes of an instance derive from its secret.
pub struct Keys {
    visitor: [u8; 32],
    click: [u8; 32],
}

impl Keys {
    pub fn new(secret: &[u8; 32]) -> Keys {
        Keys {
            visitor: blake3::derive_key("tuike 1 visitor cookie", secret),
            click: blake3::derive_key("tuike 1 click cookie", secret),
        }
    }

    /// `tk_vid`: the visitor id and its MAC, both hex.
    pub fn write_visitor(&self, visitor: &Id, out: &mut Vec<u8>) {
        out.extend_from_slice(&event::hex(visitor));
        out.push(b'.');
        out.extend_from_slice(&mac_text(&mac(&self.visitor, visitor, b"")));
    }

    /// The visitor of a `tk_vid` cookie; none where it was not written by us.
    pub fn read_visitor(&self, cookie: &[u8]) -> Option<Id> {
        let (visitor, rest) = split_id(cookie)?;
        same_mac(&mac(&self.visitor, &visitor, b""), rest).then_some(visitor)
    }

    /// `tk_aff`: the click id, its MAC and the promoter's code.
    pub fn write_click(&self, click: &Id, promoter: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&event::hex(click));
        out.push(b'.');
        out.extend_from_slice(&mac_text(&mac(&self.click, click, promoter.as_bytes())));
        out.push(b'.');
        out.extend_from_slice(promoter.as_bytes());
    }

    /// The click and promoter of a `tk_aff` cookie; none where it was not written by us.
    pub fn read_click<'a>(&self, cookie: &'a [u8]) -> Option<(Id, &'a str)> {
        let (click, rest) = split_id(cookie)?;
        let (tag, promoter) = rest.split_at_checked(2 * MAC)?;
        let promoter = std::str::from_utf8(promoter.strip_prefix(b".")?).ok()?;
        same_mac(&mac(&self.click, &click, promoter.as_bytes()), tag).then_some((click, promoter))
    }
}

fn split_id(cookie: &[u8]) -> Option<(Id, &[u8])> {
    let (id, rest) = cookie.split_at_checked(32)?;
    Some((event::unhex(id)?, rest.strip_prefix(b".")?))
}

fn mac(key: &[u8; 32], id: &Id, more: &[u8]) -> [u8; MAC] {
    first(keyed(key, [id, more]))
}

/// The keyed hash of the parts, one after the other. Short ones, as nearly all are, are put together first: hashing
/// one slice takes half the time of a [`blake3::Hasher`], which is made for any length.
fn keyed<const N: usize>(key: &[u8; 32], parts: [&[u8]; N]) -> blake3::Hash {
    let (mut short, mut length) = ([0; SHORT], 0);
    for part in parts {
        let Some(room) = short.get_mut(length..length + part.len()) else {
            let mut hasher = blake3::Hasher::new_keyed(key);
            for part in parts {
                hasher.update(part);
            }
            return hasher.finalize();
        };
        room.copy_from_slice(part);
        length += part.len();
    }
    blake3::keyed_hash(key, &short[..length])
}

fn first<const N: usize>(hash: blake3::Hash) -> [u8; N] {
    *hash.as_bytes().first_chunk().expect("a hash is longer")
}

fn mac_text(mac: &[u8; MAC]) -> [u8; 2 * MAC] {
    let mut id = Id::default();
    id[..MAC].copy_from_slice(mac);
    *event::hex(&id).first_chunk().expect("an id is longer")
}

fn same_mac(mac: &[u8; MAC], text: &[u8]) -> bool {
    constant_time_eq(&mac_text(mac), text)
}

/// Compares without telling by its time where the difference is.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y))) == 0
}

/// Pseudonyms under one day's key, which is destroyed two days later.
pub struct DayKey([u8; 32]);

impl DayKey {
    pub fn new(key: [u8; 32]) -> DayKey {
        DayKey(key)
    }

    fn id(&self, domain: u8, parts: [&[u8]; 2]) -> Id {
        first(keyed(&self.0, [&[domain], parts[0], parts[1]]))
    }

    pub fn address(&self, address: IpAddr) -> Id {
        self.id(1, [&octets(address), b""])
    }

    /// Address, user agent (its hash) and the languages a browser sends.
    pub fn fingerprint(&self, address: IpAddr, agent: u64, language: &[u8]) -> Id {
        let mut head = [0; 24];
        head[..16].copy_from_slice(&octets(address));
        head[16..].copy_from_slice(&agent.to_le_bytes());
        self.id(2, [&head, language])
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// A network as text: an IPv6 /48 at most.
pub type Prefix = ArrayString<{ "ffff:ffff:ffff::/48".len() }>;

/// The /24 of an IPv4 address, the /48 of an IPv6 one.
pub fn prefix(address: IpAddr) -> Prefix {
    let mut out = Prefix::new();
    match address {
        IpAddr::V4(v4) => {
            for octet in &v4.octets()[..3] {
                digits::short(*octet, |digit| out.push(digit));
                out.push('.');
            }
            out.push_str("0/24");
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            write!(out, "{a:x}:{b:x}:{c:x}::/48").expect("it has room for three segments");
        }
    }
    out
}

/// The same network as a number.
pub fn prefix_key(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => 1 << 48 | u64::from(v4.to_bits() >> 8),
        IpAddr::V6(v6) => (v6.to_bits() >> 80) as u64,
    }
}

/// A secret as it may stand in files: hex of nonce and ChaCha20-Poly1305 ciphertext (RFC 8439).
pub fn seal(secret: &[u8; 32], purpose: &str, plain: &[u8], nonce: &[u8; NONCE]) -> String {
    let sealed = cipher(secret, purpose)
        .encrypt(&Nonce::from(*nonce), plain)
        .expect("ChaCha20-Poly1305 takes any text under 256 GiB");
    let mut out = String::with_capacity(2 * (NONCE + sealed.len()));
    for byte in nonce.iter().chain(&sealed) {
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

/// What was sealed under the same secret for the same purpose; none for anything else.
pub fn unseal(secret: &[u8; 32], purpose: &str, sealed: &str) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = sealed
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<_>>()?;
    let (nonce, text) = bytes.split_at_checked(NONCE)?;
    let nonce: [u8; NONCE] = nonce.try_into().ok()?;
    cipher(secret, purpose).decrypt(&Nonce::from(nonce), text).ok()
}

fn cipher(secret: &[u8; 32], purpose: &str) -> ChaCha20Poly1305 {
    let mut hasher = blake3::Hasher::new_derive_key("tuike 1 sealed secrets");
    hasher.update(secret).update(purpose.as_bytes());
    ChaCha20Poly1305::new(hasher.finalize().as_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(&[7; 32])
    }

    #[test]
    fn ids_sort_by_time_and_never_repeat() {
        let mut entropy = Entropy::new(&[1; 32]);
        let ids: Vec<Id> = (0..10_000).map(|i| entropy.event_id(1_700_000_000_000 + i / 10)).collect();
        assert!(ids.windows(20).all(|w| w[0][..6] <= w[19][..6]));
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
    }

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let draw = |seed| Entropy::new(&[seed; 32]).event_id(5);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn cookies_read_back_and_no_changed_byte_does() {
        let (visitor, click) = ([3; 16], [9; 16]);
        let (mut vid, mut aff) = (Vec::new(), Vec::new());
        keys().write_visitor(&visitor, &mut vid);
        keys().write_click(&click, "ann.b-1", &mut aff);
        assert_eq!(keys().read_visitor(&vid), Some(visitor));
        assert_eq!(keys().read_click(&aff), Some((click, "ann.b-1")));
        for i in 0..vid.len() {
            let mut forged = vid.clone();
            forged[i] ^= 1;
            assert_eq!(keys().read_visitor(&forged), None, "byte {i}");
            assert_eq!(keys().read_visitor(&vid[..i]), None, "cut at {i}");
        }
        for i in 0..aff.len() {
            let mut forged = aff.clone();
            forged[i] ^= 1;
            assert_eq!(keys().read_click(&forged), None, "byte {i}");
        }
        assert_eq!(Keys::new(&[8; 32]).read_visitor(&vid), None);
    }

    #[test]
    fn pseudonyms_differ_by_day_and_by_what_they_hide() {
        let (a, b) = (DayKey::new([1; 32]), DayKey::new([2; 32]));
        let address = "192.0.2.7".parse().unwrap();
        assert_ne!(a.address(address), b.address(address));
        assert_ne!(a.fingerprint(address, 1, b"en"), a.fingerprint(address, 2, b"en"));
        assert_ne!(a.fingerprint(address, 1, b"en"), a.fingerprint(address, 1, b"zh"));
        assert_eq!(&*prefix(address), "192.0.2.0/24");
        assert_eq!(&*prefix("2001:db8:1:2::3".parse().unwrap()), "2001:db8:1::/48");
    }

    #[test]
    fn a_hash_is_the_same_in_one_piece_and_in_parts() {
        for length in [0, 1, SHORT - 17, SHORT - 16, SHORT - 15, 3 * SHORT] {
            let more = vec![5; length];
            let parts = blake3::Hasher::new_keyed(&[7; 32]).update(&[9; 16]).update(&more).finalize();
            assert_eq!(keyed(&[7; 32], [&[9; 16], &more]), parts, "{length}");
        }
    }

    #[test]
    fn a_sealed_secret_opens_only_under_its_secret_and_purpose() {
        let sealed = seal(&[1; 32], "merchant", b"postback key", &[5; 12]);
        assert_eq!(unseal(&[1; 32], "merchant", &sealed).as_deref(), Some(&b"postback key"[..]));
        assert_eq!(unseal(&[2; 32], "merchant", &sealed), None);
        assert_eq!(unseal(&[1; 32], "day", &sealed), None);
        assert_eq!(unseal(&[1; 32], "merchant", "zz"), None);
    }
}
