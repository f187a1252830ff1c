//! What is said about orders: `/postback` (the merchant's signed word) and `/conversion` (a claim).

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use super::answer::{self, Answer, Refusal, bad_request};
use super::{
    Answered, Ask, HitKind, MAX_FORM, Outcome, Responder, Sink, event_of, fingerprint, labels, param_outcome, prefix_of,
};
use crate::event::{self, Event, Kind};
use crate::identity::constant_time_eq;
use crate::params::{self, Name, Pair, ParamError, Params};
use crate::registry::{Merchant, Registry};
use crate::{json, money};

/// A signature's `ts` may be this far from now, in seconds.
const SIGNATURE_WINDOW: u64 = 300;
/// An order's `time` may be this old, in milliseconds.
const OLDEST_ORDER: u64 = 30 * 86_400_000;
const STATUSES: [&str; 4] = ["pending", "approved", "rejected", "refunded"];

fn unauthorised(outcome: Outcome) -> Refusal {
    Refusal::new("401 Unauthorized", outcome)
}

fn unprocessable(outcome: Outcome) -> Refusal {
    Refusal::new("422 Unprocessable Content", outcome)
}

impl Responder {
    /// The conversion pixel: a GIF for the page, a claim for the books.
    pub(super) fn conversion(&mut self, registry: &Registry, ask: &Ask<'_>, sink: &mut Sink<'_>) -> Answered {
        let params = match self.query(ask, HitKind::Claim, sink) {
            Ok(params) => params,
            Err(refused) => return refused,
        };
        if let Err(refusal) = self.claim(registry, ask, &params, "pixel", sink) {
            return self.refuse(sink, ask, HitKind::Claim, refusal);
        }
        let mut reply = Answer::new(sink.out, "200 OK", &self.turn.date, ask.close, ask.head());
        answer::cors(&mut reply, ask.request.headers.origin);
        reply.gif();
        if ask.head() { Answered::default() } else { Answered { event: true, durable: true } }
    }

    /// Pushes a claim (not for a HEAD), or says why it is none.
    pub(super) fn claim(
        &mut self,
        registry: &Registry,
        ask: &Ask<'_>,
        params: &Params<'_>,
        source: &'static str,
        sink: &mut Sink<'_>,
    ) -> Result<(), Refusal> {
        let (oid, pid) = (params.get(Name::Oid), params.get(Name::Pid));
        for (value, code) in [(oid, "missing_oid"), (pid, "missing_pid")] {
            if value.is_empty() {
                return Err(bad_request(Outcome::MissingParameter, code));
            }
        }
        let product = registry.product(pid);
        let merchant = product.and_then(|p| registry.merchant(&p.merchant));
        let worth = match worth(params, merchant) {
            Ok(worth) => worth,
            // nobody's product has no currency of its own: the claim is counted, its amount is not read
            Err(_) if merchant.is_none() => (None, ""),
            Err(outcome) => return Err(bad_request(outcome, outcome.name())),
        };
        if ask.head() {
            return Ok(());
        }
        let visit = self.visit(ask, params);
        let prefix = prefix_of(&visit);
        let mut event = event_of(&self.turn, registry, &visit, &prefix);
        labels(&mut event, params);
        event.kind = Kind::Claim;
        event.id = Some(self.turn.entropy.event_id(self.turn.now));
        (event.oid, event.pid, event.source) = (oid, pid, source);
        event.merchant = product.map_or("", |p| &p.merchant);
        (event.amount, event.currency) = worth;
        event.visitor = visit.visitor;
        event.fingerprint_before = registry.key_before(self.turn.now).and_then(|key| fingerprint(key, &visit));
        event.click = event::unhex(params.get(Name::Click).as_bytes());
        // a page may name any promoter; only the one in our own cookie is known to have brought somebody
        if let Some((click, promoter)) = visit.click {
            event.aff = promoter;
            event.click = event.click.or(Some(click));
        }
        event.status = "approved";
        let outcome = if product.is_none() { Outcome::UnknownProduct } else { Outcome::Counted };
        let outcome = self.limited(ask, &visit, outcome);
        super::hit::settle_outcome(&mut event, outcome);
        event.counted |= outcome == Outcome::RateLimited;
        sink.batch.push(&event);
        self.tally(HitKind::Claim, outcome, true);
        Ok(())
    }

