//! Any bytes of a cookie → what we signed, or nothing; and what we signed → nothing once a byte of it is another.
//!
//! The input: where and how one byte is changed, an id, and a promoter's code; all of it is also tried as a cookie.
#![cfg_attr(fuzzing, no_main)]

use tuike_core::identity::Keys;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| run(input));

pub fn run(input: &[u8]) {
    let keys = Keys::new(&[7; 32]);
    only_ours(&keys, input);
    let Some((&[at, by], rest)) = input.split_first_chunk::<2>() else { return };
    let Some((id, promoter)) = rest.split_first_chunk::<16>() else { return };
    let Ok(promoter) = std::str::from_utf8(promoter) else { return };
    let (mut visitor, mut click) = (Vec::new(), Vec::new());
    keys.write_visitor(id, &mut visitor);
    keys.write_click(id, promoter, &mut click);
    assert_eq!(keys.read_visitor(&visitor), Some(*id));
    assert_eq!(keys.read_click(&click), Some((*id, promoter)));
    for cookie in [&mut visitor, &mut click] {
        let at = usize::from(at) % cookie.len();
        cookie[at] ^= by;
        only_ours(&keys, cookie);
    }
    // at most the case of a digit of the id was changed
    assert!(keys.read_visitor(&visitor).is_none_or(|read| read == *id));
    assert!(keys.read_click(&click).is_none_or(|read| read == (*id, promoter)));
}

/// Hex digits of the id, which are read in either case.
const ID: usize = 32;

/// What is read as ours is ours to the last byte.
fn only_ours(keys: &Keys, cookie: &[u8]) {
    let mut written = Vec::new();
    if let Some(visitor) = keys.read_visitor(cookie) {
        keys.write_visitor(&visitor, &mut written);
        assert!(same(&written, cookie));
    }
    written.clear();
    if let Some((click, promoter)) = keys.read_click(cookie) {
        keys.write_click(&click, promoter, &mut written);
        assert!(same(&written, cookie));
    }
}

fn same(written: &[u8], cookie: &[u8]) -> bool {
    written[..ID].eq_ignore_ascii_case(&cookie[..ID]) && written[ID..] == cookie[ID..]
}
