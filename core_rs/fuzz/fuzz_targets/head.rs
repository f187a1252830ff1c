//! Bytes of a connection → head. What the front takes for a head is one, whole, and never a part of more.
#![cfg_attr(fuzzing, no_main)]

use tuike_core::head::{MAX_HEAD, Scan, scan};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| run(input));

pub fn run(bytes: &[u8]) {
    match scan(bytes) {
        Scan::Ready(head) => {
            assert!(head.length <= bytes.len().min(MAX_HEAD));
            let whole = &bytes[..head.length];
            assert!(whole.ends_with(b"\r\n\r\n"));
            assert_eq!(whole.windows(4).filter(|w| w == b"\r\n\r\n").count(), 1, "one head, no more");
            assert!(head.request.target.iter().all(|c| c.is_ascii_graphic()));
            assert!(head.request.body.is_none());
            // what follows changes nothing, and no part of it is a head
            assert!(matches!(scan(whole), Scan::Ready(alone) if alone.length == whole.len()));
            assert!(matches!(scan(&whole[..whole.len() - 1]), Scan::Partial));
        }
        Scan::TooLarge(_) => assert!(bytes.len() > MAX_HEAD),
        // all that comes later may make it foreign, or a head, but it is bounded
        Scan::Partial => assert!(bytes.len() <= MAX_HEAD),
        Scan::Foreign => {}
    }
}
