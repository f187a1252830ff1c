//! The event record: everything that ever happened, as it stands in the journal.
//!
//! Wire form: one version byte, then a MessagePack map from small integers to values. Absent fields
//! are not written, so the map's numbers are the compatible part: a number is never reused.

mod whose;

use std::fmt;

use rmp::decode::{self, Bytes};
use rmp::encode;

pub use whose::whose_hit;

use crate::digits::hex_digit;

/// 128 bits: the click id (sortable by time), visitor ids, pseudonyms.
pub type Id = [u8; 16];

/// The first byte of each payload.
pub const VERSION: u8 = 1;

/// No encoded event is longer; the journal refuses more.
pub const MAX_EVENT: usize = 1 << 20;

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// An impression: pixel, `/track` or a view sent by the script tag.
    #[default]
    View = 1,
    /// A redirect that was followed.
    Click = 2,
    /// The merchant's own word about an order (signed postback, import, admin).
    Order = 3,
    /// What a browser says about an order (conversion pixel, script tag).
    Claim = 4,
    /// A change of the registry, asked for by an admin or an import.
    Registry = 5,
    /// A decision about money, asked for by an admin.
    Decision = 6,
    /// What the bookkeeper decided about an order or a decision.
    Booked = 7,
    /// The closing mark of an import: all its rows are in.
    Close = 8,
    /// A merchant's authentic postback that could not be read as an order: kept for it to see, and to be replayed.
    Refused = 9,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::View,
        Kind::Click,
        Kind::Order,
        Kind::Claim,
        Kind::Registry,
        Kind::Decision,
        Kind::Booked,
        Kind::Close,
        Kind::Refused,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::View => "view",
            Kind::Click => "click",
            Kind::Order => "order",
            Kind::Claim => "claim",
            Kind::Registry => "registry",
            Kind::Decision => "decision",
            Kind::Booked => "booked",
            Kind::Close => "close",
            Kind::Refused => "refused",
        }
    }

    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.name() == name)
    }

    fn from_code(code: u64) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| *k as u64 == code)
    }

    /// Hits are folded in parallel; everything else goes through the one bookkeeper.
    pub fn is_hit(self) -> bool {
        matches!(self, Kind::View | Kind::Click)
    }
}

/// A record that is not an event of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Written by a newer tuike (its version byte).
    Version(u8),
    /// Not what this version writes; the byte position within the payload.
    Malformed(usize),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Version(v) => write!(f, "event version {v} is newer than this program's {VERSION}"),
            DecodeError::Malformed(at) => write!(f, "malformed event at byte {at}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// A field's value on its way through the table below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Uint(u64),
    Bool(bool),
    Id(Id),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// How a type of a field is written and read. `None` is absent.
trait Field<'a>: Sized {
    fn value(&self) -> Option<Value<'a>>;
    fn from_value(value: Value<'a>) -> Option<Self>;
}

impl<'a> Field<'a> for u64 {
    fn value(&self) -> Option<Value<'a>> {
        (*self != 0).then_some(Value::Uint(*self))
    }
    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Uint(v) => Some(v),
            _ => None,
        }
    }
}

impl<'a> Field<'a> for Option<u64> {
    fn value(&self) -> Option<Value<'a>> {
        self.map(Value::Uint)
    }
    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Uint(v) => Some(Some(v)),
            _ => None,
        }
    }
}

impl<'a> Field<'a> for bool {
    fn value(&self) -> Option<Value<'a>> {
        self.then_some(Value::Bool(true))
    }
    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Bool(v) => Some(v),
            _ => None,
        }
    }
}

impl<'a> Field<'a> for Option<Id> {
    fn value(&self) -> Option<Value<'a>> {
        self.map(Value::Id)
    }
    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Id(v) => Some(Some(v)),
            Value::Bytes(v) => v.try_into().ok().map(Some),
            _ => None,
        }
    }
}

impl<'a> Field<'a> for &'a str {
    fn value(&self) -> Option<Value<'a>> {
        (!self.is_empty()).then_some(Value::Text(self))
    }
    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Text(v) => Some(v),
            _ => None,
        }
    }
}

