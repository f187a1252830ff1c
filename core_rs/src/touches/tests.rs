use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::erasure::Subject;

fn id(number: u64) -> Id {
    u128::from(number).to_be_bytes()
}

fn ids(path: &[Touch]) -> Vec<(u64, Id)> {
    path.iter().map(|t| t.event().unwrap()).map(|e| (e.at, e.id.unwrap())).collect()
}

fn click<'a>(number: u64, at: u64, visitor: u64) -> Event<'a> {
    let id = Some(id(number));
    Event { kind: Kind::Click, id, at, merchant: "m", visitor: Some(self::id(visitor)), ..Event::default() }
}

#[test]
fn rows_come_in_the_order_of_their_keys() {
    let bound = |number, at, visitor| Event { binds: true, counted: true, ..click(number, at, visitor) };
    let found = rows([bound(3, 7, 9), bound(1, 9, 8), bound(2, DAY_MS, 1), bound(4, DAY_MS + 1, 0)]);
    let per_day: Vec<_> = found.days.iter().map(|(day, some)| (*day, some.len())).collect();
    assert_eq!(per_day, [(0, 4), (1, 4)]);
    assert_eq!(found.bindings.len(), 4);
    assert!(found.days.values().chain([&found.bindings]).all(|some| some.is_sorted()));
}

#[test]
fn a_record_keeps_what_attribution_and_fraud_rules_need_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TouchStore::open(dir.path()).unwrap();
    let needed = Event {
        received: 5,
        registry: 9,
        aff: "alice",
        pid: "p",
        link: "l",
        channel: "web",
        sub1: "a",
        sub5: "e",
        coupon: "c",
        cust: "k",
        did: "d",
        bot: true,
        prefetch: true,
        counted: true,
        reason: "bot",
        private: true,
        embedded: true,
        agent: 4,
        referrer: "https://blog.example",
        address: Some(id(7)),
        prefix: "1.2.3.0/24",
        fingerprint: Some(id(8)),
        ..click(1, 2, 3)
    };
    let more = Event { referrer: "https://blog.example/a/b", extra: "x=y", amount: Some(1), ..needed };
    let uncounted = Event { id: Some(id(2)), counted: false, ..more };
    let less =
        Event { referrer: "", address: None, prefix: "", fingerprint: None, amount: None, extra: "", ..uncounted };
    store.put([more, uncounted]).unwrap();
    assert_eq!(store.click(&id(1)).unwrap().unwrap().event().unwrap(), needed);
    assert_eq!(store.click(&id(2)).unwrap().unwrap().event().unwrap(), less);
}

#[test]
fn what_names_no_merchant_or_is_no_hit_is_no_touch() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TouchStore::open(dir.path()).unwrap();
    store
        .put([
            Event { merchant: "", ..click(1, 0, 1) },
            Event { kind: Kind::Order, ..click(2, 0, 1) },
            Event { kind: Kind::View, ..click(3, 0, 1) },
        ])
        .unwrap();
    assert!(store.click(&id(1)).unwrap().is_none());
    assert!(store.click(&id(2)).unwrap().is_none());
    assert!(store.click(&id(3)).unwrap().is_none(), "a view's id is no click id");
    assert_eq!(ids(&store.path(Key::Visitor(id(1)), "m", 0, 9).unwrap()), [(0, id(3))]);
}

#[test]
fn an_imported_click_is_found_whatever_time_its_id_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TouchStore::open(dir.path()).unwrap();
    let mut edge = click(0, 40 * DAY_MS, 1);
    let mut edges = id(77);
    edges[..6].copy_from_slice(&(40 * DAY_MS).to_be_bytes()[2..]);
    edge.id = Some(edges);
    store.put([edge, click(u64::MAX, 3 * DAY_MS, 1), click(5, 90 * DAY_MS, 1)]).unwrap();
    for known in [edges, id(u64::MAX), id(5)] {
        assert_eq!(store.click(&known).unwrap().unwrap().event().unwrap().id, Some(known));
    }
    assert!(store.click(&id(6)).unwrap().is_none());
}

#[test]
fn a_long_path_is_cut_to_its_newest_touches() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TouchStore::open(dir.path()).unwrap();
    let last = MAX_PATH as u64 + 20;
    store.put((0..=last).map(|n| click(n, n * DAY_MS / 1_000, 1))).unwrap();
    let path = ids(&store.path(Key::Visitor(id(1)), "m", 0, u64::MAX).unwrap());
    assert_eq!(path.len(), MAX_PATH);
    assert_eq!((path[0].1, path[MAX_PATH - 1].1), (id(21), id(last)));
}

