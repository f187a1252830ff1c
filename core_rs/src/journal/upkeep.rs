//! The writer's two threads: one syncs and mends, one allocates segments ahead.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::live::Live;
use super::segment;
use super::shared::{Shared, State};

/// How often what was appended is synced under `interval`.
const SYNC_INTERVAL: Duration = Duration::from_millis(100);
/// A sync that is asked for begins this long after the one before began at the earliest: under load many events
/// share one, and on a quick disk the syncs do not take the core from those who answer.
const SYNC_GAP: Duration = Duration::from_millis(2);
/// Between two parts of a segment that is allocated ahead: 64 MiB take half a second or so.
const REST: Duration = Duration::from_millis(4);
/// After how long a failed allocation or a failed incarnation is tried again.
pub const RETRY: Duration = Duration::from_secs(1);

/// Syncs what was appended, every 100 ms or when asked; replaces an incarnation that is broken.
pub fn sync_loop(shared: &Shared) {
    let mut last = Instant::now();
    let mut state = shared.lock();
    while !state.stop {
        let due = if state.broken.is_some() {
            Some(state.mend_at)
        } else if state.appended() == state.synced() {
            None
        } else if state.sync_wanted {
            Some(last + SYNC_GAP)
        } else {
            Some(last + SYNC_INTERVAL)
        };
        let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
        state = match wait {
            None => shared.upkeep.wait(state).expect("no thread of the journal panics"),
            Some(Duration::ZERO) if state.broken.is_some() => {
                let _ = shared.mend(&mut state); // the state says how that went
                state
            }
            Some(Duration::ZERO) => {
                last = Instant::now();
                sync(shared, state)
            }
            Some(wait) => shared.upkeep.wait_timeout(state, wait).expect("no thread of the journal panics").0,
        };
    }
}

/// Syncs once, without holding the lock meanwhile. A file whose sync failed is not synced again: the
/// incarnation is broken and gets replaced.
fn sync<'a>(shared: &'a Shared, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    let State { live: Some(live), kept, syncing, sync_wanted, promised, .. } = &mut *state else { return state };
    let incarnation = live.incarnation;
    let unsynced = live.take_unsynced();
    let clock_ms = *promised;
    std::mem::swap(kept, syncing);
    *sync_wanted = false;
    drop(state);
    let synced = unsynced.sync();
    state = shared.lock();
    if state.broken.is_some() || state.incarnation != incarnation {
        return state; // an append found it broken meanwhile, and what we tried to sync is written again
    }
    match synced {
        Ok(()) => {
            let State { live: Some(live), syncing, registry, .. } = &mut *state else { return state };
            live.synced(&unsynced);
            live.publish(clock_ms, *registry);
            syncing.clear();
            shared.signal();
        }
        Err(error) => shared.give_up(&mut state, &error),
    }
    state
}

/// Leaves the core to those who answer. False, at once, where room is wanted now or soon: half of the segment
/// that is being written is full.
fn rest(shared: &Shared) -> bool {
    let at_leisure = |state: &mut State| {
        let soon = state.live.as_ref().is_none_or(Live::is_half_full);
        !state.stop && state.room_wanted == 0 && !soon
    };
    let rested = shared.allocate.wait_timeout_while(shared.lock(), REST, at_leisure);
    rested.expect("no thread of the journal panics").1.timed_out()
}

/// Keeps one segment ahead, and as many as a large batch needs.
pub fn allocate_loop(shared: &Shared) {
    let mut state = shared.lock();
    while !state.stop {
        let live = state.live.as_ref().filter(|_| state.broken.is_none());
        let Some(live) = live.filter(|live| !live.has_spare() || state.room_wanted > 0) else {
            state = shared.allocate.wait(state).expect("no thread of the journal panics");
            continue;
        };
        let (dir, incarnation, index) = (live.dir.clone(), live.incarnation, live.next_index());
        drop(state);
        let size = shared.sizes.of(index);
        let made = segment::allocate(&dir, index, size, || rest(shared));
        state = shared.lock();
        if state.incarnation != incarnation {
            continue; // a segment of zeros in an incarnation that has ended does no harm
        }
        let failed = made.as_ref().err().map(segment::reason);
        if let (Ok(spare), Some(live)) = (made, &mut state.live) {
            live.add_spare(spare);
            state.room_wanted = state.room_wanted.saturating_sub(size as usize);
            state.starved = state.starved.filter(|_| state.room_wanted > 0);
        }
        state.allocation_failed = failed;
        shared.changed.notify_all();
        if failed.is_some() {
            let waiting = |state: &mut State| !state.stop;
            let wait = shared.allocate.wait_timeout_while(state, RETRY, waiting);
            state = wait.expect("no thread of the journal panics").0;
        }
    }
}
