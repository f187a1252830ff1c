//! Views and clicks: `/p.gif`, `/track`, `/c/{code}`, `/r`.

use std::borrow::Cow;

use super::answer::{self, Answer, bad_request};
use super::request::LINKS;
use super::{Answered, Ask, HitKind, Outcome, Responder, Sink, Visit, event_of, judge, labels, prefix_of};
use crate::event::{Event, Id, Kind};
use crate::params::{self, Name, Params};
use crate::registry::{Link, Product, Registry, Status};
use crate::target::{self, Filling};

/// Cookies of hits without a product that says how long live this many days.
const COOKIE_DAYS: u32 = 30;
const LONGEST_CODE: usize = 64;

/// Whose click it is and where it leads.
struct Way<'a> {
    aff: &'a str,
    pid: &'a str,
    product: &'a Product,
    target: &'a str,
    link: Option<(&'a str, &'a Link<'a>)>,
    outcome: Outcome,
}

impl Responder {
    pub(super) fn view(&mut self, registry: &Registry, ask: &Ask<'_>, sink: &mut Sink<'_>) -> Answered {
        let mut params = Params::new();
        if let Some(refused) = self.query(&mut params, ask, HitKind::View, sink) {
            return refused;
        }
        let (aff, pid) = (params.get(Name::Aff), params.get(Name::Pid));
        if let Some(missing) = missing(aff, pid) {
            return self.refuse(sink, ask, HitKind::View, missing);
        }
        let visit = self.visit(ask, &params);
        let (outcome, product) = judge(registry, pid, registry.promoter(aff), &visit);
        let outcome = self.limited(ask, &visit, outcome);
        let prefix = prefix_of(&visit);
        let mut event = event_of(&self.turn, registry, &visit, &prefix);
        labels(&mut event, &params);
        let fresh = self.identify(&mut event, &visit);
        let said = params.get(Name::Referrer);
        let referrer = referrer(if said.is_empty() { ask.request.headers.referer } else { said.as_bytes() });
        event.kind = Kind::View;
        event.id = Some(self.turn.entropy.event_id(self.turn.now));
        (event.aff, event.pid, event.referrer) = (aff, pid, &referrer);
        event.merchant = product.map_or("", |p| &p.merchant);
        settle_outcome(&mut event, outcome);
        let mut reply = Answer::new(sink.out, "200 OK", &self.turn.date, ask.close, ask.head());
        if let Some(visitor) = fresh {
            let days = product.map_or(COOKIE_DAYS, |p| p.cookie_days);
            self.keys.write_visitor(&visitor, cookie(&mut reply, "tk_vid"));
            self.end_cookie(&mut reply, &visit, days, true);
        }
        reply.gif();
        self.record(&event, HitKind::View, outcome, ask.head(), sink)
    }

    pub(super) fn link(&mut self, registry: &Registry, ask: &Ask<'_>, sink: &mut Sink<'_>) -> Answered {
        let mut params = Params::new();
        if let Some(refused) = self.query(&mut params, ask, HitKind::Click, sink) {
            return refused;
        }
        let Some(code) = params::segment(&ask.request.path()[LINKS.len()..]) else {
            let malformed = bad_request(Outcome::MalformedEscape, Outcome::MalformedEscape.name());
            return self.refuse(sink, ask, HitKind::Click, malformed);
        };
        let found = (code.len() <= LONGEST_CODE).then(|| registry.link(&code)).flatten();
        let Some((link, product)) = found.and_then(|link| Some((link, registry.product(link.product)?))) else {
            let unknown =
                answer::Refusal { outcome: Some(Outcome::UnknownLink), code: "unknown_link", ..answer::NOT_FOUND };
            return self.refuse(sink, ask, HitKind::Click, unknown);
        };
        let visit = self.visit(ask, &params);
        let (mut outcome, _) = judge(registry, link.product, registry.promoter_of(&link), &visit);
        if link.status != Status::Active {
            outcome = Outcome::Paused;
        } else if link.expires.is_some_and(|expires| expires <= self.turn.now) {
            outcome = Outcome::Expired;
        }
        let target = if link.url.is_empty() { &product.target } else { link.url };
        let way = Way { aff: link.promoter, pid: link.product, product, target, link: Some((&code, &link)), outcome };
        self.follow(registry, ask, &params, &visit, &way, sink)
    }

