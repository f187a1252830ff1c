use super::*;
use proptest::prelude::*;

/// a -> b -> c -> d, and e without parent.
fn family() -> Forest {
    let mut forest = Forest::new();
    for (code, parent) in [("d", None), ("c", Some(0)), ("b", Some(1)), ("a", Some(2)), ("e", None)] {
        forest.add(code, parent).unwrap();
    }
    forest
}

fn chain(forest: &Forest, code: &str, at: u64, max_levels: usize) -> String {
    let chain = forest.chain(forest.index(code).unwrap(), at, max_levels).unwrap();
    chain.iter().map(|i| forest.code(*i)).collect()
}

#[test]
fn a_chain_is_cut_at_max_levels() {
    let forest = family();
    for (max_levels, expected) in [(0, ""), (1, "a"), (2, "ab"), (3, "abc"), (9, "abcd")] {
        assert_eq!(chain(&forest, "a", 0, max_levels), expected);
    }
}

#[test]
fn a_chain_is_that_of_its_instant() {
    let mut forest = family();
    let [a, b, e] = ["a", "b", "e"].map(|code| forest.index(code).unwrap());
    forest.set_parent(a, Some(e), 100).unwrap();
    forest.set_parent(b, None, 200).unwrap();
    forest.set_parent(a, Some(b), 300).unwrap();
    forest.set_parent(a, Some(e), 300).unwrap();
    for (at, expected) in [(0, "abc"), (99, "abc"), (100, "ae"), (299, "ae"), (300, "ae"), (u64::MAX, "ae")] {
        assert_eq!(chain(&forest, "a", at, 3), expected, "at {at}");
    }
    assert_eq!(chain(&forest, "b", 199, 3), "bcd");
    assert_eq!(chain(&forest, "b", 200, 3), "b");
}

#[test]
fn a_change_never_counts_from_before_the_last_one() {
    let mut forest = family();
    let [a, b, d, e] = ["a", "b", "d", "e"].map(|code| forest.index(code).unwrap());
    forest.set_parent(a, Some(e), 100).unwrap();
    forest.set_parent(b, None, 200).unwrap();
    forest.set_parent(d, Some(b), 50).unwrap(); // at 50 b was still below d
    assert_eq!(chain(&forest, "d", 199, 9), "d");
    assert_eq!(chain(&forest, "d", 200, 9), "db");
}

#[test]
fn loops_are_refused() {
    let mut forest = family();
    for (code, parent) in [("d", "a"), ("a", "a"), ("b", "a")] {
        let (index, parent) = (forest.index(code).unwrap(), forest.index(parent));
        assert_eq!(forest.set_parent(index, parent, 1), Err(ForestError::Loop));
    }
    assert_eq!(forest.bind(0, 3, 1), Err(ForestError::Loop));
    assert_eq!(chain(&forest, "a", 9, 9), "abcd");
}

#[test]
fn binds_once() {
    let mut forest = family();
    assert_eq!(forest.bind(4, 0, 5), Ok(true));
    assert_eq!(forest.bind(4, 1, 6), Ok(false));
    assert_eq!((chain(&forest, "e", 4, 3), chain(&forest, "e", 5, 3)), ("e".into(), "ed".into()));
}

#[test]
fn who_is_unknown_is_said() {
    let mut forest = family();
    assert_eq!(forest.add("a", None), Err(ForestError::Exists));
    assert_eq!(forest.add("f", Some(9)), Err(ForestError::UnknownParent));
    assert_eq!(forest.set_parent(9, None, 0), Err(ForestError::UnknownPromoter));
    assert_eq!(forest.set_parent(0, Some(9), 0), Err(ForestError::UnknownParent));
    assert_eq!(forest.bind(9, 0, 0), Err(ForestError::UnknownPromoter));
    assert_eq!(forest.chain(9, 0, 3), Err(ForestError::UnknownPromoter));
    assert_eq!(forest.team(9), Err(ForestError::UnknownPromoter));
    assert_eq!(forest.chains(&[4, 9, NONE], 2), [4, NONE, NONE, NONE, NONE, NONE]);
    assert!(forest.chains(&[4], 0).is_empty());
    assert_eq!(forest.len(), 5);
}

#[test]
fn a_load_is_all_or_nothing() {
    let mut forest = family();
    for (codes, parents, error) in [
        (["x", "y"], [1, 0], ForestError::Loop),
        (["x", "y"], [0, -1], ForestError::Loop),
        (["x", "y"], [-1, 2], ForestError::UnknownParent),
        (["x", "y"], [-2, -1], ForestError::UnknownParent),
        (["x", "x"], [-1, -1], ForestError::Exists),
        (["x", "a"], [-1, -1], ForestError::Exists),
    ] {
        assert_eq!(forest.load(&codes, &parents), Err(error));
        assert_eq!((forest.len(), forest.index("x")), (5, None));
    }
    assert_eq!(forest.load(&["x"], &[]), Err(ForestError::UnknownParent));
    forest.load(&["x", "y", "z"], &[2, 0, -1]).unwrap();
    assert_eq!(chain(&forest, "y", 0, 9), "yxz");
}

#[test]
fn a_million_deep_is_no_deeper_a_stack() {
    const DEEP: usize = 1_000_000;
    let codes: Vec<String> = (0..DEEP).map(|i| i.to_string()).collect();
    let parents: Vec<i64> = (-1..DEEP as i64 - 1).collect();
    let mut forest = Forest::new();
    forest.load(&codes, &parents).unwrap();
    let team = forest.team(0).unwrap();
    assert_eq!((team.direct, team.total, team.by_level.len()), (1, DEEP as u64 - 1, DEEP - 1));
    assert_eq!(forest.set_parent(0, Some(DEEP as u32 - 1), 0), Err(ForestError::Loop));
}

#[test]
fn a_promoter_takes_16_bytes() {
    assert_eq!(size_of::<Links>() + size_of::<u32>(), 16);
}

/// The counts of a team, by asking every promoter for its whole chain.
fn team_by_chains(forest: &Forest, index: u32) -> Team {
    let mut team = Team::default();
    for other in 0..forest.len() as u32 {
        let chain = forest.chain(other, u64::MAX, usize::MAX).unwrap();
        if let Some(depth) = chain.iter().position(|i| *i == index).filter(|depth| *depth > 0) {
            team.by_level.resize(team.by_level.len().max(depth), 0);
            team.by_level[depth - 1] += 1;
            team.total += 1;
            team.direct += u64::from(depth == 1);
        }
    }
    team
}

proptest! {
    #[test]
    fn teams_and_batch_chains_agree_with_chains(
        parents in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 0..40),
    ) {
        let mut forest = Forest::new();
        for (i, parent) in parents.iter().enumerate() {
            let parent = parent.index(i + 1); // itself: none
            forest.add(&i.to_string(), (parent < i).then_some(parent as u32)).unwrap();
        }
        let n = forest.len();
        for (at, (child, parent, some)) in moves.iter().enumerate() {
            let _ = forest.set_parent(child.index(n) as u32, some.then_some(parent.index(n) as u32), at as u64);
        }
        let all: Vec<u32> = (0..n as u32).collect();
        let batch = forest.chains(&all, 3);
        for i in 0..n as u32 {
            prop_assert_eq!(forest.team(i).unwrap(), team_by_chains(&forest, i));
            let mut chain = forest.chain(i, u64::MAX, 3).unwrap();
            chain.resize(3, NONE);
            prop_assert_eq!(&batch[3 * i as usize..][..3], &chain[..]);
        }
    }
}
