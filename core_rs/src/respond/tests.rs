use super::*;
use crate::event::unhex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const SECRET: [u8; 32] = [1; 32];
const NOW: u64 = 1_763_900_000_000;
const PEER: &str = "192.0.2.9";

struct World {
    responder: Responder,
    registry: Registry,
    batch: Batch,
}

/// An answer taken apart, and its events as lines of `field=value`.
struct Got {
    status: u16,
    head: String,
    body: Vec<u8>,
    events: Vec<String>,
    answered: Answered,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        let wanted = format!("Set-Cookie: {name}=");
        self.head.lines().find_map(|line| line.strip_prefix(&wanted))
    }

    fn field(&self, event: usize, name: &str) -> Option<&str> {
        self.events[event].lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    fn code(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        body.split_once("\"code\":\"").map_or(String::new(), |(_, rest)| rest[..rest.find('"').unwrap()].to_owned())
    }
}

impl World {
    fn new() -> World {
        World::with(Settings::default())
    }

    fn with(settings: Settings) -> World {
        let mut registry = Registry::default();
        let sealed = identity::seal(&SECRET, "merchant", b"key", &[0; 12]);
        let day = identity::seal(&SECRET, "day", &[9; 32], &[0; 12]);
        let product = |id: &str, status: &str, fallback: &str| {
            format!(
                r#"{{"t":"product","id":"{id}","merchant":"shop","url":"https://shop.example/{id}?s={{sub1}}","fallback_url":"{fallback}","allowed_hosts":["shop.example"],"cookie_days":10,"status":"{status}"}}"#
            )
        };
        let link = |code: &str, product: &str, status: &str, expires: &str| {
            format!(
                r#"{{"t":"link","code":"{code}","promoter":"ann","product":"{product}","channel":"web","sub1":"own","expires":{expires},"status":"{status}"}}"#
            )
        };
        for entry in [
            format!(r#"{{"t":"key","day":{},"key":"{day}"}}"#, NOW / 86_400_000),
            format!(r#"{{"t":"merchant","id":"shop","currency":"CNY","secret":"{sealed}","status":"active"}}"#),
            format!(r#"{{"t":"merchant","id":"other","currency":"JPY","secret":"{sealed}","status":"active"}}"#),
            product("tea", "active", ""),
            product("old", "paused", ""),
            product("moved", "paused", "https://shop.example/new"),
            r#"{"t":"promoter","id":"ann","status":"active"}"#.into(),
            r#"{"t":"promoter","id":"bad","status":"blocked"}"#.into(),
            link("L1", "tea", "active", "null"),
            link("paused", "tea", "paused", "null"),
            link("gone", "tea", "active", &(NOW - 1).to_string()),
            link("moved", "moved", "active", "null"),
        ] {
            registry.apply(entry.as_bytes(), 5, &SECRET).unwrap();
        }
        World { responder: Responder::new(&SECRET, &[2; 32], settings), registry, batch: Batch::new() }
    }

    fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Got {
        let mut known = Headers::default();
        for (name, value) in headers {
            known.set(name.as_bytes(), value.as_bytes());
        }
        let request = Request { method: Method::from_name(method), target: target.as_bytes(), headers: known, body };
        let mut out = Vec::new();
        self.responder.turn(NOW);
        let peer = PEER.parse().unwrap();
        let answered = self.responder.respond(&self.registry, &request, peer, false, &mut out, &mut self.batch);
        let events = self.batch.payloads().map(describe).collect();
        self.batch.clear();
        let at = memchr::memmem::find(&out, b"\r\n\r\n").expect("a whole head");
        let head = String::from_utf8(out[..at + 2].to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        Got { status, head, body: out[at + 4..].to_vec(), events, answered }
    }

    fn get(&mut self, target: &str) -> Got {
        self.ask("GET", target, &[], None)
    }

    fn counts(&mut self) -> String {
        let directory = tempfile::tempdir().unwrap();
        self.responder.settle(&Metrics::open(directory.path(), "edge-0").unwrap(), true);
        crate::metrics::render(directory.path()).unwrap()
    }
}

fn describe(payload: &[u8]) -> String {
    use crate::event::{Value, hex};
    let event = Event::decode(payload).unwrap();
    let mut out = format!("kind={}\n", event.kind.name());
    event.fields(|_, name, value| {
        let text = match value {
            Value::Uint(v) => v.to_string(),
            Value::Bool(v) => v.to_string(),
            Value::Text(v) => v.to_owned(),
            Value::Id(v) => String::from_utf8(hex(&v).to_vec()).unwrap(),
            Value::Bytes(v) => String::from_utf8_lossy(v).into_owned(),
        };
        out.push_str(&format!("{name}={text}\n"));
    });
    out
}

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
    for (target, headers) in [
        ("/c/L1", vec![("Sec-GPC", "1"), ("Cookie", &cookie)]),
        ("/c/L1", vec![("DNT", "1")]),
        ("/c/L1", vec![("Cookie", "tk_optout=1")]),
        ("/c/L1?consent=0", vec![]),
        ("/p.gif?aff=ann&pid=tea", vec![("Sec-GPC", "1")]),
    ] {
        let got = world.ask("GET", target, &headers, None);
        assert!(!got.head.contains("Set-Cookie"), "{headers:?}");
        assert_eq!(
            (got.field(0, "visitor"), got.field(0, "fingerprint"), got.field(0, "private")),
            (None, None, Some("true"))
        );
        assert_eq!(got.field(0, "counted"), Some("true"));
        assert!(got.field(0, "id").is_some());
    }
    let open = world.get("/p.gif?aff=ann&pid=tea");
    assert!(open.field(0, "visitor").is_some() && open.field(0, "fingerprint").is_some());
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

#[test]
fn a_conversion_pixel_is_a_claim_and_trusts_only_our_own_cookie() {
    let mut world = World::new();
    let click = world.get("/c/L1");
    let (vid, aff) = (click.cookie("tk_vid").unwrap(), click.cookie("tk_aff").unwrap());
    let value = |text: &str| text.split(';').next().unwrap().to_owned();
    let cookies = format!("tk_vid={}; tk_aff={}", value(vid), value(aff));
    let got = world.ask("GET", "/conversion?oid=A1&pid=tea&amount=12.50&aff=thief", &[("Cookie", &cookies)], None);
    assert_eq!((got.status, got.body.len(), got.answered.durable), (200, 43, true));
    for (field, value) in
        [("kind", "claim"), ("oid", "A1"), ("amount", "1250"), ("currency", "CNY"), ("aff", "ann"), ("source", "pixel")]
    {
        assert_eq!(got.field(0, field), Some(value), "{field}");
    }
    assert_eq!((got.field(0, "click"), got.field(0, "visitor")), (click.field(0, "id"), click.field(0, "visitor")));
    assert_eq!(world.get("/conversion?oid=A1&pid=tea&aff=thief").field(0, "aff"), None);
    for (query, code) in [
        ("pid=tea", "missing_oid"),
        ("oid=1", "missing_pid"),
        ("oid=1&pid=tea&amount=1.234", "bad_amount"),
        ("oid=1&pid=tea&currency=XXQ", "bad_currency"),
    ] {
        let got = world.get(&format!("/conversion?{query}"));
        assert_eq!((got.status, got.code().as_str()), (400, code), "{query}");
    }
    assert_eq!(world.get("/conversion?oid=1&pid=what&amount=5").field(0, "reason"), Some("unknown_product"));
}

fn signed(pairs: &[(&str, &str)]) -> String {
    let mut encoded: Vec<String> = pairs
        .iter()
        .map(|(name, value)| {
            let mut out = Vec::new();
            crate::params::encode(name, &mut out);
            out.push(b'=');
            crate::params::encode(value, &mut out);
            String::from_utf8(out).unwrap()
        })
        .collect();
    encoded.sort_by(|a, b| a.split('=').cmp(b.split('=')));
    let text = encoded.join("&");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
    mac.update(text.as_bytes());
    let sig: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("{text}&sig={sig}")
}

fn postback(world: &mut World, more: &[(&str, &str)]) -> Got {
    let ts = (NOW / 1000).to_string();
    let mut pairs = vec![("merchant", "shop"), ("ts", ts.as_str())];
    pairs.extend_from_slice(more);
    world.get(&format!("/postback?{}", signed(&pairs)))
}

#[test]
fn a_signed_postback_is_accepted_as_query_form_or_json() {
    let mut world = World::new();
    let ts = (NOW / 1000).to_string();
    let pairs = [
        ("merchant", "shop"),
        ("ts", ts.as_str()),
        ("txid", "A 1"),
        ("pid", "tea"),
        ("sale_amount", "99.9"),
        ("coupon", ""),
        ("x", "五"),
    ];
    let query = signed(&pairs);
    let sig = query.rsplit_once('=').unwrap().1;
    let members: Vec<String> = pairs.iter().chain(&[("sig", sig)]).map(|(n, v)| format!("\"{n}\":\"{v}\"")).collect();
    let json = format!("{{{}}}", members.join(","));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for got in [
        world.get(&format!("/postback?{query}")),
        world.ask("POST", "/postback", &form, Some(query.as_bytes())),
        world.ask("POST", "/postback", &[("Content-Type", "application/json; charset=utf-8")], Some(json.as_bytes())),
    ] {
        assert_eq!((got.status, got.answered.durable), (202, true), "{}", got.code());
        assert!(String::from_utf8_lossy(&got.body).contains(got.field(0, "id").unwrap()));
        for (field, value) in [
            ("kind", "order"),
            ("oid", "A 1"),
            ("amount", "9990"),
            ("status", "approved"),
            ("source", "postback"),
            ("merchant", "shop"),
        ] {
            assert_eq!(got.field(0, field), Some(value), "{field}");
        }
    }
}

#[test]
fn a_postback_that_is_unsigned_wrong_or_stale_is_401() {
    let mut world = World::new();
    let stale = (NOW / 1000 - 301).to_string();
    let good = signed(&[("merchant", "shop"), ("ts", &(NOW / 1000).to_string()), ("oid", "1"), ("pid", "tea")]);
    for (query, code) in [
        ("merchant=shop&oid=1&pid=tea".to_owned(), "bad_signature"),
        (good.replace("oid=1", "oid=2"), "bad_signature"),
        (signed(&[("merchant", "shop"), ("ts", &stale), ("oid", "1")]), "stale_signature"),
        (signed(&[("merchant", "shop"), ("oid", "1")]), "stale_signature"),
        (signed(&[("merchant", "nobody"), ("ts", "1")]), "unknown_merchant"),
        (String::new(), "unknown_merchant"),
    ] {
        let got = world.get(&format!("/postback?{query}"));
        assert_eq!((got.status, got.code().as_str(), got.events.len()), (401, code, 0), "{query}");
    }
}

#[test]
fn a_signed_postback_that_cannot_be_an_order_is_422_with_its_code() {
    let mut world = World::new();
    let future = (NOW / 1000 + 5).to_string();
    let old = (NOW / 1000 - 31 * 86_400).to_string();
    for (more, code) in [
        (vec![("oid", "1"), ("oid", "1")], "duplicate_parameter"),
        (vec![("oid", "1"), ("txid", "2")], "duplicate_parameter"),
        (vec![("zz", "1"), ("zz", "2"), ("oid", "1")], "duplicate_parameter"),
        (vec![("oid", "1"), ("pid", "what")], "unknown_product"),
        (vec![("oid", "1"), ("status", "maybe")], "unknown_status"),
        (vec![("oid", "1"), ("amount", "1.234")], "bad_amount"),
        (vec![("oid", "1"), ("amount", "-1")], "bad_amount"),
        (vec![("oid", "1"), ("amount", "1"), ("currency", "JPX")], "bad_currency"),
        (vec![("oid", "1"), ("amount", "1.5"), ("currency", "JPY")], "bad_amount"),
        (vec![("oid", "1"), ("time", "yesterday")], "bad_time"),
        (vec![("oid", "1"), ("time", &future)], "bad_time"),
        (vec![("oid", "1"), ("time", &old)], "bad_time"),
        (vec![("pid", "tea")], "missing_oid"),
    ] {
        let got = postback(&mut world, &more);
        assert_eq!((got.status, got.code().as_str(), got.events.len()), (422, code, 0), "{more:?}");
    }
    let rfc3339 = postback(&mut world, &[("oid", "1"), ("time", "2025-11-23T12:00:00+08:00")]);
    assert_eq!(rfc3339.field(0, "at"), Some("1763870400000"));
    let by_click = postback(&mut world, &[("cid", &"ab".repeat(16))]);
    assert_eq!((by_click.status, by_click.field(0, "click")), (202, Some("ab".repeat(16).as_str())));
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
fn a_beacon_takes_all_its_events_or_none() {
    let mut world = World::new();
    let view = r#"{"type":"view","aff":"ann","pid":"tea"}"#;
    let order = r#"{"type":"conversion","oid":"A1","pid":"tea","amount":99.5}"#;
    let mut send = |body: &str| world.ask("POST", "/e", &[("Origin", "https://s.example")], Some(body.as_bytes()));
    let got = send(&format!("[{view},{order}]"));
    assert_eq!((got.status, got.events.len(), got.answered.durable), (204, 2, true));
    assert_eq!(
        (got.field(0, "kind"), got.field(1, "kind"), got.field(1, "amount")),
        (Some("view"), Some("claim"), Some("9950"))
    );
    assert_eq!(send(view).events.len(), 1);
    assert_eq!(send("[]").status, 204);
    for (body, code) in [
        (format!("[{view},{{\"type\":\"conversion\",\"pid\":\"tea\"}}]"), "missing_oid"),
        (format!("[{}]", vec![view; 101].join(",")), "too_many_events"),
        ("{".into(), "malformed_body"),
        (r#"{"type":"x"}"#.into(), "unknown_type"),
        (String::new(), "malformed_body"),
    ] {
        let got = send(&body);
        assert_eq!((got.status, got.code().as_str(), got.events.len()), (400, code, 0), "{body}");
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