    pub(super) fn redirect(&mut self, registry: &Registry, ask: &Ask<'_>, sink: &mut Sink<'_>) -> Answered {
        let mut params = Params::new();
        if let Some(refused) = self.query(&mut params, ask, HitKind::Click, sink) {
            return refused;
        }
        let (aff, pid, url) = (params.get(Name::Aff), params.get(Name::Pid), params.get(Name::Url));
        if let Some(missing) = missing(aff, pid) {
            return self.refuse(sink, ask, HitKind::Click, missing);
        }
        let visit = self.visit(ask, &params);
        let (outcome, product) = judge(registry, pid, registry.promoter(aff), &visit);
        let Some(product) = product else {
            let unknown = answer::Refusal { outcome: Some(outcome), code: "unknown_product", ..answer::NOT_FOUND };
            return self.refuse(sink, ask, HitKind::Click, unknown);
        };
        let given;
        let target = if url.is_empty() {
            &*product.target
        } else {
            let allowed = target::host(url)
                .is_some_and(|host| product.allowed_hosts.iter().any(|h| h.eq_ignore_ascii_case(&host)));
            if !allowed {
                let refusal = bad_request(Outcome::UrlNotAllowed, Outcome::UrlNotAllowed.name());
                return self.refuse(sink, ask, HitKind::Click, refusal);
            }
            given = target::visible(url);
            &given
        };
        let way = Way { aff, pid, product, target, link: None, outcome };
        self.follow(registry, ask, &params, &visit, &way, sink)
    }

    /// Answers a click whose way is known: 302 with the cookies, or where a paused one goes.
    fn follow(
        &mut self,
        registry: &Registry,
        ask: &Ask<'_>,
        params: &Params<'_>,
        visit: &Visit<'_>,
        way: &Way<'_>,
        sink: &mut Sink<'_>,
    ) -> Answered {
        let stopped = matches!(way.outcome, Outcome::Paused | Outcome::Expired);
        if stopped && way.product.fallback.is_empty() {
            let gone = answer::Refusal::new("410 Gone", way.outcome);
            return self.refuse(sink, ask, HitKind::Click, gone);
        }
        let outcome = self.limited(ask, visit, way.outcome);
        let click = self.turn.entropy.event_id(self.turn.now);
        let prefix = prefix_of(visit);
        let mut event = event_of(&self.turn, registry, visit, &prefix);
        labels(&mut event, params);
        let fresh = self.identify(&mut event, visit);
        let said = params.get(Name::Referrer);
        let referrer = referrer(if said.is_empty() { ask.request.headers.referer } else { said.as_bytes() });
        event.kind = Kind::Click;
        event.id = Some(click);
        (event.aff, event.pid, event.merchant, event.referrer) = (way.aff, way.pid, &way.product.merchant, &referrer);
        let dest = ask.request.headers.dest;
        event.embedded = !dest.is_empty() && dest != b"document";
        event.binds = way.product.binds;
        if let Some((code, link)) = way.link {
            event.link = code;
            link_labels(&mut event, link);
        }
        settle_outcome(&mut event, outcome);
        let mut reply = Answer::new(sink.out, "302 Found", &self.turn.date, ask.close, ask.head());
        reply.lines(answer::NO_STORE);
        if stopped {
            reply.line("Location", way.product.fallback.as_bytes());
        } else {
            let sub = [event.sub1, event.sub2, event.sub3, event.sub4, event.sub5];
            let filling = Filling {
                click: &click,
                aff: way.aff,
                pid: way.pid,
                sub,
                channel: event.channel,
                now: self.turn.now,
                extra: &params.extra,
            };
            target::write(way.target, &filling, reply.start_line("Location"));
            reply.end_line();
        }
        if way.outcome == Outcome::Counted && !visit.private {
            self.click_cookies(&mut reply, visit, way, fresh.or(event.visitor), &click);
        }
        reply.empty();
        self.record(&event, HitKind::Click, outcome, ask.head(), sink)
    }

