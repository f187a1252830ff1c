//! The follower on real journals; what is shipped to other machines is in `shipments`.

mod shipments;

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::event::{Id, Kind};
use crate::journal::{self, Durability, MAX_SEGMENT, Writer};

fn writer(root: &Path, producer: &str, incarnation: u64) -> Writer {
    Writer::open(root, producer, incarnation, Durability::Process, MAX_SEGMENT).unwrap()
}

fn append(writer: &Writer, events: &[Event<'_>]) {
    let mut batch = journal::Batch::new();
    events.iter().for_each(|event| batch.push(event));
    writer.append(&mut batch).unwrap();
}

fn append_raw(writer: &Writer, payload: &[u8]) {
    let mut batch = journal::Batch::new();
    batch.push_payload(payload);
    writer.append(&mut batch).unwrap();
}

fn id(number: u64) -> Id {
    u128::from(number).to_be_bytes()
}

fn click<'a>(number: u64) -> Event<'a> {
    let id = Some(id(number));
    Event { kind: Kind::Click, id, merchant: "m", pid: "p", aff: "a", counted: true, ..Event::default() }
}

fn order<'a>(oid: &'a str) -> Event<'a> {
    Event { kind: Kind::Order, merchant: "m", oid, body: b"{}", ..Event::default() }
}

/// Goes on as the processor does: from the last position that it committed.
struct Processor {
    follower: Follower,
    after: HashMap<u64, u64>,
}

impl Processor {
    fn new(root: &Path) -> Processor {
        Processor { follower: Follower::new(root), after: HashMap::new() }
    }

    fn read(&mut self, limit: usize, now: u64) -> Batch {
        self.follower.read(&self.after, limit, now).unwrap()
    }

    fn commit(&mut self, batch: &Batch) {
        self.after.extend(&batch.upto);
    }

    fn take(&mut self, limit: usize, now: u64) -> Batch {
        let batch = self.read(limit, now);
        self.commit(&batch);
        batch
    }
}

fn rollups(batch: &Batch) -> Vec<Rollup> {
    let mut sums = Sums::default();
    sums.add(batch);
    sums.into_rollups()
}

#[test]
fn hits_are_summed_and_all_else_comes_out_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let edge = writer(root.path(), "edge-0", 7);
    let bot = Event { counted: false, reason: "bot", ..click(3) };
    append(&edge, &[click(1), order("o"), bot, click(2)]);
    let batch = Processor::new(root.path()).take(100, 1);
    assert_eq!((batch.count(), batch.more), (4, false));
    assert_eq!(batch.upto, BTreeMap::from([(7, 4)]));
    assert_eq!(batch.hits().map(|hit| hit.id.unwrap()).collect::<Vec<_>>(), [id(1), id(3), id(2)]);
    let events: Vec<_> = batch.events().map(|(s, seq, event)| (&*s.producer, s.incarnation, seq, event)).collect();
    assert_eq!(events, [("edge-0", 7, 2, order("o"))]);
    let counts = BTreeMap::from([("bot".to_owned(), 1), ("counted".to_owned(), 2)]);
    assert_eq!(batch.hit_counts, BTreeMap::from([(7, counts)]));
    let rollups = rollups(&batch);
    assert_eq!(rollups.len(), 1);
    assert_eq!(rollups[0].counts, Counts { impressions: 0, clicks: 2, bots: 1, prefetches: 0 });
}

#[test]
fn an_event_that_does_not_read_is_counted_and_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let edge = writer(root.path(), "edge-0", 7);
    append(&edge, &[click(1)]);
    append_raw(&edge, b"\x01not a map");
    append(&edge, &[click(2)]);
    let batch = Processor::new(root.path()).take(100, 1);
    assert_eq!((batch.count(), batch.hits().count(), batch.upto[&7]), (3, 2, 3));
    assert_eq!(batch.hit_counts[&7]["malformed"], 1);
}