#[test]
fn a_second_opener_is_told_that_the_store_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let _store = TouchStore::open(dir.path()).unwrap();
    assert!(matches!(TouchStore::open(dir.path()), Err(Error::Locked)));
}

#[test]
fn dropping_days_drops_their_touches_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TouchStore::open(dir.path()).unwrap();
    store.put((0..5).map(|day| click(day, day * DAY_MS + 7, 1))).unwrap();
    assert_eq!(store.drop_before(3 * DAY_MS + 6).unwrap(), 3);
    assert_eq!(store.drop_before(3 * DAY_MS + 6).unwrap(), 0);
    drop(store);
    let mut store = TouchStore::open(dir.path()).unwrap();
    assert_eq!(ids(&store.path(Key::Visitor(id(1)), "m", 0, u64::MAX).unwrap()).len(), 2);
    assert!(store.click(&id(0)).unwrap().is_none());
    store.put([click(0, 7, 1)]).unwrap();
    assert!(store.click(&id(0)).unwrap().is_some(), "a dropped day can come again");
}

#[test]
fn the_buffers_of_many_days_are_flushed_before_they_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TouchStore::open(dir.path()).unwrap();
    let long = "x".repeat(512);
    for round in 0..40u64 {
        let clicks = (0..4_000).map(|n| Event { sub1: &long, ..click(round * 4_000 + n, n % 40 * DAY_MS, n) });
        store.put(clicks).unwrap();
        assert!(store.db.write_buffer_size() <= BUFFERS);
    }
    assert!(store.db.journal_disk_space().unwrap() < JOURNALS + (64 << 20));
    let path = store.path(Key::Visitor(id(41)), "m", 0, u64::MAX).unwrap();
    assert_eq!(path.len(), 40);
}

#[test]
fn clicks_that_bind_outlive_their_days_under_visitor_and_customer() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TouchStore::open(dir.path()).unwrap();
    let binds = |number, at| Event { binds: true, counted: true, cust: "c", aff: "ann", ..click(number, at, 1) };
    store
        .put([
            binds(3, 2 * DAY_MS),
            binds(1, 5),
            binds(2, 5),
            Event { binds: false, ..binds(4, 6) },
            Event { counted: false, ..binds(5, 6) },
            Event { embedded: true, ..binds(6, 6) },
            Event { kind: Kind::View, ..binds(7, 6) },
            Event { merchant: "other", ..binds(8, 6) },
        ])
        .unwrap();
    store.put([binds(1, 5)]).unwrap();
    assert_eq!(store.drop_before(3 * DAY_MS).unwrap(), 2);
    drop(store);
    let store = TouchStore::open(dir.path()).unwrap();
    for key in [Key::Visitor(id(1)), Key::Customer("c")] {
        let clicks = store.bindings(key, "m", 2 * DAY_MS).unwrap();
        assert_eq!(ids(&clicks), [(5, id(1)), (5, id(2)), (2 * DAY_MS, id(3))]);
        assert_eq!(clicks[0].event().unwrap().aff, "ann");
        assert_eq!(ids(&store.bindings(key, "m", 2 * DAY_MS - 1).unwrap()).len(), 2);
    }
    assert!(store.bindings(Key::Visitor(id(2)), "m", u64::MAX).unwrap().is_empty());
}

#[test]
fn of_too_many_clicks_that_bind_the_first_and_the_newest_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TouchStore::open(dir.path()).unwrap();
    let half = MAX_BINDINGS as u64 / 2;
    store.put((0..2 * half + 3).map(|n| Event { binds: true, counted: true, ..click(n, n, 1) })).unwrap();
    let found = |until| ids(&store.bindings(Key::Visitor(id(1)), "m", until).unwrap());
    let numbers = (0..half).chain(half + 3..2 * half + 3);
    assert_eq!(found(u64::MAX), numbers.map(|n| (n, id(n))).collect::<Vec<_>>());
    for until in [half - 1, half, 2 * half - 1] {
        assert_eq!(found(until), (0..=until).map(|n| (n, id(n))).collect::<Vec<_>>());
    }
}