    /// The visitor for an event; also the new one where the browser had none.
    fn identify(&mut self, event: &mut Event<'_>, visit: &Visit<'_>) -> Option<Id> {
        event.visitor = visit.visitor;
        if visit.private || visit.prefetch || visit.agent.bot || visit.visitor.is_some() {
            return None;
        }
        event.visitor = Some(self.turn.entropy.take());
        event.visitor
    }

    fn click_cookies(&self, reply: &mut Answer<'_>, visit: &Visit<'_>, way: &Way<'_>, visitor: Option<Id>, click: &Id) {
        let days = way.product.cookie_days;
        if let Some(visitor) = visitor {
            self.keys.write_visitor(&visitor, cookie(reply, "tk_vid"));
            self.end_cookie(reply, visit, days, true);
        }
        self.keys.write_click(click, way.aff, cookie(reply, "tk_aff"));
        self.end_cookie(reply, visit, days, true);
        if self.settings.readable_cookie {
            cookie(reply, "affiliate_track").extend_from_slice(way.aff.as_bytes());
            self.end_cookie(reply, visit, days, false);
        }
    }

    /// Attributes of a cookie (RFC 6265bis): `Secure` behind TLS, and with `SameSite=None`, which needs it.
    pub(super) fn end_cookie(&self, reply: &mut Answer<'_>, visit: &Visit<'_>, days: u32, hidden: bool) {
        reply.lines("; Path=/; Max-Age=").number(u64::from(days) * 86_400);
        if hidden {
            reply.lines("; HttpOnly");
        }
        if self.settings.cross_site_cookies {
            reply.lines("; Secure; SameSite=None; Partitioned");
        } else if visit.secure {
            reply.lines("; Secure; SameSite=Lax");
        } else {
            reply.lines("; SameSite=Lax");
        }
        reply.end_line();
    }

    /// Pushes the event of a request that is no HEAD, and counts it.
    fn record(
        &mut self,
        event: &Event<'_>,
        kind: HitKind,
        outcome: Outcome,
        head: bool,
        sink: &mut Sink<'_>,
    ) -> Answered {
        if head {
            return Answered::default();
        }
        sink.batch.push(event);
        self.tally(kind, outcome, true);
        Answered { event: true, durable: false }
    }
}

/// Why a hit that names no promoter or no product is refused.
fn missing(aff: &str, pid: &str) -> Option<answer::Refusal> {
    let code = match (aff.is_empty(), pid.is_empty()) {
        (true, _) => "missing_aff",
        (_, true) => "missing_pid",
        _ => return None,
    };
    Some(bad_request(Outcome::MissingParameter, code))
}

pub(super) fn cookie<'a>(reply: &'a mut Answer<'_>, name: &str) -> &'a mut Vec<u8> {
    let out = reply.start_line("Set-Cookie");
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
    out
}

pub(super) fn settle_outcome(event: &mut Event<'_>, outcome: Outcome) {
    event.counted = outcome == Outcome::Counted;
    if !event.counted {
        event.reason = outcome.name();
    }
}

/// A link's own labels stand where the request brings none.
fn link_labels<'a>(event: &mut Event<'a>, link: &Link<'a>) {
    let [sub1, sub2, sub3, sub4, sub5] = link.sub;
    for (label, own) in [
        (&mut event.channel, link.channel),
        (&mut event.coupon, link.coupon),
        (&mut event.sub1, sub1),
        (&mut event.sub2, sub2),
        (&mut event.sub3, sub3),
        (&mut event.sub4, sub4),
        (&mut event.sub5, sub5),
    ] {
        if label.is_empty() {
            *label = own;
        }
    }
}

/// Scheme, host and path of a referrer: its query may hold what is nobody's business.
pub(super) fn referrer(text: &[u8]) -> Cow<'_, str> {
    let end = memchr::memchr2(b'?', b'#', text).unwrap_or(text.len());
    params::text(&text[..end.min(params::MAX_VALUE)])
}
