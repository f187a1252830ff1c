//! Counters of one producer, in a page of memory shared through a file.
//!
//! One process writes a page (plain loads and stores of atomics, no lock), any process reads it. A worker
//! that starts again goes on with its page, so counters never fall.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memmap2::MmapRaw;

/// What kind of request a hit was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum HitKind {
    View,
    Click,
    Order,
    Claim,
    Beacon,
    Other,
}

const KINDS: [&str; 6] = ["view", "click", "order", "claim", "beacon", "other"];

/// Declares the outcomes once.
macro_rules! outcomes {
    ($($name:ident = $text:literal,)*) => {
        /// What became of a hit: counted, or the reason code it was set aside or refused with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Outcome { $($name,)* }

        const ALL_OUTCOMES: &[Outcome] = &[$(Outcome::$name,)*];
        const OUTCOMES: &[&str] = &[$($text,)*];
    };
}

outcomes! {
    Counted = "counted",
    Bot = "bot",
    Prefetch = "prefetch",
    UnknownPromoter = "unknown_promoter",
    UnknownProduct = "unknown_product",
    UnknownLink = "unknown_link",
    UnknownMerchant = "unknown_merchant",
    BlockedPromoter = "blocked_promoter",
    Paused = "paused",
    Expired = "expired",
    Unrecorded = "unrecorded",
    MissingParameter = "missing_parameter",
    MalformedEscape = "malformed_escape",
    ValueTooLong = "value_too_long",
    TooManyParameters = "too_many_parameters",
    TooManyEvents = "too_many_events",
    DuplicateParameter = "duplicate_parameter",
    HeadTooLarge = "head_too_large",
    MalformedRequest = "malformed_request",
    MalformedBody = "malformed_body",
    UrlNotAllowed = "url_not_allowed",
    BadAmount = "bad_amount",
    BadCurrency = "bad_currency",
    BadTime = "bad_time",
    UnknownStatus = "unknown_status",
    BadSignature = "bad_signature",
    StaleSignature = "stale_signature",
    ForgedCookie = "forged_cookie",
    ForgedClick = "forged_click",
    RateLimited = "rate_limited",
    BadToken = "bad_token",
}

impl Outcome {
    pub fn name(self) -> &'static str {
        OUTCOMES[self as usize]
    }

    pub fn from_name(name: &str) -> Option<Outcome> {
        let at = OUTCOMES.iter().position(|n| *n == name)?;
        ALL_OUTCOMES.get(at).copied()
    }
}

/// Upper bounds of the duration histogram, in microseconds.
const BOUNDS_US: [u64; 12] = [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 1_000_000];

const MAGIC: u64 = u64::from_le_bytes(*b"tkmetr01");
const HEADER: usize = 16;
const MAX_OUTCOMES: usize = 64;
const HITS: usize = HEADER;
const BUCKETS: usize = HITS + KINDS.len() * MAX_OUTCOMES;
const SUM: usize = BUCKETS + BOUNDS_US.len() + 1;
const SLOTS: usize = SUM + 1;
const BYTES: usize = SLOTS * 8;

/// Header slots: what a producer says of itself.
#[derive(Clone, Copy)]
enum Slot {
    Magic,
    Process,
    /// Milliseconds of the newest sign of life.
    Beat,
    /// 0: can record; else a code of [`PROBLEMS`].
    Problem,
    Registry,
    Connections,
    Draining,
}

/// Why a producer cannot record.
const PROBLEMS: [&str; 6] = ["", "disk_full", "disk_slow", "disk_failed", "no_registry", "bad_registry"];
/// What a code that has no name stands for.
const UNNAMED: usize = 3;
/// A producer that has been silent for longer is taken for dead.
const SILENT_MS: u64 = 5_000;

/// What a producer says of itself, as others read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub producer: String,
    pub process: u64,
    pub alive: bool,
    /// Empty: it can record.
    pub problem: &'static str,
    pub registry: u64,
    pub connections: u64,
    pub draining: bool,
}

