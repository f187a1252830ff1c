use proptest::prelude::*;

use super::*;

const PERSON: Id = [7; 16];

fn visitor() -> Erasures {
    Erasures(vec![Erasure::new(Subject::Visitor(PERSON), 1_000, 5, [9; 16])])
}

fn customer(cust: &str) -> Erasures {
    let subject = Subject::Customer { merchant: "shop".into(), cust: cust.into() };
    Erasures(vec![Erasure::new(subject, 1_000, 5, [9; 16])])
}

fn hit() -> Event<'static> {
    Event {
        kind: Kind::Click,
        id: Some([1; 16]),
        at: 900,
        received: 1_000,
        aff: "ann",
        pid: "tea",
        merchant: "shop",
        sub1: "s",
        cust: "42",
        did: "phone-1",
        referrer: "https://a.example/me",
        visitor: Some(PERSON),
        fingerprint: Some([2; 16]),
        address: Some([3; 16]),
        prefix: "192.0.2.0/24",
        agent: u64::MAX,
        counted: true,
        extra: "gclid=1",
        ..Event::default()
    }
}

fn wire(event: &Event<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    event.encode(&mut out);
    out
}

#[test]
fn a_hit_keeps_what_money_needs_and_its_length() {
    for erasures in [visitor(), customer("42")] {
        let payload = wire(&hit());
        let rewritten = erasures.rewrite(&payload).unwrap();
        assert_eq!(rewritten.len(), payload.len());
        let got = Event::decode(&rewritten).unwrap();
        let fresh = *erasures.0[0].fresh();
        assert!(fresh.ends_with(&ENDING) && is_erased(&got) && !is_erased(&hit()));
        let kept = Event { visitor: Some(fresh), cust: got.cust, did: got.did, ..stripped(&hit()) };
        assert_eq!(got, kept);
        assert_eq!((got.cust.len(), got.did.len(), got.aff, got.at), (2, 7, "ann", 900));
        assert_eq!(erasures.rewrite(&rewritten), None, "a second time nothing changes");
    }
}

#[test]
fn others_and_what_came_later_stay() {
    let later = Event { received: 1_001, ..hit() };
    let other = Event { visitor: Some([8; 16]), ..hit() };
    let elsewhere = Event { merchant: "inn", ..hit() };
    assert_eq!(visitor().rewrite(&wire(&later)), None);
    assert_eq!(visitor().rewrite(&wire(&other)), None);
    assert_eq!(customer("42").rewrite(&wire(&elsewhere)), None);
    assert_eq!(customer("4").rewrite(&wire(&hit())), None);
}

#[test]
fn a_booked_record_is_rewritten_in_all_its_places() {
    let person = String::from_utf8(hex(&PERSON).to_vec()).unwrap();
    let other = "0".repeat(32);
    let record = format!(
        r#"{{"number":5,"event":"{other}","outcome":{{"result":{{"merchant":"shop"}}}},"effect":{{"standing":{{"conversion":{{"merchant":"shop","evidence":{{"identifiers":{{"visitor":"{person}","cust":"a\"{{b","did":"d","fingerprint":"{other}"}},"claims":[{{"event":"{other}","visitor":"{person}"}},{{"event":"x","visitor":"{other}"}}],"visitor":"{person}"}}}}}},"path_ends":[["shop","{person}",7,5]],"flags":[{{"rule":"datacentre","evidence":{{"value":1,"prefix":"192.0.2.0/24","referrer":"https://a.example/\\u00e9"}}}}]}}}}"#
    );
    for erasures in [visitor(), customer("a\"{b")] {
        let rewritten = erasures.rewrite_booked(&record).unwrap();
        let fresh = String::from_utf8(hex(erasures.0[0].fresh()).to_vec()).unwrap();
        assert_eq!(rewritten.len(), record.len());
        assert!(!rewritten.contains(&person) && !rewritten.contains("a\\\"{b"));
        assert!(!rewritten.contains("192.0.2") && !rewritten.contains("a.example"), "what a flag shows goes too");
        assert_eq!(rewritten.matches(&fresh).count(), 5);
        assert!(rewritten.contains(&format!(r#"{{"event":"x","visitor":"{other}"}}"#)), "another claimant stays");
        assert!(rewritten.starts_with(&format!(r#"{{"number":5,"event":"{other}","#)));
        assert_eq!(erasures.rewrite_booked(&rewritten), None);
        // the event around it
        let event = Event { kind: Kind::Booked, received: 2_000, body: record.as_bytes(), ..Event::default() };
        let again = erasures.rewrite(&wire(&event)).unwrap();
        assert_eq!(Event::decode(&again).unwrap().body, rewritten.as_bytes());
    }
    assert_eq!(visitor().rewrite_booked(&record.replace("\"number\":5", "\"number\":6")), None, "booked later");
    assert_eq!(customer("else").rewrite_booked(&record), None);
}

#[test]
fn what_is_past_its_keeping_loses_the_person_and_nothing_else() {
    let payload = wire(&hit());
    let left = anonymous(&payload, 1_001).unwrap();
    assert_eq!(left.len(), payload.len());
    let got = Event::decode(&left).unwrap();
    assert_eq!(got, Event { visitor: None, cust: "", did: "", ..stripped(&hit()) });
    assert_eq!(anonymous(&left, 1_001), None);
    assert_eq!(anonymous(&payload, 1_000), None);
    let order = Event { kind: Kind::Order, ..hit() };
    assert_eq!(anonymous(&wire(&order), 1_001), None);
}

proptest! {
    #[test]
    fn any_event_keeps_its_length_and_forgets(
        cust in ".{0,40}", did in ".{0,300}", extra in ".{0,600}", agent: u64, prefix in "[0-9.]{0,15}",
        fingerprint: Option<[u8; 16]>, order: bool,
    ) {
        let kind = if order { Kind::Order } else { Kind::View };
        let event = Event { kind, cust: &cust, did: &did, extra: &extra, agent, prefix: &prefix, fingerprint, ..hit() };
        let payload = wire(&event);
        let rewritten = visitor().rewrite(&payload).unwrap();
        prop_assert_eq!(rewritten.len(), payload.len());
        let got = Event::decode(&rewritten).unwrap();
        prop_assert_eq!((got.cust.len(), got.did.len(), got.extra), (cust.len(), did.len(), ""));
        prop_assert!(is_erased(&got));
    }

    #[test]
    fn any_text_is_read(text in "[\\[\\]{}:,\"\\\\a-c0-9]{0,80}", person: bool) {
        let text = if person { format!("{text}\"visitor\":\"{}\"", "07".repeat(16)) } else { text };
        let rewritten = visitor().rewrite_text("shop", &text);
        prop_assert!(rewritten.is_none_or(|out| out.len() == text.len()));
    }
}
