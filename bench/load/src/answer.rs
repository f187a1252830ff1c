//! Answers: where one ends and what it says. As much of RFC 9112 as servers need that are asked nothing unusual:
//! the body's length from `Content-Length`; a chunked one is reported as malformed.

use memchr::{memchr, memmem};

/// A whole answer at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Bytes of head and body.
    pub length: usize,
    pub status: u16,
    /// The server says that it could not record the hit (`Tuike-Recorded: 0`).
    pub unrecorded: bool,
    /// The server closes the connection after it.
    pub close: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    Partial,
    Malformed,
    Whole(Answer),
}

pub fn parse(bytes: &[u8]) -> Parsed {
    let Some(head) = head_length(bytes) else {
        return Parsed::Partial;
    };
    let Some(status) = status(bytes) else {
        return Parsed::Malformed;
    };
    let fields = fields(&bytes[..head]);
    let body = match (fields.length, status) {
        (_, 204 | 304) => 0,
        (Some(length), _) => length,
        (None, _) => return Parsed::Malformed,
    };
    let length = head + body;
    if bytes.len() < length {
        return Parsed::Partial;
    }
    Parsed::Whole(Answer { length, status, unrecorded: fields.unrecorded, close: fields.close })
}

/// Length of a head with its empty line, if it is whole.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|end| end + 4)
}

/// What we read of a head's fields.
#[derive(Default)]
pub struct Fields {
    pub length: Option<usize>,
    pub unrecorded: bool,
    pub close: bool,
}

pub fn fields(head: &[u8]) -> Fields {
    let mut found = Fields::default();
    let mut rest = head;
    while let Some(end) = memchr(b'\n', rest) {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        // most fields are none of ours, and their first letter says so
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                if let Some(value) = value(line, b"content-length:") {
                    found.length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                } else if let Some(value) = value(line, b"connection:") {
                    found.close = value.eq_ignore_ascii_case(b"close");
                }
            }
            Some(b't') => {
                if let Some(value) = value(line, b"tuike-recorded:") {
                    found.unrecorded = value == b"0";
                }
            }
            _ => {}
        }
    }
    found
}

/// The trimmed value of a field line, if it is the field `name` (lower case, with its colon).
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// The three digits of `HTTP/1.1 200 OK`.
fn status(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"HTTP/1.1 ")?.first_chunk::<3>()?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::{Answer, Parsed, parse};

    #[test]
    fn an_answer_ends_with_its_body() {
        let bytes = b"HTTP/1.1 200 OK\r\nserver: x\r\ncontent-LENGTH: 3\r\nTuike-Recorded: 0\r\n\r\nGIFrest";
        let answer = Answer { length: bytes.len() - 4, status: 200, unrecorded: true, close: false };
        assert_eq!(parse(bytes), Parsed::Whole(answer));
        for cut in 0..bytes.len() - 4 {
            assert_eq!(parse(&bytes[..cut]), Parsed::Partial, "{cut}");
        }
    }

    #[test]
    fn no_content_has_no_body() {
        let bytes = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        let answer = Answer { length: bytes.len(), status: 204, unrecorded: false, close: true };
        assert_eq!(parse(bytes), Parsed::Whole(answer));
    }

    #[test]
    fn an_answer_of_unknown_length_is_malformed() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Parsed::Malformed);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), Parsed::Malformed);
        assert_eq!(parse(b"SSH-2.0\r\n\r\n"), Parsed::Malformed);
    }
}
