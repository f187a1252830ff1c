//! Who asks: address, cookies, privacy signals, agent.

use std::net::IpAddr;

use super::{Ask, Responder};
use crate::agents::Agent;
use crate::event::Id;
use crate::metrics::{HitKind, Outcome};
use crate::params::{Name, Params};

/// A network of trusted proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: u128,
    bits: u32,
}

impl Network {
    /// `10.0.0.0/8`, `::1` and the like; none for anything else.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits: u32 = bits.map_or(Some(width), |b| b.parse().ok())?;
        (bits <= width).then(|| Network { base: mapped(address), bits: 128 - width + bits })
    }

    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let different = self.base ^ mapped(address);
        self.bits == 0 || different >> (128 - self.bits) == 0
    }
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Who asks, as far as we may know.
pub(super) struct Visit<'a> {
    pub(super) address: IpAddr,
    /// The browser came over TLS.
    pub(super) secure: bool,
    /// GPC, DNT, opt-out or no consent.
    pub(super) private: bool,
    /// Which of them it was: `gpc`, `dnt`, `optout` or `consent`; empty: none.
    pub(super) refused: &'static str,
    pub(super) agent: Agent,
    pub(super) prefetch: bool,
    /// From a sound `tk_vid`.
    pub(super) visitor: Option<Id>,
    /// From a sound `tk_aff`.
    pub(super) click: Option<(Id, &'a str)>,
    pub(super) language: &'a [u8],
}

impl Responder {
    /// Reads who asks from headers and cookies.
    pub(super) fn visit<'a>(&mut self, ask: &Ask<'a>, params: &Params<'_>) -> Visit<'a> {
        let headers = &ask.request.headers;
        // a socket for both families names an IPv4 peer as ::ffff:a.b.c.d
        let peer = ask.peer.to_canonical();
        let trusted = self.trusts(peer);
        let address = if trusted { self.forwarded(headers.forwarded_for, peer) } else { peer };
        let cookies = Cookies::read(headers.cookie);
        let signals = [
            (headers.gpc == b"1", "gpc"),
            (headers.dnt == b"1", "dnt"),
            (!cookies.optout.is_empty(), "optout"),
            (params.get(Name::Consent) == "0", "consent"),
        ];
        let refused = signals.into_iter().find_map(|(said, name)| said.then_some(name)).unwrap_or("");
        let private = !refused.is_empty();
        let mut visit = Visit {
            address,
            secure: trusted && headers.forwarded_proto.eq_ignore_ascii_case(b"https"),
            private,
            refused,
            agent: self.agents.look(headers.user_agent),
            prefetch: contains(headers.purpose, b"prefetch"),
            visitor: None,
            click: None,
            language: headers.language,
        };
        if !private {
            visit.visitor = self.keys.read_visitor(cookies.visitor);
            visit.click = self.keys.read_click(cookies.click);
            let forged = (!cookies.visitor.is_empty() && visit.visitor.is_none())
                || (!cookies.click.is_empty() && visit.click.is_none());
            if forged && !ask.head() {
                self.tally(HitKind::Other, Outcome::ForgedCookie, false);
            }
        }
        visit
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.settings.trusted_proxies.iter().any(|network| network.holds(address))
    }

    /// The rightmost address of `X-Forwarded-For` that is no trusted proxy.
    fn forwarded(&self, list: &[u8], peer: IpAddr) -> IpAddr {
        let mut address = peer;
        for part in list.rsplit(|&c| c == b',') {
            let Some(hop) = std::str::from_utf8(part.trim_ascii()).ok().and_then(|text| text.parse::<IpAddr>().ok())
            else {
                break;
            };
            address = hop.to_canonical();
            if !self.trusts(address) {
                break;
            }
        }
        address
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(text, word).is_some()
}

/// Our cookies in a `Cookie` header (RFC 6265, section 5.4); the first of each name.
#[derive(Default)]
struct Cookies<'a> {
    visitor: &'a [u8],
    click: &'a [u8],
    optout: &'a [u8],
}

impl<'a> Cookies<'a> {
    fn read(header: &'a [u8]) -> Cookies<'a> {
        let mut cookies = Cookies::default();
        for pair in header.split(|&c| c == b';') {
            let pair = pair.trim_ascii();
            if !pair.starts_with(b"tk_") {
                continue;
            }
            let Some(at) = memchr::memchr(b'=', pair) else { continue };
            let slot = match &pair[..at] {
                b"tk_vid" => &mut cookies.visitor,
                b"tk_aff" => &mut cookies.click,
                b"tk_optout" => &mut cookies.optout,
                _ => continue,
            };
            if slot.is_empty() {
                *slot = &pair[at + 1..];
            }
        }
        cookies
    }
}
