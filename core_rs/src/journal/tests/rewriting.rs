//! Segments that are written anew: who reads, who is killed, what is damaged.

use std::fs;

use super::super::live::Live;
use super::super::mark::Published;
use super::super::record;
use super::super::rewrite::{Rewritten, ask_to_turn, rewrite, segments};
use super::super::segment;
use super::{Batch, Journal, PATIENCE, SMALL, append, append_each, left_behind};
use crate::journal::{Durability, Next, Reader, check};

fn payloads() -> Vec<Vec<u8>> {
    (0..40u8).map(|n| [&b"person "[..], &[n; 30]].concat()).collect()
}

fn forget(payload: &[u8]) -> Option<Vec<u8>> {
    payload.starts_with(b"person").then(|| [&b"nobody"[..], &payload[6..]].concat())
}

fn rewrite_all(journal: &Journal) -> u64 {
    let dir = journal.dir();
    let each = segment::list(&dir).unwrap().into_iter().map(|index| match rewrite(&dir, index, |_| true, forget) {
        Ok(Rewritten::Records(records)) => records,
        other => panic!("{other:?}"),
    });
    each.sum()
}

fn read(reader: &mut Reader) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while let Next::Record { seq, payload } = reader.next() {
        found.push((seq, payload.to_vec()));
    }
    found
}

#[test]
fn sequences_offsets_and_checksums_stay_and_payloads_change() {
    let journal = left_behind(&payloads());
    let before = check(&journal.dir()).unwrap();
    let written = || fs::metadata(segment::path(&journal.dir(), 0)).unwrap().modified().unwrap();
    let age = written();
    assert_eq!(rewrite_all(&journal), 40);
    assert_eq!(written(), age);
    assert_eq!(check(&journal.dir()).unwrap(), before);
    let found = read(&mut Reader::open(&journal.dir(), 0).unwrap());
    assert_eq!(found.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    assert!(found.iter().all(|(_, payload)| payload.starts_with(b"nobody")));
    assert_eq!(rewrite_all(&journal), 0, "a second time nothing changes");
}

#[test]
fn a_segment_that_is_being_written_is_left_alone_until_it_is_full_or_ended() {
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Process);
    append_each(&writer, &payloads());
    let dir = journal.dir();
    let (last, _) = Reader::open(&dir, u64::MAX).unwrap().open_segment().unwrap().unwrap();
    assert!(last > 0);
    for index in 0..last {
        assert!(matches!(rewrite(&dir, index, |_| true, forget), Ok(Rewritten::Records(1..))), "segment {index}");
    }
    assert_eq!(rewrite(&dir, last, |_| true, forget).unwrap(), Rewritten::Open);
    writer.close(1).unwrap();
    assert!(matches!(rewrite(&dir, last, |_| true, forget), Ok(Rewritten::Records(1..))));
    assert_eq!(check(&dir).unwrap().records, 40);
}

#[test]
fn a_writer_that_is_asked_begins_another_segment_and_readers_follow() {
    for durability in [Durability::Process, Durability::Interval, Durability::Always] {
        let journal = Journal::new();
        let writer = journal.writer(1, durability);
        let dir = journal.dir();
        let mut reader = Reader::open(&dir, 0).unwrap();
        ask_to_turn(&dir).unwrap();
        writer.tick(1, 0);
        assert!(segments(&dir).unwrap().is_empty(), "there is nothing to leave behind");
        let seq = append(&writer, &payloads()[..1]);
        writer.sync();
        assert!(writer.wait_synced(seq, PATIENCE));
        while dir.join("turn").exists() {
            writer.tick(2, 0); // as soon as there is a spare
        }
        assert_eq!(segments(&dir).unwrap(), [0]);
        assert_eq!(rewrite(&dir, 0, |_| true, forget).unwrap(), Rewritten::Records(1));
        append_each(&writer, &payloads()[1..]);
        writer.close(3).unwrap();
        let seqs: Vec<u64> = read(&mut reader).into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(seqs, (1..=40).collect::<Vec<_>>(), "{durability:?}");
        assert_eq!(check(&dir).unwrap().records, 40);
    }
}

#[test]
fn a_segment_begun_during_a_sync_leaves_nothing_to_sync() {
    let root = tempfile::tempdir().unwrap();
    let mut live = Live::create(root.path(), 1, SMALL, &Published::default(), &mut []).unwrap();
    let mut batch = Batch::new();
    batch.push_payload(&payloads()[0]);
    live.add_spare(segment::allocate(&live.dir, 1, SMALL.of(1), || false).unwrap());
    record::number(batch.frames(), 1);
    live.write(batch.frames(), 1).unwrap();
    let under_way = live.take_unsynced();
    ask_to_turn(&live.dir).unwrap();
    live.turn(false).unwrap();
    assert_ne!(live.durable, live.written());
    under_way.sync().unwrap();
    live.synced(&under_way);
    assert_eq!(live.durable, live.written(), "else the clock stands and nothing wakes the upkeep");
}

#[test]
fn who_has_the_old_file_open_reads_on() {
    let journal = left_behind(&payloads());
    let mut reader = Reader::open(&journal.dir(), 0).unwrap();
    assert!(matches!(reader.next(), Next::Record { seq: 1, .. }));
    rewrite_all(&journal);
    let rest = read(&mut reader);
    assert_eq!(rest.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (2..=40).collect::<Vec<_>>());
    // and goes on by its position in the new ones
    assert_eq!(read(&mut Reader::open(&journal.dir(), 17).unwrap())[0].0, 18);
}

#[test]
fn who_was_killed_in_the_middle_left_a_draft_that_nobody_reads() {
    let journal = left_behind(&payloads());
    let dir = journal.dir();
    let whole = fs::read(segment::path(&dir, 0)).unwrap();
    for length in [0, 1, 64, 100, whole.len() - 1] {
        fs::write(dir.join(".000000.rewritten"), &whole[..length]).unwrap();
        assert_eq!(check(&dir).unwrap().records, 40);
    }
    assert_eq!(rewrite_all(&journal), 40);
    assert!(!dir.join(".000000.rewritten").exists());
}

#[test]
fn damage_stays_where_it_is_and_what_is_sound_behind_it_is_rewritten() {
    let journal = left_behind(&payloads());
    let dir = journal.dir();
    let path = segment::path(&dir, 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[64 + 60] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let before = check(&dir).unwrap();
    assert_eq!(before.damage.len(), 1);
    assert_eq!(rewrite_all(&journal), before.records);
    assert_eq!(check(&dir).unwrap(), before);
}

#[test]
fn a_segment_that_concerns_nobody_is_not_written() {
    let journal = left_behind(&payloads());
    let path = segment::path(&journal.dir(), 0);
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(rewrite(&journal.dir(), 0, |_| false, |_| panic!("asked")).unwrap(), Rewritten::Records(0));
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
}
