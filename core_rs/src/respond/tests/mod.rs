//! The responder's rules: a request, a registry, the answer and its events.

mod answers;
mod hits;
mod limits;
mod orders;
mod visitors;

use super::*;

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
