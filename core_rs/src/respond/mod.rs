//! The one responder: what a request means, and what is answered.
//!
//! In: a request (from either door), the registry and the turn's clock. Out: the bytes of an answer and
//! at most a few events. It does no I/O; the doors write the events to the journal and only then send.
//!
//! `hit.rs` answers views and clicks, `order.rs` orders and claims, `beacon.rs` the script tag's
//! events, `page.rs` what people and scripts read; `answer.rs` writes the bytes.

mod answer;
mod beacon;
mod door;
mod hit;
mod order;
mod page;

use std::net::IpAddr;

use crate::agents::{Agent, Agents};
use crate::event::{Event, Id};
use crate::identity::{self, Entropy, Keys};
use crate::journal::Batch;
use crate::metrics::{HitKind, Metrics, Outcome};
use crate::params::{Name, ParamError, Params};
use crate::registry::{Product, Registry, Status};

pub use answer::{unavailable, unrecorded};
pub use door::Failure;

/// Longest body of a signed postback or form, in bytes.
pub const MAX_FORM: usize = 64 << 10;
/// Longest body of `/e`, in bytes.
pub const MAX_BEACON: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Options,
    Other,
}

impl Method {
    pub fn from_name(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "OPTIONS" => Method::Options,
            _ => Method::Other,
        }
    }
}

/// The header fields that mean something to us; empty: not there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Headers<'a> {
    pub cookie: &'a [u8],
    pub user_agent: &'a [u8],
    pub referer: &'a [u8],
    pub language: &'a [u8],
    pub gpc: &'a [u8],
    pub dnt: &'a [u8],
    pub purpose: &'a [u8],
    pub dest: &'a [u8],
    pub forwarded_for: &'a [u8],
    pub forwarded_proto: &'a [u8],
    pub origin: &'a [u8],
    pub content_type: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Takes one field if it is one of ours; false where that field has been seen before, and then
    /// the first one stays.
    pub fn set(&mut self, name: &[u8], value: &'a [u8]) -> bool {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let slot = match name.len() {
            3 if is("dnt") => &mut self.dnt,
            6 if is("cookie") => &mut self.cookie,
            6 if is("origin") => &mut self.origin,
            7 if is("referer") => &mut self.referer,
            7 if is("sec-gpc") => &mut self.gpc,
            10 if is("user-agent") => &mut self.user_agent,
            11 if is("sec-purpose") => &mut self.purpose,
            12 if is("content-type") => &mut self.content_type,
            14 if is("sec-fetch-dest") => &mut self.dest,
            15 if is("accept-language") => &mut self.language,
            15 if is("x-forwarded-for") => &mut self.forwarded_for,
            17 if is("x-forwarded-proto") => &mut self.forwarded_proto,
            _ => return true,
        };
        if !slot.is_empty() {
            return false;
        }
        *slot = value.trim_ascii();
        true
    }
}

/// One request, parsed by either door.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request<'a> {
    pub method: Method,
    /// Path and query as sent.
    pub target: &'a [u8],
    pub headers: Headers<'a>,
    pub body: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    fn query(&self) -> &'a [u8] {
        memchr::memchr(b'?', self.target).map_or(&[], |at| &self.target[at + 1..])
    }
}

/// The edge's routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    View,
    Link,
    Redirect,
    Conversion,
    Postback,
    Script,
    Beacon,
    OptOut,
    OptIn,
    Health,
}

impl Route {
    pub fn of(target: &[u8]) -> Option<Route> {
        let path = memchr::memchr(b'?', target).map_or(target, |at| &target[..at]);
        Some(match path {
            b"/p.gif" | b"/track" => Route::View,
            b"/r" => Route::Redirect,
            b"/conversion" => Route::Conversion,
            b"/postback" => Route::Postback,
            b"/t.js" => Route::Script,
            b"/e" => Route::Beacon,
            b"/optout" => Route::OptOut,
            b"/optin" => Route::OptIn,
            b"/healthz" => Route::Health,
            _ if path.starts_with(b"/c/") && path.len() > 3 => Route::Link,
            _ => return None,
        })
    }

    /// Answered without waiting for the disk, so the front may answer it.
    pub fn is_quick(self) -> bool {
        !matches!(self, Route::Conversion | Route::Postback | Route::Beacon)
    }

