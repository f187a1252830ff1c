//! The front: owns the listening socket and its connections, answers whole canonical requests that
//! are ours, and gives away every connection on which something else turns up.
//!
//! It has one descriptor (epoll, edge-triggered) for the event loop around it. Each time that is
//! readable the loop calls [`Front::turn`]: read what is ready, answer it into one buffer, append the
//! turn's events with one write, and only then send. What a turn's limits leave over stays in
//! `ready`, because an edge is reported once; `Turn::again` asks the loop to come back for it.
//!
//! A peer that sends its head too slowly is closed without an answer, as nginx does: it is not
//! listening for one.

mod conn;
mod sys;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::head::{self, Scan};
use crate::journal::{Batch, Writer};
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::respond::{self, Failure, Responder};
use conn::{Conn, Moved, Stage, Table, Token};

/// A turn answers at most this many heads, so that the loop's other tasks are not starved ...
pub const HEADS_PER_TURN: usize = 512;
/// ... and takes up no new connection after this long.
pub const TURN: Duration = Duration::from_millis(5);
/// Connections accepted in one turn at most.
pub const ACCEPTS_PER_TURN: usize = 256;
/// Bytes of one read.
const READ: usize = 64 << 10;
/// A connection with this many bytes of answers in one turn is sent those before it gets more, and
/// one with anything unsent is not read: so this (and one answer) is the most a peer can make us hold.
const MAX_UNSENT: usize = 64 << 10;
/// Reports taken from the kernel in one turn.
const REPORTS: usize = 512;

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

/// A connection served in this turn, and where its answers end in `out`.
struct Served {
    token: Token,
    end: usize,
}

/// An answer of this turn: where it ends, and whether it acknowledges an event.
struct Answer {
    end: usize,
    event: bool,
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
    out: Vec<u8>,
    answers: Vec<Answer>,
    served: Vec<Served>,
    handed: Vec<Handed>,
}

impl Front {
    /// Serves the listening socket `fd`, which stays its owner's.
    pub fn new(fd: RawFd, limits: Limits) -> io::Result<Front> {
        let listener = sys::listener(fd)?;
        let epoll = sys::Epoll::new(REPORTS)?;
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
            out: Vec::new(),
            answers: Vec::new(),
            served: Vec::new(),
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
    pub fn turn(&mut self, desk: &mut Desk<'_>, now_ms: u64) -> Turn {
        let began = Instant::now();
        self.now = began.duration_since(self.started).as_millis() as u64;
        desk.responder.turn(now_ms);
        self.collect();
        self.accept();
        let mut heads = 0;
        for _ in 0..self.ready.len() {
            if heads >= HEADS_PER_TURN || began.elapsed() >= TURN {
                break;
            }
            let Some(token) = self.ready.pop_front() else { break };
            heads += self.serve(token, HEADS_PER_TURN - heads, desk);
        }
        let recorded = desk.batch.is_empty() || desk.writer.append(desk.batch).is_ok();
        if !recorded {
            self.unrecord();
        }
        desk.responder.settle(desk.metrics, recorded);
        self.send();
        if heads > 0 {
            desk.metrics.took(heads as u64, began.elapsed().as_micros() as u64);
        }
        Turn { handed: std::mem::take(&mut self.handed), again: self.is_due() }
    }

    /// Takes the kernel's reports.
    fn collect(&mut self) {
        for report in self.epoll.wait() {
            let token = Token::from_raw(report.token);
            if token == Token::LISTENER {
                self.acceptable = true;
                continue;
            }
            let Some(conn) = self.table.get(token) else { continue };
            conn.readable |= report.readable;
            conn.hung_up |= report.hung_up;
            let due = if conn.unsent.is_empty() { conn.readable } else { report.writable };
            if due && !conn.queued {
                conn.queued = true;
                self.ready.push_back(token);
            }
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_TURN {
            if !self.may_accept() {
                return;
            }
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((socket, peer)) => self.admit(socket, peer.ip()),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.acceptable = false;
                    if self.draining {
                        // the queue is empty; whoever still holds the socket inherits what comes
                        self.listener = None;
                    }
                }
                // this one connection is gone already
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
                // no descriptor or memory for another one: the rest of the queue has to wait
                Err(_) => self.exhausted = true,
            }
        }
    }

