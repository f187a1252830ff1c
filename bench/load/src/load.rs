//! The run: which request goes out when on which connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::arrivals::Arrivals;
use crate::connection::{Connection, Outcome};
use crate::report::{Report, Tally, Usage, Window};

/// Events taken from one poll.
const EVENTS: usize = 1024;
/// Longest sleep in a poll: how late the end of a run can be noticed.
const NAP: Duration = Duration::from_millis(20);
/// A poll may sleep so much longer than it was told; arrivals that are nearer are waited for awake.
const OVERSLEEP: Duration = Duration::from_millis(1);
/// How long the answers that are out at the end are waited for.
const GRACE: Duration = Duration::from_secs(2);

/// What to do.
pub struct Plan {
    pub target: SocketAddr,
    pub connections: usize,
    /// Requests that a connection sends at once; the next ones follow when all of them are answered.
    pub burst: usize,
    /// Measured time, after the warm-up.
    pub length: Duration,
    pub warmup: Duration,
    /// Requests a second of the open loop; None: closed loop.
    pub rate: Option<f64>,
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            target: SocketAddr::from(([127, 0, 0, 1], 0)),
            connections: 64,
            burst: 1,
            length: Duration::from_secs(3),
            warmup: Duration::from_millis(300),
            rate: None,
            seed: 1,
        }
    }
}

impl Plan {
    pub fn check(&self) -> Result<(), String> {
        if self.connections == 0 || self.burst == 0 || self.length.is_zero() {
            return Err("--connections, --burst and --seconds must be above 0".into());
        }
        match self.rate {
            Some(rate) if !(rate > 0.0 && rate.is_finite()) => Err("--rate must be above 0".into()),
            Some(_) if self.burst > 1 => Err("--burst is for the closed loop".into()),
            _ => Ok(()),
        }
    }
}

pub struct Load {
    plan: Plan,
    /// What is sent at once: `plan.burst` requests each.
    bursts: Vec<Box<[u8]>>,
    poll: Poll,
    connections: Vec<Connection>,
    /// Open loop: connections with nothing out.
    free: Vec<usize>,
    /// Open loop: instants that were due and have had no connection yet.
    backlog: VecDeque<Instant>,
    tally: Tally,
}

impl Load {
    /// Opens the connections; the run's time begins now.
    pub fn connect(plan: Plan, requests: Vec<Box<[u8]>>) -> io::Result<Load> {
        let poll = Poll::new()?;
        let connections = (0..plan.connections)
            .map(|index| Connection::open(&poll, plan.target, Token(index)))
            .collect::<io::Result<_>>()?;
        let free = if plan.rate.is_some() { (0..plan.connections).collect() } else { Vec::new() };
        let begin = Instant::now() + plan.warmup;
        let tally = Tally::new(Window { begin, end: begin + plan.length });
        // the last one takes in the first requests again
        let in_turn: Vec<_> = requests.iter().cycle().take(requests.len().next_multiple_of(plan.burst)).collect();
        let bursts =
            in_turn.chunks(plan.burst).map(|burst| burst.iter().copied().flatten().copied().collect()).collect();
        Ok(Load { plan, bursts, poll, connections, free, backlog: VecDeque::new(), tally })
    }

    pub fn run(mut self) -> io::Result<Report> {
        let window = self.tally.window;
        let mut arrivals = self.plan.rate.map(|rate| Arrivals::new(Instant::now(), rate, self.plan.seed));
        if arrivals.is_none() {
            for index in 0..self.connections.len() {
                self.send(index, Instant::now())?;
            }
        }
        let mut usage = Usage::default();
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let now = Instant::now();
            usage.look(now, window);
            if now >= window.end && (self.is_settled() || now >= window.end + GRACE) {
                return Ok(self.report(&usage));
            }
            let nap = match &mut arrivals {
                Some(arrivals) if now < window.end => self.take_due(arrivals, now)?,
                _ => NAP,
            };
            match self.poll.poll(&mut events, Some(nap)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if nap.is_zero() && events.is_empty() {
                usage.spun(now, window);
            }
            for event in &events {
                self.ready(event.token().0, event.is_read_closed())?;
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.backlog.is_empty() && self.connections.iter().all(|connection| connection.out == 0)
    }

    /// Sends what is due, as far as there are free connections; how long to sleep until the next is due.
    fn take_due(&mut self, arrivals: &mut Arrivals, now: Instant) -> io::Result<Duration> {
        while arrivals.due() <= now {
            self.backlog.push_back(arrivals.due());
            arrivals.advance();
        }
        while !self.backlog.is_empty()
            && let Some(index) = self.free.pop()
        {
            self.next(index, now)?;
        }
        // whole milliseconds are all that a poll can sleep
        let left = (arrivals.due() - now).saturating_sub(OVERSLEEP).min(NAP);
        Ok(Duration::from_millis(left.as_millis() as u64))
    }

    /// A connection has something for us, or has ended.
    fn ready(&mut self, index: usize, ended: bool) -> io::Result<()> {
        loop {
            let out = self.connections[index].out;
            let outcome = self.connections[index].receive();
            let now = Instant::now();
            let connection = &self.connections[index];
            let usable = match &outcome {
                Outcome::Waiting => return Ok(()),
                Outcome::Answered(answer) => {
                    self.tally.answered(answer, connection.since, now);
                    !(answer.close || ended)
                }
                Outcome::Closed => false,
                Outcome::Malformed => {
                    self.tally.malformed += 1;
                    false
                }
            };
            if usable && connection.out > 0 {
                continue;
            }
            if !usable {
                // what a malformed answer was for is counted with it
                self.tally.lost += connection.out.saturating_sub(matches!(outcome, Outcome::Malformed).into()) as u64;
                self.tally.reconnects += 1;
                self.connections[index] = Connection::open(&self.poll, self.plan.target, Token(index))?;
            }
            // one with nothing out is in `free` already
            return if out > 0 { self.next(index, now) } else { Ok(()) };
        }
    }

    /// Gives a connection with nothing out its next request, if one is due.
    fn next(&mut self, index: usize, now: Instant) -> io::Result<()> {
        if self.plan.rate.is_none() {
            return if now < self.tally.window.end { self.send(index, now) } else { Ok(()) };
        }
        match self.backlog.pop_front() {
            Some(due) => self.send(index, due),
            None => {
                self.free.push(index);
                Ok(())
            }
        }
    }

    fn send(&mut self, index: usize, since: Instant) -> io::Result<()> {
        let count = self.plan.burst;
        let burst = &self.bursts[self.tally.sent as usize / count % self.bursts.len()];
        self.tally.sent += count as u64;
        self.connections[index].send(burst, count, since)
    }

    fn report(&self, usage: &Usage) -> Report {
        Report {
            unanswered: self.connections.iter().map(|connection| connection.out).sum(),
            unsent: self.backlog.len(),
            ..Report::new(&self.tally, usage, self.plan.connections, self.plan.rate)
        }
    }
}
