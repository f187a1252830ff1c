//! Any bytes of a payload → an event, which written again reads the same; or the word that they are none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tuike_core::event::{Event, MAX_EVENT};

fuzz_target!(|payload: &[u8]| {
    let Ok(event) = Event::decode(payload) else { return };
    let mut written = Vec::new();
    event.encode(&mut written);
    assert!(written.len() <= payload.len().max(MAX_EVENT));
    let again = Event::decode(&written).expect("what was written is read");
    let mut twice = Vec::new();
    again.encode(&mut twice);
    assert_eq!(written, twice);
});