/// One step against the store and a model of it: sets of what was put.
#[derive(Clone, Debug)]
enum Step {
    Put(Vec<(u64, u64, u64)>),
    Path(u64, u64, u64),
    DropBefore(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let at = || (0u64..6, 0u64..4).prop_map(|(day, ms)| day * DAY_MS + ms);
    prop_oneof![
        4 => vec((0u64..40, at(), 0u64..3), 0..12).prop_map(Step::Put),
        4 => (0u64..3, at(), at()).prop_map(|(visitor, since, until)| Step::Path(visitor, since, until)),
        1 => at().prop_map(Step::DropBefore),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_store_is_a_set_of_touches_ordered_by_time_then_id(steps in vec(step(), 1..16)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = TouchStore::open(dir.path()).unwrap();
        let mut model: BTreeMap<(u64, Id), u64> = BTreeMap::new();
        for step in steps {
            match step {
                // an id is made once, so its time follows from it here
                Step::Put(hits) => {
                    let hits: Vec<_> = hits.into_iter().map(|(n, at, visitor)| (at * 64 + n, at, visitor)).collect();
                    let fresh: Vec<_> =
                        hits.iter().filter(|(n, at, _)| !model.contains_key(&(*at, id(*n)))).copied().collect();
                    for (n, at, visitor) in fresh {
                        model.entry((at, id(n))).or_insert(visitor);
                    }
                    let put = |(n, at, _): &(u64, u64, u64)| click(*n, *at, model[&(*at, id(*n))]);
                    store.put(hits.iter().map(put)).unwrap();
                }
                Step::Path(visitor, since, until) => {
                    let path = ids(&store.path(Key::Visitor(id(visitor)), "m", since, until).unwrap());
                    let known = |(key, v): (&(u64, Id), &u64)| {
                        (*v == visitor && since <= key.0 && key.0 <= until).then_some(*key)
                    };
                    prop_assert_eq!(path, model.iter().filter_map(known).collect::<Vec<_>>());
                }
                Step::DropBefore(instant) => {
                    store.drop_before(instant).unwrap();
                    model.retain(|(at, _), _| at / DAY_MS >= instant / DAY_MS);
                }
                Step::Reopen => {
                    drop(store);
                    store = TouchStore::open(dir.path()).unwrap();
                }
            }
        }
    }
}

/// A store with one visitor's clicks and another's, of one address and fingerprint.
fn watched(dir: &std::path::Path) -> TouchStore {
    let mut store = TouchStore::open(dir).unwrap();
    let from = |number: u64, at: u64, visitor: u64| Event {
        counted: true,
        address: Some(id(70)),
        fingerprint: Some(id(80)),
        prefix: "1.2.3.0/24",
        agent: 1,
        ..click(number, at, visitor)
    };
    let minute = 60_000;
    let day = 10 * DAY_MS;
    store
        .put([
            from(1, day - 1, 1), // the day before
            from(2, day, 2),
            from(3, day + minute, 1),
            Event { did: "phone", cust: "k", agent: 2, ..from(4, day + 2 * minute, 1) },
            Event { counted: false, reason: "bot", ..from(5, day + 3 * minute, 1) },
            Event { cust: "k", ..from(6, day + 3 * minute, 4) },
            from(7, day + 60 * minute, 3), // after the order
        ])
        .unwrap();
    store
}

fn ask(click: u64, at: u64) -> Ask<'static> {
    Ask { merchant: "m", click: Some(id(click)), visitor: None, cust: "", did: "", since: 0, at, most: 100 }
}

#[test]
fn what_fraud_rules_ask_is_counted_up_to_the_order_and_on_the_clicks_day() {
    let dir = tempfile::tempdir().unwrap();
    let store = watched(dir.path());
    let order = 10 * DAY_MS + 11 * 60_000;
    let seen = store.seen(&ask(4, order)).unwrap();
    let expected = Seen {
        prefix: "1.2.3.0/24".into(),
        referrer: String::new(),
        address_clicks: 4,       // 2, 3, 4 and 6: not the bot, not the day before, not what came after
        fingerprint_visitors: 3, // 1, 2 and 4
        devices: 2,              // the browser and the phone
        clicks_before: 2,        // 3 and 4
        agents: 2,               // the day's first is within ten minutes as well
    };
    assert_eq!(seen, expected);
    assert_eq!(store.seen(&Ask { most: 3, ..ask(4, order) }).unwrap().address_clicks, 3, "and no further");
    let customers = store.seen(&Ask { cust: "k", did: "tv", ..ask(4, order) }).unwrap();
    assert_eq!((customers.devices, customers.clicks_before), (3, 2), "of visitor and customer the more");
    let unknown = store.seen(&Ask { click: Some(id(99)), visitor: Some(id(2)), ..ask(4, order) }).unwrap();
    assert_eq!((unknown.address_clicks, unknown.devices), (0, 1), "a click that is gone says nothing");
}

#[test]
fn a_flood_of_one_visitor_costs_no_more_than_the_newest_hits() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TouchStore::open(dir.path()).unwrap();
    let dids: Vec<String> = (0..300).map(|n| format!("d{n}")).collect();
    store.put((0..300u64).map(|n| Event { counted: true, did: &dids[n as usize], ..click(n, n, 1) })).unwrap();
    assert_eq!(store.seen(&ask(1, 1_000)).unwrap().devices, MAX_LOOKED_AT as u64);
}

