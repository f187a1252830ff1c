//! The front: owns the listening socket and its connections, answers whole canonical requests that
//! are ours, and gives away every connection on which something else turns up.
//!
//! It has one descriptor (epoll, edge-triggered) for the event loop around it. Each time that is
//! readable the loop calls [`Front::turn`], which goes in rounds: read what is ready, answer it into one buffer,
//! append its events with one write, and only then send. What a turn's limits leave over stays in
//! `ready`, because an edge is reported once; `Turn::again` asks the loop to come back for it.
//!
//! A peer that sends its head too slowly is closed without an answer, as nginx does: it is not
//! listening for one.

mod accept;
mod answers;
mod conn;
mod sweep;
mod sys;

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::journal::{Batch, Writer};
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::respond::Responder;
use answers::Answers;
use conn::{Moved, Stage, Table, Token};

/// A round serves at most this many connections and answers at most this many heads; the clock is read once for it.
const ROUND: usize = 64;
/// A turn begins no new round after this long, so that the loop's other tasks are not starved.
const TURN: Duration = Duration::from_millis(2);
/// Bytes of one read.
const READ: usize = 64 << 10;

/// What a connection may do, and how long. Milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once, those given away included.
    pub connections: usize,
    /// From a head's first byte to its last.
    pub head_ms: u64,
    /// Without a request.
    pub idle_ms: u64,
    /// With answers waiting and none taken.
    pub stalled_ms: u64,
    /// From shutting our side to closing, if the peer does not shut its own.
    pub linger_ms: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { connections: 16_384, head_ms: 10_000, idle_ms: 75_000, stalled_ms: 30_000, linger_ms: 2_000 }
    }
}

/// A connection given away.
#[derive(Debug)]
pub struct Handed {
    pub socket: OwnedFd,
    /// Read, and not answered.
    pub unread: Vec<u8>,
    /// The front has answered on it before.
    pub answered: bool,
}

/// What a turn works with besides the sockets.
pub struct Desk<'a> {
    pub responder: &'a mut Responder,
    pub registry: &'a Registry,
    pub writer: &'a mut Writer,
    /// Empty between turns; its room is used again.
    pub batch: &'a mut Batch,
    pub metrics: &'a Metrics,
}

/// What one turn did.
#[derive(Debug)]
pub struct Turn {
    pub handed: Vec<Handed>,
    /// Call again without waiting for the descriptor.
    pub again: bool,
}

pub struct Front {
    epoll: sys::Epoll,
    listener: Option<TcpListener>,
    table: Table,
    limits: Limits,
    started: Instant,
    /// Milliseconds since `started`, as of this turn.
    now: u64,
    ready: VecDeque<Token>,
    /// The listening socket may have connections for us (edge-triggered: it is not reported again).
    acceptable: bool,
    /// The last accept failed; the next waits until a connection closes or a second has passed.
    exhausted: bool,
    /// Connections given away and still open, as last told.
    away: usize,
    draining: bool,
    buffer: Box<[u8]>,
    answers: Answers,
    handed: Vec<Handed>,
}

impl Front {
    /// Serves the listening socket `fd`, which stays its owner's.
    pub fn new(fd: RawFd, limits: Limits) -> io::Result<Front> {
        let listener = sys::listener(fd)?;
        let epoll = sys::Epoll::new()?;
        epoll.add(&listener, Token::LISTENER.raw())?;
        Ok(Front {
            epoll,
            listener: Some(listener),
            table: Table::default(),
            limits,
            started: Instant::now(),
            now: 0,
            ready: VecDeque::new(),
            acceptable: true,
            exhausted: false,
            away: 0,
            draining: false,
            buffer: vec![0; READ].into_boxed_slice(),
            answers: Answers::default(),
            handed: Vec::new(),
        })
    }

