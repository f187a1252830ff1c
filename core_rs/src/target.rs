//! Target URLs: macros filled, click id carried, unknown parameters passed through, no open redirect.

use crate::event::{self, Id};
use crate::params::encode;

/// What a macro in a target may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Macro {
    ClickId,
    Aff,
    Pid,
    Sub(usize),
    Channel,
    Timestamp,
    /// Not ours: becomes empty, never literal.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<[u8]>),
    Macro(Macro),
}

/// A target URL, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pieces: Vec<Piece>,
    /// `#...`: what is appended goes before it.
    fragment: Vec<Piece>,
    has_query: bool,
    names_click: bool,
}

/// What the macros of one click stand for.
pub struct Filling<'a> {
    pub click: &'a Id,
    pub aff: &'a str,
    pub pid: &'a str,
    pub sub: [&'a str; 5],
    pub channel: &'a str,
    /// Milliseconds; `{timestamp}` is in seconds.
    pub now: u64,
    /// Parameters passed through, already encoded.
    pub extra: &'a str,
}

impl Target {
    /// Parses a URL with macros. Bytes that may not stand in a `Location` are percent-encoded.
    pub fn parse(url: &str) -> Target {
        let (before, after) = url.split_at(url.find('#').unwrap_or(url.len()));
        let (pieces, fragment) = (pieces(before), pieces(after));
        let names_click = [&pieces, &fragment].iter().any(|part| part.contains(&Piece::Macro(Macro::ClickId)));
        Target { pieces, fragment, has_query: before.contains('?'), names_click }
    }

    /// Appends the URL of one click.
    pub fn write(&self, filling: &Filling<'_>, out: &mut Vec<u8>) {
        write_pieces(&self.pieces, filling, out);
        let mut join = if self.has_query { b'&' } else { b'?' };
        if !self.names_click {
            out.push(join);
            out.extend_from_slice(b"click_id=");
            out.extend_from_slice(&event::hex(filling.click));
            join = b'&';
        }
        if !filling.extra.is_empty() {
            out.push(join);
            out.extend_from_slice(filling.extra.as_bytes());
        }
        write_pieces(&self.fragment, filling, out);
    }
}

/// Literal text and macros. Whatever stands between two braces is a macro: other trackers' have
/// arguments (`{date:Y-m-d}`), and a URL itself has no braces (RFC 3986, section 2).
fn pieces(mut text: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut literal = Vec::new();
    while let Some(close) = text.find('}') {
        let Some(open) = text[..close].rfind('{') else {
            visible(&text[..=close], &mut literal);
            text = &text[close + 1..];
            continue;
        };
        visible(&text[..open], &mut literal);
        if !literal.is_empty() {
            out.push(Piece::Text(std::mem::take(&mut literal).into()));
        }
        out.push(Piece::Macro(macro_named(&text[open + 1..close])));
        text = &text[close + 1..];
    }
    visible(text, &mut literal);
    if !literal.is_empty() {
        out.push(Piece::Text(literal.into()));
    }
    out
}

fn macro_named(name: &str) -> Macro {
    match name {
        "click_id" => Macro::ClickId,
        "aff" => Macro::Aff,
        "pid" => Macro::Pid,
        "sub1" => Macro::Sub(0),
        "sub2" => Macro::Sub(1),
        "sub3" => Macro::Sub(2),
        "sub4" => Macro::Sub(3),
        "sub5" => Macro::Sub(4),
        "ch" => Macro::Channel,
        "timestamp" => Macro::Timestamp,
        _ => Macro::Unknown,
    }
}

/// A URL without macros, as it may stand in `Location`.
pub fn location(url: &str) -> Box<[u8]> {
    let mut out = Vec::new();
    visible(url, &mut out);
    out.into()
}

/// Appends text with everything but visible ASCII percent-encoded, so that no header can be split.
fn visible(text: &str, out: &mut Vec<u8>) {
    for c in text.chars() {
        if c.is_ascii_graphic() {
            out.push(c as u8);
        } else {
            encode(c.encode_utf8(&mut [0; 4]), out);
        }
    }
}

