//! What a door itself has to refuse: a request it cannot read to its end, an answer it cannot give in time.

use super::answer::{problem, unavailable};
use super::{Method, Responder};
use crate::metrics::{HitKind, Outcome};

/// What went wrong at a door. The connection is closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    HeadTooLarge,
    TargetTooLong,
    BodyTooLarge,
    BodyTooSlow,
    /// The body breaks HTTP.
    MalformedBody,
    /// The event is in the journal, but not yet on the disk.
    NotSynced,
}

impl Responder {
    pub fn fail(&mut self, what: Failure, out: &mut Vec<u8>) {
        let (status, code, outcome) = match what {
            Failure::HeadTooLarge => ("431 Request Header Fields Too Large", "head_too_large", Outcome::HeadTooLarge),
            Failure::TargetTooLong => ("414 URI Too Long", "target_too_long", Outcome::HeadTooLarge),
            Failure::BodyTooLarge => ("413 Content Too Large", "body_too_large", Outcome::MalformedBody),
            Failure::BodyTooSlow => ("408 Request Timeout", "body_too_slow", Outcome::MalformedBody),
            Failure::MalformedBody => ("400 Bad Request", "malformed_request", Outcome::MalformedRequest),
            Failure::NotSynced => return unavailable(Method::Post, self.turn.now, true, out),
        };
        self.tally(HitKind::Other, outcome, false);
        problem(out, &self.turn.date, true, false, status, code, "");
    }
}
