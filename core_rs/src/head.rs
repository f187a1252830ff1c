//! Request heads: bytes → a request the front may answer, or the word that it may not.
//!
//! Strict on purpose. What is not canonical (RFC 9112 with CRLF only, one Host, no body, no upgrade)
//! is foreign: another parser, aiohttp's, decides about it, so nothing is ever parsed two ways.

use std::mem::MaybeUninit;

use crate::respond::{Failure, Headers, Method, Request, Route};

/// Longest request head, in bytes.
pub const MAX_HEAD: usize = 16 << 10;
/// More header fields than this are foreign.
const MAX_FIELDS: usize = 64;

/// What the bytes at the start of a connection's unread data are.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "lives for one request, on the stack")]
pub enum Scan<'a> {
    /// The beginning of a head that may yet become ours.
    Partial,
    /// Not the front's business.
    Foreign,
    /// Over [`MAX_HEAD`], whole or not: the target or all of it.
    TooLarge(Failure),
    Ready(Head<'a>),
}

/// A whole head that the front answers.
#[derive(Debug)]
pub struct Head<'a> {
    pub request: Request<'a>,
    /// Bytes of the head, with its empty line.
    pub length: usize,
    /// The client asked for `Connection: close`.
    pub close: bool,
}

/// Looks at unread bytes; `Ready` only for a GET or HEAD of a route that needs no sync.
pub fn scan(bytes: &[u8]) -> Scan<'_> {
    if !may_be_ours(bytes) {
        return Scan::Foreign;
    }
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if has_bare_lf(bytes) => return Scan::Foreign,
        Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD => return too_large(bytes),
        Ok(httparse::Status::Partial) => return Scan::Partial,
        Err(_) => return Scan::Foreign,
    };
    if parsed.version != Some(1) || has_bare_lf(&bytes[..length]) {
        return Scan::Foreign;
    }
    if length > MAX_HEAD {
        return too_large(bytes);
    }
    let method = match parsed.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        _ => return Scan::Foreign,
    };
    let target = parsed.path.unwrap_or_default().as_bytes();
    if !is_plain_target(target) || !Route::of(target).is_some_and(Route::is_quick) {
        return Scan::Foreign;
    }
    let mut close = false;
    let mut hosts = 0;
    let mut headers = Headers::default();
    for field in parsed.headers.iter() {
        match own_field(field.name, field.value) {
            Field::Host => hosts += 1,
            Field::Close => close = true,
            Field::KeepAlive => {}
            Field::Foreign => return Scan::Foreign,
            Field::Other => {
                if !headers.set(field.name.as_bytes(), field.value) {
                    return Scan::Foreign;
                }
            }
        }
    }
    if hosts != 1 {
        return Scan::Foreign;
    }
    Scan::Ready(Head { request: Request { method, target, headers, body: None }, length, close })
}

fn too_large(bytes: &[u8]) -> Scan<'_> {
    let one_line = memchr::memchr(b'\n', &bytes[..MAX_HEAD]).is_none();
    Scan::TooLarge(if one_line { Failure::TargetTooLong } else { Failure::HeadTooLarge })
}

/// A cheap look at the first bytes: most foreign requests are known by their method.
fn may_be_ours(bytes: &[u8]) -> bool {
    let starts = |with: &[u8]| {
        let n = bytes.len().min(with.len());
        bytes[..n] == with[..n]
    };
    starts(b"GET /") || starts(b"HEAD /")
}

/// httparse takes a bare LF for a line's end, llhttp does not. No way out of the loop, so that it takes many bytes at once.
fn has_bare_lf(bytes: &[u8]) -> bool {
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    let bare = |found: bool, (before, byte): (&u8, &u8)| found | ((*byte == b'\n') & (*before != b'\r'));
    bytes.first() == Some(&b'\n') || pairs.fold(false, bare)
}

/// Visible ASCII without a fragment; again many bytes at once.
fn is_plain_target(target: &[u8]) -> bool {
    target.iter().fold(true, |plain, &c| plain & c.is_ascii_graphic() & (c != b'#'))
}

enum Field {
    Host,
    Close,
    KeepAlive,
    Foreign,
    Other,
}

