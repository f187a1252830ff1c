//! What all routes have in common, and the pages.

use super::*;

#[test]
fn a_page_that_people_open_may_load_send_and_be_framed_by_nothing() {
    let mut world = World::new();
    for page in ["/optout", "/optin"] {
        let got = world.get(page);
        assert!(got.header("Content-Type").unwrap().starts_with("text/html"), "{page}");
        let policy = got.header("Content-Security-Policy").unwrap();
        for rule in ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"] {
            assert!(policy.split("; ").any(|part| part == rule), "{page}: {rule}");
        }
        assert_eq!(got.header("X-Content-Type-Options"), Some("nosniff"), "{page}");
        assert_eq!(got.header("Referrer-Policy"), Some("no-referrer"), "{page}");
    }
    assert_eq!(world.get("/t.js").header("X-Content-Type-Options"), Some("nosniff"));
}

#[test]
fn head_gets_the_same_head_and_counts_nothing() {
    for target in
        ["/p.gif?aff=ann&pid=tea", "/c/L1", "/r?aff=ann&pid=tea", "/conversion?oid=1&pid=tea", "/t.js", "/healthz"]
    {
        let (get, head) = (World::new().get(target), World::new().ask("HEAD", target, &[], None));
        assert_eq!((head.status, head.body.len(), head.events.len()), (get.status, 0, 0), "{target}");
        let names = |got: &Got| got.head.lines().map(|l| l.split(':').next().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&get), names(&head), "{target}");
    }
    let mut world = World::new();
    world.ask("HEAD", "/p.gif?aff=ann&pid=tea", &[], None);
    assert!(world.counts().contains(r#"affiliate_hits_total{kind="view",outcome="counted"} 0"#));
}

#[test]
fn limits_and_malformed_escapes_are_refused_with_a_reason() {
    let mut world = World::new();
    for (query, code) in [
        (format!("aff=ann&pid=tea&sub1={}", "a".repeat(513)), "value_too_long"),
        ("aff=ann&pid=%zz".into(), "malformed_escape"),
        ("x=1&".repeat(65), "too_many_parameters"),
    ] {
        for path in ["/p.gif", "/c/L1", "/r", "/conversion"] {
            let got = world.get(&format!("{path}?{query}"));
            assert_eq!((got.status, got.code().as_str(), got.events.len()), (400, code, 0), "{path}?{query}");
        }
    }
}

#[test]
fn methods_that_a_route_has_not_are_405_and_say_what_it_has() {
    let mut world = World::new();
    for (method, target, allow) in [
        ("HEAD", "/postback", "GET, POST"),
        ("GET", "/e", "POST, OPTIONS"),
        ("POST", "/p.gif", "GET, HEAD"),
        ("OPTIONS", "/c/L1", "GET, HEAD"),
        ("DELETE", "/conversion", "GET, HEAD, OPTIONS"),
    ] {
        let got = world.ask(method, target, &[], None);
        assert_eq!((got.status, got.header("Allow")), (405, Some(allow)), "{method} {target}");
    }
    assert_eq!(world.get("/nowhere").status, 404);
}

#[test]
fn cors_lets_any_page_send_claims_and_beacons() {
    let mut world = World::new();
    for target in ["/e", "/conversion"] {
        let got = world.ask("OPTIONS", target, &[("Origin", "https://shop.example")], None);
        assert_eq!((got.status, got.header("Access-Control-Allow-Origin")), (204, Some("https://shop.example")));
    }
}

#[test]
fn the_script_tag_is_small_and_opting_out_is_a_page() {
    let mut world = World::new();
    let script = world.get("/t.js");
    assert!(script.body.len() < 3000 && script.header("Content-Type").unwrap().starts_with("text/javascript"));
    let out = world.get("/optout");
    assert!(
        out.cookie("tk_optout").unwrap().starts_with("1; Path=/; Max-Age=34560000")
            && out.body.starts_with(b"<!doctype html>")
    );
    assert!(out.cookie("tk_vid").unwrap().starts_with("; Path=/; Max-Age=0"));
    assert!(world.get("/optin").cookie("tk_optout").unwrap().starts_with("; Path=/; Max-Age=0"));
    assert_eq!(world.get("/healthz").body, b"ok\n");
}

#[test]
fn what_was_not_recorded_says_so() {
    let mut world = World::new();
    let got = world.get("/p.gif?aff=ann&pid=tea");
    let mut out = Vec::new();
    unrecorded(got.head.as_bytes(), &mut out);
    assert!(out.starts_with(b"HTTP/1.1 200 OK\r\nTuike-Recorded: 0\r\nServer"));
    let directory = tempfile::tempdir().unwrap();
    world.responder.settle(&Metrics::open(directory.path(), "edge-0").unwrap(), false);
    assert!(
        crate::metrics::render(directory.path())
            .unwrap()
            .contains(r#"affiliate_hits_total{kind="view",outcome="unrecorded"} 1"#)
    );
    let mut out = Vec::new();
    unavailable(Method::Post, NOW, false, &mut out);
    assert!(out.starts_with(b"HTTP/1.1 503 "));
}

#[test]
fn the_same_seed_and_requests_give_the_same_answers() {
    let (mut one, mut two) = (World::new(), World::new());
    for target in ["/c/L1", "/p.gif?aff=ann&pid=tea", "/c/L1?sub1=x"] {
        let (a, b) = (one.get(target), two.get(target));
        assert_eq!((a.head, a.body, a.events), (b.head, b.body, b.events));
    }
}
