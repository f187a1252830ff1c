use super::*;
use crate::attribution::WHOLE;

const ALL: [bool; 3] = [true; 3];
const NOON: u64 = 1_794_355_200_000; // 2026-11-11T00:00:00Z

fn rule(json: &str) -> Rule {
    under(MAX_CEILING, json)
}

fn under(ceiling: u64, json: &str) -> Rule {
    Rule::parse(json, "CNY", ceiling).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// The whole credit of an order, to a member without tier or sales before.
fn credit<'a>(promoter: &'a str) -> Credit<'a> {
    Credit { promoter, kind: "member", weight: WHOLE, total: 0, tier: "", present: ALL }
}

/// The one part of an order that is one credit's alone.
fn part(rule: &Rule, amount: Option<u64>, at: u64, credit: Credit) -> Part {
    let booking = rule.book(amount, at, &[credit]).unwrap().expect("the rule can pay");
    assert_eq!(booking.parts.len(), 1);
    assert_eq!(booking.pool, booking.parts[0].part);
    booking.parts[0].clone()
}

fn pool(json: &str, amount: u64, at: u64, credit: Credit) -> u64 {
    part(&rule(json), Some(amount), at, credit).pool
}

/// Pool, levels, platform.
fn numbers(part: &Part) -> [u64; 5] {
    let [a, b, c] = part.levels;
    [part.part, a, b, c, part.platform]
}