    /// Readable when a turn is due.
    pub fn descriptor(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// Connections that are the front's.
    pub fn connections(&self) -> usize {
        self.table.len()
    }

    /// Whether connections are still taken from the listening socket.
    pub fn is_accepting(&self) -> bool {
        self.listener.is_some()
    }

    /// One turn of the loop. `now_ms` is the instant that its events were received.
    ///
    /// It goes round again while there is more to answer: under load many rounds share one way through the event loop.
    /// Where others wait in that loop it goes round once.
    pub fn turn(&mut self, desk: &mut Desk<'_>, now_ms: u64, others_wait: bool) -> Turn {
        let began = Instant::now();
        let mut took = Duration::ZERO;
        self.now = began.duration_since(self.started).as_millis() as u64;
        desk.responder.turn(now_ms);
        loop {
            let heads = self.round(desk);
            let read_at = took;
            took = began.elapsed();
            if heads > 0 {
                desk.metrics.took(heads as u64, (took - read_at).as_micros() as u64);
            }
            if heads == 0 || others_wait || took >= TURN {
                break;
            }
        }
        Turn { handed: std::mem::take(&mut self.handed), again: self.is_due() }
    }

    /// Reads what is ready, answers it, appends its events with one write, and only then sends. Returns how many heads
    /// that were.
    fn round(&mut self, desk: &mut Desk<'_>) -> usize {
        self.collect();
        self.accept();
        let mut heads = 0;
        for _ in 0..self.ready.len().min(ROUND) {
            if heads >= ROUND {
                break;
            }
            let Some(token) = self.ready.pop_front() else { break };
            heads += self.serve(token, ROUND - heads, desk);
        }
        let recorded = desk.batch.is_empty() || desk.writer.append(desk.batch).is_ok();
        if !recorded {
            self.answers.unrecord();
        }
        desk.responder.settle(desk.metrics, recorded);
        self.send();
        heads
    }

    /// Takes the kernel's reports.
    fn collect(&mut self) {
        self.epoll.reports(|report| {
            let token = Token::from_raw(report.token);
            if token == Token::LISTENER {
                self.acceptable = true;
                return;
            }
            let Some(conn) = self.table.get(token) else { return };
            conn.readable |= report.readable;
            conn.hung_up |= report.hung_up;
            let due = if conn.unsent.is_empty() { conn.readable } else { report.writable };
            if due && !conn.queued {
                conn.queued = true;
                self.ready.push_back(token);
            }
        });
    }

    fn is_due(&self) -> bool {
        !self.ready.is_empty() || self.may_accept()
    }

    /// Gives one connection its due; answers whole heads, `budget` at most. Returns how many.
    fn serve(&mut self, token: Token, budget: usize, desk: &mut Desk<'_>) -> usize {
        let Some(conn) = self.table.get(token) else { return 0 };
        conn.queued = false;
        let mut heads = 0;
        if conn.stage == Stage::Lingering {
            if conn.readable && conn.read(&mut self.buffer) == Moved::Broken {
                self.close(token);
                return 0;
            }
        } else if !conn.unsent.is_empty() {
            match conn.flush() {
                Moved::Bytes(_) => conn.since = self.now,
                Moved::Nothing => {}
                Moved::Broken => {
                    self.close(token);
                    return 0;
                }
            }
        } else if conn.stage == Stage::Open {
            let Some(answered) = self.answer(token, budget, desk) else {
                self.close(token);
                return 0;
            };
            heads = answered;
        }
        self.answers.assign(token);
        heads
    }

    /// Reads once, unless whole heads are left over, and answers what is whole. None: it is broken.
    fn answer(&mut self, token: Token, budget: usize, desk: &mut Desk<'_>) -> Option<usize> {
        let conn = self.table.get(token)?;
        let mut unread = std::mem::take(&mut conn.unread);
        let fresh = unread.is_empty();
        let mut bytes: &[u8] = &unread;
        if !conn.pending && conn.readable {
            match conn.read(&mut self.buffer) {
                Moved::Bytes(n) if fresh => bytes = &self.buffer[..n],
                Moved::Bytes(n) => {
                    unread.extend_from_slice(&self.buffer[..n]);
                    bytes = &unread;
                }
                Moved::Nothing => {}
                Moved::Broken => return None,
            }
        }
        conn.pending = false;
        let (at, heads) = self.answers.fill(conn, bytes, budget, self.draining, desk);
        conn.answered |= heads > 0;
        // a head's time runs from its first byte, whatever else trickles in
        if heads > 0 || (fresh && !bytes.is_empty()) {
            conn.since = self.now;
        }
        if conn.stage != Stage::Ending {
            conn.unread = if at == 0 && !fresh { unread } else { bytes[at..].to_vec() };
        }
        Some(heads)
    }

    /// Sends each served connection its answers, then moves it on.
    fn send(&mut self) {
        let mut answers = std::mem::take(&mut self.answers);
        for (token, bytes) in answers.by_connection() {
            let Some(conn) = self.table.get(token) else { continue };
            if bytes.is_empty() || conn.send(bytes) {
                self.settle(token);
            } else {
                self.close(token);
            }
        }
        answers.clear();
        self.answers = answers;
    }

    /// What comes next for a connection that has been served.
    fn settle(&mut self, token: Token) {
        let now = self.now;
        let Some(conn) = self.table.get(token) else { return };
        if !conn.unsent.is_empty() {
            return;
        }
        match conn.stage {
            Stage::Foreign => return self.hand_over(token),
            Stage::Ending if !conn.ended => conn.shut(now),
            Stage::Open if conn.pending => {}
            Stage::Open | Stage::Lingering if !conn.ended => {}
            // the peer has shut its side and has all its answers
            _ => return self.close(token),
        }
        if (conn.pending || conn.readable) && !conn.queued {
            conn.queued = true;
            self.ready.push_back(token);
        }
    }

    fn hand_over(&mut self, token: Token) {
        let Some(conn) = self.table.remove(token) else { return };
        if self.epoll.remove(&conn.socket).is_ok() {
            self.away += 1;
            self.handed.push(Handed { socket: conn.socket.into(), unread: conn.unread, answered: conn.answered });
        }
    }

    fn close(&mut self, token: Token) {
        if self.table.remove(token).is_some() {
            self.exhausted = false;
        }
    }
}
