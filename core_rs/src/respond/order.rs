//! What is said about orders: `/postback` (the merchant's own word) and `/conversion` (a claim).

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::answer::{self, Answer, Refusal, bad_request};
use super::postback::{self, worth};
use super::{
    Answered, Ask, HitKind, MAX_FORM, Outcome, Responder, Sink, event_of, fingerprint, labels, param_outcome, prefix_of,
};
use crate::dialect::{self, Dialect};
use crate::event::{self, Event, Kind};
use crate::identity::constant_time_eq;
use crate::json;
use crate::params::{self, Name, Pair, ParamError, Params};
use crate::registry::{Merchant, Registry};

/// A signature's `ts` may be this far from now, in seconds.
const SIGNATURE_WINDOW: u64 = 300;
/// Of what was refused no more is kept, in bytes.
const MAX_KEPT: usize = 8 << 10;
/// Nor more of one merchant's in a minute, by each worker.
pub(super) const MAX_KEPT_PER_MINUTE: u32 = 300;

fn unauthorised(outcome: Outcome) -> Refusal {
    Refusal::new("401 Unauthorized", outcome)
}

fn unprocessable(outcome: Outcome) -> Refusal {
    Refusal::new("422 Unprocessable Content", outcome)
}

impl Responder {
    /// The conversion pixel: a GIF for the page, a claim for the books.
    pub(super) fn conversion(&mut self, registry: &Registry, ask: &Ask<'_>, sink: &mut Sink<'_>) -> Answered {
        let mut params = Params::new();
        if let Some(refused) = self.query(&mut params, ask, HitKind::Claim, sink) {
            return refused;
        }
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
        let worth = match worth(params, merchant.map_or("", |m| &m.currency)) {
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

    /// Server to server: signed or with a token, answered 202 with the id under which the books report.
    pub(super) fn postback(&mut self, registry: &Registry, ask: &Ask<'_>, sink: &mut Sink<'_>) -> Answered {
        let mut kept = false;
        match self.order(registry, ask, sink, &mut kept) {
            Ok(id) => {
                let id = event::hex(&id);
                let body = [b"{\"event_id\":\"", &id[..], b"\"}"].concat();
                let mut reply = Answer::new(sink.out, "202 Accepted", &self.turn.date, ask.close, false);
                reply.lines(answer::NO_STORE);
                reply.body("application/json", &body);
                Answered { event: true, durable: true }
            }
            Err(refusal) => {
                self.refuse(sink, ask, HitKind::Order, refusal);
                Answered { event: kept, durable: false }
            }
        }
    }

    /// Pushes the order; `kept` says of one that is refused that it was pushed as such.
    fn order(
        &mut self,
        registry: &Registry,
        ask: &Ask<'_>,
        sink: &mut Sink<'_>,
        kept: &mut bool,
    ) -> Result<event::Id, Refusal> {
        let pairs = signed_pairs(ask)?;
        let sender = self.authenticate(registry, &pairs)?;
        let params = postback::params(&pairs, sender.dialect).map_err(refusal)?;
        self.told(registry, &sender, &params, sink).map_err(|outcome| {
            let refusal = refusal(outcome);
            *kept = self.keep(registry, &sender, &pairs, &params, refusal.code, sink);
            refusal
        })
    }

    /// Pushes what was refused, without what authenticated it, for the merchant to see; not of a sender that floods, nor
    /// what is too long. Whether it did.
    fn keep(
        &mut self,
        registry: &Registry,
        sender: &Sender<'_>,
        pairs: &[Pair<'_>],
        params: &Params<'_>,
        reason: &str,
        sink: &mut Sink<'_>,
    ) -> bool {
        let body = postback::kept(pairs, sender.dialect);
        if body.len() > MAX_KEPT || self.refused.is_over(merchant_key(sender.id), self.turn.now) {
            return false;
        }
        sink.batch.push(&Event {
            kind: Kind::Refused,
            id: Some(self.turn.entropy.event_id(self.turn.now)),
            at: self.turn.now,
            received: self.turn.now,
            registry: registry.version,
            merchant: sender.id,
            cust: params.get(Name::Cust),
            did: params.get(Name::Did),
            stamp: sender.stamp,
            source: postback::SOURCE,
            reason,
            body: &body,
            ..Event::default()
        });
        true
    }

    /// Pushes what the sender says of an order, or says why it is none.
    fn told(
        &mut self,
        registry: &Registry,
        sender: &Sender<'_>,
        params: &Params<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<event::Id, Outcome> {
        let sells = |pid: &str| registry.product(pid).is_some_and(|product| *product.merchant == *sender.id);
        let mut event = postback::order(params, &sender.merchant.currency, self.turn.now, sells)?;
        let id = self.turn.entropy.event_id(self.turn.now);
        event.id = Some(id);
        event.received = self.turn.now;
        event.registry = registry.version;
        event.merchant = sender.id;
        event.stamp = sender.stamp;
        event.source = postback::SOURCE;
        event.counted = true;
        let mut outcome = Outcome::Counted;
        if self.orders.is_over(merchant_key(sender.id), self.turn.now) {
            outcome = Outcome::RateLimited;
            event.reason = outcome.name();
        }
        sink.batch.push(&event);
        self.tally(HitKind::Order, outcome, true);
        Ok(id)
    }

    /// Who sent it. What is signed is in our words; a merchant with a dialect may send a token in place of a signature.
    fn authenticate<'a>(&self, registry: &'a Registry, pairs: &'a [Pair<'_>]) -> Result<Sender<'a>, Refusal> {
        let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value);
        let (id, ts, sig) = (value("merchant"), value("ts"), value("sig"));
        let merchant = registry.merchant(id).ok_or_else(|| unauthorised(Outcome::UnknownMerchant))?;
        let signs = pairs.iter().any(|(name, _)| name == "sig");
        if let Some(dialect) = merchant.dialect.as_ref().filter(|_| !signs) {
            let has_token = token(dialect, pairs).is_some_and(|given| {
                let given: [u8; 32] = Sha256::digest(given.as_bytes()).into();
                // all of them are compared: nothing tells which one it was
                merchant.tokens(self.turn.now).fold(false, |same, token| same | constant_time_eq(token, &given))
            });
            let sender = Sender { id, merchant, stamp: 0, dialect: Some(dialect) };
            return if has_token { Ok(sender) } else { Err(unauthorised(Outcome::BadToken)) };
        }
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
            Ok(seconds) if now.abs_diff(seconds) <= SIGNATURE_WINDOW => {
                Ok(Sender { id, merchant, stamp: seconds * 1000, dialect: None })
            }
            _ => Err(unauthorised(Outcome::StaleSignature)),
        }
    }
}

/// Whose postback it is.
struct Sender<'a> {
    id: &'a str,
    merchant: &'a Merchant,
    /// When it was signed, in milliseconds; 0: it was not.
    stamp: u64,
    dialect: Option<&'a Dialect>,
}

/// The one token among the pairs.
fn token<'a>(dialect: &Dialect, pairs: &'a [Pair<'_>]) -> Option<&'a str> {
    let mut found = pairs.iter().filter(|(name, _)| dialect.name(name) == Some(dialect::TOKEN));
    found.next().filter(|_| found.next().is_none()).map(|(_, value)| value.trim_ascii())
}

/// The answer to a postback that is authentic and no order.
fn refusal(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::ValueTooLong | Outcome::TooManyParameters => bad_request(outcome, outcome.name()),
        Outcome::MissingParameter => Refusal { code: "missing_oid", ..unprocessable(outcome) },
        _ => unprocessable(outcome),
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
