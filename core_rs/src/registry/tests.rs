use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const SECRET: [u8; 32] = [4; 32];
const KEY: HashKey = HashKey([7; 16]);

#[test]
fn entries_fill_it_and_the_newest_wins() {
    let mut registry = Registry::default();
    let product = |status: &str| {
        format!(
            r#"{{"t":"product","id":"p","merchant":"m","url":"https://s.example/","allowed_hosts":["s.example"],"cookie_days":30,"status":"{status}"}}"#
        )
    };
    registry.apply(product("active").as_bytes(), 0, &SECRET).unwrap();
    registry.apply(br#"{"t":"ready"}"#, 0, &SECRET).unwrap();
    assert!(registry.ready);
    registry.apply(product("paused").as_bytes(), 7, &SECRET).unwrap();
    assert_eq!(registry.product("p").unwrap().status, Status::Paused);
    assert_eq!(registry.version, 7);
}

#[test]
fn a_number_alone_makes_a_log_neither_ready_nor_anything_else() {
    let mut registry = Registry::default();
    registry.apply(br#"{"t":"number"}"#, 9, &SECRET).unwrap();
    assert_eq!((registry.version, registry.ready), (9, false));
}

#[test]
fn another_secret_is_named() {
    let sealed = identity::seal(&SECRET, "merchant", b"key", &[0; 12]);
    let entry = format!(r#"{{"t":"merchant","id":"m","currency":"CNY","secret":"{sealed}","status":"active"}}"#);
    let mut registry = Registry::default();
    assert_eq!(registry.apply(entry.as_bytes(), 1, &[5; 32]), Err(EntryError::OtherSecret));
    registry.apply(entry.as_bytes(), 1, &SECRET).unwrap();
    assert_eq!(&*registry.merchant("m").unwrap().secret, b"key");
}

/// A link as a test has it: promoter, product, url, channel, labels, coupon, expires, status.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    promoter: String,
    texts: [String; 9],
    expires: Option<u64>,
    status: Status,
}

fn name(status: Status) -> &'static str {
    ["active", "paused", "blocked"][status as usize]
}

fn promoter_row(id: &str, status: Status) -> String {
    serde_json::json!([id, name(status)]).to_string()
}

fn link_row(code: &str, link: &Known) -> String {
    let [product, url, channel, sub1, sub2, sub3, sub4, sub5, coupon] = &link.texts;
    let (promoter, status) = (&link.promoter, name(link.status));
    let expires = link.expires;
    serde_json::json!([code, promoter, product, url, channel, sub1, sub2, sub3, sub4, sub5, coupon, expires, status])
        .to_string()
}

fn build(path: &Path, promoters: &BTreeMap<String, Status>, links: &BTreeMap<String, Known>) {
    let mut builder = Builder::create(path, KEY, promoters.len(), links.len()).unwrap();
    let rows: Vec<_> = promoters.iter().map(|(id, status)| promoter_row(id, *status)).collect();
    builder.add_promoters(rows.iter().map(String::as_str)).unwrap();
    let rows: Vec<_> = links.iter().map(|(code, link)| link_row(code, link)).collect();
    builder.add_links(rows.iter().map(String::as_str)).unwrap();
    builder.finish().unwrap();
}

fn change(registry: &mut Registry, version: u64, entry: serde_json::Value) {
    registry.apply(entry.to_string().as_bytes(), version, &SECRET).unwrap();
}

fn change_link(registry: &mut Registry, code: &str, link: &Known) {
    let [product, url, channel, sub1, sub2, sub3, sub4, sub5, coupon] = &link.texts;
    let (promoter, expires, status) = (&link.promoter, link.expires, name(link.status));
    let entry = serde_json::json!({
        "t": "link", "code": code, "promoter": promoter, "product": product, "url": url, "channel": channel,
        "sub1": sub1, "sub2": sub2, "sub3": sub3, "sub4": sub4, "sub5": sub5, "coupon": coupon,
        "expires": expires, "status": status,
    });
    change(registry, 1, entry);
}

/// All that the registry says of these ids and codes is what the maps say.
fn agrees(registry: &Registry, ids: &BTreeMap<String, Status>, links: &BTreeMap<String, Known>, asked: &[String]) {
    for key in asked.iter().chain(ids.keys()).chain(links.keys()) {
        assert_eq!(registry.promoter(key), ids.get(key).copied(), "promoter {key}");
        let found = registry.link(key).map(|link| Known {
            promoter: link.promoter.to_owned(),
            texts: [link.product, link.url, link.channel]
                .into_iter()
                .chain(link.sub)
                .chain([link.coupon])
                .map(str::to_owned)
                .collect::<Vec<_>>()
                .try_into()
                .unwrap(),
            expires: link.expires,
            status: link.status,
        });
        let expected = links.get(key).cloned().map(|mut link| {
            link.texts[1] = target::visible(&link.texts[1]).into_owned();
            link
        });
        assert_eq!(found, expected, "link {key}");
        if let Some(link) = registry.link(key) {
            assert_eq!(registry.promoter_of(&link), ids.get(link.promoter).copied(), "promoter of {key}");
        }
    }
}

fn statuses() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Active), Just(Status::Paused), Just(Status::Blocked)]
}

fn codes() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-c]{1,3}", 1 => "[A-Za-z0-9._-]{1,64}", 1 => "五{0,80}"]
}

