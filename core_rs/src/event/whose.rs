//! Whose hit an event is, without reading the rest of it: what is only sent on need not be decoded.

use rmp::decode::{self, Bytes};

use super::{Id, Kind, VERSION};

/// The visitor of a hit, or where it has none its id, read without the rest. None: not a hit, without either, or it does
/// not read this quickly: then [`super::Event::decode`] says what it is.
pub fn whose_hit(payload: &[u8]) -> Option<Id> {
    // as `event!` numbers them
    const KIND: u8 = 1;
    const ID: u8 = 2;
    const VISITOR: u8 = 20;
    let (&VERSION, rest) = payload.split_first()? else { return None };
    let mut bytes = Bytes::new(rest);
    let count = decode::read_map_len(&mut bytes).ok()?;
    let mut rest = bytes.remaining_slice();
    let (mut is_hit, mut own) = (false, None);
    for _ in 0..count {
        let (&number, value) = rest.split_first()?;
        let (value, after) = value.split_at_checked(extent(value)?)?;
        match number {
            KIND => match Kind::from_code(u64::from(*value.first()?)) {
                Some(kind) if kind.is_hit() => is_hit = true,
                _ => return None,
            },
            ID => own = value.get(2..).and_then(|id| id.try_into().ok()),
            VISITOR if is_hit => return value.get(2..)?.try_into().ok(),
            _ => {}
        }
        rest = after;
    }
    own.filter(|_| is_hit)
}

/// How many bytes the first value of `input` has; None for what [`super::Event::encode`] does not write.
fn extent(input: &[u8]) -> Option<usize> {
    let sized = |bytes: usize| {
        let length = input.get(1..=bytes)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        Some(1 + bytes + length)
    };
    match *input.first()? {
        0x00..=0x7f | 0xc2 | 0xc3 => Some(1),
        short @ 0xa0..=0xbf => Some(1 + usize::from(short & 0x1f)),
        uint @ 0xcc..=0xcf => Some(1 + (1 << (uint - 0xcc))),
        0xc4 | 0xd9 => sized(1),
        0xc5 | 0xda => sized(2),
        0xc6 | 0xdb => sized(4),
        _ => None,
    }
}