#[test]
fn an_event_of_a_newer_version_stops_the_fold() {
    let root = tempfile::tempdir().unwrap();
    let edge = writer(root.path(), "edge-0", 7);
    append(&edge, &[click(1)]);
    append_raw(&edge, b"\x02later");
    let mut processor = Processor::new(root.path());
    for _ in 0..2 {
        let Err(error) = processor.follower.read(&processor.after, 100, 1) else { panic!("it was read") };
        assert!(matches!(error, Error::Newer { incarnation: 7, seq: 2, version: 2, .. }), "{error}");
    }
}

#[test]
fn a_limited_read_takes_from_all_by_turns() {
    let root = tempfile::tempdir().unwrap();
    let ended = writer(root.path(), "import-0", 1);
    let writers = [writer(root.path(), "edge-0", 2), writer(root.path(), "edge-1", 3)];
    for writer in [&ended, &writers[0], &writers[1]] {
        append(writer, &(0..1000).map(click).collect::<Vec<_>>());
    }
    ended.close(1).unwrap();
    let mut processor = Processor::new(root.path());
    let batch = processor.take(768, 1);
    assert!(batch.more);
    assert_eq!(batch.upto, BTreeMap::from([(1, 256), (2, 256), (3, 256)]));
    let firsts: BTreeMap<u64, u64> = (0..3).flat_map(|_| processor.take(100, 1).upto).collect();
    assert_eq!(firsts, BTreeMap::from([(1, 356), (2, 356), (3, 356)]), "each has been first once");
}

#[test]
fn the_hits_of_all_turns_of_an_incarnation_are_counted() {
    let root = tempfile::tempdir().unwrap();
    append(&writer(root.path(), "edge-0", 7), &(0..1000).map(click).collect::<Vec<_>>());
    let batch = Processor::new(root.path()).take(5000, 1);
    assert_eq!(batch.hit_counts[&7]["counted"], 1000);
}

#[test]
fn a_read_between_positions_ends_at_the_last_of_them() {
    let root = tempfile::tempdir().unwrap();
    for incarnation in 1..=3 {
        let writer = writer(root.path(), "edge-0", incarnation);
        append(&writer, &(0..1000).map(click).collect::<Vec<_>>());
        writer.close(1).unwrap();
    }
    let upto = HashMap::from([(1, 300), (2, 700)]);
    let mut follower = Follower::new(root.path());
    let mut read = HashMap::from([(1, 100)]);
    let mut more = true;
    while more {
        let batch = follower.read_between(&read, Some(&upto), 64, 1).unwrap();
        more = batch.more;
        read.extend(batch.upto);
    }
    assert_eq!(read, upto);
    for wanted in [301, 302, 1000] {
        let upto = HashMap::from([(1, wanted), (3, wanted)]);
        read.extend(follower.read_between(&read, Some(&upto), 5000, 1).unwrap().upto);
        assert_eq!((read[&1], read[&2], read[&3]), (wanted, 700, wanted));
    }
}

#[test]
fn what_was_rolled_back_is_read_again() {
    let root = tempfile::tempdir().unwrap();
    let live = writer(root.path(), "edge-0", 1);
    let ended = writer(root.path(), "edge-1", 2);
    append(&live, &[click(1), order("a")]);
    append(&ended, &[click(2), order("b")]);
    live.tick(50, 0);
    ended.close(50).unwrap();
    let mut processor = Processor::new(root.path());
    let first = processor.read(100, 60);
    assert_eq!((first.upto.len(), first.watermark), (2, 50));
    let again = processor.read(3, 60);
    assert_eq!((again.count(), again.watermark), (3, 0), "what the watermark promised is no longer read");
    let again = processor.read(100, 60);
    assert_eq!((&again.upto, again.watermark), (&first.upto, 50));
    processor.commit(&again);
    assert_eq!(processor.take(100, 60).count(), 0);
}