    /// `Allow` of a 405.
    fn methods(self) -> &'static str {
        match self {
            Route::Postback => "GET, POST",
            Route::Beacon => "POST, OPTIONS",
            Route::Conversion => "GET, HEAD, OPTIONS",
            _ => "GET, HEAD",
        }
    }

    fn allows(self, method: Method) -> bool {
        match method {
            Method::Get => self != Route::Beacon,
            Method::Head => !matches!(self, Route::Beacon | Route::Postback),
            Method::Post => matches!(self, Route::Beacon | Route::Postback),
            Method::Options => matches!(self, Route::Beacon | Route::Conversion),
            Method::Other => false,
        }
    }
}

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

    fn holds(&self, address: IpAddr) -> bool {
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

/// The operator's settings that change answers.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub trusted_proxies: Vec<Network>,
    /// Cookies as `SameSite=None; Partitioned` in place of `SameSite=Lax`.
    pub cross_site_cookies: bool,
    /// Sets `affiliate_track`, the promoter's code where scripts can read it.
    pub readable_cookie: bool,
}

/// What the doors must know of an answer besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// An event was pushed: send only after it is in the journal.
    pub event: bool,
    /// Send only after it is synced.
    pub durable: bool,
}

/// How one request is to be counted once it is known whether its event was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    kind: HitKind,
    outcome: Outcome,
    event: bool,
}

/// Decides about requests. One per worker.
pub struct Responder {
    keys: Keys,
    settings: Settings,
    agents: Agents,
    turn: Turn,
    tallies: Vec<Tally>,
}

/// What is the same for all requests of one turn of the loop, and the randomness they draw from.
pub(crate) struct Turn {
    now: u64,
    date: String,
    entropy: Entropy,
}

/// One request and the connection it came by.
struct Ask<'a> {
    request: Request<'a>,
    peer: IpAddr,
    /// The connection ends with this answer.
    close: bool,
}

impl Ask<'_> {
    fn head(&self) -> bool {
        self.request.method == Method::Head
    }
}

/// Where one answer goes.
struct Sink<'o> {
    out: &'o mut Vec<u8>,
    batch: &'o mut Batch,
}

/// Who asks, as far as we may know.
struct Visit<'a> {
    address: IpAddr,
    /// The browser came over TLS.
    secure: bool,
    /// GPC, DNT, opt-out or no consent.
    private: bool,
    agent: Agent,
    prefetch: bool,
    /// From a sound `tk_vid`.
    visitor: Option<Id>,
    /// From a sound `tk_aff`.
    click: Option<(Id, &'a str)>,
    language: &'a [u8],
}

impl Responder {
    pub fn new(secret: &[u8; 32], seed: &[u8; 32], settings: Settings) -> Responder {
        Responder {
            keys: Keys::new(secret),
            settings,
            agents: Agents::new(),
            turn: Turn { now: 0, date: String::new(), entropy: Entropy::new(seed) },
            tallies: Vec::new(),
        }
    }

    /// Begins a turn at `now_ms`; the clock never falls.
    pub fn turn(&mut self, now_ms: u64) {
        let seconds = self.turn.now / 1000;
        self.turn.now = self.turn.now.max(now_ms);
        if self.turn.now / 1000 != seconds || self.turn.date.is_empty() {
            self.turn.date = answer::date(self.turn.now);
        }
    }

    /// The turn's instant, in milliseconds.
    pub fn now(&self) -> u64 {
        self.turn.now
    }

    /// Answers one request: the answer is appended to `out`, its events to `batch`.
    pub fn respond(
        &mut self,
        registry: &Registry,
        request: &Request<'_>,
        peer: IpAddr,
        close: bool,
        out: &mut Vec<u8>,
        batch: &mut Batch,
    ) -> Answered {
        let mut sink = Sink { out, batch };
        let sink = &mut sink;
        let ask = &Ask { request: *request, peer, close };
        let Some(route) = Route::of(request.target) else {
            return self.refuse(sink, ask, HitKind::Other, answer::NOT_FOUND);
        };
        if !route.allows(request.method) {
            return self.method_not_allowed(sink, ask, route);
        }
        if request.method == Method::Options {
            return self.preflight(sink, ask);
        }
        match route {
            Route::View => self.view(registry, ask, sink),
            Route::Link => self.link(registry, ask, sink),
            Route::Redirect => self.redirect(registry, ask, sink),
            Route::Conversion => self.conversion(registry, ask, sink),
            Route::Postback => self.postback(registry, ask, sink),
            Route::Beacon => self.beacon(registry, ask, sink),
            Route::Script | Route::OptOut | Route::OptIn | Route::Health => self.page(route, ask, sink),
        }
    }

