//! `/e`: what the script tag sends. All events of a request are taken, or none.

use super::answer::{self, Answer, Refusal, bad_request};
use super::{
    Answered, Ask, HitKind, MAX_BEACON, Outcome, Responder, Sink, event_of, judge, labels, param_outcome, prefix_of,
};
use crate::event::{self, Kind};
use crate::json::{self, Members};
use crate::params::{Name, Params};
use crate::registry::Registry;

/// Most events of one request.
pub const MAX_EVENTS: usize = 100;

impl Responder {
    pub(super) fn beacon(&mut self, registry: &Registry, ask: &Ask<'_>, sink: &mut Sink<'_>) -> Answered {
        let (before, tallied) = (sink.batch.len(), self.tallies.len());
        match self.events(registry, ask, sink) {
            Ok(()) => {
                let mut reply = Answer::new(sink.out, "204 No Content", &self.turn.date, ask.close, false);
                answer::cors(&mut reply, ask.request.headers.origin);
                reply.no_content();
                let event = sink.batch.len() > before;
                Answered { event, durable: event }
            }
            Err(refusal) => {
                sink.batch.truncate(before);
                self.tallies.truncate(tallied);
                self.refuse(sink, ask, HitKind::Beacon, refusal)
            }
        }
    }

    fn events(&mut self, registry: &Registry, ask: &Ask<'_>, sink: &mut Sink<'_>) -> Result<(), Refusal> {
        let body = ask.request.body.unwrap_or_default();
        if body.len() > MAX_BEACON {
            return Err(Refusal::new("413 Content Too Large", Outcome::MalformedBody));
        }
        let malformed = |_| bad_request(Outcome::MalformedBody, Outcome::MalformedBody.name());
        let too_many = || bad_request(Outcome::TooManyEvents, Outcome::TooManyEvents.name());
        for members in json::flat_objects(body, MAX_EVENTS).map_err(malformed)?.ok_or_else(too_many)? {
            let (kind, params) = read(members)?;
            match kind.trim() {
                "view" | "" => self.tag_view(registry, ask, &params, sink)?,
                "conversion" => self.claim(registry, ask, &params, "tag", sink)?,
                _ => return Err(bad_request(Outcome::MalformedBody, "unknown_type")),
            }
        }
        Ok(())
    }

    /// A view from a shop's page. Its promoter came with the page's URL, perhaps long ago.
    fn tag_view(
        &mut self,
        registry: &Registry,
        ask: &Ask<'_>,
        params: &Params<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), Refusal> {
        let pid = params.get(Name::Pid);
        if pid.is_empty() {
            return Err(bad_request(Outcome::MissingParameter, "missing_pid"));
        }
        let visit = self.visit(ask, params);
        let said = params.get(Name::Aff);
        let aff = if said.is_empty() { visit.click.map_or("", |(_, promoter)| promoter) } else { said };
        let (outcome, product) = judge(registry, pid, registry.promoter(aff), &visit);
        let outcome = self.limited(ask, &visit, outcome);
        let prefix = prefix_of(&visit);
        let referrer = super::hit::referrer(params.get(Name::Referrer).as_bytes());
        let mut event = event_of(&self.turn, registry, &visit, &prefix);
        labels(&mut event, params);
        event.kind = Kind::View;
        event.id = Some(self.turn.entropy.event_id(self.turn.now));
        (event.aff, event.pid, event.source, event.referrer) = (aff, pid, "tag", &referrer);
        event.merchant = product.map_or("", |p| &p.merchant);
        event.visitor = visit.visitor;
        event.click = event::unhex(params.get(Name::Click).as_bytes());
        super::hit::settle_outcome(&mut event, outcome);
        sink.batch.push(&event);
        self.tally(HitKind::View, outcome, true);
        Ok(())
    }
}

/// An event's `type` and its parameters.
fn read(members: Members) -> Result<(String, Params<'static>), Refusal> {
    let (mut kind, mut params) = (String::new(), Params::new());
    for (name, value) in members {
        if name == "type" {
            kind = value;
            continue;
        }
        params.add((name.into(), value.into())).map_err(|e| bad_request(param_outcome(e), param_outcome(e).name()))?;
    }
    Ok((kind, params))
}
