//! What is packed by partition, sent on and unpacked is what was read.

use super::*;

/// Packed records by incarnation and partition.
fn packed(shipment: &Shipment) -> BTreeMap<(u64, u32), Vec<u8>> {
    shipment.packed.iter().map(|(incarnation, partition, data)| ((*incarnation, *partition), data.clone())).collect()
}

/// What was shipped of one partition, as a fold gets it: above its position.
fn unpacked(shipments: &[Shipment], partition: u32, after: &HashMap<u64, u64>) -> Batch {
    let packed: Vec<_> = shipments.iter().flat_map(packed).collect();
    let of_it = packed.iter().filter(|((_, place), _)| *place == partition);
    let entry = |((incarnation, _), data): &'_ ((u64, u32), Vec<u8>)| {
        let after = after.get(incarnation).copied().unwrap_or(0);
        (*incarnation, after, data.clone())
    };
    let entries: Vec<_> = of_it.map(entry).collect();
    let entry = |(incarnation, after, data)| Entry { producer: "edge-0", incarnation, after, data };
    Batch::of_entries(entries.iter().map(|(incarnation, after, data)| entry((*incarnation, *after, &data[..]))))
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_packed_and_unpacked_is_what_was_read(
        events in vec((0u8..4, 0u64..6, any::<bool>(), 0usize..2), 1..80), limit in 1usize..30, passed in 0u64..20,
    ) {
        let root = tempfile::tempdir().unwrap();
        let writers = [writer(root.path(), "edge-0", 1), writer(root.path(), "edge-0", 2)];
        let mut number = 0;
        for (kind, visitor, counted, place) in events {
            number += 1;
            let hit = Event { visitor: (visitor > 0).then(|| id(visitor)), counted, reason: "bot", ..click(number) };
            match kind {
                0 => append(&writers[place], &[order("o")]),
                1 => append_raw(&writers[place], b"\x01not a map"),
                _ => append(&writers[place], &[hit]),
            }
        }
        let (mut follower, mut after, mut shipments) = (Follower::new(root.path()), HashMap::new(), Vec::new());
        let mut more = true;
        while more {
            let shipment = follower.take(&after, limit, 1).unwrap();
            after.extend(shipment.heard.iter().map(|heard| (heard.source.incarnation, heard.upto)));
            more = shipment.more;
            shipments.push(shipment);
        }
        let skipped = HashMap::from([(1, passed)]);
        let direct = Follower::new(root.path()).read(&HashMap::from([(1, passed.min(after[&1]))]), usize::MAX, 1).unwrap();
        let parts: Vec<Batch> = (0..=PARTITIONS).map(|partition| unpacked(&shipments, partition, &skipped)).collect();

        prop_assert_eq!(parts.iter().map(Batch::count).sum::<usize>(), direct.count());
        let mut upto = BTreeMap::new();
        let mut counts: BTreeMap<(u64, String), u64> = BTreeMap::new();
        let mut sums: BTreeMap<Dimensions<String>, [u64; 3]> = BTreeMap::new();
        for part in &parts {
            for (incarnation, seq) in &part.upto {
                let last = upto.entry(*incarnation).or_insert(*seq);
                *last = (*last).max(*seq);
            }
            add_counts(&mut counts, part);
            add_sums(&mut sums, part);
        }
        prop_assert_eq!(upto, direct.upto.clone());
        let (mut direct_counts, mut direct_sums) = (BTreeMap::new(), BTreeMap::new());
        add_counts(&mut direct_counts, &direct);
        add_sums(&mut direct_sums, &direct);
        prop_assert_eq!((counts, sums), (direct_counts, direct_sums.clone()));
        let mut together = Sums::default();
        parts.iter().for_each(|part| together.add(part));
        prop_assert_eq!(&together.hit_counts, &direct.hit_counts);
        let mut rows = BTreeMap::new();
        add_rows(&mut rows, together.into_rollups());
        prop_assert_eq!(rows, direct_sums);
        let place = |(source, seq, event): (&Source, u64, Event<'_>)| (source.incarnation, seq, event.oid.to_owned());
        let mut others: Vec<_> = parts[PARTITIONS as usize].events().map(place).collect();
        let mut expected: Vec<_> = direct.events().map(place).collect();
        others.sort();
        expected.sort();
        prop_assert_eq!(others, expected);
        for part in &parts[..PARTITIONS as usize] {
            prop_assert_eq!(part.events().count(), 0);
            let visitors = |part: &Batch| part.hits().filter_map(|hit| hit.visitor).collect::<HashSet<_>>();
            let elsewhere = parts.iter().filter(|other| !std::ptr::eq(*other, part)).flat_map(visitors);
            prop_assert!(elsewhere.into_iter().all(|visitor| !visitors(part).contains(&visitor)));
        }
    }
}

fn add_counts(sums: &mut BTreeMap<(u64, String), u64>, batch: &Batch) {
    for (incarnation, outcomes) in &batch.hit_counts {
        for (outcome, count) in outcomes {
            *sums.entry((*incarnation, outcome.clone())).or_default() += count;
        }
    }
}