/// The writer's side of one page.
pub struct Metrics {
    page: MmapRaw,
}

impl Metrics {
    /// Opens `directory/producer`, going on with the counters that are there.
    pub fn open(directory: &Path, producer: &str) -> io::Result<Metrics> {
        fs::create_dir_all(directory)?;
        let path = directory.join(producer);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if file.metadata()?.len() < BYTES as u64 {
            // written, so that it has its blocks: a hole in a mapped file kills the process when the disk is full
            (&file).write_all(&[0; BYTES])?;
        }
        let metrics = Metrics { page: MmapRaw::map_raw(&file)? };
        metrics.set(Slot::Magic, MAGIC);
        metrics.set(Slot::Process, u64::from(std::process::id()));
        metrics.set(Slot::Draining, 0);
        Ok(metrics)
    }

    fn slot(&self, at: usize) -> &AtomicU64 {
        slots(&self.page, at)
    }

    fn set(&self, slot: Slot, value: u64) {
        self.slot(slot as usize).store(value, Relaxed);
    }

    fn add(&self, at: usize, count: u64) {
        let slot = self.slot(at);
        slot.store(slot.load(Relaxed).wrapping_add(count), Relaxed);
    }

    pub fn count(&self, kind: HitKind, outcome: Outcome) {
        self.add(HITS + kind as usize * MAX_OUTCOMES + outcome as usize, 1);
    }

    /// `hits` were answered within `us` microseconds of being read.
    pub fn took(&self, hits: u64, us: u64) {
        self.add(BUCKETS + BOUNDS_US.partition_point(|bound| *bound < us), hits);
        self.add(SUM, hits * us);
    }

    /// A sign of life. `problem` is empty when a hit can be recorded.
    pub fn beat(&self, now_ms: u64, problem: &str, registry: u64, connections: u64, draining: bool) {
        let code = PROBLEMS.iter().position(|p| *p == problem).unwrap_or(UNNAMED);
        self.set(Slot::Problem, code as u64);
        self.set(Slot::Registry, registry);
        self.set(Slot::Connections, connections);
        self.set(Slot::Draining, u64::from(draining));
        self.set(Slot::Beat, now_ms);
    }
}

fn slots(page: &MmapRaw, at: usize) -> &AtomicU64 {
    assert!(at < SLOTS);
    // SAFETY: the page is BYTES long, page-aligned, lives as long as the borrow, and every process
    // touches it through atomics only.
    unsafe { &*page.as_ptr().cast::<AtomicU64>().add(at) }
}

/// A page as a reader sees it: its producer's name and its slots.
fn read_pages(directory: &Path) -> io::Result<Vec<(String, Vec<u64>)>> {
    let mut pages = Vec::new();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(pages),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        let file = File::open(entry.path())?;
        if file.metadata()?.len() < BYTES as u64 {
            continue;
        }
        let page = memmap2::MmapOptions::new().len(BYTES).map_raw_read_only(&file)?;
        let values: Vec<u64> = (0..SLOTS).map(|at| slots(&page, at).load(Relaxed)).collect();
        if values[Slot::Magic as usize] == MAGIC {
            pages.push((entry.file_name().to_string_lossy().into_owned(), values));
        }
    }
    pages.sort();
    Ok(pages)
}

/// What each producer says of itself.
pub fn states(directory: &Path, now_ms: u64) -> io::Result<Vec<State>> {
    let state = |(producer, values): (String, Vec<u64>)| {
        let get = |slot: Slot| values[slot as usize];
        State {
            producer,
            process: get(Slot::Process),
            alive: now_ms.saturating_sub(get(Slot::Beat)) < SILENT_MS,
            problem: PROBLEMS.get(get(Slot::Problem) as usize).copied().unwrap_or(PROBLEMS[UNNAMED]),
            registry: get(Slot::Registry),
            connections: get(Slot::Connections),
            draining: get(Slot::Draining) != 0,
        }
    };
    Ok(read_pages(directory)?.into_iter().map(state).collect())
}

