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
        let _ = whose_hit(&bytes);
    }

    #[test]
    fn whose_hit_it_is_reads_as_the_whole_does(
        kind in 0usize..9, id: Option<[u8; 16]>, visitor: Option<[u8; 16]>, at: u64, aff in ".{0,300}",
        amount: Option<u64>, counted: bool, body in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..1000,
    ) {
        let event = Event {
            kind: Kind::ALL[kind], id, visitor, at, aff: &aff, amount, counted, body: &body, ..Event::default()
        };
        let bytes = encoded(&event);
        let expected = event.kind.is_hit().then(|| visitor.or(id)).flatten();
        prop_assert_eq!(whose_hit(&bytes), expected);
        let short = &bytes[..cut.min(bytes.len())];
        prop_assert!(whose_hit(short).is_none_or(|id| expected == Some(id)), "one that is cut short is nobody else's");
    }
}

#[test]
fn a_newer_version_is_named() {
    assert_eq!(Event::decode(&[2, 0x80]), Err(DecodeError::Version(2)));
    assert_eq!(whose_hit(&[2, 0x80]), None);
}

#[test]
fn ids_have_one_text_form() {
    let id: Id = core::array::from_fn(|i| i as u8 * 17);
    assert_eq!(unhex(&hex(&id)), Some(id));
    assert_eq!(unhex(b"xyz"), None);
}
