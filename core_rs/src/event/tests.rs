use super::*;
use proptest::prelude::*;

fn encoded(event: &Event<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    event.encode(&mut out);
    out
}

proptest! {
    #[test]
    fn every_event_reads_back(
        kind in 0usize..9, id: Option<[u8; 16]>, at: u64, aff in ".{0,80}", amount: Option<u64>,
        counted: bool, body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let event = Event { kind: Kind::ALL[kind], id, at, aff: &aff, amount, counted, body: &body, ..Event::default() };
        let bytes = encoded(&event);
        prop_assert_eq!(Event::decode(&bytes), Ok(event));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Event::decode(&bytes);
    }
}

#[test]
fn a_newer_version_is_named() {
    assert_eq!(Event::decode(&[2, 0x80]), Err(DecodeError::Version(2)));
}

#[test]
fn ids_have_one_text_form() {
    let id: Id = core::array::from_fn(|i| i as u8 * 17);
    assert_eq!(unhex(&hex(&id)), Some(id));
    assert_eq!(unhex(b"xyz"), None);
}
