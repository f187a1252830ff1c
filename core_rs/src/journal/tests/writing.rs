use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use proptest::prelude::*;

use super::super::record::{Batch, HEADER, OVERHEAD};
use super::super::{Durability, MAX_SEGMENT, Reader, Writer, check, segment};
use super::*;
use crate::event::{Event, Kind, MAX_EVENT};

const DURABILITIES: [Durability; 3] = [Durability::Process, Durability::Interval, Durability::Always];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn what_is_appended_in_any_batches_is_read_in_order(
        lengths in proptest::collection::vec(proptest::collection::vec(1usize..900, 0..12), 0..12),
        durability in 0usize..3, closed: bool,
    ) {
        let journal = Journal::new();
        let writer = journal.writer(7, DURABILITIES[durability]);
        let mut expected = Vec::new();
        for batch in lengths {
            let batch: Vec<_> = batch.iter().map(|n| vec![*n as u8; *n]).collect();
            expected.extend_from_slice(&batch);
            prop_assert_eq!(append(&writer, &batch), expected.len() as u64);
        }
        if closed { writer.close(1).unwrap() } else { drop(writer) }
        let dir = journal.dir();
        let wanted = Read { records: numbered(&expected), damage: vec![], ended: true };
        prop_assert_eq!(read_dir(&dir, 0), wanted);
        let report = check(&dir).unwrap();
        prop_assert_eq!((report.records, report.torn, report.live), (expected.len() as u64, 0, false));
        prop_assert_eq!(report.closed, closed);
    }
}

#[test]
fn reading_resumes_behind_any_sequence_number() {
    let payloads = payloads(40);
    let dir = left_behind(&payloads);
    let dir = dir.dir();
    assert!(segment::list(&dir).unwrap().len() > 3);
    for after in 0..=41 {
        let rest = numbered(&payloads).split_off(40.min(after as usize));
        assert_eq!(read_dir(&dir, after).records, rest, "after {after}");
    }
}

#[test]
fn under_process_a_live_reader_sees_what_was_written() {
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Process);
    let mut reader = Reader::open(&journal.dir(), 0).unwrap();
    assert_eq!(read(&mut reader), Read::default());
    for (i, payload) in payloads(30).into_iter().enumerate() {
        assert_eq!(append(&writer, std::slice::from_ref(&payload)), writer.synced());
        assert_eq!(read(&mut reader).records, [(i as u64 + 1, payload)]);
    }
}

#[test]
fn under_interval_a_reader_sees_what_is_synced_and_no_more() {
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Interval);
    let mut reader = Reader::open(&journal.dir(), 0).unwrap();
    let payloads = payloads(30);
    let mut seen = Vec::new();
    for payload in &payloads {
        append(&writer, std::slice::from_ref(payload));
        seen.extend(read(&mut reader).records);
        assert!(seen.len() as u64 <= writer.synced());
    }
    writer.sync();
    assert!(writer.wait_synced(30, PATIENCE));
    seen.extend(read(&mut reader).records);
    assert_eq!(seen, numbered(&payloads));
}

#[test]
fn the_descriptor_is_readable_when_a_sync_has_ended() {
    for durability in DURABILITIES {
        let journal = Journal::new();
        let writer = journal.writer(1, durability);
        append(&writer, &payloads(3));
        writer.drain();
        writer.sync();
        assert!(becomes_readable(writer.sync_fd()), "{durability:?}");
        assert!(writer.wait_synced(3, PATIENCE));
        assert_eq!((writer.synced(), writer.appended()), (3, 3));
        assert!(!writer.wait_synced(4, Duration::ZERO));
    }
}

fn becomes_readable(fd: i32) -> bool {
    let mut wait = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one live pollfd is passed.
    unsafe { libc::poll(&raw mut wait, 1, PATIENCE.as_millis() as i32) == 1 }
}

#[test]
fn unasked_an_interval_writer_syncs_by_itself() {
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Interval);
    append(&writer, &payloads(3));
    assert!(writer.wait_synced(3, PATIENCE));
}