/// Counts, and visitors as far as sketches of a few add up.
fn add_sums(sums: &mut BTreeMap<Dimensions<String>, [u64; 3]>, batch: &Batch) {
    add_rows(sums, rollups(batch));
}

fn add_rows(sums: &mut BTreeMap<Dimensions<String>, [u64; 3]>, rows: Vec<Rollup>) {
    for row in rows {
        let visitors = if row.visitors.is_empty() { 0 } else { crate::sketch::estimate(&row.visitors).unwrap() };
        let sum = sums.entry(row.dimensions.clone()).or_default();
        for (sum, more) in sum.iter_mut().zip([row.counts.clicks, row.counts.bots, visitors]) {
            *sum += more;
        }
    }
}

#[test]
fn a_shipment_that_is_cut_short_promises_what_was_read_of_each() {
    let root = tempfile::tempdir().unwrap();
    let (live, ended) = (writer(root.path(), "edge-0", 1), writer(root.path(), "edge-1", 2));
    append(&live, &received(110..120));
    append(&ended, &received(115..125));
    live.tick(200, 0);
    ended.close(200).unwrap();
    let mut follower = Follower::new(root.path());
    let mut after = HashMap::new();
    let mut take = |limit| {
        let shipment = follower.take(&after, limit, 210).unwrap();
        after.extend(shipment.heard.iter().map(|heard| (heard.source.incarnation, heard.upto)));
        shipment.heard.iter().map(|heard| (heard.upto, heard.mark)).collect::<Vec<_>>()
    };
    let first = take(9);
    assert!(first == [(9, 118), (0, 0)] || first == [(0, 0), (9, 123)], "whose turn it was: {first:?}");
    take(9);
    assert_eq!(take(9), [(10, 200), (10, ENDED)]);
    assert_eq!(after, HashMap::from([(1, 10), (2, 10)]));
}

#[test]
fn what_was_read_last_before_its_writer_ended_says_how_far_that_had_come() {
    let root = tempfile::tempdir().unwrap();
    let writer = writer(root.path(), "edge-0", 1);
    append(&writer, &received(110..120));
    writer.tick(115, 0);
    let mut follower = Follower::new(root.path());
    let said = |shipment: &Shipment| shipment.heard.iter().map(|h| (h.upto, h.mark)).collect::<Vec<_>>();
    assert_eq!(said(&follower.take(&HashMap::new(), 100, 130).unwrap()), [(10, 115)]);
    append(&writer, &received(120..125));
    append_raw(&writer, b"\x01not a map");
    writer.close(200).unwrap();
    let after = HashMap::from([(1, 10)]);
    assert_eq!(said(&follower.take(&after, 0, 210).unwrap()), [(10, 119)]);
    assert_eq!(said(&follower.take(&after, 2, 210).unwrap()), [(12, 121)]);
    let after = HashMap::from([(1, 12)]);
    assert_eq!(said(&follower.take(&after, 100, 210).unwrap()), [(16, ENDED)]);
}

#[test]
fn a_shipment_says_who_is_there_and_what_they_promise() {
    let root = tempfile::tempdir().unwrap();
    let (live, ended) = (writer(root.path(), "edge-0", 1), writer(root.path(), "edge-1", 2));
    append(&live, &[click(1), click(2)]);
    live.tick(50, 0);
    append(&ended, &[click(3)]);
    ended.close(60).unwrap();
    let mut follower = Follower::new(root.path());
    let said =
        |shipment: &Shipment| shipment.heard.iter().map(|h| (h.source.incarnation, h.upto, h.mark)).collect::<Vec<_>>();
    let first = follower.take(&HashMap::new(), 1, 70).unwrap();
    let cut_short = said(&first);
    assert_eq!(cut_short.iter().map(|(_, upto, _)| upto).sum::<u64>(), 1, "whose turn it was");
    assert!(cut_short.iter().all(|(_, upto, mark)| *upto == 1 || *mark == 0), "cut short, nothing is promised");
    let after = cut_short.iter().map(|(incarnation, upto, _)| (*incarnation, *upto)).collect();
    let rest = follower.take(&after, 10, 70).unwrap();
    assert_eq!(said(&rest), [(1, 2, 50), (2, 1, ENDED)]);
    let known = follower.take(&HashMap::from([(1, 2), (2, GONE)]), 10, 70).unwrap();
    assert_eq!((said(&known), known.count, known.more), (vec![(1, 2, 50)], 0, false));
}

#[test]
fn packed_records_that_are_cut_short_are_refused() {
    let root = tempfile::tempdir().unwrap();
    append(&writer(root.path(), "edge-0", 7), &[order("o")]);
    let shipment = Follower::new(root.path()).take(&HashMap::new(), 10, 1).unwrap();
    let data = &packed(&shipment)[&(7, PARTITIONS)];
    for length in 1..data.len() {
        let entry = Entry { producer: "edge-0", incarnation: 7, after: 0, data: &data[..length] };
        assert!(matches!(Batch::of_entries([entry]), Err(Error::CutShort(7))), "{length}");
    }
}