fn known(promoters: Vec<String>) -> impl Strategy<Value = Known> {
    let text = prop_oneof![3 => Just(String::new()), 3 => "(web|wechat|https://shop\\.example/p)", 1 => ".{0,700}"];
    let texts = prop::array::uniform9(text);
    (any::<Index>(), texts, prop::option::of(any::<u64>()), statuses()).prop_map(
        move |(who, texts, expires, status)| Known { promoter: who.get(&promoters).clone(), texts, expires, status },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Promoter(String, Status),
    Link(String, Box<Known>),
}

type World = (BTreeMap<String, Status>, BTreeMap<String, Known>, Vec<Step>, Vec<String>);

fn worlds() -> impl Strategy<Value = World> {
    prop::collection::btree_map(codes(), statuses(), 1..60).prop_flat_map(|promoters| {
        let ids: Vec<String> = promoters.keys().cloned().collect();
        let links = prop::collection::btree_map(codes(), known(ids.clone()), 0..60);
        let step = prop_oneof![
            (codes(), statuses()).prop_map(|(id, status)| Step::Promoter(id, status)),
            (codes(), known(ids)).prop_map(|(code, link)| Step::Link(code, Box::new(link))),
        ];
        (Just(promoters), links, prop::collection::vec(step, 0..80), prop::collection::vec(codes(), 0..20))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_snapshot_and_changes_over_it_are_what_maps_are((mut promoters, mut links, steps, asked) in worlds()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snapshot");
        build(&path, &promoters, &links);
        let mut registry = Registry::default();
        prop_assert_eq!(registry.apply(br#"{"t":"snapshot"}"#, 0, &SECRET), Ok(Then::Attach));
        registry.attach(Snapshot::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        agrees(&registry, &promoters, &links, &asked);
        for step in steps {
            match step {
                Step::Promoter(id, status) => {
                    change(&mut registry, 1, serde_json::json!({"t": "promoter", "id": id, "status": name(status)}));
                    promoters.insert(id, status);
                }
                Step::Link(code, link) => {
                    change_link(&mut registry, &code, &link);
                    links.insert(code, *link);
                }
            }
        }
        agrees(&registry, &promoters, &links, &asked);
    }

    #[test]
    fn a_damaged_snapshot_is_refused(at in any::<Index>(), bit in 0..8u8, cut in any::<Index>()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snapshot");
        let (promoters, links) = small();
        build(&path, &promoters, &links);
        let sound = std::fs::read(&path).unwrap();
        let mut flipped = sound.clone();
        flipped[at.index(sound.len())] ^= 1 << bit;
        for damaged in [&flipped[..], &sound[..cut.index(sound.len())], &[&sound[..], b"\0"].concat()] {
            std::fs::write(&path, damaged).unwrap();
            let refused = Snapshot::open(&path).err();
            prop_assert!(matches!(refused, Some(SnapshotError::Damaged(..) | SnapshotError::Newer(..))), "{:?}", refused);
        }
        std::fs::write(&path, &sound).unwrap();
        prop_assert!(Snapshot::open(&path).is_ok());
    }
}

fn small() -> (BTreeMap<String, Status>, BTreeMap<String, Known>) {
    let promoters: BTreeMap<_, _> = (0..20).map(|n| (format!("p{n}"), Status::Active)).collect();
    let link = |n: usize| Known {
        promoter: format!("p{}", n % 20),
        texts: ["product", "", "wechat", "", "", "", "", "", ""].map(str::to_owned),
        expires: None,
        status: Status::Active,
    };
    (promoters, (0..40).map(|n| (format!("l{n}"), link(n))).collect())
}

#[test]
fn what_links_have_in_common_stands_in_the_file_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshot");
    let (promoters, mut links) = small();
    for link in links.values_mut() {
        link.texts[1] = "https://shop.example/the/same/for/all".into();
    }
    build(&path, &promoters, &links);
    let file = std::fs::read(&path).unwrap();
    for text in ["https://shop.example/the/same/for/all", "wechat", "product"] {
        assert_eq!(memchr::memmem::find_iter(&file, text).count(), 1, "{text}");
    }
}

#[test]
fn an_empty_snapshot_knows_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshot");
    build(&path, &BTreeMap::new(), &BTreeMap::new());
    let mut registry = Registry::default();
    registry.attach(Snapshot::open(&path).unwrap());
    assert_eq!((registry.promoter("a"), registry.link("a")), (None, None));
}

#[test]
fn rows_that_cannot_stand_in_a_snapshot_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let ann = r#"["ann","active"]"#;
    let link = |promoter: &str, url: &str| {
        let texts = [""; 7];
        serde_json::json!([
            "code", promoter, "p", url, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6], null,
            "active"
        ])
        .to_string()
    };
    let long = "x".repeat(1 << 15);
    for (promoters, links, why) in [
        (vec![r#"["ann","asleep"]"#.to_owned()], vec![], "asleep"),
        (vec![format!(r#"["{}","active"]"#, &long[..256])], vec![], "at most 255 bytes"),
        (vec![ann.into(), r#"["bob","active"]"#.into()], vec![], "more rows"),
        (vec![ann.into()], vec![link("bob", "")], "promoter bob, who is not there"),
        (vec![ann.into()], vec![link("ann", &long)], "under 32768 bytes"),
        (vec![ann.into()], vec!["{".to_owned()], "EOF"),
    ] {
        let path = dir.path().join("snapshot");
        let mut builder = Builder::create(&path, KEY, 1, 1).unwrap();
        let added = builder.add_promoters(promoters.iter().map(String::as_str));
        let added = added.and_then(|()| builder.add_links(links.iter().map(String::as_str)));
        let said = added.expect_err(why).to_string();
        assert!(said.contains(why), "{said}");
        assert!(!path.exists());
    }
}