/// The edge's metrics of all pages, summed, in Prometheus' text format.
pub fn render(directory: &Path) -> io::Result<String> {
    let pages = read_pages(directory)?;
    let sum = |at: usize| pages.iter().map(|(_, values)| values[at]).fold(0, u64::wrapping_add);
    let mut out = String::from(
        "# HELP affiliate_hits_total Requests at the edge by kind and what became of them.\n# TYPE affiliate_hits_total counter\n",
    );
    for (kind, kind_name) in KINDS.iter().enumerate() {
        for (outcome, outcome_name) in OUTCOMES.iter().enumerate() {
            let hits = sum(HITS + kind * MAX_OUTCOMES + outcome);
            if hits > 0 || outcome == Outcome::Counted as usize {
                let _ = writeln!(out, "affiliate_hits_total{{kind=\"{kind_name}\",outcome=\"{outcome_name}\"}} {hits}");
            }
        }
    }
    out.push_str("# HELP affiliate_hit_duration_seconds From reading a request to handing its answer to the socket.\n# TYPE affiliate_hit_duration_seconds histogram\n");
    let mut below = 0;
    for (i, bound) in BOUNDS_US.iter().enumerate() {
        below += sum(BUCKETS + i);
        let _ = writeln!(out, "affiliate_hit_duration_seconds_bucket{{le=\"{}\"}} {below}", *bound as f64 / 1e6);
    }
    below += sum(BUCKETS + BOUNDS_US.len());
    let _ = writeln!(out, "affiliate_hit_duration_seconds_bucket{{le=\"+Inf\"}} {below}");
    let _ = writeln!(out, "affiliate_hit_duration_seconds_sum {}", sum(SUM) as f64 / 1e6);
    let _ = writeln!(out, "affiliate_hit_duration_seconds_count {below}");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_all_producers_are_summed_and_survive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let page = |name: &str| Metrics::open(directory.path(), name).unwrap();
        let (one, two) = (page("edge-0"), page("edge-1"));
        one.count(HitKind::Click, Outcome::Counted);
        two.count(HitKind::Click, Outcome::Counted);
        two.count(HitKind::Click, Outcome::Bot);
        drop(one);
        let one = page("edge-0");
        one.count(HitKind::Click, Outcome::Counted);
        one.took(3, 60);
        let text = render(directory.path()).unwrap();
        assert!(text.contains("affiliate_hits_total{kind=\"click\",outcome=\"counted\"} 3\n"), "{text}");
        assert!(text.contains("affiliate_hits_total{kind=\"click\",outcome=\"bot\"} 1\n"), "{text}");
        assert!(text.contains("affiliate_hit_duration_seconds_bucket{le=\"0.0001\"} 3\n"), "{text}");
        assert!(text.contains("affiliate_hit_duration_seconds_count 3\n"), "{text}");
    }

    #[test]
    fn a_page_has_no_hole_that_a_full_disk_could_not_fill() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let _page = Metrics::open(directory.path(), "edge-0").unwrap();
        let file = fs::metadata(directory.path().join("edge-0")).unwrap();
        assert!(file.blocks() * 512 >= BYTES as u64);
    }

    #[test]
    fn a_silent_producer_is_not_alive_and_a_problem_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let page = Metrics::open(directory.path(), "edge-0").unwrap();
        let at = |now| states(directory.path(), now).unwrap().remove(0);
        for problem in PROBLEMS {
            page.beat(10_000, problem, 42, 7, false);
            assert_eq!(at(10_100).problem, problem);
        }
        page.beat(10_000, "disk_full", 42, 7, false);
        let state = at(10_100);
        assert_eq!((state.alive, state.problem, state.registry, state.connections), (true, "disk_full", 42, 7));
        assert!(!at(20_000).alive);
    }

    #[test]
    fn outcomes_fit_their_row_and_read_back() {
        assert!(OUTCOMES.len() <= MAX_OUTCOMES);
        assert_eq!(Outcome::from_name("paused"), Some(Outcome::Paused));
        assert_eq!(Outcome::from_name("none such"), None);
    }
}
