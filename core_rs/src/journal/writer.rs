//! The writer: appends in groups, publishes its mark, keeps what is unsynced until it is synced.

use std::fmt;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::record::{Batch, HEADER, OVERHEAD};
use super::segment::{self, Sizes};
use super::shared::{Shared, State};
use super::{Durability, Error, upkeep};
use crate::event::MAX_EVENT;

/// The first segment of an incarnation: small, so that a start is quick.
const FIRST_SEGMENT: u64 = 1 << 20;
const PRODUCER_MAX: usize = 64;

/// Nothing of the batch was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// `disk_full`; `disk_slow`: more than 64 MiB wait for a sync, or a segment is not ready in a second;
    /// `disk_failed`: an error of the disk. See [`Writer::problem`].
    Full { reason: &'static str },
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AppendError::Full { reason } = self;
        f.write_str(reason)
    }
}

impl std::error::Error for AppendError {}

/// One producer's journal, open for appending. Sequence numbers here count the events appended since it was
/// opened: they equal those on disk until a failed sync makes the writer move on to another incarnation, and
/// go on counting then.
///
/// Dropped without [`Writer::close`] it leaves the incarnation as a killed process would.
pub struct Writer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Writer {
    /// Starts an incarnation; `incarnation` is a random number, never used before. A full disk is no error:
    /// the writer then has a [`Writer::problem`] and starts as soon as there is room. Segments grow from 1 MiB
    /// to `max_segment` bytes (at least what the longest event needs).
    pub fn open(
        root: &Path,
        producer: &str,
        incarnation: u64,
        durability: Durability,
        max_segment: u64,
    ) -> Result<Writer, Error> {
        if max_segment < (MAX_EVENT + OVERHEAD) as u64 + HEADER {
            return Err(Error::SegmentSize(max_segment));
        }
        let sizes = Sizes { first: FIRST_SEGMENT.min(max_segment), max: max_segment };
        Writer::open_sized(root, producer, incarnation, durability, sizes)
    }

    pub(super) fn open_sized(
        root: &Path,
        producer: &str,
        incarnation: u64,
        durability: Durability,
        sizes: Sizes,
    ) -> Result<Writer, Error> {
        let named = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let fits = (1..=PRODUCER_MAX).contains(&producer.len()) && !producer.starts_with('.');
        if !fits || !producer.bytes().all(named) {
            return Err(Error::Producer(producer.to_owned()));
        }
        let dir = root.join(producer);
        let shared = Arc::new(Shared::new(dir.clone(), incarnation, sizes, durability).map_err(Error::io(&dir))?);
        let started = shared.mend(&mut shared.lock());
        match started {
            Ok(()) => {
                shared.lock().mend_at = Instant::now();
                shared.event.drain();
            }
            Err(error) if segment::reason(&error) == "disk_full" => {} // tried again every second
            Err(error) => return Err(Error::io(&dir)(error)),
        }
        let threads = [upkeep::sync_loop, upkeep::allocate_loop].map(|work| {
            let shared = shared.clone();
            std::thread::spawn(move || work(&shared))
        });
        Ok(Writer { shared, threads: threads.into() })
    }

    /// Writes the batch's events, in order, with one write(2) (for each further segment that they cross into
    /// two more: its header, the records in it), and returns the last one's sequence number. The batch is
    /// empty afterwards, and after an error nothing of it was recorded.
    pub fn append(&self, batch: &mut Batch) -> Result<u64, AppendError> {
        let result = self.shared.append(batch.frames());
        batch.clear();
        result
    }

    /// Promises that no event received before `now_ms` is to come, and says which registry version is applied.
    /// To be called about every 50 ms, after the append of what was received before.
    pub fn tick(&self, now_ms: u64, registry: u64) {
        let mut state = self.shared.lock();
        state.promised = now_ms.max(state.promised);
        state.registry = registry;
        self.shared.turn(&mut state);
        state.publish();
    }

    /// Asks for everything appended so far to be synced; [`Writer::sync_fd`] tells when it is.
    pub fn sync(&self) {
        let mut state = self.shared.lock();
        if state.appended() == state.synced() {
            self.shared.event.signal();
        } else if !state.sync_wanted {
            state.sync_wanted = true;
            self.shared.upkeep.notify_one();
        }
    }

    /// The last event that is as durable as was promised: written under `process`, else synced.
    pub fn synced(&self) -> u64 {
        self.shared.lock().synced()
    }

    /// The last event written.
    pub fn appended(&self) -> u64 {
        self.shared.lock().appended()
    }

    /// Readable when a sync has ended since [`Writer::drain`].
    pub fn sync_fd(&self) -> RawFd {
        self.shared.event.fd()
    }

    pub fn drain(&self) {
        self.shared.event.drain();
    }

    /// Waits until the event is synced; false where that takes longer. Asks for no sync.
    pub fn wait_synced(&self, seq: u64, timeout: Duration) -> bool {
        let waiting = |state: &mut State| state.synced() < seq;
        let wait = self.shared.changed.wait_timeout_while(self.shared.lock(), timeout, waiting);
        !wait.expect("no thread of the journal panics").1.timed_out()
    }

    /// Why nothing can be recorded now: `disk_full`, `disk_slow` or `disk_failed`. It passes by itself.
    pub fn problem(&self) -> Option<&'static str> {
        self.shared.lock().problem()
    }

    /// The number of the incarnation that is being written.
    pub fn incarnation(&self) -> u64 {
        self.shared.lock().incarnation
    }

    /// Syncs everything, whatever the durability, and says in the mark that the incarnation is complete.
    pub fn close(mut self, now_ms: u64) -> Result<(), Error> {
        self.stop();
        let mut state = self.shared.lock();
        let state = &mut *state;
        let dir = self.shared.producer.as_path();
        if let (Some(live), None) = (&mut state.live, state.broken) {
            let unsynced = live.take_unsynced();
            match unsynced.sync() {
                Ok(()) => live.synced(&unsynced),
                Err(error) if self.shared.durability == Durability::Process => return Err(Error::io(dir)(error)),
                Err(error) => state.broken = Some(segment::reason(&error)),
            }
        }
        if state.broken.is_some() {
            let _ = self.shared.mend(state); // the state says how that went
        }
        match (state.broken, state.appended() - state.synced()) {
            (Some(reason), events @ 1..) => return Err(Error::Unsynced { events, reason }),
            (Some(_), 0) => return Ok(()),
            (None, _) => {}
        }
        state.live.take().map_or(Ok(()), |live| live.close(now_ms)).map_err(Error::io(dir))
    }

    fn stop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.upkeep.notify_all();
        self.shared.allocate.notify_all();
        for thread in self.threads.drain(..) {
            thread.join().expect("no thread of the journal panics");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}
