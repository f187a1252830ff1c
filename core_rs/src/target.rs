//! Target URLs: macros filled, click id carried, unknown parameters passed through, no open redirect.

use std::borrow::Cow;

use memchr::{memchr, memmem, memrchr};

use crate::digits;
use crate::event::{self, Id};
use crate::params::encode;

const CLICK_ID: &[u8] = b"{click_id}";

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

/// A URL as it may stand in `Location`: everything but visible ASCII is percent-encoded, so that no header can be
/// split. Macros are left as they are.
pub fn visible(url: &str) -> Cow<'_, str> {
    if url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Cow::Borrowed(url);
    }
    let mut out = Vec::with_capacity(url.len() + 32);
    for c in url.chars() {
        if c.is_ascii_graphic() {
            out.push(c as u8);
        } else {
            encode(c.encode_utf8(&mut [0; 4]), &mut out);
        }
    }
    Cow::Owned(String::from_utf8(out).expect("ASCII"))
}

/// Appends the URL of one click: `url`, which is [`visible`], with its macros filled.
pub fn write(url: &str, filling: &Filling<'_>, out: &mut Vec<u8>) {
    let url = url.as_bytes();
    // what is appended goes before the fragment
    let (before, after) = url.split_at(memchr(b'#', url).unwrap_or(url.len()));
    let mut join = if memchr(b'?', before).is_some() { b'&' } else { b'?' };
    fill(before, filling, out);
    if memmem::find(url, CLICK_ID).is_none() {
        out.push(join);
        out.extend_from_slice(b"click_id=");
        out.extend_from_slice(&event::hex(filling.click));
        join = b'&';
    }
    if !filling.extra.is_empty() {
        out.push(join);
        out.extend_from_slice(filling.extra.as_bytes());
    }
    fill(after, filling, out);
}

/// Literal text and macros. Whatever stands between two braces is a macro: other trackers' have
/// arguments (`{date:Y-m-d}`), and a URL itself has no braces (RFC 3986, section 2).
fn fill(mut text: &[u8], filling: &Filling<'_>, out: &mut Vec<u8>) {
    while let Some(close) = memchr(b'}', text) {
        match memrchr(b'{', &text[..close]) {
            Some(open) => {
                out.extend_from_slice(&text[..open]);
                fill_macro(&text[open + 1..close], filling, out);
            }
            None => out.extend_from_slice(&text[..=close]),
        }
        text = &text[close + 1..];
    }
    out.extend_from_slice(text);
}

fn fill_macro(name: &[u8], filling: &Filling<'_>, out: &mut Vec<u8>) {
    match name {
        b"click_id" => out.extend_from_slice(&event::hex(filling.click)),
        b"aff" => encode(filling.aff, out),
        b"pid" => encode(filling.pid, out),
        b"sub1" => encode(filling.sub[0], out),
        b"sub2" => encode(filling.sub[1], out),
        b"sub3" => encode(filling.sub[2], out),
        b"sub4" => encode(filling.sub[3], out),
        b"sub5" => encode(filling.sub[4], out),
        b"ch" => encode(filling.channel, out),
        b"timestamp" => digits::decimal(filling.now / 1000, out),
        // not ours: becomes empty, never literal
        _ => {}
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
        write(&visible(url), &filling, &mut out);
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
