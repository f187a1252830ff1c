use std::fs;

use proptest::prelude::*;

use super::super::record::{HEADER, OVERHEAD};
use super::super::{Durability, Reader, check, segment};
use super::*;

/// The segments of a journal that nobody writes, as (index, bytes).
fn segments(dir: &Path) -> Vec<(u64, Vec<u8>)> {
    let read = |index| (index, fs::read(segment::path(dir, index)).unwrap());
    segment::list(dir).unwrap().into_iter().map(read).collect()
}

/// Puts other bytes in a segment's place; None removes it.
fn replace(dir: &Path, index: u64, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => fs::write(segment::path(dir, index), bytes).unwrap(),
        None => fs::remove_file(segment::path(dir, index)).unwrap(),
    }
}

/// Where each record stands: segment, offset, size.
fn places(payloads: &[Vec<u8>]) -> Vec<(u64, u64, u64)> {
    let (mut segment, mut offset) = (0, HEADER);
    let mut places = Vec::new();
    for payload in payloads {
        let size = (payload.len() + OVERHEAD) as u64;
        if offset + size > SMALL.of(segment) {
            (segment, offset) = (segment + 1, HEADER);
        }
        places.push((segment, offset, size));
        offset += size;
    }
    places
}

#[test]
fn cut_at_any_byte_of_the_last_records_only_what_is_cut_is_missing() {
    let payloads = payloads(9);
    let journal = left_behind(&payloads);
    let dir = journal.dir();
    let places = places(&payloads);
    let (last, ..) = places[8];
    let whole = fs::read(segment::path(&dir, last)).unwrap();
    let end = places[8].1 + places[8].2;
    for cut in HEADER..=end {
        let sound = places.iter().filter(|(s, at, size)| *s < last || at + size <= cut).count();
        let wanted = Read { records: numbered(&payloads[..sound]), damage: vec![], ended: true };
        replace(&dir, last, Some(&whole[..cut as usize]));
        assert_eq!(read_dir(&dir, 0), wanted, "truncated at {cut}");
        let mut zeroed = whole.clone();
        zeroed[cut as usize..].fill(0);
        replace(&dir, last, Some(&zeroed));
        let read = read_dir(&dir, 0);
        // a record may itself end in zeros
        assert!(read == wanted || read.records.len() == sound + 1, "zeros from {cut}: {read:?}");
        let report = check(&dir).unwrap();
        assert_eq!((report.records, report.damage), (read.records.len() as u64, vec![]));
        if read == wanted {
            let torn = places.get(sound).map_or(0, |(_, at, _)| cut - at);
            assert!(report.torn <= torn && (torn == 0 || report.torn > 0), "{} torn of {torn}", report.torn);
        }
    }
}

#[test]
fn any_wrong_byte_before_a_sound_record_is_damage_of_just_that_record() {
    let payloads = payloads(12);
    let journal = left_behind(&payloads);
    let dir = journal.dir();
    let images = segments(&dir);
    for (i, (segment, offset, size)) in places(&payloads).into_iter().enumerate() {
        let image = &images[segment as usize].1;
        for byte in offset..offset + size {
            let mut bytes = image.clone();
            bytes[byte as usize] ^= 0x41;
            replace(&dir, segment, Some(&bytes));
            let read = read_dir(&dir, 0);
            let mut rest = numbered(&payloads);
            rest.remove(i);
            assert_eq!(read.records, rest, "byte {byte} of segment {segment}");
            let found: Vec<_> = read.damage.iter().map(|(s, at, _)| (*s, *at)).collect();
            let torn = i + 1 == payloads.len();
            assert_eq!(found, if torn { vec![] } else { vec![(segment, offset)] });
            assert_eq!(check(&dir).unwrap().torn > 0, torn);
        }
        replace(&dir, segment, Some(image));
    }
}

#[test]
fn a_lost_segment_is_damage_and_reading_goes_on_behind_it() {
    let payloads = payloads(30);
    let places = places(&payloads);
    let segments = places.last().unwrap().0;
    for lost in 0..=segments {
        let journal = left_behind(&payloads);
        replace(&journal.dir(), lost, None);
        let read = read_dir(&journal.dir(), 0);
        let mut rest = numbered(&payloads);
        rest.retain(|(seq, _)| places[*seq as usize - 1].0 != lost);
        assert_eq!(read.records, rest);
        // the last one may never have been begun
        assert_eq!(read.damage.len(), usize::from(lost != segments));
    }
}

#[test]
fn a_damaged_header_loses_nothing() {
    let payloads = payloads(30);
    let journal = left_behind(&payloads);
    for (index, mut bytes) in segments(&journal.dir()) {
        bytes[..HEADER as usize].fill(0xff);
        replace(&journal.dir(), index, Some(&bytes));
        for after in [0, 7, 29] {
            let read = read_dir(&journal.dir(), after);
            assert_eq!(read.records, numbered(&payloads).split_off(after as usize));
            assert_eq!(read.damage, []);
        }
    }
}

