//! The one responder: what a request means, and what is answered.
//!
//! In: a request (from either door), the registry and the turn's clock. Out: the bytes of an answer and
//! at most a few events. It does no I/O; the doors write the events to the journal and only then send.
//!
//! `request.rs` has what either door hands over, `visit.rs` reads who asks;
//! `hit.rs` answers views and clicks, `order.rs` orders and claims, `postback.rs` what the former say, `beacon.rs` the
//! script tag's events, `page.rs` what people and scripts read; `answer.rs` writes the bytes.

mod answer;
mod beacon;
mod door;
mod hit;
mod order;
mod page;
pub mod postback;
mod request;
mod visit;

use std::net::IpAddr;

use crate::agents::Agents;
use crate::event::{Event, Id};
use crate::identity::{self, DayKey, Entropy, Keys};
use crate::journal::Batch;
use crate::metrics::{HitKind, Metrics, Outcome};
use crate::params::{Name, ParamError, Params};
use crate::rate::Meter;
use crate::registry::{Product, Registry, Status};

pub use answer::{unavailable, unrecorded};
pub use door::Failure;
pub use request::{Headers, Method, Request, Route};
pub use visit::Network;
use visit::Visit;

/// Longest body of a signed postback or form, in bytes.
pub const MAX_FORM: usize = 64 << 10;
/// Longest body of `/e`, in bytes.
pub const MAX_BEACON: usize = 1 << 20;

/// The operator's settings that change answers.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub trusted_proxies: Vec<Network>,
    /// Cookies as `SameSite=None; Partitioned` in place of `SameSite=Lax`.
    pub cross_site_cookies: bool,
    /// Sets `affiliate_track`, the promoter's code where scripts can read it.
    pub readable_cookie: bool,
    /// Hits that count of one address prefix in a minute, and new orders of one merchant; 0: any number. What is above
    /// is answered as ever, recorded as `rate_limited` and held: see [`Responder::limited`].
    pub rate_limit_hits: u32,
    pub rate_limit_orders: u32,
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
    hits: Meter,
    orders: Meter,
    refused: Meter,
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

impl Responder {
    pub fn new(secret: &[u8; 32], seed: &[u8; 32], settings: Settings) -> Responder {
        Responder {
            keys: Keys::new(secret),
            hits: Meter::new(settings.rate_limit_hits, seed),
            orders: Meter::new(settings.rate_limit_orders, seed),
            refused: Meter::new(order::MAX_KEPT_PER_MINUTE, seed),
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

    /// The outcome of a hit or claim that is about to be recorded, which its address prefix's limit may change. All
    /// hits of a prefix count towards it, those of bots too; only what would have counted is marked. A marked hit is no
    /// touch; an order that only marked hits lead to is held for a person, and so is a marked claim.
    fn limited(&mut self, ask: &Ask<'_>, visit: &Visit<'_>, outcome: Outcome) -> Outcome {
        let over = !ask.head() && self.hits.is_over(identity::prefix_key(visit.address), self.turn.now);
        if over && outcome == Outcome::Counted { Outcome::RateLimited } else { outcome }
    }

    /// Reads the query's parameters; the refusal that has been answered where they cannot be read.
    fn query<'a>(
        &mut self,
        params: &mut Params<'a>,
        ask: &Ask<'a>,
        kind: HitKind,
        sink: &mut Sink<'_>,
    ) -> Option<Answered> {
        let outcome = param_outcome(params.read(ask.request.query()).err()?);
        Some(self.refuse(sink, ask, kind, answer::bad_request(outcome, outcome.name())))
    }
}

/// An event with what is known of the asker.
fn event_of<'a>(turn: &Turn, registry: &Registry, visit: &Visit<'_>, prefix: &'a str) -> Event<'a> {
    let key = registry.key(turn.now);
    Event {
        at: turn.now,
        received: turn.now,
        registry: registry.version,
        address: key.map(|key| key.address(visit.address)),
        fingerprint: key.and_then(|key| fingerprint(key, visit)),
        prefix,
        agent: visit.agent.hash,
        bot: visit.agent.bot,
        prefetch: visit.prefetch,
        private: visit.private,
        refused: visit.refused,
        ..Event::default()
    }
}

/// Whom nothing else tells apart, under a day's key; of who asked not to be known, none.
fn fingerprint(key: &DayKey, visit: &Visit<'_>) -> Option<Id> {
    (!visit.private).then(|| key.fingerprint(visit.address, visit.agent.hash, visit.language))
}

/// Copies what the request says of itself into an event. A private hit stays anonymous: what a page says
/// of its customer or device would lead to other hits.
fn labels<'a>(event: &mut Event<'a>, params: &'a Params<'_>) {
    event.channel = params.get(Name::Channel);
    event.sub1 = params.get(Name::Sub1);
    event.sub2 = params.get(Name::Sub2);
    event.sub3 = params.get(Name::Sub3);
    event.sub4 = params.get(Name::Sub4);
    event.sub5 = params.get(Name::Sub5);
    event.coupon = params.get(Name::Coupon);
    if !event.private {
        event.cust = params.get(Name::Cust);
        event.did = params.get(Name::Did);
        event.extra = &params.extra; // advertisers' click ids among them
    }
}

/// Whether a hit for this product, by a promoter of this status, counts, and why not. A product that somebody knows
/// gives the hit its merchant in any case.
fn judge<'r>(
    registry: &'r Registry,
    pid: &str,
    promoter: Option<Status>,
    visit: &Visit<'_>,
) -> (Outcome, Option<&'r Product>) {
    let Some(product) = registry.product(pid) else {
        return (Outcome::UnknownProduct, None);
    };
    let paused = product.status != Status::Active
        || registry.merchant(&product.merchant).is_none_or(|merchant| merchant.status != Status::Active);
    let outcome = match promoter {
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

fn prefix_of(visit: &Visit<'_>) -> identity::Prefix {
    identity::prefix(visit.address)
}

#[cfg(test)]
mod tests;