    /// Takes a new connection in. One that cannot be watched is closed at once.
    fn admit(&mut self, socket: TcpStream, peer: std::net::IpAddr) {
        if socket.set_nonblocking(true).is_err() || socket.set_nodelay(true).is_err() {
            return;
        }
        let token = self.table.insert(Conn::new(socket, peer, self.now));
        let watched = self.table.get(token).is_some_and(|conn| self.epoll.add(&conn.socket, token.raw()).is_ok());
        if !watched {
            self.table.remove(token);
        }
    }

    fn may_accept(&self) -> bool {
        let room = self.table.len() + self.away < self.limits.connections;
        self.acceptable && self.listener.is_some() && !self.exhausted && room
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
        self.served.push(Served { token, end: self.out.len() });
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
        let from = self.out.len();
        let (mut at, mut heads) = (0, 0);
        while at < bytes.len() {
            if heads == budget || self.out.len() - from >= MAX_UNSENT {
                conn.pending = true;
                break;
            }
            match head::scan(&bytes[at..]) {
                Scan::Ready(found) => {
                    let close = found.close || self.draining;
                    let answered = desk.responder.respond(
                        desk.registry,
                        &found.request,
                        conn.peer,
                        close,
                        &mut self.out,
                        desk.batch,
                    );
                    self.answers.push(Answer { end: self.out.len(), event: answered.event });
                    at += found.length;
                    heads += 1;
                    if close {
                        conn.stage = Stage::Ending;
                        break;
                    }
                }
                Scan::Partial if bytes.len() - at > head::MAX_HEAD => {
                    let line = memchr::memchr(b'\n', &bytes[at..]).is_none();
                    let why = if line { Failure::TargetTooLong } else { Failure::HeadTooLarge };
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

    /// Says of each answer of this turn that its event could not be recorded.
    fn unrecord(&mut self) {
        let recorded = std::mem::take(&mut self.out);
        let (mut answers, mut from) = (self.answers.iter().peekable(), 0);
        for served in &mut self.served {
            while let Some(answer) = answers.next_if(|answer| answer.end <= served.end) {
                let bytes = &recorded[from..answer.end];
                if answer.event {
                    respond::unrecorded(bytes, &mut self.out);
                } else {
                    self.out.extend_from_slice(bytes);
                }
                from = answer.end;
            }
            served.end = self.out.len();
        }
    }

    /// Sends each served connection its answers, then moves it on.
    fn send(&mut self) {
        let out = std::mem::take(&mut self.out);
        let served = std::mem::take(&mut self.served);
        let mut from = 0;
        for Served { token, end } in &served {
            let bytes = &out[from..*end];
            from = *end;
            let Some(conn) = self.table.get(*token) else { continue };
            if bytes.is_empty() || conn.send(bytes) {
                self.settle(*token);
            } else {
                self.close(*token);
            }
        }
        self.answers.clear();
        (self.out, self.served) = (out, served);
        self.out.clear();
        self.served.clear();
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

    /// Once a second: ends what has waited too long. `away` is how many of the connections given away
    /// are open. True: a turn is due.
    pub fn sweep(&mut self, away: usize) -> bool {
        self.away = away;
        self.exhausted = false;
        self.now = self.started.elapsed().as_millis() as u64;
        let (now, limits) = (self.now, self.limits);
        let waited = |conn: &Conn, limit: u64| now.saturating_sub(conn.since) >= limit;
        let broken = self.table.pick(|conn| match conn.stage {
            Stage::Lingering => waited(conn, limits.linger_ms),
            _ if !conn.unsent.is_empty() => waited(conn, limits.stalled_ms),
            _ => !conn.unread.is_empty() && !conn.pending && waited(conn, limits.head_ms),
        });
        for token in broken {
            self.close(token);
        }
        self.end_idle(limits.idle_ms);
        self.is_due()
    }

    /// From now on each answer is its connection's last, and the listening socket is left as soon as
    /// its queue is empty.
    pub fn drain(&mut self) {
        self.draining = true;
        // find out whether the queue is empty
        self.acceptable = true;
    }

    /// Ends connections that have had nothing to do for this long.
    pub fn end_idle(&mut self, idle_ms: u64) {
        let now = self.now;
        for token in self.table.pick(|conn| conn.is_idle() && now.saturating_sub(conn.since) >= idle_ms) {
            if let Some(conn) = self.table.get(token) {
                conn.shut(now);
            }
        }
    }
}