fn write_pieces(pieces: &[Piece], filling: &Filling<'_>, out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Macro(Macro::ClickId) => out.extend_from_slice(&event::hex(filling.click)),
            Piece::Macro(Macro::Aff) => encode(filling.aff, out),
            Piece::Macro(Macro::Pid) => encode(filling.pid, out),
            Piece::Macro(Macro::Sub(i)) => encode(filling.sub[*i], out),
            Piece::Macro(Macro::Channel) => encode(filling.channel, out),
            Piece::Macro(Macro::Timestamp) => out.extend_from_slice((filling.now / 1000).to_string().as_bytes()),
            Piece::Macro(Macro::Unknown) => {}
        }
    }
}

/// The host of an absolute http(s) URL, lower-cased; none for anything that a browser and we could
/// read differently (user information, backslashes, control characters, no scheme).
pub fn host(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    if url.bytes().any(|b| b <= b' ' || b == b'\\' || b == 0x7f) {
        return None;
    }
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = match authority.split_once(':') {
        Some((host, "")) => host,
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok() => host,
        Some(_) => return None,
        None => authority,
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (!host.is_empty() && host.bytes().all(plain)).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLICK: Id = [0xab; 16];

    fn filled(url: &str, extra: &str) -> String {
        let filling = Filling {
            click: &CLICK,
            aff: "ann",
            pid: "p 1",
            sub: ["a&b", "", "", "", "五"],
            channel: "web",
            now: 1_700_000_000_999,
            extra,
        };
        let mut out = Vec::new();
        Target::parse(url).write(&filling, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn macros_are_filled_and_encoded() {
        let id = "ab".repeat(16);
        assert_eq!(
            filled("https://s.example/{aff}/{pid}?c={click_id}&a={sub1}&b={sub2}&e={sub5}&h={ch}&t={timestamp}", ""),
            format!("https://s.example/ann/p%201?c={id}&a=a%26b&b=&e=%E4%BA%94&h=web&t=1700000000")
        );
    }

    #[test]
    fn an_unknown_macro_becomes_empty_and_an_unpaired_brace_stays() {
        let id = "ab".repeat(16);
        assert_eq!(
            filled("https://s.example/?x={nope}&j={date:Y-m-d}&k={}&l={a-b}&m={五}&c={click_id}", ""),
            format!("https://s.example/?x=&j=&k=&l=&m=&c={id}")
        );
        assert_eq!(filled("https://s.example/?a={&b=}&c={click_id}", ""), format!("https://s.example/?a=&c={id}"));
        assert_eq!(
            filled("https://s.example/?a=}{{aff}{", ""),
            format!("https://s.example/?a=}}{{ann{{&click_id={id}")
        );
    }

    #[test]
    fn the_click_id_is_appended_where_no_macro_names_it() {
        let id = "ab".repeat(16);
        assert_eq!(filled("https://s.example/p", ""), format!("https://s.example/p?click_id={id}"));
        assert_eq!(
            filled("https://s.example/p?a=1#top", "g=1"),
            format!("https://s.example/p?a=1&click_id={id}&g=1#top")
        );
        assert_eq!(filled("https://s.example/#/x?c={click_id}", ""), format!("https://s.example/#/x?c={id}"));
    }

    #[test]
    fn nothing_can_split_the_header() {
        let url = filled("https://s.example/a b\r\nSet-Cookie: x=1/五?c={click_id}", "");
        assert!(url.bytes().all(|b| b.is_ascii_graphic()), "{url}");
    }

    #[test]
    fn only_plain_hosts_are_read() {
        assert_eq!(host("https://Shop.Example:8443/x").as_deref(), Some("shop.example"));
        for odd in [
            "//evil.example/x",
            "javascript:alert(1)",
            "https://a@evil.example",
            "https:/evil.example",
            "https://evil.example\\@ok",
            "https://ok.example\t.evil",
            "https://",
            "ftp://ok.example",
            "https://ok.example:80a/",
            "https://ok.example:65536/",
            "https://[::1]/",
            "https://ök.example/",
        ] {
            assert_eq!(host(odd), None, "{odd}");
        }
    }
}
