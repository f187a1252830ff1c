//! Who asks: cookies, privacy signals, addresses.

use super::*;

#[test]
fn a_known_visitor_is_known_again_and_a_forged_cookie_is_ignored_and_counted() {
    let mut world = World::new();
    let first = world.get("/c/L1");
    let vid = first.cookie("tk_vid").unwrap().split(';').next().unwrap().to_owned();
    let again = world.ask("GET", "/p.gif?aff=ann&pid=tea", &[("Cookie", &format!("a=b; tk_vid={vid}"))], None);
    assert_eq!(again.field(0, "visitor"), first.field(0, "visitor"));
    assert_eq!(again.cookie("tk_vid"), None, "a pixel does not set what is there");
    let forged = vid.replace(&vid[..1], if vid.starts_with('0') { "1" } else { "0" });
    world.counts();
    let got = world.ask("GET", "/c/L1", &[("Cookie", &format!("tk_vid={forged}"))], None);
    assert_ne!(got.field(0, "visitor"), first.field(0, "visitor"));
    assert!(world.counts().contains(r#"affiliate_hits_total{kind="other",outcome="forged_cookie"} 1"#));
}

#[test]
fn privacy_signals_mean_no_cookie_no_visitor_and_no_fingerprint_but_a_click_id() {
    let mut world = World::new();
    let vid = world.get("/c/L1").cookie("tk_vid").unwrap().split(';').next().unwrap().to_owned();
    let cookie = format!("tk_vid={vid}");
    for (target, headers, why) in [
        ("/c/L1", vec![("Sec-GPC", "1"), ("Cookie", &*cookie)], "gpc"),
        ("/c/L1", vec![("DNT", "1")], "dnt"),
        ("/c/L1", vec![("Cookie", "tk_optout=1")], "optout"),
        ("/c/L1?consent=0&gclid=g&cust=c&did=d", vec![], "consent"),
        ("/p.gif?aff=ann&pid=tea", vec![("Sec-GPC", "1"), ("DNT", "1")], "gpc"),
    ] {
        let got = world.ask("GET", target, &headers, None);
        assert!(!got.head.contains("Set-Cookie"), "{headers:?}");
        assert_eq!(
            (got.field(0, "visitor"), got.field(0, "fingerprint"), got.field(0, "private")),
            (None, None, Some("true"))
        );
        assert_eq!((got.field(0, "counted"), got.field(0, "refused")), (Some("true"), Some(why)));
        assert_eq!((got.field(0, "extra"), got.field(0, "cust"), got.field(0, "did")), (None, None, None));
        assert!(got.field(0, "id").is_some());
    }
    let open = world.get("/p.gif?aff=ann&pid=tea");
    assert_eq!((open.field(0, "private"), open.field(0, "refused")), (None, None));
    assert!(open.field(0, "visitor").is_some() && open.field(0, "fingerprint").is_some());
}

#[test]
fn forwarded_addresses_count_only_from_trusted_proxies() {
    let network = |text| Network::parse(text).unwrap();
    let forwarded = [("X-Forwarded-For", "198.51.100.7, 203.0.113.5, 192.0.2.8"), ("X-Forwarded-Proto", "https")];
    let plain = World::new().ask("GET", "/c/L1", &forwarded, None);
    assert_eq!(plain.field(0, "prefix"), Some("192.0.2.0/24"));
    assert!(!plain.head.contains("Secure"));
    let trusted = Settings { trusted_proxies: vec![network("192.0.2.0/24")], ..Settings::default() };
    let got = World::with(trusted).ask("GET", "/c/L1", &forwarded, None);
    assert_eq!(got.field(0, "prefix"), Some("203.0.113.0/24"), "the rightmost that is no proxy of ours");
    assert!(got.cookie("tk_aff").unwrap().ends_with("; HttpOnly; Secure; SameSite=Lax"));
    for bad in ["x", "1.2.3.4/33", "::/129", ""] {
        assert_eq!(Network::parse(bad), None, "{bad}");
    }
    assert!(network("0.0.0.0/0").holds("9.9.9.9".parse().unwrap()) && network("::1").holds("::1".parse().unwrap()));
}

#[test]
fn settings_change_the_cookies() {
    let settings = Settings { cross_site_cookies: true, readable_cookie: true, ..Settings::default() };
    let got = World::with(settings).get("/c/L1");
    assert!(got.cookie("tk_aff").unwrap().ends_with("; HttpOnly; Secure; SameSite=None; Partitioned"));
    assert_eq!(got.cookie("affiliate_track"), Some("ann; Path=/; Max-Age=864000; Secure; SameSite=None; Partitioned"));
}