impl<'a> Field<'a> for &'a [u8] {
    fn value(&self) -> Option<Value<'a>> {
        (!self.is_empty()).then_some(Value::Bytes(self))
    }
    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Bytes(v) => Some(v),
            _ => None,
        }
    }
}

/// Declares [`Event`] once: number on the wire, name, type.
macro_rules! event {
    ($($(#[$doc:meta])* $number:literal $name:ident: $type:ty,)*) => {
        /// One event. Times are milliseconds since the Unix epoch, money is in minor units.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct Event<'a> {
            /// What happened.
            pub kind: Kind,
            $($(#[$doc])* pub $name: $type,)*
        }

        impl<'a> Event<'a> {
            /// Calls `visit` with each present field but `kind`, in the order of the wire.
            #[inline(always)]
            pub fn fields(&self, mut visit: impl FnMut(u8, &'static str, Value<'a>)) {
                $(if let Some(value) = self.$name.value() { visit($number, stringify!($name), value); })*
            }

            /// Sets one field by its number. Unknown numbers (a later minor addition) are ignored.
            fn set(&mut self, number: u8, value: Value<'a>) -> bool {
                match number {
                    $($number => match Field::from_value(value) {
                        Some(v) => { self.$name = v; true }
                        None => false,
                    },)*
                    _ => true,
                }
            }

            /// Sets one field by its name; false where the name is unknown or the type is another.
            pub fn set_named(&mut self, name: &str, value: Value<'a>) -> bool {
                match name {
                    $(stringify!($name) => match Field::from_value(value) {
                        Some(v) => { self.$name = v; true }
                        None => false,
                    },)*
                    _ => false,
                }
            }
        }
    };
}

event! {
    /// The event's own id; a click's is its click id.
    2 id: Option<Id>,
    /// When it happened, for attribution.
    3 at: u64,
    /// When we received it: for watermarks, order and expiry.
    4 received: u64,
    /// The registry version the verdict was taken with.
    5 registry: u64,
    /// Promoter code.
    6 aff: &'a str,
    /// Product code.
    7 pid: &'a str,
    /// The product's merchant.
    8 merchant: &'a str,
    /// The link that was followed.
    9 link: &'a str,
    10 channel: &'a str,
    11 sub1: &'a str,
    12 sub2: &'a str,
    13 sub3: &'a str,
    14 sub4: &'a str,
    15 sub5: &'a str,
    16 coupon: &'a str,
    /// The merchant's id of the customer.
    17 cust: &'a str,
    /// A device id given by an app.
    18 did: &'a str,
    /// Where the browser came from: scheme, host and path only.
    19 referrer: &'a str,
    20 visitor: Option<Id>,
    /// Keyed hash of address and agent, under the day's key.
    21 fingerprint: Option<Id>,
    /// Keyed hash of the address, under the day's key.
    22 address: Option<Id>,
    /// The address's /24 (IPv6: /48).
    23 prefix: &'a str,
    /// Hash of the user agent.
    24 agent: u64,
    25 bot: bool,
    26 prefetch: bool,
    /// Whether this hit counts (impressions, clicks) or only stands in the journal.
    27 counted: bool,
    /// Why it does not count, or why it was set aside.
    28 reason: &'a str,
    /// GPC, DNT, opt-out or no consent: no visitor, no fingerprint.
    29 private: bool,
    /// A click that was no navigation (`Sec-Fetch-Dest` other than `document`): counted, never a touch.
    30 embedded: bool,
    /// Merchant's order id.
    31 oid: &'a str,
    /// What the order is worth; for `refunded`, what is refunded.
    32 amount: Option<u64>,
    33 currency: &'a str,
    34 status: &'a str,
    /// The click that the order names.
    35 click: Option<Id>,
    /// The merchant's `ts`.
    36 stamp: u64,
    37 refund_id: &'a str,
    /// Which door it came by: `postback`, `pixel`, `tag`, `import`, `admin`.
    38 source: &'a str,
    /// Parameters we do not know, as they came (`a=b&c=d`).
    39 extra: &'a str,
    /// JSON: the body of registry events, decisions, bookings; of what was refused the parameters, as pairs.
    40 body: &'a [u8],
    /// Line of an imported file, from 1.
    41 line: u64,
    /// Of a claim: the fingerprint under yesterday's key, so that it finds a click from before midnight.
    42 fingerprint_before: Option<Id>,
    /// A click that may bind its customer to the promoter, whatever else the product does with clicks.
    43 binds: bool,
    /// Where `private`: what said so first of `gpc`, `dnt`, `optout` (the cookie), `consent` (the parameter).
    50 refused: &'a str,
}

impl<'a> Event<'a> {
    /// Appends the wire form to `out`.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        const SOUND: &str = "writing to a Vec cannot fail";
        out.push(VERSION);
        let head = out.len();
        // map16, its length filled in below: the count of present fields is known only at the end
        out.extend_from_slice(&[0xde, 0, 0, 1, self.kind as u8]);
        let mut count: u16 = 1;
        self.fields(|number, _, value| {
            count += 1;
            out.push(number);
            match value {
                Value::Uint(v) => {
                    encode::write_uint(out, v).expect(SOUND);
                }
                Value::Bool(v) => encode::write_bool(out, v).expect(SOUND),
                Value::Id(v) => encode::write_bin(out, &v).expect(SOUND),
                Value::Text(v) => encode::write_str(out, v).expect(SOUND),
                Value::Bytes(v) => encode::write_bin(out, v).expect(SOUND),
            }
        });
        out[head + 1..head + 3].copy_from_slice(&count.to_be_bytes());
    }

    /// Reads the wire form, borrowing its strings.
    pub fn decode(payload: &'a [u8]) -> Result<Event<'a>, DecodeError> {
        match payload.first() {
            Some(&VERSION) => {}
            Some(&v) if v > VERSION => return Err(DecodeError::Version(v)),
            _ => return Err(DecodeError::Malformed(0)),
        }
        let mut event = Event::default();
        let mut rest = &payload[1..];
        let at = |rest: &[u8]| DecodeError::Malformed(payload.len() - rest.len());
        let mut bytes = Bytes::new(rest);
        let count = decode::read_map_len(&mut bytes).map_err(|_| at(rest))?;
        rest = bytes.remaining_slice();
        for _ in 0..count {
            let here = rest;
            let mut bytes = Bytes::new(rest);
            let number: u8 = decode::read_int(&mut bytes).map_err(|_| at(here))?;
            let value = read_value(bytes.remaining_slice()).ok_or_else(|| at(here))?;
            rest = value.1;
            let sound = match (number, value.0) {
                (1, Value::Uint(code)) => Kind::from_code(code).map(|k| event.kind = k).is_some(),
                (1, _) => false,
                (number, value) => event.set(number, value),
            };
            if !sound {
                return Err(at(here));
            }
        }
        if rest.is_empty() { Ok(event) } else { Err(at(rest)) }
    }
}

fn read_value(input: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let mut bytes = Bytes::new(input);
    match input.first()? {
        0xc2 => Some((Value::Bool(false), &input[1..])),
        0xc3 => Some((Value::Bool(true), &input[1..])),
        0xc4..=0xc6 => {
            let length = decode::read_bin_len(&mut bytes).ok()? as usize;
            let rest = bytes.remaining_slice();
            let (data, rest) = rest.split_at_checked(length)?;
            Some((Value::Bytes(data), rest))
        }
        0xa0..=0xbf | 0xd9..=0xdb => {
            let (text, rest) = decode::read_str_from_slice(input).ok()?;
            Some((Value::Text(text), rest))
        }
        _ => {
            let v: u64 = decode::read_int(&mut bytes).ok()?;
            Some((Value::Uint(v), bytes.remaining_slice()))
        }
    }
}

/// Lower-case hex of an id, as it stands in URLs, cookies and JSON.
pub fn hex(id: &Id) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 32];
    for (i, byte) in id.iter().enumerate() {
        out[2 * i] = DIGITS[usize::from(byte >> 4)];
        out[2 * i + 1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

/// The id in 32 hex digits of either case; anything else is none.
pub fn unhex(text: &[u8]) -> Option<Id> {
    let mut id = Id::default();
    if text.len() != 32 {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(id)
}

#[cfg(test)]
mod tests;
