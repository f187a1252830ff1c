use std::fs;

use super::super::live::Live;
use super::super::mark::Published;
use super::super::record::{Batch, Header, number};
use super::super::{Durability, Error, Reader, Writer, check, incarnations, segment};
use super::*;

#[test]
fn a_closed_incarnation_is_read_to_its_end_and_not_alive() {
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Interval);
    append(&writer, &payloads(5));
    let mut reader = Reader::open(&journal.dir(), 0).unwrap();
    assert!(reader.mark().live);
    writer.close(77).unwrap();
    assert_eq!(read(&mut reader), Read { records: numbered(&payloads(5)), damage: vec![], ended: true });
    let mark = reader.mark();
    assert_eq!((mark.seq, mark.clock_ms, mark.live), (5, 77, false));
    let begun = |index| fs::read(segment::path(&journal.dir(), index)).unwrap()[0] != 0;
    assert!(segment::list(&journal.dir()).unwrap().into_iter().all(begun), "no spare is left");
}

#[test]
fn the_lock_tells_that_a_writer_is_gone_and_all_it_wrote_counts() {
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Interval);
    append(&writer, &payloads(5));
    let mut reader = Reader::open(&journal.dir(), 0).unwrap();
    assert!(reader.mark().live && !read(&mut reader).ended);
    drop(writer);
    assert!(!reader.mark().live);
    let rest = read(&mut reader);
    assert!(rest.ended && rest.damage.is_empty());
    assert_eq!(read_dir(&journal.dir(), 0).records, numbered(&payloads(5)));
    assert!(!check(&journal.dir()).unwrap().closed);
}

#[test]
fn each_start_is_an_incarnation_of_its_own() {
    let journal = Journal::new();
    for incarnation in [9, 3, u64::MAX] {
        let writer = journal.writer(incarnation, Durability::Process);
        assert_eq!((writer.incarnation(), append(&writer, &payloads(2))), (incarnation, 2));
    }
    let found: Vec<_> = incarnations(journal.root()).unwrap().into_iter().map(|(p, i, _)| (p, i)).collect();
    assert_eq!(found, [3, 9, u64::MAX].map(|i| ("p".to_owned(), i)));
    let again = Writer::open(journal.root(), "p", 3, Durability::Process, 4 << 20);
    assert!(matches!(again, Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists));
}

#[test]
fn a_root_that_does_not_exist_has_no_incarnations() {
    assert_eq!(incarnations(&Journal::new().root().join("none")).unwrap(), []);
}

#[test]
fn a_half_made_incarnation_is_invisible_and_the_next_start_removes_it() {
    let journal = Journal::new();
    let producer = journal.root().join("p");
    fs::create_dir(&producer).unwrap();
    let made = Live::create(&producer, 1, SMALL, &Published::default(), &mut []).unwrap();
    assert_eq!(incarnations(journal.root()).unwrap(), []);
    drop(made);
    assert_eq!(fs::read_dir(&producer).unwrap().count(), 1);
    let _writer = journal.writer(2, Durability::Process);
    assert_eq!(fs::read_dir(&producer).unwrap().count(), 1);
    assert_eq!(incarnations(journal.root()).unwrap()[0].1, 2);
}

/// A broken incarnation ends at what is durable in the moment its successor has a name, and not before.
#[test]
fn a_successor_takes_over_what_was_not_synced() {
    let journal = Journal::new();
    let producer = journal.root().join("p");
    fs::create_dir(&producer).unwrap();
    let mut old = Live::create(&producer, 1, SMALL, &Published::default(), &mut []).unwrap();
    old.reveal().unwrap();
    let mut batch = Batch::new();
    payloads(4).iter().for_each(|p| batch.push_payload(p));
    let count = number(batch.frames(), 1);
    old.write(batch.frames(), count).unwrap();
    let unsynced = old.take_unsynced();
    unsynced.sync().unwrap();
    old.synced(&unsynced);
    old.publish(50, 0);
    let kept = payloads(6).split_off(4);
    let mut batch = Batch::new();
    kept.iter().for_each(|p| batch.push_payload(p));
    let count = number(batch.frames(), 5);
    old.write(batch.frames(), count).unwrap();

    let mut fresh = Live::create(&producer, 2, SMALL, old.published(), batch.frames()).unwrap();
    old.end(2).unwrap();
    let dir = old.dir.clone();
    let mut live_reader = Reader::open(&dir, 0).unwrap();
    assert_eq!(read(&mut live_reader), Read { records: numbered(&payloads(4)), ..Read::default() });
    drop(old);
    let killed_here = read_dir(&dir, 0);
    assert_eq!(killed_here, Read { records: numbered(&payloads(6)), damage: vec![], ended: true });

    fresh.reveal().unwrap();
    assert_eq!(read_dir(&dir, 0), Read { records: numbered(&payloads(4)), damage: vec![], ended: true });
    assert_eq!(Reader::open(&fresh.dir, 0).unwrap().mark().clock_ms, 50, "no promise is taken back");
    drop(fresh);
    assert_eq!(read_dir(&producer.join("0000000000000002"), 0).records, numbered(&kept));
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let journal = left_behind(&payloads(2));
    let path = segment::path(&journal.dir(), 0);
    let mut bytes = fs::read(&path).unwrap();
    let header = Header { version: 2, ..Header::decode(&bytes).unwrap() };
    bytes[..64].copy_from_slice(&header.encode());
    fs::write(&path, bytes).unwrap();
    let error = Reader::open(&journal.dir(), 0).err().unwrap();
    assert!(matches!(error, Error::Newer { version: 2, .. }));
    assert!(error.to_string().contains("000000.seg: journal format 2 is newer than this program's 1"));

    let journal = left_behind(&payloads(2));
    let path = journal.dir().join("mark");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4] = 2;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(Reader::open(&journal.dir(), 0), Err(Error::Newer { version: 2, .. })));
}

#[test]
fn names_that_are_no_file_names_are_refused() {
    let journal = Journal::new();
    for name in ["", ".hidden", "a/b", "..", "推客", &"x".repeat(65)] {
        let opened = Writer::open(journal.root(), name, 1, Durability::Process, 4 << 20);
        assert!(matches!(opened, Err(Error::Producer(_))), "{name:?}");
    }
    let small = Writer::open(journal.root(), "p", 1, Durability::Process, 1 << 20);
    assert!(matches!(small, Err(Error::SegmentSize(_))));
}
