//! Rate limits: what is above one is answered as ever, recorded and marked.

use super::orders::postback;
use super::*;

fn limited(hits: u32, orders: u32) -> World {
    World::with(Settings { rate_limit_hits: hits, rate_limit_orders: orders, ..Settings::default() })
}

fn marks(got: &Got) -> (Option<&str>, Option<&str>) {
    (got.field(0, "counted"), got.field(0, "reason"))
}

const COUNTED: (Option<&str>, Option<&str>) = (Some("true"), None);
const MARKED: (Option<&str>, Option<&str>) = (None, Some("rate_limited"));

#[test]
fn a_hit_above_its_prefixs_limit_is_answered_as_ever_recorded_and_marked() {
    let mut world = limited(2, 0);
    for target in ["/c/L1", "/r?aff=ann&pid=tea", "/p.gif?aff=ann&pid=tea", "/c/L1"] {
        let (mut within, mut above) = (limited(2, 0), limited(2, 0));
        above.get("/healthz");
        for _ in 0..2 {
            above.get("/p.gif?aff=ann&pid=tea");
        }
        let (within, above) = (within.get(target), above.get(target));
        assert_eq!((marks(&within), marks(&above)), (COUNTED, MARKED), "{target}");
        assert_eq!((within.status, within.body, within.events.len()), (above.status, above.body, above.events.len()));
        let names =
            |head: &str| head.lines().map(|line| line.split([':', '=']).next().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&within.head), names(&above.head), "{target}");
    }
    // a HEAD is no hit, and another prefix has its own count
    for _ in 0..5 {
        world.ask("HEAD", "/c/L1", &[], None);
    }
    assert_eq!(marks(&world.get("/c/L1")), COUNTED);
    world.get("/c/L1");
    assert_eq!(marks(&world.get("/c/L1")), MARKED);
    assert!(world.counts().contains(r#"kind="click",outcome="rate_limited"} 1"#));
    let mut proxied = World::with(Settings {
        rate_limit_hits: 1,
        trusted_proxies: vec![Network::parse("192.0.2.0/24").unwrap()],
        ..Settings::default()
    });
    for (address, expected) in [
        ("198.51.100.1", COUNTED),
        ("198.51.100.200", MARKED),
        ("198.51.101.1", COUNTED),
        ("2001:db8:1:2::1", COUNTED),
        ("2001:db8:1:3::1", MARKED),
        ("2001:db8:2::1", COUNTED),
    ] {
        let got = proxied.ask("GET", "/c/L1", &[("X-Forwarded-For", address)], None);
        assert_eq!(marks(&got), expected, "{address}");
    }
}

#[test]
fn hits_of_bots_count_towards_the_limit_and_keep_their_own_reason() {
    let mut world = limited(1, 0);
    let bot = [("User-Agent", "Googlebot/2.1")];
    for _ in 0..3 {
        assert_eq!(world.ask("GET", "/c/L1", &bot, None).field(0, "reason"), Some("bot"));
    }
    assert_eq!(marks(&world.get("/c/L1")), MARKED);
}

#[test]
fn beacons_and_claims_share_their_prefixs_limit_and_a_marked_claim_still_goes_to_the_books() {
    let mut world = limited(2, 0);
    let views = r#"[{"type":"view","aff":"ann","pid":"tea"},{"type":"view","aff":"ann","pid":"tea"}]"#;
    let got = world.ask("POST", "/e", &[], Some(views.as_bytes()));
    assert_eq!((got.status, marks(&got)), (204, COUNTED));
    let claim = world.get("/conversion?oid=1&pid=tea&amount=1.00");
    assert_eq!((claim.status, marks(&claim)), (200, (Some("true"), Some("rate_limited"))));
}

#[test]
fn a_postback_above_its_merchants_limit_is_taken_and_marked_and_a_refused_one_counts_for_nobody() {
    let mut world = limited(1, 2);
    for _ in 0..5 {
        assert_eq!(world.get("/postback?merchant=shop&oid=1&pid=tea&sig=00").status, 401);
    }
    for (oid, reason) in [("1", None), ("2", None), ("3", Some("rate_limited"))] {
        let got = postback(&mut world, &[("oid", oid), ("pid", "tea"), ("amount", "1.00")]);
        assert_eq!((got.status, got.field(0, "reason"), got.field(0, "counted")), (202, reason, Some("true")), "{oid}");
    }
    assert!(world.counts().contains(r#"kind="order",outcome="rate_limited"} 1"#));
}
