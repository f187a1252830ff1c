//! Views and clicks: pixels, links, redirects, and what does not count.

use super::*;
use crate::event::unhex;

#[test]
fn a_pixel_is_a_gif_of_43_bytes_and_a_counted_view() {
    for path in ["/p.gif", "/track"] {
        let got = World::new()
            .get(&format!("{path}?aff=ann&pid=tea&sub1=x&t=1&ref=https%3A%2F%2Fa.example%2Fb%3Fsecret%3D1"));
        assert_eq!((got.status, got.body.len(), got.header("Cache-Control")), (200, 43, Some("no-store")));
        assert_eq!(got.field(0, "kind"), Some("view"));
        assert_eq!(got.field(0, "counted"), Some("true"));
        assert_eq!(got.field(0, "merchant"), Some("shop"));
        assert_eq!(got.field(0, "referrer"), Some("https://a.example/b"));
        assert_eq!(got.field(0, "prefix"), Some("192.0.2.0/24"));
        assert!(!got.events[0].contains(PEER), "no raw address is ever written");
        assert_eq!(got.answered, Answered { event: true, durable: false });
    }
}

#[test]
fn a_pixel_without_promoter_or_product_is_refused() {
    let mut world = World::new();
    for (query, code) in
        [("pid=tea", "missing_aff"), ("aff=ann", "missing_pid"), ("aff=&pid=tea", "missing_aff"), ("", "missing_aff")]
    {
        let got = world.get(&format!("/p.gif?{query}"));
        assert_eq!((got.status, got.code().as_str(), got.events.len()), (400, code, 0), "{query}");
    }
    assert!(world.counts().contains(r#"affiliate_hits_total{kind="view",outcome="missing_parameter"} 4"#));
}

#[test]
fn codes_that_nobody_knows_get_the_gif_and_are_counted_by_reason() {
    let mut world = World::new();
    for (query, reason) in [
        ("aff=who&pid=tea", "unknown_promoter"),
        ("aff=ann&pid=what", "unknown_product"),
        ("aff=bad&pid=tea", "blocked_promoter"),
        ("aff=ann&pid=old", "paused"),
    ] {
        let got = world.get(&format!("/p.gif?{query}"));
        assert_eq!((got.status, got.field(0, "counted"), got.field(0, "reason")), (200, None, Some(reason)), "{query}");
        assert!(world.counts().contains(&format!(r#"affiliate_hits_total{{kind="view",outcome="{reason}"}} 1"#)));
    }
}

#[test]
fn a_link_leads_to_its_target_with_the_click_id_and_sets_the_cookies() {
    let mut world = World::new();
    let got = world.get("/c/L1?sub1=a%26b&gclid=7");
    let id = got.field(0, "id").unwrap();
    assert_eq!(got.status, 302);
    assert_eq!(
        got.header("Location"),
        Some(format!("https://shop.example/tea?s=a%26b&click_id={id}&gclid=7").as_str())
    );
    assert_eq!(u64::from_str_radix(&id[..12], 16), Ok(NOW), "a click id begins with its time");
    assert!(got.cookie("tk_vid").unwrap().ends_with("; Path=/; Max-Age=864000; HttpOnly; SameSite=Lax"));
    let click = got.cookie("tk_aff").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(Keys::new(&SECRET).read_click(click.as_bytes()), unhex(id.as_bytes()).map(|id| (id, "ann")));
    assert_eq!(got.cookie("affiliate_track"), None);
    for (field, value) in
        [("kind", "click"), ("aff", "ann"), ("pid", "tea"), ("link", "L1"), ("channel", "web"), ("extra", "gclid=7")]
    {
        assert_eq!(got.field(0, field), Some(value), "{field}");
    }
    assert_eq!(world.get("/c/L1").field(0, "sub1"), Some("own"), "a link's label stands where the request brings none");
}

#[test]
fn an_unknown_link_is_404_and_a_paused_or_expired_one_goes_to_the_fallback_or_is_410() {
    let mut world = World::new();
    for (target, status) in [("/c/none", 404), ("/c/paused", 410), ("/c/gone", 410), ("/c/moved", 302)] {
        let got = world.get(target);
        assert_eq!(got.status, status, "{target}");
        if status == 302 {
            assert_eq!(got.header("Location"), Some("https://shop.example/new"));
            assert_eq!((got.field(0, "counted"), got.field(0, "reason")), (None, Some("paused")));
            assert_eq!(got.cookie("tk_aff"), None);
        } else {
            assert!(got.events.is_empty());
        }
    }
}

#[test]
fn a_redirect_is_never_open() {
    let mut world = World::new();
    let id_of = |got: &Got| got.field(0, "id").unwrap().to_owned();
    let got = world.get("/r?aff=ann&pid=tea&url=https%3A%2F%2Fshop.example%2Fx%3Fa%3D1");
    assert_eq!(got.header("Location"), Some(format!("https://shop.example/x?a=1&click_id={}", id_of(&got)).as_str()));
    let got = world.get("/r?uid=ann&offer_id=tea");
    assert_eq!(got.header("Location"), Some(format!("https://shop.example/tea?s=&click_id={}", id_of(&got)).as_str()));
    for url in [
        "https://evil.example/",
        "//evil.example/",
        "https://shop.example@evil.example/",
        "https://shop.example.evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "https://evil.example\\@shop.example/",
        "https://shop.example\t.evil.example/",
    ] {
        let mut query = Vec::new();
        crate::params::encode(url, &mut query);
        let got = world.get(&format!("/r?aff=ann&pid=tea&url={}", String::from_utf8(query).unwrap()));
        assert_eq!((got.status, got.code().as_str(), got.header("Location")), (400, "url_not_allowed", None), "{url}");
    }
    assert_eq!(world.get("/r?aff=ann&pid=what").status, 404);
}

#[test]
fn prefetch_bots_and_embedded_clicks_are_marked() {
    let mut world = World::new();
    let got = world.ask("GET", "/c/L1", &[("Sec-Purpose", "prefetch;prerender")], None);
    assert_eq!((got.status, got.field(0, "prefetch"), got.field(0, "reason")), (302, Some("true"), Some("prefetch")));
    assert_eq!(got.cookie("tk_aff"), None);
    let got = world.ask("GET", "/c/L1", &[("User-Agent", "Googlebot/2.1")], None);
    assert_eq!(
        (got.field(0, "bot"), got.field(0, "counted"), got.field(0, "reason")),
        (Some("true"), None, Some("bot"))
    );
    let got = world.ask("GET", "/c/L1", &[("Sec-Fetch-Dest", "image")], None);
    assert_eq!((got.field(0, "embedded"), got.field(0, "counted")), (Some("true"), Some("true")));
    assert_eq!(world.ask("GET", "/c/L1", &[("Sec-Fetch-Dest", "document")], None).field(0, "embedded"), None);
}

#[test]
fn a_click_says_whether_its_product_binds_customers() {
    let mut world = World::new();
    assert_eq!(world.get("/c/L1").field(0, "binds"), None);
    let tea = r#"{"t":"product","id":"tea","merchant":"shop","url":"https://shop.example/","allowed_hosts":[],"cookie_days":1,"binds":true,"status":"active"}"#;
    world.registry.apply(tea.as_bytes(), 6, &SECRET).unwrap();
    assert_eq!(world.get("/c/L1").field(0, "binds"), Some("true"));
    assert_eq!(world.get("/p.gif?aff=ann&pid=tea").field(0, "binds"), None);
}

#[test]
fn a_claim_carries_yesterdays_fingerprint_too() {
    let mut world = World::new();
    let claim = "/conversion?oid=1&pid=tea";
    assert_eq!(world.get(claim).field(0, "fingerprint_before"), None, "yesterday's key is not known");
    let yesterday = identity::seal(&SECRET, "day", &[8; 32], &[0; 12]);
    let entry = format!(r#"{{"t":"key","day":{},"key":"{yesterday}"}}"#, NOW / 86_400_000 - 1);
    world.registry.apply(entry.as_bytes(), 6, &SECRET).unwrap();
    let got = world.get(claim);
    let visit = (PEER.parse().unwrap(), Agents::new().look(b"").hash);
    let expected = identity::DayKey::new([8; 32]).fingerprint(visit.0, visit.1, b"");
    let expected = String::from_utf8(crate::event::hex(&expected).to_vec()).unwrap();
    assert_eq!(got.field(0, "fingerprint_before"), Some(expected.as_str()));
    assert_ne!(got.field(0, "fingerprint_before"), got.field(0, "fingerprint"));
    assert_eq!(world.ask("GET", claim, &[("Sec-GPC", "1")], None).field(0, "fingerprint_before"), None);
    assert_eq!(world.get("/p.gif?aff=ann&pid=tea").field(0, "fingerprint_before"), None);
}
