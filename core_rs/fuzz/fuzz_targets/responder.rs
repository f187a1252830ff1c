//! Any request → one well-formed answer, at most the events it may have, and never a way to a foreign host.
//!
//! The input is lines: method, target, header fields up to an empty line, and the rest is the body.
#![cfg_attr(fuzzing, no_main)]

use std::cell::RefCell;

use tuike_core::event::Event;
use tuike_core::identity::seal;
use tuike_core::journal::Batch;
use tuike_core::registry::Registry;
use tuike_core::respond::{Headers, Method, Request, Responder, Settings};

const SECRET: [u8; 32] = [1; 32];
const NOW: u64 = 1_763_900_000_000;
const MOST_EVENTS: usize = 100;

struct World {
    responder: Responder,
    registry: Registry,
    batch: Batch,
    out: Vec<u8>,
}

thread_local!(static WORLD: RefCell<World> = RefCell::new(world()));

fn world() -> World {
    let sealed = seal(&SECRET, "merchant", b"key", &[0; 12]);
    let day = seal(&SECRET, "day", &[9; 32], &[0; 12]);
    let mut registry = Registry::default();
    for entry in [
        format!(r#"{{"t":"key","day":{},"key":"{day}"}}"#, NOW / 86_400_000),
        format!(r#"{{"t":"merchant","id":"m","currency":"CNY","secret":"{sealed}","status":"active"}}"#),
        r#"{"t":"product","id":"p","merchant":"m","url":"https://shop.example/{aff}?s={sub1}&c={ch}","fallback_url":"","allowed_hosts":["shop.example"],"cookie_days":10,"status":"active"}"#.into(),
        r#"{"t":"promoter","id":"a","status":"active"}"#.into(),
        r#"{"t":"link","code":"L","promoter":"a","product":"p","channel":"web","expires":null,"status":"active"}"#.into(),
    ] {
        registry.apply(entry.as_bytes(), 5, &SECRET).unwrap();
    }
    let settings = Settings { rate_limit_hits: 1_000, rate_limit_orders: 10, ..Settings::default() };
    let responder = Responder::new(&SECRET, &[2; 32], settings);
    World { responder, registry, batch: Batch::new(), out: Vec::new() }
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus {
    if run(input) { libfuzzer_sys::Corpus::Keep } else { libfuzzer_sys::Corpus::Reject }
});

/// Whether it is a request at all.
pub fn run(input: &[u8]) -> bool {
    let Some(request) = read(input) else { return false };
    WORLD.with_borrow_mut(|world| check(world, &request));
    true
}

fn read(input: &[u8]) -> Option<Request<'_>> {
    let (method, rest) = split(input)?;
    let (target, mut rest) = split(rest)?;
    // both doors refuse any other
    if !target.starts_with(b"/") || !target.iter().all(|&c| c.is_ascii_graphic() && c != b'#') {
        return None;
    }
    let mut headers = Headers::default();
    let mut body = None;
    while let Some((line, after)) = split(rest) {
        rest = after;
        if line.is_empty() {
            body = Some(rest);
            break;
        }
        let at = line.iter().position(|&c| c == b':')?;
        let value = &line[at + 1..];
        if value.iter().any(|c| b"\r\0".contains(c)) {
            return None;
        }
        headers.set(&line[..at], value);
    }
    Some(Request { method: Method::from_name(std::str::from_utf8(method).ok()?), target, headers, body })
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&c| c == b'\n')?;
    Some((&text[..at], &text[at + 1..]))
}

fn check(world: &mut World, request: &Request<'_>) {
    let World { responder, registry, batch, out } = world;
    out.clear();
    batch.clear();
    responder.turn(NOW);
    let answered = responder.respond(registry, request, [192, 0, 2, 9].into(), false, out, batch);
    let end = out.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head");
    let head = std::str::from_utf8(&out[..end]).expect("text");
    let body = &out[end + 4..];
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
    let mut length = None;
    for line in lines {
        assert!(line.bytes().all(|c| (b' '..0x7f).contains(&c)), "{line:?}");
        let (name, value) = line.split_once(": ").expect("a field");
        assert!(name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'), "{line:?}");
        match name {
            "Content-Length" => length = Some(value.parse::<usize>().unwrap()),
            "Location" => assert!(value.starts_with("https://shop.example/") || is_ours(value), "{value}"),
            _ => {}
        }
    }
    match (request.method, status) {
        (Method::Head, _) | (_, 204) => assert!(body.is_empty()),
        _ => assert_eq!(length, Some(body.len())),
    }
    assert_eq!(answered.event, !batch.is_empty());
    assert!(batch.len() <= MOST_EVENTS && (status < 400 || batch.is_empty()) && status < 500);
    for payload in batch.payloads() {
        let event = Event::decode(payload).expect("an event of ours");
        assert!(event.counted || !event.reason.is_empty());
    }
}

/// A host of the product's, as a browser reads it, perhaps with a port and in other letters.
fn is_ours(url: &str) -> bool {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap();
    let host = authority.split_once(':').map_or(authority, |(host, port)| {
        assert!(port.bytes().all(|c| c.is_ascii_digit()));
        host
    });
    ["http", "https"].contains(&&*scheme.to_ascii_lowercase()) && host.eq_ignore_ascii_case("shop.example")
}