    /// Counts what was answered since the last call; events that were not recorded count as such.
    pub fn settle(&mut self, metrics: &Metrics, recorded: bool) {
        for tally in self.tallies.drain(..) {
            let outcome = if tally.event && !recorded { Outcome::Unrecorded } else { tally.outcome };
            metrics.count(tally.kind, outcome);
        }
    }

    fn tally(&mut self, kind: HitKind, outcome: Outcome, event: bool) {
        self.tallies.push(Tally { kind, outcome, event });
    }

    /// Reads who asks from headers and cookies.
    fn visit<'a>(&mut self, ask: &Ask<'a>, params: &Params<'_>) -> Visit<'a> {
        let headers = &ask.request.headers;
        let trusted = self.trusts(ask.peer);
        let address = if trusted { self.forwarded(headers.forwarded_for, ask.peer) } else { ask.peer };
        let cookies = Cookies::read(headers.cookie);
        let private = headers.gpc == b"1"
            || headers.dnt == b"1"
            || !cookies.optout.is_empty()
            || params.get(Name::Consent) == "0";
        let mut visit = Visit {
            address,
            secure: trusted && headers.forwarded_proto.eq_ignore_ascii_case(b"https"),
            private,
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
            if forged {
                self.tally(HitKind::Other, Outcome::ForgedCookie, false);
            }
        }
        visit
    }

    /// The query's parameters, or the refusal that has been answered.
    fn query<'a>(&mut self, ask: &Ask<'a>, kind: HitKind, sink: &mut Sink<'_>) -> Result<Params<'a>, Answered> {
        Params::from_query(ask.request.query()).map_err(|error| {
            let outcome = param_outcome(error);
            self.refuse(sink, ask, kind, answer::bad_request(outcome, outcome.name()))
        })
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

/// An event with what is known of the asker.
fn event_of<'a>(turn: &Turn, registry: &Registry, visit: &Visit<'_>, prefix: &'a str) -> Event<'a> {
    let key = registry.key(turn.now);
    let fingerprint = key.filter(|_| !visit.private);
    Event {
        at: turn.now,
        received: turn.now,
        registry: registry.version,
        address: key.map(|key| key.address(visit.address)),
        fingerprint: fingerprint.map(|key| key.fingerprint(visit.address, visit.agent.hash, visit.language)),
        prefix,
        agent: visit.agent.hash,
        bot: visit.agent.bot,
        prefetch: visit.prefetch,
        private: visit.private,
        ..Event::default()
    }
}

/// Copies what the request says of itself into an event.
fn labels<'a>(event: &mut Event<'a>, params: &'a Params<'_>) {
    event.channel = params.get(Name::Channel);
    event.sub1 = params.get(Name::Sub1);
    event.sub2 = params.get(Name::Sub2);
    event.sub3 = params.get(Name::Sub3);
    event.sub4 = params.get(Name::Sub4);
    event.sub5 = params.get(Name::Sub5);
    event.coupon = params.get(Name::Coupon);
    event.cust = params.get(Name::Cust);
    event.did = params.get(Name::Did);
    event.extra = &params.extra;
}

/// Whether a hit for this product and promoter counts, and why not. A product that somebody knows
/// gives the hit its merchant in any case.
fn judge<'r>(registry: &'r Registry, pid: &str, aff: &str, visit: &Visit<'_>) -> (Outcome, Option<&'r Product>) {
    let Some(product) = registry.product(pid) else {
        return (Outcome::UnknownProduct, None);
    };
    let paused = product.status != Status::Active
        || registry.merchant(&product.merchant).is_none_or(|merchant| merchant.status != Status::Active);
    let outcome = match registry.promoter(aff) {
        None => Outcome::UnknownPromoter,
        Some(Status::Blocked) => Outcome::BlockedPromoter,
        _ if paused => Outcome::Paused,
        _ if visit.prefetch => Outcome::Prefetch,
        _ if visit.agent.bot => Outcome::Bot,
        _ => Outcome::Counted,
    };
    (outcome, Some(product))
}

fn param_outcome(error: ParamError) -> Outcome {
    match error {
        ParamError::MalformedEscape => Outcome::MalformedEscape,
        ParamError::ValueTooLong => Outcome::ValueTooLong,
        ParamError::TooMany => Outcome::TooManyParameters,
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

/// The longest prefix text is an IPv6 /48.
fn prefix_of(visit: &Visit<'_>) -> String {
    identity::prefix(visit.address)
}

#[cfg(test)]
mod tests;
