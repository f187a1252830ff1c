//! Any bytes of a payload → an event, which written again reads the same; or the word that they are none.
#![cfg_attr(fuzzing, no_main)]

use tuike_core::event::{Event, MAX_EVENT};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| run(input));

pub fn run(payload: &[u8]) {
    let Ok(event) = Event::decode(payload) else { return };
    let mut written = Vec::new();
    event.encode(&mut written);
    assert!(written.len() <= payload.len().max(MAX_EVENT));
    let again = Event::decode(&written).expect("what was written is read");
    let mut twice = Vec::new();
    again.encode(&mut twice);
    assert_eq!(written, twice);
}
