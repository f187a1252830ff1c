//! What a writer and its threads share: the incarnation being written and what of it is not durable yet.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::event_fd::EventFd;
use super::live::Live;
use super::mark::Published;
use super::segment::{self, Sizes, sync_directory};
use super::writer::AppendError;
use super::{Durability, record, upkeep};

/// What is appended and not yet synced is kept in memory; above this appends are refused.
const KEPT_MAX: usize = 64 << 20;
/// An append waits this long for a segment that is being allocated.
const ALLOCATION_WAIT: Duration = Duration::from_secs(1);

/// What the writer and its threads share.
pub struct Shared {
    pub producer: PathBuf,
    pub sizes: Sizes,
    pub durability: Durability,
    state: Mutex<State>,
    /// Wakes the thread that syncs and mends.
    pub upkeep: Condvar,
    /// Wakes the thread that allocates.
    pub allocate: Condvar,
    /// Wakes who waits for a sync or for room.
    pub changed: Condvar,
    pub event: EventFd,
}

pub struct State {
    /// The incarnation; none only while a first one cannot be made.
    pub live: Option<Live>,
    /// Its number.
    pub incarnation: u64,
    /// Why nothing more can be written to `live`; the upkeep replaces it.
    pub broken: Option<&'static str>,
    /// No earlier attempt to replace it.
    pub mend_at: Instant,
    /// Why appends are refused until there is room.
    pub starved: Option<&'static str>,
    /// Why the last allocation failed.
    pub allocation_failed: Option<&'static str>,
    /// Bytes of records that do not fit into the segments there are.
    pub room_wanted: usize,
    /// Framed records that no sync under way covers, and those that one does (`interval` only).
    pub kept: Vec<u8>,
    pub syncing: Vec<u8>,
    /// Events appended in earlier incarnations.
    pub base: u64,
    /// The last tick: nothing received before it is to come.
    pub promised: u64,
    pub registry: u64,
    pub sync_wanted: bool,
    pub stop: bool,
}

impl State {
    pub fn appended(&self) -> u64 {
        self.base + self.live.as_ref().map_or(0, |live| live.written().seq)
    }

    pub fn synced(&self) -> u64 {
        self.base + self.live.as_ref().map_or(0, |live| live.durable.seq)
    }

    pub fn problem(&self) -> Option<&'static str> {
        let behind = self.kept.len() + self.syncing.len() > KEPT_MAX;
        self.broken.or(self.starved).or(behind.then_some("disk_slow"))
    }

    /// Shows readers where we are; the promise too, if all that was received before it is shown.
    pub fn publish(&mut self) {
        if let (Some(live), None) = (&mut self.live, self.broken) {
            let whole = live.durable == live.written();
            live.publish(if whole { self.promised } else { 0 }, self.registry);
        }
    }
}

impl Shared {
    pub fn new(producer: PathBuf, incarnation: u64, sizes: Sizes, durability: Durability) -> io::Result<Shared> {
        let state = State {
            live: None,
            incarnation,
            broken: None,
            mend_at: Instant::now(),
            starved: None,
            allocation_failed: None,
            room_wanted: 0,
            kept: Vec::new(),
            syncing: Vec::new(),
            base: 0,
            promised: 0,
            registry: 0,
            sync_wanted: false,
            stop: false,
        };
        Ok(Shared {
            producer,
            sizes,
            durability,
            state: Mutex::new(state),
            upkeep: Condvar::new(),
            allocate: Condvar::new(),
            changed: Condvar::new(),
            event: EventFd::new()?,
        })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the journal panics")
    }

    /// Tells everyone who waits that a sync has ended.
    pub fn signal(&self) {
        self.changed.notify_all();
        self.event.signal();
    }

    pub fn append(&self, frames: &mut [u8]) -> Result<u64, AppendError> {
        let mut state = self.lock();
        if frames.is_empty() {
            return Ok(state.appended());
        }
        loop {
            state = self.make_room(state, frames)?;
            match self.write(&mut state, frames) {
                Ok(()) => return Ok(state.appended()),
                Err(error) => self.give_up(&mut state, &error),
            }
        }
    }

