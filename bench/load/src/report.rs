//! What is counted and measured of a run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::answer::Answer;
use crate::histogram::Histogram;

/// The measured time.
#[derive(Clone, Copy)]
pub struct Window {
    pub begin: Instant,
    pub end: Instant,
}

impl Window {
    pub fn has(&self, instant: Instant) -> bool {
        self.begin <= instant && instant < self.end
    }
}

/// Counts of the whole run with its warm-up; latencies and `measured` of the measured time.
pub struct Tally {
    pub window: Window,
    /// Answers that came in the measured time.
    pub measured: u64,
    /// Latencies of the requests that were due in the measured time.
    pub latencies: Histogram,
    pub statuses: [u64; 600],
    pub sent: u64,
    pub unrecorded: u64,
    pub lost: u64,
    pub malformed: u64,
    pub reconnects: u64,
}

impl Tally {
    pub fn new(window: Window) -> Tally {
        Tally {
            window,
            measured: 0,
            latencies: Histogram::new(),
            statuses: [0; 600],
            sent: 0,
            unrecorded: 0,
            lost: 0,
            malformed: 0,
            reconnects: 0,
        }
    }

    /// An answer came at `now` to a request that was due at `since`.
    pub fn answered(&mut self, answer: &Answer, since: Instant, now: Instant) {
        self.statuses[usize::from(answer.status)] += 1;
        self.unrecorded += u64::from(answer.unrecorded);
        self.measured += u64::from(self.window.has(now));
        if self.window.has(since) {
            self.latencies.add(now - since);
        }
    }
}

/// Our own processor time in the measured time.
#[derive(Default)]
pub struct Usage {
    at_begin: Option<Duration>,
    at_end: Option<Duration>,
    /// Spent waiting awake.
    spun: Duration,
}

impl Usage {
    pub fn look(&mut self, now: Instant, window: Window) {
        if now >= window.begin && self.at_begin.is_none() {
            self.at_begin = Some(processor_time());
        }
        if now >= window.end && self.at_end.is_none() {
            self.at_end = Some(processor_time());
        }
    }

    pub fn spun(&mut self, since: Instant, window: Window) {
        if window.has(since) {
            self.spun += since.elapsed();
        }
    }

    fn busy(&self) -> Duration {
        let used = self.at_end.zip(self.at_begin).map_or(Duration::ZERO, |(end, begin)| end - begin);
        used.saturating_sub(self.spun)
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The result as it is printed.
#[derive(Serialize)]
pub struct Report {
    pub connections: usize,
    pub seconds: f64,
    /// Requests a second of the open loop; null: closed loop.
    pub rate: Option<f64>,
    pub requests_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub sent: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers with `Tuike-Recorded: 0`.
    pub unrecorded: u64,
    /// Requests whose connection ended, or could not be used any more, before their answer.
    pub lost: u64,
    pub malformed: u64,
    /// Requests still out after the grace at the end.
    pub unanswered: usize,
    /// Requests of the open loop that found no free connection until then.
    pub unsent: usize,
    pub reconnects: u64,
    /// Our own share of a core, 0 to 1, waiting awake not counted.
    pub busy: f64,
}

impl Report {
    pub fn new(tally: &Tally, usage: &Usage, connections: usize, rate: Option<f64>) -> Report {
        let seconds = (tally.window.end - tally.window.begin).as_secs_f64();
        let quantile = |share| rounded(tally.latencies.quantile(share), 10.0);
        let statuses = tally.statuses.iter().enumerate().filter(|(_, count)| **count > 0);
        Report {
            connections,
            seconds,
            rate,
            requests_per_second: rounded(tally.measured as f64 / seconds, 1.0),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            sent: tally.sent,
            statuses: statuses.map(|(status, count)| (status as u16, *count)).collect(),
            unrecorded: tally.unrecorded,
            lost: tally.lost,
            malformed: tally.malformed,
            unanswered: 0,
            unsent: 0,
            reconnects: tally.reconnects,
            busy: rounded(usage.busy().as_secs_f64() / seconds, 1000.0),
        }
    }
}

fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}
