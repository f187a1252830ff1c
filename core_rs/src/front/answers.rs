//! The answers of one turn: one buffer, and whose each stretch of it is.

use super::Desk;
use super::conn::{Conn, Stage, Token};
use crate::head::{self, Scan};
use crate::respond;

/// A connection with this many bytes of answers in one turn is sent those before it gets more, and
/// one with anything unsent is not read: so this (and one answer) is the most a peer can make us hold.
const MAX_UNSENT: usize = 64 << 10;

/// One answer: where it ends, and whether it acknowledges an event.
struct Answer {
    end: usize,
    event: bool,
}

#[derive(Default)]
pub struct Answers {
    out: Vec<u8>,
    answers: Vec<Answer>,
    /// The connections of this turn, and where the answers of each end.
    served: Vec<(Token, usize)>,
}

impl Answers {
    /// Answers the whole heads at the beginning of `bytes`, `budget` at most, and says in `conn` what comes
    /// after them. Returns how many bytes and heads that were.
    pub fn fill(
        &mut self,
        conn: &mut Conn,
        bytes: &[u8],
        budget: usize,
        draining: bool,
        desk: &mut Desk<'_>,
    ) -> (usize, usize) {
        let from = self.out.len();
        let (mut at, mut heads) = (0, 0);
        while at < bytes.len() {
            if heads == budget || self.out.len() - from >= MAX_UNSENT {
                conn.pending = true;
                break;
            }
            match head::scan(&bytes[at..]) {
                Scan::Ready(found) => {
                    let (request, close) = (&found.request, found.close || draining);
                    let answered =
                        desk.responder.respond(desk.registry, request, conn.peer, close, &mut self.out, desk.batch);
                    self.answers.push(Answer { end: self.out.len(), event: answered.event });
                    at += found.length;
                    heads += 1;
                    if close {
                        conn.stage = Stage::Ending;
                        break;
                    }
                }
                Scan::TooLarge(why) => {
                    desk.responder.fail(why, &mut self.out);
                    self.answers.push(Answer { end: self.out.len(), event: false });
                    conn.stage = Stage::Ending;
                    break;
                }
                Scan::Partial => break,
                Scan::Foreign => {
                    conn.stage = Stage::Foreign;
                    break;
                }
            }
        }
        (at, heads)
    }

    /// What was filled in since the last call is this connection's.
    pub fn assign(&mut self, token: Token) {
        self.served.push((token, self.out.len()));
    }

    /// Says of each answer that its event could not be recorded.
    pub fn unrecord(&mut self) {
        let recorded = std::mem::take(&mut self.out);
        let (mut answers, mut from) = (self.answers.iter().peekable(), 0);
        for (_, end) in &mut self.served {
            while let Some(answer) = answers.next_if(|answer| answer.end <= *end) {
                let bytes = &recorded[from..answer.end];
                if answer.event {
                    respond::unrecorded(bytes, &mut self.out);
                } else {
                    self.out.extend_from_slice(bytes);
                }
                from = answer.end;
            }
            *end = self.out.len();
        }
    }

    /// The connections that were served, each with its answers (perhaps none).
    pub fn by_connection(&self) -> impl Iterator<Item = (Token, &[u8])> {
        let mut from = 0;
        self.served.iter().map(move |(token, end)| {
            let bytes = &self.out[from..*end];
            from = *end;
            (*token, bytes)
        })
    }

    /// Makes room for the next turn's.
    pub fn clear(&mut self) {
        self.out.clear();
        self.answers.clear();
        self.served.clear();
    }
}
