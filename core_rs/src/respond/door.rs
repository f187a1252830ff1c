//! What a door refuses before there is a whole request to answer.

use super::answer::Refusal;
use super::{Responder, Sink};
use crate::journal::Batch;
use crate::metrics::{HitKind, Outcome};

/// Why a request was not read to its end. Its connection is closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    HeadTooLarge,
    TargetTooLong,
    BodyTooLarge,
    BodyTooSlow,
}

impl Responder {
    pub fn refuse_unread(&mut self, why: Unread, out: &mut Vec<u8>, batch: &mut Batch) {
        let refusal = match why {
            Unread::HeadTooLarge => Refusal::new("431 Request Header Fields Too Large", Outcome::HeadTooLarge),
            Unread::TargetTooLong => Refusal::new("414 URI Too Long", Outcome::HeadTooLarge),
            Unread::BodyTooLarge => Refusal { code: "body_too_large", ..Refusal::new("413 Content Too Large", Outcome::MalformedBody) },
            Unread::BodyTooSlow => Refusal { code: "body_too_slow", ..Refusal::new("408 Request Timeout", Outcome::MalformedBody) },
        };
        self.refuse(&mut Sink { out, batch }, true, false, HitKind::Other, refusal);
    }
}