#[test]
fn damage_is_reported_until_what_comes_after_it_was_read() {
    let payloads = payloads(12);
    let journal = left_behind(&payloads);
    let (segment, offset, size) = places(&payloads)[4];
    let mut bytes = fs::read(segment::path(&journal.dir(), segment)).unwrap();
    bytes[offset as usize + 20] ^= 1;
    replace(&journal.dir(), segment, Some(&bytes));
    for after in 0..12 {
        let damage = read_dir(&journal.dir(), after).damage;
        assert_eq!(damage, if after < 5 { vec![(segment, offset, size)] } else { vec![] }, "after {after}");
    }
}

#[test]
fn below_the_mark_nothing_is_a_torn_tail() {
    let payloads = payloads(4);
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Process);
    append(&writer, &payloads);
    let path = segment::path(&journal.dir(), 0);
    let (_, offset, size) = places(&payloads)[3];
    let mut bytes = fs::read(&path).unwrap();
    bytes[offset as usize + 18] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut reader = Reader::open(&journal.dir(), 0).unwrap();
    let found = read(&mut reader);
    assert_eq!((found.records.len(), found.damage), (3, vec![(0, offset, size)]));
    writer.close(0).unwrap();
    assert_eq!(read(&mut reader), Read { ended: true, ..Read::default() });
    assert_eq!(check(&journal.dir()).unwrap().damage, [(0, offset, size)]);
}

#[test]
fn a_live_segment_that_someone_cut_is_damage() {
    let payloads = payloads(4);
    let journal = Journal::new();
    let writer = journal.writer(1, Durability::Process);
    let mut reader = Reader::open(&journal.dir(), 0).unwrap();
    append(&writer, &payloads);
    let (_, offset, size) = places(&payloads)[2];
    let file = fs::File::options().write(true).open(segment::path(&journal.dir(), 0)).unwrap();
    file.set_len(offset + 5).unwrap();
    let found = read(&mut reader);
    assert_eq!(found.records, numbered(&payloads[..2]));
    assert_eq!(found.damage, [(0, offset, size + places(&payloads)[3].2)]);
}

/// Found by the fuzz target: bytes are not missing here, numbers are.
#[test]
fn a_record_that_was_cut_out_is_damage_of_no_bytes() {
    let payloads = payloads(3);
    let journal = left_behind(&payloads);
    let path = segment::path(&journal.dir(), 0);
    let (_, offset, size) = places(&payloads)[1];
    let mut bytes = fs::read(&path).unwrap();
    bytes.drain(offset as usize..(offset + size) as usize);
    fs::write(&path, &bytes).unwrap();
    let found = read_dir(&journal.dir(), 0);
    let [first, _, third] = &numbered(&payloads)[..] else { panic!("three records") };
    assert_eq!(found, Read { records: vec![first.clone(), third.clone()], damage: vec![(0, offset, 0)], ended: true });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// After a power cut any unsynced block may be missing: every whole record is read, once, in order; what
    /// is missing before a sound record is damage, what is missing behind the last is a torn tail.
    #[test]
    fn whatever_bytes_are_lost_every_sound_record_is_read(
        lengths in proptest::collection::vec(1usize..400, 1..40),
        holes in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..1500), 1..6),
        junk: bool, after in 0u64..45,
    ) {
        let payloads: Vec<_> = lengths.iter().map(|n| vec![(*n % 255) as u8 + 1; *n]).collect();
        let journal = left_behind(&payloads);
        let dir = journal.dir();
        let before = segments(&dir);
        let mut images = before.clone();
        for (segment, bytes) in &mut images {
            for (at, length) in &holes {
                let from = at.index(bytes.len());
                if from % 3 == *segment as usize % 3 {
                    let to = bytes.len().min(from + length);
                    bytes[from..to].fill(if junk { 0x5a } else { 0 });
                }
            }
            replace(&dir, *segment, Some(bytes));
        }
        let places = places(&payloads);
        let sound = |(s, at, size): &(u64, u64, u64)| {
            let range = *at as usize..(at + size) as usize;
            before[*s as usize].1[range.clone()] == images[*s as usize].1[range]
        };
        let mut rest = numbered(&payloads);
        rest.retain(|(seq, _)| *seq > after && sound(&places[*seq as usize - 1]));
        let read = read_dir(&dir, after);
        prop_assert_eq!(&read.records, &rest);
        prop_assert!(read.ended);
        let last = rest.last().map_or(after, |(seq, _)| *seq);
        let lost = (after + 1..=last).any(|seq| !sound(&places[seq as usize - 1]));
        prop_assert_eq!(!read.damage.is_empty(), lost, "{:?}", read.damage);
    }
}