#[test]
fn the_watermark_is_the_least_promise_of_those_alive() {
    let root = tempfile::tempdir().unwrap();
    let mut processor = Processor::new(root.path());
    assert_eq!(processor.take(10, 1_000).watermark, 1_000, "nobody there");
    let (a, b) = (writer(root.path(), "edge-0", 1), writer(root.path(), "edge-1", 2));
    a.tick(2_000, 0);
    assert_eq!(processor.take(10, 2_100).watermark, 1_000, "one has promised nothing");
    b.tick(2_050, 0);
    assert_eq!(processor.take(10, 2_100).watermark, 2_000);
    assert_eq!(processor.take(10, 1_990).watermark, 1_990, "never later than the caller's time");
    a.close(2_200).unwrap();
    assert_eq!(processor.take(10, 2_100).watermark, 2_050, "who has ended and is read holds nobody up");
    assert_eq!(processor.take(10, 32_050).watermark, 2_050);
    assert_eq!(processor.take(10, 32_051).watermark, 32_051, "silent for thirty seconds");
    b.tick(32_060, 0);
    assert_eq!(processor.take(10, 32_070).watermark, 32_060, "heard of again");
    drop(b);
    assert_eq!(processor.take(10, 32_080).watermark, 32_080);
}

#[test]
fn a_producer_that_never_promises_is_waited_for_thirty_seconds() {
    let root = tempfile::tempdir().unwrap();
    let _mute = writer(root.path(), "edge-0", 1);
    let mut processor = Processor::new(root.path());
    assert_eq!(processor.take(10, 1_000).watermark, 0);
    assert_eq!(processor.take(10, 31_000).watermark, 0);
    assert_eq!(processor.take(10, 31_001).watermark, 31_001);
}

/// Clicks with what they are numbered by as the instant of receipt too.
fn received(numbers: std::ops::Range<u64>) -> Vec<Event<'static>> {
    numbers.map(|number| Event { received: number, ..click(number) }).collect()
}

#[test]
fn a_read_that_is_cut_short_takes_the_watermark_to_what_was_read_of_each() {
    let root = tempfile::tempdir().unwrap();
    let (live, ended) = (writer(root.path(), "edge-0", 1), writer(root.path(), "edge-1", 2));
    live.tick(100, 0);
    let mut processor = Processor::new(root.path());
    ended.tick(100, 0);
    assert_eq!(processor.take(10, 110).watermark, 100);
    append(&live, &received(110..120));
    append(&ended, &received(115..125));
    live.tick(200, 0);
    ended.close(200).unwrap();
    let batch = processor.take(9, 210);
    assert_eq!((batch.more, batch.watermark), (true, 100), "one of them was not read yet");
    let batch = processor.take(4, 210);
    assert_eq!((batch.more, batch.watermark, &batch.upto[&2]), (true, 118, &4));
    let batch = processor.take(4, 210);
    assert_eq!((batch.more, batch.watermark), (true, 121));
    let batch = processor.take(10, 210);
    assert_eq!((batch.count(), batch.more, batch.watermark), (3, false, 200));
}

#[test]
fn an_incarnation_of_which_nothing_was_read_holds_the_watermark() {
    let root = tempfile::tempdir().unwrap();
    let ended = [writer(root.path(), "edge-0", 1), writer(root.path(), "edge-1", 2)];
    for writer in ended {
        append(&writer, &received(110..120));
        writer.close(200).unwrap();
    }
    let mut processor = Processor::new(root.path());
    assert_eq!(processor.take(5, 210).watermark, 0);
    let watermarks: Vec<_> = (0..3).map(|_| processor.take(6, 210).watermark).collect();
    assert_eq!(watermarks, [110, 116, 210]);
}

#[test]
fn hundreds_of_ended_incarnations_are_drained_and_remembered() {
    const ENDED: u64 = 200;
    let root = tempfile::tempdir().unwrap();
    for incarnation in 1..=ENDED {
        let edge = Writer::open(root.path(), "edge-0", incarnation, Durability::Process, MAX_SEGMENT).unwrap();
        append(&edge, &[click(incarnation), click(incarnation)]);
    }
    let mut processor = Processor::new(root.path());
    let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open_files();
    let mut count = 0;
    loop {
        let batch = processor.take(37, 5);
        assert!(open_files() < before + 50, "one is open at a time");
        count += batch.count();
        if !batch.more {
            assert_eq!(batch.watermark, 5);
            break;
        }
        assert_eq!(batch.watermark, 0);
    }
    assert_eq!((count, processor.after.len()), (2 * ENDED as usize, ENDED as usize));
    let late = writer(root.path(), "edge-0", ENDED + 1);
    append(&late, &[click(0)]);
    assert_eq!(processor.take(100, 5).upto, BTreeMap::from([(ENDED + 1, 1)]));
}