#[test]
fn splits_as_the_rule_says() {
    let two = r#"{"type":"percentage","value":"10.0","levels":[{"level":2,"value":"3.0"},{"level":1,"value":"5.0"}]}"#;
    let three = r#""levels":[{"level":1,"share":"50"},{"level":2,"share":"30"},{"level":3,"share":"20"}]}"#;
    let again = format!(r#"{{"type":"percentage","value":"10","missing_level":"redistribute",{three}"#);
    let fixed = format!(r#"{{"type":"fixed","value":"1.01",{three}"#);
    let gap = r#"{"type":"fixed","value":"9","levels":[{"level":3,"value":"4"},{"level":1,"share":"50"}]}"#;
    let tiered = format!(r#"{{"type":"tiered","tiers":[{{"from":"0","value":"10"}}],{three}"#);
    for (json, amount, present, expected) in [
        (two, 10_000, ALL, [1_000, 500, 300, 0, 200]),
        (two, 10_000, [true, false, false], [1_000, 500, 0, 0, 500]),
        (two, 25, ALL, [2, 1, 1, 0, 0]), // 2.5 is 2; of 1.0, 0.6 and 0.4 level 2 takes the unit
        (two, 35, ALL, [4, 2, 1, 0, 1]), // 3.5 is 4
        (two, 0, ALL, [0; 5]),
        (&again, 10_000, ALL, [1_000, 500, 300, 200, 0]),
        (&again, 10_000, [true, true, false], [1_000, 625, 375, 0, 0]),
        (&again, 10_000, [false, false, false], [1_000, 0, 0, 0, 1_000]),
        (&fixed, 10_000, ALL, [101, 51, 30, 20, 0]), // 50.5, 30.3, 20.2
        (&fixed, 100, ALL, [50, 25, 15, 10, 0]),     // cut to half the amount
        (&tiered, 10_000, ALL, [1_000, 500, 300, 200, 0]),
        (gap, 10_000, ALL, [900, 450, 0, 400, 50]),
        (r#"{"type":"percentage","value":"50"}"#, 3, ALL, [1, 1, 0, 0, 0]), // half even 2, ceiling 1
        (r#"{"type":"percentage","value":"0"}"#, 99, ALL, [0; 5]),
        (r#"{"type":"percentage","value":"0.0001"}"#, MAX_AMOUNT, ALL, [1_000_000_000, 1_000_000_000, 0, 0, 0]),
        (r#"{"type":"percentage","value":"10","max_per_order":"3"}"#, 9_900, ALL, [300, 300, 0, 0, 0]),
        (r#"{"type":"percentage","value":"10","min_amount":"99"}"#, 9_900, ALL, [990, 990, 0, 0, 0]),
        (r#"{"type":"percentage","value":"10","min_amount":"99"}"#, 9_899, ALL, [0; 5]),
    ] {
        let part = part(&rule(json), Some(amount), 0, Credit { present, ..credit("p") });
        assert_eq!(numbers(&part), expected, "{json} {amount} {present:?}");
    }
}

#[test]
fn a_slab_pays_the_rate_where_the_total_stands_and_marginal_cuts_at_the_boundaries() {
    let tiers = r#""tiers":[{"from":"0","value":"5"},{"from":"100","value":"8"},{"from":"200.00","value":"10"}]"#;
    let slab = format!(r#"{{"type":"tiered",{tiers}}}"#);
    let marginal = format!(r#"{{"type":"tiered","mode":"marginal",{tiers}}}"#);
    for (total, amount, by_slab, by_margin) in [
        (0, 10_000, 500, 500),
        (0, 10_001, 500, 500),         // 0.08 of a unit beyond
        (9_999, 20_000, 1_000, 1_800), // 0.05, 800, 999.9
        (10_000, 10_000, 800, 800),
        (5_000, 20_000, 1_000, 1_550), // 250, 800, 500
        (20_000, 70, 7, 7),
        (MAX_AMOUNT, 70, 7, 7),
        (9_990, 40, 2, 3), // 0.5 and 2.4, rounded once
    ] {
        let credit = Credit { total, ..credit("p") };
        assert_eq!(pool(&slab, amount, 0, credit), by_slab, "slab {total} {amount}");
        assert_eq!(pool(&marginal, amount, 0, credit), by_margin, "marginal {total} {amount}");
    }
    let across = Credit { total: 5_000, ..credit("p") };
    let rates = vec![(5_000, 50_000), (10_000, 80_000), (5_000, 100_000)];
    assert_eq!(part(&rule(&marginal), Some(20_000), 0, across).rates, rates);
    assert_eq!(part(&rule(&slab), Some(20_000), 0, across).rates, [(20_000, 50_000)]);
    assert!(rule(&slab).needs_total());
    assert!(!rule(r#"{"type":"percentage","value":"5"}"#).needs_total());
}

const HYBRID: &str = r#"{"type":"hybrid","base":{"type":"percentage","value":"2.5"},"bonus":[
    {"type":"fixed","value":"1","min_amount":"50"},
    {"type":"percentage","value":"0.5","from":"2026-11-11","until":"2026-11-12T00:00:00+08:00"}]}"#;

#[test]
fn a_hybrid_adds_each_bonus_that_applies_rounded_by_itself() {
    let day = 86_400_000;
    for (amount, at, bonuses, expected) in [
        (4_999, NOON - 1, [None, None], 125),
        (5_000, NOON - 1, [Some(100), None], 225),
        (5_000, NOON, [Some(100), Some(25)], 250),
        (5_000, NOON + day / 24 * 16 - 1, [Some(100), Some(25)], 250), // midnight in China is 16:00 UTC
        (5_000, NOON + day / 24 * 16, [Some(100), None], 225),
        (100, NOON, [None, Some(0)], 2), // 2.5 is 2 and 0.5 is 0, not 3 together
    ] {
        let part = part(&rule(HYBRID), Some(amount), at, credit("p"));
        assert_eq!((part.bonuses.as_slice(), part.pool), (&bonuses[..], expected), "{amount} at {at}");
    }
    let tiered = r#"{"type":"hybrid","bonus":[{"type":"fixed","value":"0.01"}],
        "base":{"type":"tiered","mode":"marginal","tiers":[{"from":"0","value":"1"},{"from":"1","value":"2"}]}}"#;
    assert_eq!(pool(tiered, 200, 0, Credit { total: 0, ..credit("p") }), 1 + 2 + 1);
    assert!(rule(tiered).needs_total());
    assert_eq!(pool(r#"{"type":"hybrid","base":{"type":"fixed","value":"1"}}"#, 900, 0, credit("p")), 100);
}

#[test]
fn a_season_multiplies_base_and_bonuses_but_not_the_tier_bonus() {
    let seasons =
        r#"[{"multiplier":"2","from":"2027-01-01"},{"multiplier":"1.25","from":"2026-11-11","until":"2026-11-12"}]"#;
    let json = format!(
        r#"{{"type":"hybrid","base":{{"type":"percentage","value":"1"}},"bonus":[{{"type":"fixed","value":"0.01"}}],
        "season":{seasons},"promoter_tier_bonus":{{"gold":"1","diamond":"2"}}}}"#
    );
    let next_year = 1_798_761_600_000;
    for (amount, at, tier, main, tier_bonus) in [
        (1_000, NOON - 1, "", 11, 0),
        (1_000, NOON, "", 14, 0), // 13.75
        (900, NOON, "", 12, 0),   // 12.5
        (1_300, NOON, "", 18, 0), // 17.5
        (1_000, NOON + 86_400_000, "", 11, 0),
        (1_000, next_year, "", 22, 0),
        (1_050, NOON - 1, "gold", 11, 10), // 10.5 and 1; 10.5
        (1_050, next_year, "diamond", 22, 21),
        (1_050, next_year, "silver", 22, 0),
    ] {
        let part = part(&rule(&json), Some(amount), at, Credit { tier, ..credit("p") });
        assert_eq!((part.main, part.tier_bonus), (main, tier_bonus), "{amount} {at} {tier}");
        assert_eq!((part.levels[0], part.bonus), (main + tier_bonus, tier_bonus));
    }
    assert!(rule(&json).needs_tier());
    let always = r#"{"type":"percentage","value":"10","season":{"multiplier":"0.5"}}"#;
    assert_eq!(part(&rule(always), Some(1_000), 0, credit("p")).multiplier, 5_000);
    assert_eq!(pool(always, 1_000, 0, credit("p")), 50);
}

#[test]
fn caps_cut_in_their_order_and_shrink_both_parts_in_proportion() {
    let json = |max: &str| {
        format!(
            r#"{{"type":"percentage","value":"30","max_per_order":"{max}","promoter_tier_bonus":{{"gold":"15"}},
            "season":{{"multiplier":"2"}},"levels":[{{"level":1,"share":"50"}},{{"level":2,"share":"50"}}]}}"#
        )
    };
    for (max, amount, present, expected) in [
        ("9", 1_000, ALL, [500, 300, 200, 0, 0]), // 600 + 150 → 400 + 100 by the ceiling
        ("3", 1_000, ALL, [300, 180, 120, 0, 0]), // → 240 + 60 by the maximum
        ("0", 1_000, ALL, [0; 5]),
        ("9", 3, ALL, [1, 1, 0, 0, 0]), // 2 + 0 (0.45) → 1: levels tie, the lower first
        ("9", 1_000, [false, true, true], [500, 0, 200, 0, 300]), // the bonus goes with its level
    ] {
        let part = part(&rule(&json(max)), Some(amount), 0, Credit { tier: "gold", present, ..credit("p") });
        assert_eq!(numbers(&part), expected, "{max} {amount}");
    }
    let redistribute = json("9").replace("\"type\"", r#""missing_level":"redistribute","type""#);
    let missing = Credit { tier: "gold", present: [false, true, true], ..credit("p") };
    assert_eq!(numbers(&part(&rule(&redistribute), Some(1_000), 0, missing)), [500, 0, 500, 0, 0]);
    let part = part(&rule(&json("9")), Some(1_000), 0, Credit { tier: "gold", ..credit("p") });
    assert_eq!((part.main, part.tier_bonus, part.max_per_order, part.ceiling), (600, 150, Some(900), Some(500)));
}

#[test]
fn the_most_specific_override_wins() {
    let json = r#"{"type":"percentage","value":"10","levels":[{"level":1,"value":"5"},{"level":2,"value":"3"}],
        "overrides":[{"kind":"kol","value":"20","levels":[{"level":1,"value":"20"}]},
        {"promoter":"ann","value":"8"},{"promoter":"bob","value":"12","levels":[{"level":3,"share":"25"}]}]}"#;
    let rule = rule(json);
    assert_eq!(rule.levels(), 3);
    for (promoter, kind, by, expected) in [
        ("ann", "kol", Some(Override::Promoter), [800, 500, 300, 0, 0]),
        ("bob", "member", Some(Override::Promoter), [1_200, 0, 0, 300, 900]),
        ("eve", "kol", Some(Override::Kind), [2_000, 2_000, 0, 0, 0]),
        ("eve", "member", None, [1_000, 500, 300, 0, 200]),
    ] {
        let part = part(&rule, Some(10_000), 0, Credit { kind, ..credit(promoter) });
        assert_eq!((part.by, numbers(&part)), (by, expected), "{promoter} {kind}");
    }
    let tiered = r#"{"type":"tiered","tiers":[{"from":"0","value":"5"},{"from":"1","value":"9"}],
        "overrides":[{"promoter":"ann","value":"7"}]}"#;
    assert_eq!(pool(tiered, 100, 0, Credit { total: 500, ..credit("ann") }), 7);
    let hybrid = r#"{"type":"hybrid","base":{"type":"fixed","value":"1"},"bonus":[{"type":"fixed","value":"0.5"}],
        "overrides":[{"kind":"member","value":"2"}]}"#;
    assert_eq!(pool(hybrid, 1_000, 0, credit("p")), 250);
}

#[test]
fn an_order_without_an_amount_takes_fixed_parts_uncut_and_no_rate() {
    let uncut =
        r#"{"type":"fixed","value":"8","max_per_order":"1","min_amount":"5","promoter_tier_bonus":{"gold":"1"}}"#;
    let bonus = r#"{"type":"hybrid","base":{"type":"fixed","value":"8"},"season":{"multiplier":"1.5"},"bonus":[
        {"type":"fixed","value":"1"},{"type":"fixed","value":"4","min_amount":"0"}]}"#;
    for (json, paid) in [(uncut, 800), (bonus, 1_350)] {
        let part = part(&rule(json), None, 0, Credit { tier: "gold", ..credit("p") });
        assert_eq!((part.pool, part.bonus, part.ceiling), (paid, 0, None), "{json}");
    }
    for json in [
        r#"{"type":"percentage","value":"8"}"#,
        r#"{"type":"tiered","tiers":[{"from":"0","value":"8"}]}"#,
        r#"{"type":"hybrid","base":{"type":"percentage","value":"1"},"bonus":[{"type":"fixed","value":"1"}]}"#,
        r#"{"type":"hybrid","base":{"type":"fixed","value":"1"},
            "bonus":[{"type":"percentage","value":"1","until":"2000-01-01"}]}"#,
    ] {
        assert_eq!(rule(json).book(None, 0, &[credit("p")]), Ok(None), "{json}");
    }
}

#[test]
fn below_the_minimum_nothing_is_paid() {
    let rule = rule(&HYBRID.replacen("\"bonus\"", r#""min_amount":"60","daily_budget":"100","bonus""#, 1));
    let part = part(&rule, Some(5_999), NOON, credit("p"));
    assert_eq!((part.base, part.main, part.pool, numbers(&part)), (0, 0, 0, [0; 5]));
    assert_eq!((part.rates, part.bonuses), (vec![], vec![None, None]));
    assert!(rule.below_min_amount(Some(5_999)) && !rule.below_min_amount(Some(6_000)) && !rule.below_min_amount(None));
    assert_eq!(rule.daily_budget(), Some(10_000));
}

#[test]
fn several_credits_share_the_weighted_pool_each_through_its_own_chain() {
    let json = r#"{"type":"percentage","value":"10","levels":[{"level":1,"value":"7"},{"level":2,"value":"3"}],
        "overrides":[{"promoter":"ann","value":"20"}],"promoter_tier_bonus":{"gold":"5"}}"#;
    let credits = [
        Credit { weight: 333_333_334, ..credit("ann") },
        Credit { weight: 333_333_333, present: [true, false, false], tier: "gold", ..credit("bob") },
        Credit { weight: 333_333_333, ..credit("eve") },
    ];
    let booking = rule(json).book(Some(1_001), 0, &credits).unwrap().unwrap();
    // pools 200, 100 + 50, 100: a third of each is 66.67, 50 and 33.33, together 150
    assert_eq!(booking.pool, 150);
    assert_eq!(booking.parts.iter().map(|part| part.pool).collect::<Vec<_>>(), [200, 150, 100]);
    // ann's level 1 gets 7 of 20: 23.45, level 2 10.05, the platform 33.5 and by its fraction the unit
    assert_eq!(
        booking.parts.iter().map(numbers).collect::<Vec<_>>(),
        [
            [67, 23, 10, 0, 34],
            [50, 40, 0, 0, 10], // 33.33 and 16.67: 33 and 17; 23.1 and 9.9: 23 and 10
            [33, 23, 10, 0, 0],
        ]
    );
    assert_eq!(booking.parts[1].bonus, 17);
}

#[test]
fn equal_remainders_go_to_the_earlier_touch() {
    let half = |promoter| Credit { weight: WHOLE / 2, ..credit(promoter) };
    let booking = rule(r#"{"type":"fixed","value":"0.03"}"#).book(Some(900), 0, &[half("a"), half("b")]);
    assert_eq!(booking.unwrap().unwrap().parts.iter().map(|part| part.part).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn what_must_not_be_asked_is_refused() {
    let rule = rule(HYBRID);
    for (amount, credits, error) in [
        (1, vec![], BookError::Weights),
        (1, vec![credit("a"), credit("b")], BookError::Weights),
        (1, vec![Credit { weight: u64::MAX, ..credit("a") }, credit("b")], BookError::Weights),
        (MAX_AMOUNT + 1, vec![credit("a")], BookError::Amount),
        (1, vec![Credit { total: MAX_AMOUNT + 1, ..credit("a") }], BookError::Amount),
        (1, vec![Credit { tier: "platinum", ..credit("a") }], BookError::Tier),
    ] {
        assert_eq!(rule.book(Some(amount), 0, &credits), Err(error), "{credits:?}");
    }
    assert_eq!(split_many(&rule, &[MAX_AMOUNT + 1], 0, &credit("a"), &mut Vec::new()), Err(BookError::Amount));
}

#[test]
fn bad_rules_are_refused_with_their_code() {
    let level = |levels: &str| format!(r#"{{"type":"percentage","value":"10","levels":{levels}}}"#);
    let with =
        |more: &str| format!(r#"{{"type":"percentage","value":"10","levels":[{{"level":1,"value":"8"}}],{more}}}"#);
    let tiers = |tiers: &str| format!(r#"{{"type":"tiered","tiers":{tiers}}}"#);
    let hybrid = |base: &str, bonus: &str| format!(r#"{{"type":"hybrid","base":{base},"bonus":{bonus}}}"#);
    let fixed = r#"{"type":"fixed","value":"1"}"#;
    for (json, code) in [
        ("{".into(), "bad_rule"),
        ("[]".into(), "bad_rule"),
        (r#"{"value":"1"}"#.into(), "bad_rule"),
        (r#"{"type":"lottery","value":"1"}"#.into(), "unknown_type"),
        (r#"{"type":"fixed"}"#.into(), "bad_value"),
        (r#"{"type":"fixed","value":1}"#.into(), "bad_value"),
        (r#"{"type":"fixed","value":"one"}"#.into(), "bad_value"),
        (r#"{"type":"fixed","value":"-1"}"#.into(), "negative_value"),
        (r#"{"type":"fixed","value":"1.001"}"#.into(), "too_many_decimals"),
        (r#"{"type":"fixed","value":"5000000000000"}"#.into(), "too_large"),
        (r#"{"type":"fixed","value":"1","tiers":[]}"#.into(), "unknown_key"),
        (r#"{"type":"percentage","value":"1.00001"}"#.into(), "too_many_decimals"),
        (r#"{"type":"percentage","value":"50.0001"}"#.into(), "above_ceiling"),
        (r#"{"type":"percentage","value":"5","rate":"5"}"#.into(), "unknown_key"),
        (r#"{"type":"percentage","value":"5","missing_level":"burn"}"#.into(), "bad_rule"),
        (r#"{"type":"percentage","value":"5","min_amount":"-1"}"#.into(), "negative_value"),
        (r#"{"type":"percentage","value":"5","daily_budget":5}"#.into(), "bad_value"),
        (level("{}"), "bad_level"),
        (level("[]"), "bad_level"),
        (level("[1]"), "bad_rule"),
        (level(r#"[{"level":0,"value":"1"}]"#), "bad_level"),
        (level(r#"[{"level":"1","value":"1"}]"#), "bad_level"),
        (level(r#"[{"level":4,"value":"1"}]"#), "too_many_levels"),
        (level(r#"[{},{},{},{}]"#), "too_many_levels"),
        (level(r#"[{"level":1}]"#), "bad_level"),
        (level(r#"[{"level":1,"value":"1","share":"1"}]"#), "bad_level"),
        (level(r#"[{"level":1,"value":"1","name":"x"}]"#), "unknown_key"),
        (level(r#"[{"level":1,"value":"-1"}]"#), "negative_value"),
        (level(r#"[{"level":1,"value":"1"},{"level":1,"value":"1"}]"#), "duplicate_level"),
        (level(r#"[{"level":1,"value":"7"},{"level":2,"value":"3.0001"}]"#), "levels_above_pool"),
        (level(r#"[{"level":1,"share":"70"},{"level":2,"value":"3.0001"}]"#), "levels_above_pool"),
        (r#"{"type":"fixed","value":"0","levels":[{"level":1,"value":"0.01"}]}"#.into(), "levels_above_pool"),
        (r#"{"type":"tiered"}"#.into(), "bad_tiers"),
        (r#"{"type":"tiered","value":"1","tiers":[]}"#.into(), "unknown_key"),
        (tiers("[]"), "bad_tiers"),
        (tiers("[5]"), "bad_rule"),
        (tiers(r#"[{"from":"0","value":"5"}],"mode":"flat""#), "bad_tiers"),
        (tiers(r#"[{"from":"1","value":"5"}]"#), "tiers_out_of_order"),
        (tiers(r#"[{"from":"0","value":"5"},{"from":"0.00","value":"6"}]"#), "tiers_out_of_order"),
        (
            tiers(r#"[{"from":"0","value":"5"},{"from":"2","value":"6"},{"from":"1","value":"7"}]"#),
            "tiers_out_of_order",
        ),
        (tiers(r#"[{"from":"0","value":"5"},{"from":"2","value":"50.0001"}]"#), "above_ceiling"),
        (tiers(r#"[{"from":"0","value":"-5"}]"#), "negative_value"),
        (tiers(r#"[{"from":"0"}]"#), "bad_value"),
        (tiers(r#"[{"from":"0","value":"5","until":"9"}]"#), "unknown_key"),
        (tiers(r#"[{"from":"0","value":"5"}],"levels":[{"level":1,"value":"5"}]"#), "bad_level"),
        (tiers(r#"[{"from":"0","value":"5"}],"levels":[{"level":1,"share":"100.0001"}]"#), "levels_above_pool"),
        (r#"{"type":"hybrid","bonus":[]}"#.into(), "bad_rule"),
        (hybrid(fixed, "{}"), "bad_bonus"),
        (hybrid(&hybrid(fixed, "[]"), "[]"), "unknown_type"),
        (hybrid(r#"{"type":"percentage","value":"50.0001"}"#, "[]"), "above_ceiling"),
        (hybrid(r#"{"type":"percentage","value":"5","min_amount":"1"}"#, "[]"), "unknown_key"),
        (hybrid(fixed, &format!("[{}]", vec![fixed; MAX_BONUSES + 1].join(","))), "bad_bonus"),
        (hybrid(fixed, r#"[{"type":"tiered","value":"1"}]"#), "unknown_type"),
        (hybrid(fixed, r#"[{"type":"percentage","value":"100.0001"}]"#), "too_large"),
        (hybrid(fixed, r#"[{"type":"fixed","value":"4999999999999"}]"#), "too_large"),
        (hybrid(fixed, r#"[{"type":"fixed","value":"-1"}]"#), "negative_value"),
        (hybrid(fixed, r#"[{"type":"fixed","value":"1","share":"1"}]"#), "unknown_key"),
        (hybrid(fixed, r#"[{"type":"fixed","value":"1","from":"2026-11-31"}]"#), "bad_bonus"),
        (hybrid(fixed, r#"[{"type":"fixed","value":"1","from":"2026-11-11","until":"2026-11-11"}]"#), "bad_bonus"),
        (with(r#""season":"1.5""#), "bad_season"),
        (with(r#""season":[]"#), "bad_season"),
        (with(r#""season":{}"#), "bad_value"),
        (with(r#""season":{"multiplier":"1.00001"}"#), "too_many_decimals"),
        (with(r#""season":{"multiplier":"100.0001"}"#), "too_large"),
        (with(r#""season":{"multiplier":"-2"}"#), "negative_value"),
        (with(r#""season":{"multiplier":"2","from":"2026-11-11T00:00:00"}"#), "bad_season"),
        (with(r#""season":{"multiplier":"2","from":1794355200}"#), "bad_season"),
        (with(r#""season":{"multiplier":"2","from":"1969-12-31"}"#), "bad_season"),
        (
            with(
                r#""season":[{"multiplier":"2","from":"2026-11-12"},{"multiplier":"3","until":"2026-11-12T00:00:01Z"}]"#,
            ),
            "bad_season",
        ),
        (with(r#""promoter_tier_bonus":{"platinum":"1"}"#), "unknown_key"),
        (with(r#""promoter_tier_bonus":{"gold":"100.0001"}"#), "too_large"),
        (with(r#""promoter_tier_bonus":[]"#), "bad_rule"),
        (with(r#""overrides":{}"#), "bad_override"),
        (with(r#""overrides":[{"value":"9"}]"#), "bad_override"),
        (with(r#""overrides":[{"promoter":"a","kind":"kol","value":"9"}]"#), "bad_override"),
        (with(r#""overrides":[{"kind":"king","value":"9"}]"#), "bad_override"),
        (with(r#""overrides":[{"promoter":"a b","value":"9"}]"#), "bad_override"),
        (with(r#""overrides":[{"promoter":"a","value":"9"},{"promoter":"a","value":"8"}]"#), "bad_override"),
        (with(r#""overrides":[{"promoter":"a"}]"#), "bad_value"),
        (with(r#""overrides":[{"promoter":"a","value":"50.0001"}]"#), "above_ceiling"),
        (with(r#""overrides":[{"promoter":"a","value":"7.9999"}]"#), "levels_above_pool"),
        (
            with(r#""overrides":[{"promoter":"a","value":"9","levels":[{"level":1,"value":"9.0001"}]}]"#),
            "levels_above_pool",
        ),
        (with(r#""overrides":[{"promoter":"a","value":"9","min_amount":"1"}]"#), "unknown_key"),
    ] {
        assert_eq!(Rule::parse(&json, "CNY", MAX_CEILING).map_err(|error| error.code), Err(code), "{json}");
    }
    assert_eq!(Rule::parse("{}", "XXX", MAX_CEILING).unwrap_err().code, "bad_currency");
    assert_eq!(Rule::parse(&" ".repeat(MAX_RULE_BYTES + 1), "CNY", MAX_CEILING).unwrap_err().code, "bad_rule");
}

#[test]
fn the_largest_rule_pays_the_largest_order_without_overflow() {
    let bonus = vec![r#"{"type":"percentage","value":"100"}"#; MAX_BONUSES].join(",");
    let json = format!(
        r#"{{"type":"hybrid","base":{{"type":"percentage","value":"50"}},"bonus":[{bonus}],
        "season":{{"multiplier":"100"}},"promoter_tier_bonus":{{"diamond":"100"}}}}"#
    );
    let credits = [WHOLE - 7, 3, 4].map(|weight| Credit { weight, tier: "diamond", ..credit("p") });
    let booking = rule(&json).book(Some(MAX_AMOUNT), 0, &credits).unwrap().unwrap();
    assert_eq!(booking.pool, MAX_POOL);
    assert_eq!(booking.parts.iter().map(|part| part.part).sum::<u64>(), MAX_POOL);
    let fixed = r#"{"type":"fixed","value":"4999999999999.99"}"#;
    assert_eq!(rule(fixed).book(None, 0, &credits).unwrap().unwrap().pool, MAX_POOL);
}

mod ceiling;
mod properties;