    /// Server to server: signed, answered 202 with the id under which the books report.
    pub(super) fn postback(&mut self, registry: &Registry, ask: &Ask<'_>, sink: &mut Sink<'_>) -> Answered {
        match self.order(registry, ask, sink) {
            Ok(id) => {
                let id = event::hex(&id);
                let body = [b"{\"event_id\":\"", &id[..], b"\"}"].concat();
                let mut reply = Answer::new(sink.out, "202 Accepted", &self.turn.date, ask.close, false);
                reply.lines(answer::NO_STORE);
                reply.body("application/json", &body);
                Answered { event: true, durable: true }
            }
            Err(refusal) => self.refuse(sink, ask, HitKind::Order, refusal),
        }
    }

    fn order(&mut self, registry: &Registry, ask: &Ask<'_>, sink: &mut Sink<'_>) -> Result<event::Id, Refusal> {
        let pairs = signed_pairs(ask)?;
        let (merchant_id, merchant, stamp) = self.authenticate(registry, &pairs)?;
        let mut params = Params::new();
        for (name, value) in &pairs {
            let pair = (name.as_ref().into(), value.as_ref().into());
            params.add(pair).map_err(|e| bad_request(param_outcome(e), param_outcome(e).name()))?;
        }
        if params.duplicate {
            return Err(unprocessable(Outcome::DuplicateParameter));
        }
        let pid = params.get(Name::Pid);
        if !pid.is_empty() && registry.product(pid).is_none_or(|p| *p.merchant != *merchant_id) {
            return Err(unprocessable(Outcome::UnknownProduct));
        }
        let status = match params.get(Name::Status) {
            "" => "approved",
            given if STATUSES.contains(&given) => given,
            _ => return Err(unprocessable(Outcome::UnknownStatus)),
        };
        let (amount, currency) = worth(&params, Some(merchant)).map_err(unprocessable)?;
        let at = match params.get(Name::Time) {
            "" => self.turn.now,
            given => instant(given)
                .filter(|&at| at <= self.turn.now && self.turn.now - at <= OLDEST_ORDER)
                .ok_or_else(|| unprocessable(Outcome::BadTime))?,
        };
        let click = params.get(Name::Click);
        if params.get(Name::Oid).is_empty() && event::unhex(click.as_bytes()).is_none() {
            return Err(Refusal { code: "missing_oid", ..unprocessable(Outcome::MissingParameter) });
        }
        let id = self.turn.entropy.event_id(self.turn.now);
        let mut event = Event {
            kind: Kind::Order,
            id: Some(id),
            at,
            received: self.turn.now,
            registry: registry.version,
            aff: params.get(Name::Aff),
            pid,
            merchant: merchant_id,
            oid: params.get(Name::Oid),
            amount,
            currency,
            status,
            click: event::unhex(click.as_bytes()),
            stamp,
            refund_id: params.get(Name::RefundId),
            source: "postback",
            counted: true,
            ..Event::default()
        };
        labels(&mut event, &params);
        let mut outcome = Outcome::Counted;
        if self.orders.is_over(merchant_key(merchant_id), self.turn.now) {
            outcome = Outcome::RateLimited;
            event.reason = outcome.name();
        }
        sink.batch.push(&event);
        self.tally(HitKind::Order, outcome, true);
        Ok(id)
    }