#[test]
fn incarnations_that_were_deleted_are_forgotten() {
    let root = tempfile::tempdir().unwrap();
    drop(writer(root.path(), "registry", 1));
    let mut processor = Processor::new(root.path());
    processor.take(10, 5);
    std::fs::remove_dir_all(root.path().join("registry/0000000000000001")).unwrap();
    assert_eq!(processor.take(10, 6).watermark, 6);
}

#[test]
fn damage_is_reported_with_its_place_in_the_incarnation_and_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let edge = writer(root.path(), "edge-0", 1);
    let long = "x".repeat(1 << 18);
    for number in 0..6 {
        append(&edge, &[Event { extra: &long, ..click(number) }]);
    }
    drop(edge);
    let segment = root.path().join("edge-0/0000000000000001/000001.seg");
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    let second = (1 << 18) + 1000;
    file.write_at(b"damage", second).unwrap();
    let batch = Processor::new(root.path()).take(10, 5);
    assert_eq!(batch.count(), 5);
    let [damage] = &batch.damage[..] else { panic!("{:?}", batch.damage) };
    assert_eq!((&*damage.source.producer, damage.source.incarnation), ("edge-0", 1));
    let first = segment.with_file_name("000000.seg").metadata().unwrap().len();
    assert!((first + second - 1000..first + second).contains(&damage.offset), "{}", damage.offset);
    assert!(damage.length > 1 << 18);
}

/// What may happen between reads.
#[derive(Clone, Debug)]
enum Step {
    Append(usize, usize),
    Restart(usize),
    Read(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..3, 1usize..20).prop_map(|(producer, events)| Step::Append(producer, events)),
        1 => (0usize..3).prop_map(Step::Restart),
        4 => (1usize..40, any::<bool>()).prop_map(|(limit, commit)| Step::Read(limit, commit)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn each_event_is_committed_once_and_in_its_producers_order(steps in vec(step(), 1..24)) {
        let root = tempfile::tempdir().unwrap();
        let name = |producer: usize| format!("edge-{producer}");
        let mut incarnations = 0;
        let mut open = |producer: usize| {
            incarnations += 1;
            writer(root.path(), &name(producer), incarnations)
        };
        let mut writers: Vec<Writer> = (0..3).map(&mut open).collect();
        let mut processor = Processor::new(root.path());
        let (mut appended, mut committed) = (HashMap::new(), HashMap::new());
        let mut number = 0;
        let mut commit = |processor: &mut Processor, batch: &Batch| {
            for (source, seq, event) in batch.events() {
                let list: &mut Vec<(u64, Id)> = committed.entry(source.incarnation).or_default();
                list.push((seq, event.id.unwrap()));
            }
            processor.commit(batch);
        };
        for step in steps {
            match step {
                Step::Append(producer, events) => for _ in 0..events {
                    number += 1;
                    append(&writers[producer], &[Event { id: Some(id(number)), ..order("o") }]);
                    let list: &mut Vec<(u64, Id)> = appended.entry(writers[producer].incarnation()).or_default();
                    list.push((list.len() as u64 + 1, id(number)));
                },
                Step::Restart(producer) => writers[producer] = open(producer),
                Step::Read(limit, keep) => {
                    let batch = processor.read(limit, 1);
                    if keep {
                        commit(&mut processor, &batch);
                    }
                }
            }
        }
        while let batch = processor.read(7, 1) && batch.count() > 0 {
            commit(&mut processor, &batch);
        }
        prop_assert_eq!(committed, appended);
    }
}
