//! Orders: pixels' claims, signed postbacks, beacons.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::*;

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

pub(super) fn postback(world: &mut World, more: &[(&str, &str)]) -> Got {
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
fn no_changed_parameter_keeps_a_signature_and_no_cut_signature_is_one() {
    let mut world = World::new();
    let ts = (NOW / 1000).to_string();
    let pairs = [("merchant", "shop"), ("ts", ts.as_str()), ("oid", "1"), ("pid", "tea"), ("amount", "1.00")];
    let query = signed(&pairs);
    let (text, sig) = query.rsplit_once("&sig=").unwrap();
    let mut forged: Vec<String> = (0..=sig.len()).map(|cut| format!("{text}&sig={}", &sig[..cut])).collect();
    assert_eq!(world.get(&format!("/postback?{}", forged.pop().unwrap())).status, 202);
    for at in 0..sig.len() {
        let other = if &sig[at..=at] == "0" { "1" } else { "0" };
        forged.push(format!("{text}&sig={}{other}{}", &sig[..at], &sig[at + 1..]));
    }
    forged.push(format!("{text}&sig={sig}0"));
    forged.push(format!("{text}&sig=%00{sig}"));
    forged.push(format!("{query}&x=1"));
    forged.push(query.replace("oid=1", "txid=1"));
    forged.push(query.replace("amount=1.00", "amount=1.0"));
    forged.push(query.replace("&oid=1", ""));
    forged.push(query.replace("merchant=shop", "merchant=other"));
    for one in forged {
        let got = world.get(&format!("/postback?{one}"));
        assert_eq!((got.status, got.events.len()), (401, 0), "{one}");
        assert!(["bad_signature", "unknown_merchant"].contains(&got.code().as_str()), "{one}");
    }
}

#[test]
fn a_replaced_key_signs_until_its_overlap_is_over_and_the_new_one_from_the_first() {
    let mut world = World::new();
    let query = |more: &str| {
        let ts = (NOW / 1000).to_string();
        format!("/postback?{}", signed(&[("merchant", "shop"), ("ts", &ts), ("oid", more), ("pid", "tea")]))
    };
    let rotate = |world: &mut World, secret: &[u8], until: u64| {
        let [new, old] = [secret, b"key"].map(|key| identity::seal(&SECRET, "merchant", key, &[0; 12]));
        let entry = format!(
            r#"{{"t":"merchant","id":"shop","currency":"CNY","secret":"{new}","old_secret":"{old}","old_secret_until":{until},"status":"active"}}"#
        );
        world.registry.apply(entry.as_bytes(), 6, &SECRET).unwrap();
    };
    rotate(&mut world, b"new key", NOW + 1);
    assert_eq!(world.get(&query("1")).status, 202);
    rotate(&mut world, b"new key", NOW);
    assert_eq!((world.get(&query("2")).status, world.get(&query("2")).code().as_str()), (401, "bad_signature"));
    rotate(&mut world, b"key", 0);
    assert_eq!(world.get(&query("3")).status, 202);
}

/// The merchant `shop` with this dialect and the token `open`, and one more that is valid until then.
fn with_dialect(world: &mut World, dialect: &str, until: u64) {
    let sealed = identity::seal(&SECRET, "merchant", b"key", &[0; 12]);
    let hex = |token: &str| {
        Sha256::digest(token.as_bytes()).iter().flat_map(|b| format!("{b:02x}").into_bytes()).map(char::from).collect()
    };
    let (new, old): (String, String) = (hex("open"), hex("old"));
    let entry = format!(
        r#"{{"t":"merchant","id":"shop","currency":"CNY","secret":"{sealed}","status":"active","dialect":{dialect},"tokens":[["{new}",null],["{old}",{until}]]}}"#
    );
    world.registry.apply(entry.as_bytes(), 6, &SECRET).unwrap();
}

const KEITARO: &str =
    r#"{"names":{"subid":"click_id","payout":"amount","tid":"oid","key":"token"},"statuses":{"lead":"pending"}}"#;

#[test]
fn a_dialect_is_read_where_the_token_is_the_merchants() {
    let mut world = World::new();
    let query = "merchant=shop&subid=0123456789abcdef0123456789abcdef&payout=12.50&status=LEAD&tid=A1&currency=cny";
    assert_eq!(world.get(&format!("/postback?{query}&token=open")).code(), "bad_signature");
    with_dialect(&mut world, KEITARO, NOW + 1);
    let body = format!("{query}&key=open");
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for got in [
        world.get(&format!("/postback?{query}&token=open")),
        world.get(&format!("/postback?{query}&key=old")),
        world.ask("POST", "/postback", &form, Some(body.as_bytes())),
    ] {
        assert_eq!((got.status, got.answered.durable), (202, true), "{}", got.code());
        for (field, value) in [
            ("kind", "order"),
            ("oid", "A1"),
            ("amount", "1250"),
            ("currency", "CNY"),
            ("status", "pending"),
            ("click", "0123456789abcdef0123456789abcdef"),
            ("source", "postback"),
        ] {
            assert_eq!(got.field(0, field), Some(value), "{field}");
        }
        assert_eq!((got.field(0, "stamp"), got.field(0, "extra")), (None, None));
    }
}

#[test]
fn without_the_one_token_or_with_a_signature_that_is_none_a_dialect_is_401() {
    let mut world = World::new();
    with_dialect(&mut world, KEITARO, NOW);
    for (query, code) in [
        ("merchant=shop&tid=1", "bad_token"),
        ("merchant=shop&tid=1&token=", "bad_token"),
        ("merchant=shop&tid=1&token=opens", "bad_token"),
        ("merchant=shop&tid=1&token=old", "bad_token"),
        ("merchant=shop&tid=1&token=open&token=open", "bad_token"),
        ("merchant=shop&tid=1&token=open&key=open", "bad_token"),
        ("merchant=shop&tid=1&token=open&sig=", "bad_signature"),
        ("merchant=other&tid=1&token=open", "bad_signature"),
        ("tid=1&token=open", "unknown_merchant"),
    ] {
        let got = world.get(&format!("/postback?{query}"));
        assert_eq!((got.status, got.code().as_str(), got.events.len()), (401, code, 0), "{query}");
    }
    // our own form is what it was: there `tid` is a click id
    let got = postback(&mut world, &[("oid", "1"), ("pid", "tea"), ("tid", &"ab".repeat(16)), ("payout", "1")]);
    assert_eq!((got.status, got.field(0, "oid"), got.field(0, "amount")), (202, Some("1"), None));
    for (query, code) in [
        ("tid=1&payout=12.505", "bad_amount"),
        ("tid=1&payout={payout}", "bad_amount"),
        ("tid=1&status=trash", "unknown_status"),
        ("tid=1&currency=XXQ", "bad_currency"),
        ("tid=1&oid=2", "duplicate_parameter"),
        ("tid=1&pid=what", "unknown_product"),
        ("payout=1", "missing_oid"),
    ] {
        let got = world.get(&format!("/postback?merchant=shop&token=open&{query}"));
        assert_eq!((got.status, got.code().as_str()), (422, code), "{query}");
    }
}

#[test]
fn what_is_authentic_and_no_order_is_kept_without_secrets_and_in_bounds() {
    let mut world = World::new();
    with_dialect(&mut world, KEITARO, NOW);
    let got = world.get("/postback?merchant=shop&key=open&tid=1&payout=x&customer_id=c7&x=5");
    assert_eq!((got.status, got.answered.event, got.answered.durable), (422, true, false));
    for (field, value) in [
        ("kind", "refused"),
        ("merchant", "shop"),
        ("reason", "bad_amount"),
        ("cust", "c7"),
        ("body", r#"[["tid","1"],["payout","x"],["x","5"]]"#),
    ] {
        assert_eq!(got.field(0, field), Some(value), "{field}");
    }
    let got = postback(&mut world, &[("oid", "1"), ("status", "maybe")]);
    assert_eq!((got.field(0, "reason"), got.field(0, "stamp")), (Some("unknown_status"), Some("1763900000000")));
    assert_eq!(got.field(0, "body"), Some(r#"[["oid","1"],["status","maybe"]]"#));
    for unkept in [
        "/postback?merchant=shop&tid=1&payout=x&token=wrong".to_owned(),
        "/postback?merchant=nobody&tid=1".to_owned(),
        format!("/postback?merchant=shop&token=open&payout=x{}", format!("&x={}", "y".repeat(500)).repeat(20)),
    ] {
        assert_eq!(world.get(&unkept).events.len(), 0, "{unkept}");
    }
    let flood = (0..400).filter(|_| !world.get("/postback?merchant=shop&token=open&payout=x").events.is_empty());
    assert_eq!(flood.count(), 298);
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
        (vec![("oid", "1"), ("pid", "what"), ("status", "x"), ("amount", "-1")], "unknown_product"),
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
        assert_eq!((got.status, got.code().as_str()), (422, code), "{more:?}");
    }
    let rfc3339 = postback(&mut world, &[("oid", "1"), ("time", "2025-11-23T12:00:00+08:00")]);
    assert_eq!(rfc3339.field(0, "at"), Some("1763870400000"));
    let by_click = postback(&mut world, &[("cid", &"ab".repeat(16))]);
    assert_eq!((by_click.status, by_click.field(0, "click")), (202, Some("ab".repeat(16).as_str())));
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
