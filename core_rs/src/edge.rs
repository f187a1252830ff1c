//! One edge worker's core: responder, registry, journal, metrics and front, wired together.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::path::Path;
use std::time::Instant;

use crate::front::{Desk, Front, Limits, Turn};
use crate::journal::{self, Batch, Durability, Writer};
use crate::metrics::{HitKind, Metrics, Outcome};
use crate::registry_log::{self, RegistryLog};
use crate::respond::{self, Failure, Request, Responder, Settings};

/// What an edge is started with.
pub struct Options<'a> {
    /// The data directory.
    pub data: &'a Path,
    pub producer: &'a str,
    /// Random: this start's own number.
    pub incarnation: u64,
    pub durability: Durability,
    /// Bytes.
    pub max_segment: u64,
    /// The instance's secret.
    pub secret: [u8; 32],
    /// Of all randomness in answers.
    pub seed: [u8; 32],
    pub settings: Settings,
}

#[derive(Debug)]
pub enum Error {
    Journal(journal::Error),
    Registry(registry_log::Error),
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Journal(e) => e.fmt(f),
            Error::Registry(e) => e.fmt(f),
            Error::Io(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// An answer for the aiohttp door.
pub struct Reply<'a> {
    /// A whole HTTP/1.1 answer.
    pub bytes: &'a [u8],
    /// Send only when `synced` has reached this.
    pub after: Option<u64>,
}

pub struct Edge {
    responder: Responder,
    log: RegistryLog,
    writer: Writer,
    metrics: Metrics,
    front: Option<Front>,
    batch: Batch,
    out: Vec<u8>,
    draining: bool,
}

impl Edge {
    pub fn open(options: Options<'_>) -> Result<Edge, Error> {
        let Options { data, producer, incarnation, durability, max_segment, .. } = options;
        let writer = Writer::open(&data.join("journal"), producer, incarnation, durability, max_segment)
            .map_err(Error::Journal)?;
        let mut log = RegistryLog::new(&data.join("registry"), options.secret);
        log.refresh().map_err(Error::Registry)?;
        Ok(Edge {
            responder: Responder::new(&options.secret, &options.seed, options.settings),
            log,
            writer,
            metrics: Metrics::open(&data.join("metrics"), producer).map_err(Error::Io)?,
            front: None,
            batch: Batch::new(),
            out: Vec::new(),
            draining: false,
        })
    }

    /// Puts the front before the listening socket `fd`; its descriptor, readable when a turn is due.
    pub fn listen(&mut self, fd: RawFd, limits: Limits) -> io::Result<RawFd> {
        let front = Front::new(fd, limits)?;
        let descriptor = front.descriptor();
        self.front = Some(front);
        Ok(descriptor)
    }

    /// One turn of the front, a brief one where `others_wait` in the event loop; none where there is no front.
    pub fn turn(&mut self, now_ms: u64, others_wait: bool) -> Option<Turn> {
        let front = self.front.as_mut()?;
        let turn = front.turn(
            &mut Desk {
                responder: &mut self.responder,
                registry: self.log.registry(),
                writer: &mut self.writer,
                batch: &mut self.batch,
                metrics: &self.metrics,
            },
            now_ms,
            others_wait,
        );
        Some(turn)
    }

    /// Answers one request of the aiohttp door. Its events are in the journal when this returns.
    pub fn respond(&mut self, request: &Request<'_>, peer: IpAddr, now_ms: u64) -> Reply<'_> {
        let began = Instant::now();
        self.responder.turn(now_ms);
        self.out.clear();
        let answered =
            self.responder.respond(self.log.registry(), request, peer, false, &mut self.out, &mut self.batch);
        let mut after = None;
        let mut recorded = true;
        if !self.batch.is_empty() {
            match self.writer.append(&mut self.batch) {
                Ok(number) if answered.durable => after = Some(number),
                Ok(_) => {}
                Err(_) => recorded = false,
            }
        }
        if !recorded {
            let answer = std::mem::take(&mut self.out);
            if answered.durable {
                respond::unavailable(request.method, self.responder.now(), false, &mut self.out);
            } else {
                respond::unrecorded(&answer, &mut self.out);
            }
        }
        self.responder.settle(&self.metrics, recorded);
        self.metrics.took(1, began.elapsed().as_micros() as u64);
        let after = after.filter(|number| *number > self.writer.synced());
        if after.is_some() {
            self.writer.sync();
        }
        Reply { bytes: &self.out, after }
    }

    /// The answer where the aiohttp door could not read a request or must not wait any longer.
    pub fn fail(&mut self, why: Failure, now_ms: u64) -> &[u8] {
        self.responder.turn(now_ms);
        self.out.clear();
        self.responder.fail(why, &mut self.out);
        self.responder.settle(&self.metrics, true);
        &self.out
    }

    /// Counts a request that was refused before it was one.
    pub fn count_malformed(&self) {
        self.metrics.count(HitKind::Other, Outcome::MalformedRequest);
    }

    /// Every 50 ms: promises, takes in what is new in the registry, gives a sign of life.
    pub fn tick(&mut self, now_ms: u64) -> Result<(), Error> {
        self.responder.turn(now_ms);
        let now = self.responder.now();
        let read = self.log.refresh();
        let registry = self.log.registry();
        self.writer.tick(now, registry.version);
        let lacking = if read.is_err() { "bad_registry" } else { "no_registry" };
        let problem = self.writer.problem().unwrap_or(if registry.ready { "" } else { lacking });
        self.metrics.beat(now, problem, registry.version, self.connections() as u64, self.draining);
        read.map_err(Error::Registry)
    }

    /// Once a second, see [`Front::sweep`]. True: a turn is due.
    pub fn sweep(&mut self, away: usize) -> bool {
        self.front.as_mut().is_some_and(|front| front.sweep(away))
    }

    /// From now on each answer of the front is its connection's last.
    pub fn drain(&mut self) {
        self.draining = true;
        if let Some(front) = &mut self.front {
            front.drain();
        }
    }

    /// Ends the front's connections that have nothing to do.
    pub fn end_idle(&mut self) {
        if let Some(front) = &mut self.front {
            front.end_idle(0);
        }
    }

    pub fn is_ready(&self) -> bool {
        self.log.registry().ready
    }

    /// Connections that are the front's.
    pub fn connections(&self) -> usize {
        self.front.as_ref().map_or(0, Front::connections)
    }

    pub fn is_accepting(&self) -> bool {
        self.front.as_ref().is_some_and(Front::is_accepting)
    }

    pub fn problem(&self) -> Option<&'static str> {
        self.writer.problem()
    }

    /// Becomes readable when a sync has ended; [`synced`](Edge::synced) makes it unreadable again.
    pub fn sync_fd(&self) -> RawFd {
        self.writer.sync_fd()
    }

    /// How many events are on the disk, as far as the durability promises at least.
    pub fn synced(&self) -> u64 {
        self.writer.drain();
        self.writer.synced()
    }

    /// Closes the connections that are left and ends the incarnation.
    pub fn close(self, now_ms: u64) -> Result<(), Error> {
        drop(self.front);
        self.writer.close(now_ms.max(self.responder.now())).map_err(Error::Journal)
    }
}