#[test]
fn who_is_forgotten_is_found_no_more_and_the_touches_stay_under_one_fresh_id() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = TouchStore::open(dir.path()).unwrap();
    let bound = |number, at, received| {
        let cust = "k";
        Event { cust, did: "d", binds: true, counted: true, received, aff: "ann", ..click(number, at, 1) }
    };
    store.put([bound(1, 5, 5), bound(2, DAY_MS, DAY_MS), bound(3, 2 * DAY_MS, 2 * DAY_MS), click(4, 7, 2)]).unwrap();
    let subjects = [Subject::Visitor(id(1)), Subject::Customer { merchant: "m".into(), cust: "k".into() }];
    for (n, subject) in subjects.into_iter().enumerate() {
        let erasures = Erasures(vec![Erasure::new(subject, DAY_MS, 0, [9; 16])]);
        let fresh = *erasures.0[0].fresh();
        let touches = store.erase(&erasures, &["m".into(), "other".into()]).unwrap();
        assert_eq!(touches, [2, 0][n], "the visitor's touches were the customer's");
        let path = |key| ids(&store.path(key, "m", 0, 9 * DAY_MS).unwrap());
        assert_eq!(path(Key::Visitor(id(1))), [(2 * DAY_MS, id(3))], "received later");
        assert_eq!(path(Key::Customer("k")), [(2 * DAY_MS, id(3))]);
        assert_eq!(path(Key::Device("d")), [(2 * DAY_MS, id(3))]);
        assert_eq!(path(Key::Visitor(id(2))), [(7, id(4))]);
        assert_eq!(path(Key::Visitor(fresh)), [(5, id(1)), (DAY_MS, id(2))]);
        let bindings = |key| ids(&store.bindings(key, "m", 9 * DAY_MS).unwrap());
        assert_eq!(bindings(Key::Visitor(fresh)), [(5, id(1)), (DAY_MS, id(2))]);
        assert_eq!(bindings(Key::Customer("k")), [(2 * DAY_MS, id(3))]);
        assert_eq!(store.click(&id(1)).unwrap().unwrap().event().unwrap().visitor, Some(fresh));
    }
}

#[test]
fn more_than_a_write_buffer_at_once_is_found_as_if_it_had_come_bit_by_bit_and_once() {
    const HITS: u64 = 60_000;
    const VISITORS: u64 = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let long = "l".repeat(200);
    let hits = |numbers: std::ops::Range<u64>| {
        numbers.map(|number| Event { link: &long, ..click(number, DAY_MS + number, number % VISITORS) })
    };
    let mut store = TouchStore::open(dir.path()).unwrap();
    store.put(hits(0..10)).unwrap();
    store.put(hits(0..HITS).chain(hits(5..HITS))).unwrap();
    store.put(hits(0..HITS)).unwrap();
    store.put(hits(HITS - 10..HITS)).unwrap();
    store.persist(true).unwrap();
    drop(store);
    let store = TouchStore::open(dir.path()).unwrap();
    for visitor in [0, 7, 999] {
        let path = store.path(Key::Visitor(id(visitor)), "m", 0, 2 * DAY_MS).unwrap();
        let expected: Vec<_> = (visitor..HITS).step_by(VISITORS as usize).map(|n| (DAY_MS + n, id(n))).collect();
        assert_eq!(ids(&path), expected);
    }
    assert_eq!(store.click(&id(HITS - 1)).unwrap().unwrap().event().unwrap().link, long);
}

#[test]
fn a_store_that_was_not_made_to_its_end_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (path, draft) = (dir.path().join("touches"), dir.path().join("touches.new"));
    fs::create_dir_all(draft.join("keyspaces")).unwrap();
    fs::write(draft.join("0.jnl"), "").unwrap();
    let mut store = TouchStore::open(&path).unwrap();
    store.put([click(1, 2, 3)]).unwrap();
    store.persist(true).unwrap();
    drop(store);
    assert!(!draft.exists());
    let store = TouchStore::open(&path).unwrap();
    assert_eq!(store.click(&id(1)).unwrap().unwrap().event().unwrap().at, 2);
}