/// Fields that decide about the connection or the message's framing.
fn own_field(name: &str, value: &[u8]) -> Field {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match name.len() {
        4 if is("host") && is_plain_host(value) => Field::Host,
        4 if is("host") => Field::Foreign,
        6 if is("expect") => Field::Foreign,
        7 if is("upgrade") || is("trailer") => Field::Foreign,
        10 if is("connection") => match value {
            v if v.eq_ignore_ascii_case(b"close") => Field::Close,
            v if v.eq_ignore_ascii_case(b"keep-alive") => Field::KeepAlive,
            _ => Field::Foreign,
        },
        2 if is("te") => Field::Foreign,
        14 if is("content-length") => Field::Foreign,
        17 if is("transfer-encoding") => Field::Foreign,
        _ => Field::Other,
    }
}

/// A host as every parser reads it: name or address, perhaps a port.
fn is_plain_host(value: &[u8]) -> bool {
    !value.is_empty()
        && value.iter().all(|&c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b':' | b'[' | b']' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PIXEL: &str = "GET /p.gif?aff=a&pid=p HTTP/1.1\r\nHost: t.example\r\nCookie: tk_vid=x\r\n\r\n";

    fn ready(bytes: &[u8]) -> bool {
        matches!(scan(bytes), Scan::Ready(_))
    }

    #[test]
    fn a_canonical_pixel_is_ours_and_each_cut_of_it_is_partial() {
        assert!(ready(PIXEL.as_bytes()));
        for cut in 0..PIXEL.len() {
            assert!(matches!(scan(&PIXEL.as_bytes()[..cut]), Scan::Partial), "cut at {cut}");
        }
        let Scan::Ready(head) = scan(PIXEL.as_bytes()) else { unreachable!() };
        assert_eq!((head.length, head.close, head.request.headers.cookie), (PIXEL.len(), false, &b"tk_vid=x"[..]));
    }

    #[test]
    fn whatever_is_odd_is_foreign() {
        for odd in [
            "POST /e HTTP/1.1\r\nHost: t\r\n\r\n",
            "GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n",
            "GET /postback?x=1 HTTP/1.1\r\nHost: t\r\n\r\n",
            "GET /p.gif HTTP/1.0\r\nHost: t\r\n\r\n",
            "GET /p.gif HTTP/1.1\nHost: t\n\n",
            "GET /p.gif HTTP/1.1\r\nHost: t\n\r\n",
            "GET /p.gif HTTP/1.1\r\n\r\n",
            "GET /p.gif HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n",
            "GET /p.gif HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET /p.gif HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n",
            "GET /p.gif HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /p.gif HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n\r\n",
            "GET /p.gif HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\n\r\n",
            "GET /p.gif HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n\r\n",
            "GET /p.gif HTTP/1.1\r\nHost : t\r\n\r\n",
            "GET /p.gif HTTP/1.1\r\nHost: t\r\nA: b\r\n c\r\n\r\n",
            "GET /p.gif HTTP/1.1\r\nHost: t\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n",
            "GET /p.gif#x HTTP/1.1\r\nHost: t\r\n\r\n",
            "GET http://t/p.gif HTTP/1.1\r\nHost: t\r\n\r\n",
            "\r\nGET /p.gif HTTP/1.1\r\nHost: t\r\n\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert!(matches!(scan(odd.as_bytes()), Scan::Foreign), "{odd:?}");
        }
    }

    #[test]
    fn a_head_over_the_limit_is_refused_whether_it_is_whole_or_not() {
        let target = format!("GET /p.gif?x={} HTTP/1.1\r\nHost: t\r\n\r\n", "y".repeat(MAX_HEAD));
        let field = format!("GET /p.gif HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "y".repeat(MAX_HEAD));
        for cut in [1, 0] {
            let scanned = |text: &str| match scan(&text.as_bytes()[..text.len() - cut]) {
                Scan::TooLarge(why) => Some(why),
                _ => None,
            };
            assert_eq!(scanned(&target), Some(Failure::TargetTooLong));
            assert_eq!(scanned(&field), Some(Failure::HeadTooLarge));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_word(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut head = b"GET /p.gif".to_vec();
            head.extend_from_slice(&bytes);
            if let Scan::Ready(head) = scan(&head) {
                prop_assert!(head.length <= 10 + bytes.len());
            }
        }
    }
}
