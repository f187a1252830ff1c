use super::*;
use proptest::prelude::*;

/// a -> b -> c -> d, and e without parent.
fn family() -> Forest {
    let mut forest = Forest::new();
    for (code, parent) in [("d", None), ("c", Some("d")), ("b", Some("c")), ("a", Some("b")), ("e", None)] {
        forest.add(code, parent).unwrap();
    }
    forest
}

fn chain(forest: &Forest, code: &str, at: u64, max_levels: usize) -> String {
    forest.chain(code, at, max_levels).unwrap().concat()
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
    forest.set_parent("a", Some("e"), 100).unwrap();
    forest.set_parent("b", None, 200).unwrap();
    forest.set_parent("a", Some("b"), 300).unwrap();
    forest.set_parent("a", Some("e"), 300).unwrap();
    for (at, expected) in [(0, "abc"), (99, "abc"), (100, "ae"), (299, "ae"), (300, "ae"), (u64::MAX, "ae")] {
        assert_eq!(chain(&forest, "a", at, 3), expected, "at {at}");
    }
    assert_eq!(chain(&forest, "b", 199, 3), "bcd");
    assert_eq!(chain(&forest, "b", 200, 3), "b");
}

#[test]
fn a_change_never_counts_from_before_the_last_one() {
    let mut forest = family();
    forest.set_parent("a", Some("e"), 100).unwrap();
    forest.set_parent("b", None, 200).unwrap();
    forest.set_parent("d", Some("b"), 50).unwrap(); // at 50 b was still below d
    assert_eq!(chain(&forest, "d", 199, 9), "d");
    assert_eq!(chain(&forest, "d", 200, 9), "db");
}

#[test]
fn loops_are_refused() {
    let mut forest = family();
    for (code, parent) in [("d", "a"), ("a", "a"), ("b", "a")] {
        assert_eq!(forest.set_parent(code, Some(parent), 1), Err(ForestError::Loop));
    }
    assert_eq!(forest.bind("d", "a", 1), Err(ForestError::Loop));
    assert_eq!(chain(&forest, "a", 9, 9), "abcd");
}

#[test]
fn binds_once() {
    let mut forest = family();
    assert_eq!(forest.bind("e", "d", 5), Ok(true));
    assert_eq!(forest.bind("e", "c", 6), Ok(false));
    assert_eq!((chain(&forest, "e", 4, 3), chain(&forest, "e", 5, 3)), ("e".into(), "ed".into()));
}

#[test]
fn who_is_unknown_is_said() {
    let mut forest = family();
    assert_eq!(forest.add("a", Some("x")), Err(ForestError::Exists));
    assert_eq!(forest.add("f", Some("x")), Err(ForestError::UnknownParent));
    assert_eq!(forest.set_parent("x", None, 0), Err(ForestError::UnknownPromoter));
    assert_eq!(forest.set_parent("a", Some("x"), 0), Err(ForestError::UnknownParent));
    assert_eq!(forest.bind("x", "a", 0), Err(ForestError::UnknownPromoter));
    assert_eq!(forest.bind("a", "x", 0), Err(ForestError::UnknownParent));
    assert_eq!(forest.chain("x", 0, 3), Err(ForestError::UnknownPromoter));
    assert_eq!(forest.team("x"), Err(ForestError::UnknownPromoter));
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
    let team = forest.team("0").unwrap();
    assert_eq!((team.direct, team.total, team.by_level.len()), (1, DEEP as u64 - 1, DEEP - 1));
    assert_eq!(forest.set_parent("0", codes.last().map(String::as_str), 0), Err(ForestError::Loop));
}

#[test]
fn a_promoter_takes_16_bytes() {
    assert_eq!(size_of::<Links>() + size_of::<u32>(), 16);
}

/// The counts of a team, by asking every promoter for its whole chain.
fn team_by_chains(forest: &Forest, code: &str) -> Team {
    let mut team = Team::default();
    for other in &forest.codes {
        let chain = forest.chain(other, u64::MAX, usize::MAX).unwrap();
        if let Some(depth) = chain.iter().position(|above| *above == code).filter(|depth| *depth > 0) {
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
        parents in prop::collection::vec(0usize..30, 1..30),
        moves in prop::collection::vec((0usize..30, 0usize..40), 0..40),
    ) {
        let code = |i: usize| i.to_string();
        let mut forest = Forest::new();
        for (i, parent) in parents.iter().enumerate() {
            forest.add(&code(i), (*parent < i).then_some(&*code(*parent))).unwrap();
        }
        for (at, (child, parent)) in moves.iter().enumerate() {
            // of those that are unknown or would be a loop nothing is made
            let _ = forest.set_parent(&code(*child), (*parent < 30).then_some(&*code(*parent)), at as u64);
        }
        let all: Vec<u32> = (0..forest.len() as u32).collect();
        let batch = forest.chains(&all, 3);
        for (i, indexes) in batch.chunks_exact(3).enumerate() {
            prop_assert_eq!(forest.team(&code(i)).unwrap(), team_by_chains(&forest, &code(i)));
            let chain: Vec<&str> = indexes.iter().filter(|j| **j != NONE).map(|j| &*forest.codes[*j as usize]).collect();
            prop_assert_eq!(chain, forest.chain(&code(i), u64::MAX, 3).unwrap());
        }
        let groups: Vec<Vec<String>> = (0..2).map(|g| (g..parents.len()).step_by(3).map(code).collect()).collect();
        let below = forest.teams(&groups);
        let rest = (2..parents.len()).step_by(3).map(code).collect();
        for (group, below) in groups.into_iter().chain([rest]).zip(below) {
            let teams = group.iter().map(|code| forest.team(code).unwrap());
            let (direct, total) = teams.fold((0, 0), |sums, team| (sums.0 + team.direct, sums.1 + team.total));
            prop_assert_eq!(below, Below { direct, total });
        }
    }
}