/// Event n is received before instant n, so a mark whose clock says n must have event n behind it. This also
/// runs the page's seqlock against a reader that never rests.
#[test]
fn a_promise_is_shown_only_with_all_that_was_received_before_it() {
    for durability in [Durability::Process, Durability::Interval] {
        let journal = Journal::new();
        let writer = journal.writer(1, durability);
        let reader = Reader::open(&journal.dir(), 0).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut last = reader.mark();
                while !done.load(Ordering::Relaxed) {
                    let mark = reader.mark();
                    assert!(mark.seq >= mark.clock_ms && mark.clock_ms >= last.clock_ms, "{mark:?} after {last:?}");
                    assert!(mark.registry >= mark.clock_ms, "registry versions are shown at once");
                    last = mark;
                }
            });
            for n in 1..4000u64 {
                append(&writer, &[vec![1; 30]]);
                writer.tick(n, n);
                if n % 16 == 0 {
                    writer.sync();
                }
            }
            assert!(writer.wait_synced(3999, PATIENCE));
            writer.tick(3999, 3999);
            done.store(true, Ordering::Relaxed);
            watching.join().unwrap();
        });
        assert_eq!((reader.mark().clock_ms, reader.mark().seq, reader.mark().live), (3999, 3999, true));
    }
}

#[test]
fn records_cross_into_the_next_segment_whole() {
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Process);
    append(&writer, &vec![vec![9; 100]; 50]);
    for index in 0..3 {
        let bytes = std::fs::read(segment::path(&journal.dir(), index)).unwrap();
        let fits = (SMALL.of(index) - HEADER) as usize / (100 + OVERHEAD);
        let end = HEADER as usize + fits * (100 + OVERHEAD);
        assert!(bytes[end - 1] != 0 || bytes[end - 2] != 0, "the checksum of the last record");
        assert!(bytes[end..].iter().all(|b| *b == 0));
    }
}

#[test]
fn the_longest_event_fits_and_a_batch_may_need_several_segments() {
    let journal = Journal::new();
    let writer = Writer::open(journal.root(), "p", 1, Durability::Process, MAX_SEGMENT).unwrap();
    let payloads = vec![vec![3; MAX_EVENT]; 6];
    assert_eq!(append(&writer, &payloads), 6);
    assert_eq!(read_dir(&journal.dir(), 0).records, numbered(&payloads));
}

#[test]
#[should_panic(expected = "an event of 1048577 bytes")]
fn a_longer_event_is_a_bug_of_the_caller() {
    Batch::new().push_payload(&vec![0; MAX_EVENT + 1]);
}

#[test]
fn events_read_back_from_a_batch() {
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Process);
    let mut batch = Batch::new();
    let event = Event { kind: Kind::Order, at: 5, oid: "A-1", amount: Some(100), ..Event::default() };
    batch.push(&event);
    writer.append(&mut batch).unwrap();
    let read = read_dir(&journal.dir(), 0);
    assert_eq!(Event::decode(&read.records[0].1), Ok(event));
}

#[test]
fn the_next_segment_is_made_when_the_one_ahead_is_taken_and_not_when_it_is_needed() {
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Process);
    let made = |index| {
        let deadline = Instant::now() + PATIENCE;
        while !segment::path(&journal.dir(), index).exists() {
            assert!(Instant::now() < deadline, "nobody makes it");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    made(1);
    append_each(&writer, &[vec![1; 300], vec![2; 300]]);
    made(2);
}

#[test]
fn a_segment_that_somebody_waits_for_is_made_without_further_rests() {
    let journal = Journal::new();
    let mut rests = 0;
    let at_leisure = || {
        rests += 1;
        rests < 3
    };
    segment::allocate(journal.root(), 7, 8 << 20, at_leisure).unwrap();
    assert_eq!(rests, 3);
    assert!(std::fs::read(segment::path(journal.root(), 7)).unwrap() == vec![0; 8 << 20]);
}