    /// Waits until there is room for these records, at most for [`ALLOCATION_WAIT`].
    fn make_room<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        frames: &[u8],
    ) -> Result<MutexGuard<'a, State>, AppendError> {
        let mut deadline = None;
        loop {
            if let Some(reason) = state.problem() {
                return Err(AppendError::Full { reason });
            }
            let shortage = state.live.as_ref().expect("unbroken").shortage(frames);
            if shortage == 0 {
                return Ok(state);
            }
            state.room_wanted = shortage;
            self.allocate.notify_one();
            let now = Instant::now();
            let wait = deadline.get_or_insert(now + ALLOCATION_WAIT).saturating_duration_since(now);
            if state.allocation_failed.is_some() || wait.is_zero() {
                state.starved = Some(state.allocation_failed.unwrap_or("disk_slow"));
                continue;
            }
            let wait = self.changed.wait_timeout(state, wait);
            state = wait.expect("no thread of the journal panics").0;
        }
    }

    /// Begins another segment where somebody asks for it: what stands in this one has to be written again.
    pub fn turn(&self, state: &mut State) {
        let State { live: Some(live), broken: None, .. } = state else { return };
        if !live.is_to_turn() {
            return;
        }
        if let Err(error) = live.turn(self.durability == Durability::Process) {
            self.give_up(state, &error);
        }
        self.allocate.notify_one();
        self.upkeep.notify_one();
    }

    /// Writes records for which there is room, as durably as `append` promises.
    fn write(&self, state: &mut State, frames: &mut [u8]) -> io::Result<()> {
        let live = state.live.as_mut().expect("unbroken");
        let before = live.written();
        let count = record::number(frames, before.seq + 1);
        live.write(frames, count)?;
        if live.written().segment != before.segment {
            self.allocate.notify_one(); // the segment that was ahead is taken
        }
        match self.durability {
            Durability::Process => live.durable = live.written(),
            Durability::Interval => {
                state.kept.extend_from_slice(frames);
                if before == live.durable {
                    self.upkeep.notify_one();
                }
                return Ok(());
            }
            Durability::Always => {
                let unsynced = live.take_unsynced();
                unsynced.sync().inspect_err(|_| live.forget(before))?;
                live.synced(&unsynced);
            }
        }
        let clock_ms = live.published().clock_ms;
        live.publish(clock_ms, state.registry);
        Ok(())
    }

    /// Breaks with an incarnation that failed; where another one was tried just before, the upkeep goes on.
    pub fn give_up(&self, state: &mut State, error: &io::Error) {
        state.broken = Some(segment::reason(error));
        if Instant::now() < state.mend_at {
            self.upkeep.notify_one();
        } else {
            let _ = self.mend(state); // the state says how that went
        }
    }

    /// Replaces a broken incarnation, or makes the first one. What was appended and is not durable is written
    /// again in the new one; the old one ends, at what is durable, in the moment the new one gets its name.
    pub fn mend(&self, state: &mut State) -> io::Result<()> {
        state.mend_at = Instant::now() + upkeep::RETRY;
        let moved = self.move_on(state);
        state.broken = moved.as_ref().err().map(segment::reason);
        if moved.is_ok() {
            state.starved = None;
            state.publish();
            self.signal();
        }
        self.upkeep.notify_one();
        self.allocate.notify_one();
        moved
    }

    fn move_on(&self, state: &mut State) -> io::Result<()> {
        if !state.syncing.is_empty() {
            let later = std::mem::take(&mut state.kept);
            state.kept = std::mem::take(&mut state.syncing);
            state.kept.extend_from_slice(&later);
        }
        let (number, promise) = match &state.live {
            Some(old) => (following(old.incarnation), *old.published()),
            None => (state.incarnation, Published::default()),
        };
        make_producer(self.producer.parent().expect("it has a root"), &self.producer)?;
        let mut fresh = Live::create(&self.producer, number, self.sizes, &promise, &mut state.kept)?;
        if let Some(old) = &mut state.live {
            old.end(number)?;
        }
        fresh.reveal()?;
        state.base = state.synced();
        state.incarnation = number;
        state.live.insert(fresh).sync_name()?;
        state.kept.clear();
        state.room_wanted = 0;
        state.allocation_failed = None;
        Ok(())
    }
}

/// Makes the producer's directory, durably.
fn make_producer(root: &Path, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    sync_directory(root)?;
    // the parent of a bare name is empty
    sync_directory(root.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// The number of the incarnation after this one: as random as this one is (a step of SplitMix64).
fn following(incarnation: u64) -> u64 {
    let mut x = incarnation.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