    /// Who signed it and when (milliseconds).
    fn authenticate<'a>(
        &self,
        registry: &'a Registry,
        pairs: &'a [Pair<'_>],
    ) -> Result<(&'a str, &'a Merchant, u64), Refusal> {
        let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value);
        let (merchant_id, ts, sig) = (value("merchant"), value("ts"), value("sig"));
        let merchant = registry.merchant(merchant_id).ok_or_else(|| unauthorised(Outcome::UnknownMerchant))?;
        // the order of a name's repeats is nobody's, so there is no text that could have been signed
        if !sig.is_empty() && has_twice(pairs) {
            return Err(unprocessable(Outcome::DuplicateParameter));
        }
        let given = sig.to_ascii_lowercase();
        let signed = |secret| constant_time_eq(&signature(secret, pairs), given.as_bytes());
        if !merchant.secrets(self.turn.now).any(signed) {
            return Err(unauthorised(Outcome::BadSignature));
        }
        let now = self.turn.now / 1000;
        match ts.parse::<u64>() {
            Ok(seconds) if now.abs_diff(seconds) <= SIGNATURE_WINDOW => Ok((merchant_id, merchant, seconds * 1000)),
            _ => Err(unauthorised(Outcome::StaleSignature)),
        }
    }
}

/// A merchant among those whose orders are counted.
fn merchant_key(id: &str) -> u64 {
    u64::from_le_bytes(*blake3::hash(id.as_bytes()).as_bytes().first_chunk().expect("a hash is longer"))
}

/// All pairs of query and body, as sent.
fn signed_pairs<'a>(ask: &Ask<'a>) -> Result<Vec<Pair<'a>>, Refusal> {
    let malformed = |outcome: Outcome| bad_request(outcome, outcome.name());
    let body = ask.request.body.unwrap_or_default();
    if body.len() > MAX_FORM {
        return Err(Refusal::new("413 Content Too Large", Outcome::MalformedBody));
    }
    let mut out = Vec::new();
    let is_json = ask.request.headers.content_type.to_ascii_lowercase().starts_with(b"application/json");
    for part in [ask.request.query(), if is_json { b"" } else { body }] {
        for (pair, sound) in params::pairs(part) {
            if !sound {
                return Err(malformed(Outcome::MalformedEscape));
            }
            out.push(pair);
        }
    }
    if is_json && !body.is_empty() {
        let pairs = json::flat_strings(body).map_err(|_| malformed(Outcome::MalformedBody))?;
        out.extend(pairs.into_iter().map(|(name, value)| (name.into(), value.into())));
    }
    if out.len() > params::MAX_PARAMS {
        return Err(malformed(param_outcome(ParamError::TooMany)));
    }
    Ok(out)
}

/// Whether a name comes twice; beside its alias is for [`Params`] to say.
fn has_twice(pairs: &[Pair<'_>]) -> bool {
    pairs.iter().enumerate().any(|(i, (name, _))| pairs[..i].iter().any(|(other, _)| other == name))
}

/// Hex HMAC-SHA256 of every pair but `sig`, percent-encoded, sorted bytewise by encoded name.
fn signature(secret: &[u8], pairs: &[Pair<'_>]) -> Vec<u8> {
    let mut encoded: Vec<(Vec<u8>, Vec<u8>)> = pairs
        .iter()
        .filter(|(name, _)| name != "sig")
        .map(|(name, value)| {
            let (mut n, mut v) = (Vec::new(), Vec::new());
            params::encode(name, &mut n);
            params::encode(value, &mut v);
            (n, v)
        })
        .collect();
    encoded.sort();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    for (i, (name, value)) in encoded.iter().enumerate() {
        if i > 0 {
            mac.update(b"&");
        }
        mac.update(name);
        mac.update(b"=");
        mac.update(value);
    }
    mac.finalize().into_bytes().iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// Amount in minor units and currency; the merchant's own currency by default.
fn worth<'a>(params: &'a Params<'_>, merchant: Option<&'a Merchant>) -> Result<(Option<u64>, &'a str), Outcome> {
    let given = params.get(Name::Currency);
    let currency = if given.is_empty() { merchant.map_or("", |m| &m.currency) } else { given };
    money::exponent(currency).ok_or(Outcome::BadCurrency)?;
    let amount = match params.get(Name::Amount) {
        "" => None,
        text => Some(money::parse_amount(text, currency).map_err(|_| Outcome::BadAmount)?),
    };
    Ok((amount, currency))
}

/// RFC 3339 or Unix seconds, in milliseconds.
fn instant(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<u64>().ok()?.checked_mul(1000);
    }
    let instant: Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_millisecond()).ok()
}
