//! The bytes of answers. A head is written in one pass; `Date` is rendered once a second.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::{Answered, Ask, Method, Responder, Route, Sink};
use crate::digits::decimal;
use crate::metrics::{HitKind, Outcome};

/// The smallest transparent GIF that every browser takes.
pub const GIF: &[u8; 43] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

pub(super) const NO_STORE: &str = "Cache-Control: no-store\r\n";

/// A refusal: its status line and its reason, both for people and for counting.
#[derive(Clone, Copy)]
pub(super) struct Refusal {
    pub status: &'static str,
    pub code: &'static str,
    pub outcome: Option<Outcome>,
}

pub(super) const NOT_FOUND: Refusal = Refusal { status: "404 Not Found", code: "not_found", outcome: None };

pub(super) const fn bad_request(outcome: Outcome, code: &'static str) -> Refusal {
    Refusal { status: "400 Bad Request", code, outcome: Some(outcome) }
}

impl Refusal {
    pub(super) fn new(status: &'static str, outcome: Outcome) -> Refusal {
        Refusal { status, code: outcome.name(), outcome: Some(outcome) }
    }
}

/// `Date` as RFC 9110 section 5.6.7 has it.
pub(super) fn date(now_ms: u64) -> String {
    let instant = i64::try_from(now_ms / 1000).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or_default();
    DateTimePrinter::new().timestamp_to_rfc9110_string(&instant).expect("years 0 to 9999")
}

/// An answer on its way: head first, then `body` ends it.
pub(super) struct Answer<'o> {
    out: &'o mut Vec<u8>,
    head: bool,
}

impl<'o> Answer<'o> {
    /// Begins with the status line, `Server` and `Date`; `head` leaves the body out (RFC 9110, 9.3.2).
    pub fn new(out: &'o mut Vec<u8>, status: &str, date: &str, close: bool, head: bool) -> Answer<'o> {
        for part in ["HTTP/1.1 ", status, "\r\nServer: tuike\r\nDate: ", date, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        if close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        Answer { out, head }
    }

    /// Appends whole header lines.
    pub fn lines(&mut self, lines: &str) -> &mut Self {
        self.out.extend_from_slice(lines.as_bytes());
        self
    }

    pub fn number(&mut self, number: u64) -> &mut Self {
        decimal(number, self.out);
        self
    }

    pub fn line(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.start_line(name).extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// The buffer after `name: `, for a value written in place; [`end_line`](Self::end_line) ends it.
    pub fn start_line(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        self.out
    }

    pub fn end_line(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }

    pub fn body(self, content_type: &str, body: &[u8]) {
        for part in ["Content-Type: ", content_type, "\r\nContent-Length: "] {
            self.out.extend_from_slice(part.as_bytes());
        }
        decimal(body.len() as u64, self.out);
        self.out.extend_from_slice(b"\r\n\r\n");
        if !self.head {
            self.out.extend_from_slice(body);
        }
    }

    pub fn gif(self) {
        self.out.extend_from_slice(b"Cache-Control: no-store\r\nContent-Type: image/gif\r\nContent-Length: 43\r\n\r\n");
        if !self.head {
            self.out.extend_from_slice(GIF);
        }
    }

    /// Ends an answer without a body.
    pub fn empty(self) {
        self.out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    }

    /// Ends a 204, which has neither body nor length (RFC 9110, 8.6).
    pub fn no_content(self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

impl Responder {
    /// A problem document (RFC 9457) with a stable code; counted, but for a HEAD.
    pub(super) fn refuse(&mut self, sink: &mut Sink<'_>, ask: &Ask<'_>, kind: HitKind, refusal: Refusal) -> Answered {
        if let Some(outcome) = refusal.outcome.filter(|_| !ask.head()) {
            self.tally(kind, outcome, false);
        }
        problem(sink.out, &self.turn.date, ask.close, ask.head(), refusal.status, refusal.code, "");
        Answered::default()
    }

    pub(super) fn method_not_allowed(&mut self, sink: &mut Sink<'_>, ask: &Ask<'_>, route: Route) -> Answered {
        let allow = format!("Allow: {}\r\n", route.methods());
        problem(
            sink.out,
            &self.turn.date,
            ask.close,
            ask.head(),
            "405 Method Not Allowed",
            "method_not_allowed",
            &allow,
        );
        Answered::default()
    }

    /// CORS (Fetch standard, section 3.3): any page may send claims and beacons.
    pub(super) fn preflight(&mut self, sink: &mut Sink<'_>, ask: &Ask<'_>) -> Answered {
        let mut answer = Answer::new(sink.out, "204 No Content", &self.turn.date, ask.close, false);
        cors(&mut answer, ask.request.headers.origin);
        answer.lines(
            "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\nAccess-Control-Allow-Headers: Content-Type\r\nAccess-Control-Max-Age: 86400\r\n",
        );
        answer.no_content();
        Answered::default()
    }
}

pub(super) fn problem(out: &mut Vec<u8>, date: &str, close: bool, head: bool, status: &str, code: &str, lines: &str) {
    let (number, title) = status.split_once(' ').expect("a status line has a reason");
    let body = format!(r#"{{"type":"about:blank","title":"{title}","status":{number},"code":"{code}"}}"#);
    let mut answer = Answer::new(out, status, date, close, head);
    answer.lines(NO_STORE).lines(lines);
    answer.body("application/problem+json", body.as_bytes());
}

/// Lets the page of `origin` see the answer; nothing without an origin.
pub(super) fn cors(answer: &mut Answer<'_>, origin: &[u8]) {
    if !origin.is_empty() && origin.iter().all(|c| c.is_ascii_graphic()) {
        answer.line("Access-Control-Allow-Origin", origin);
        answer.lines("Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n");
    }
}

/// The same answer for a hit that could not be recorded: it says so.
pub fn unrecorded(answer: &[u8], out: &mut Vec<u8>) {
    let line = memchr::memmem::find(answer, b"\r\n").map_or(0, |at| at + 2);
    out.extend_from_slice(&answer[..line]);
    out.extend_from_slice(b"Tuike-Recorded: 0\r\n");
    out.extend_from_slice(&answer[line..]);
}

/// What an order or beacon gets that could not be recorded: it may be sent again.
pub fn unavailable(method: Method, now_ms: u64, close: bool, out: &mut Vec<u8>) {
    problem(
        out,
        &date(now_ms),
        close,
        method == Method::Head,
        "503 Service Unavailable",
        "not_recorded",
        "Retry-After: 1\r\n",
    );
}
