use super::*;
use proptest::prelude::*;

const ALL: [bool; 3] = [true; 3];

fn rule(json: &str) -> Rule {
    Rule::parse(json, "CNY").unwrap()
}

fn parts(split: Split) -> [u64; 5] {
    let [a, b, c] = split.levels;
    [split.pool, a, b, c, split.platform]
}

#[test]
fn splits_as_the_rule_says() {
    let two = r#"{"type":"percentage","value":"10.0","levels":[{"level":2,"value":"3.0"},{"level":1,"value":"5.0"}]}"#;
    let three = r#""levels":[{"level":1,"share":"50"},{"level":2,"share":"30"},{"level":3,"share":"20"}]}"#;
    let again = format!(r#"{{"type":"percentage","value":"10","missing_level":"redistribute",{three}"#);
    let fixed = format!(r#"{{"type":"fixed","value":"1.01",{three}"#);
    let gap = r#"{"type":"fixed","value":"9","levels":[{"level":3,"value":"4"},{"level":1,"share":"50"}]}"#;
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
        (gap, 10_000, ALL, [900, 450, 0, 400, 50]),
        (r#"{"type":"percentage","value":"50"}"#, 3, ALL, [1, 1, 0, 0, 0]), // half even 2, ceiling 1
        (r#"{"type":"percentage","value":"0"}"#, 99, ALL, [0; 5]),
        (r#"{"type":"percentage","value":"0.0001"}"#, MAX_AMOUNT, ALL, [1_000_000_000, 1_000_000_000, 0, 0, 0]),
        (r#"{"type":"percentage","value":"10","max_per_order":"3"}"#, 9_900, ALL, [300, 300, 0, 0, 0]),
        (r#"{"type":"percentage","value":"10","min_amount":"99"}"#, 9_900, ALL, [990, 990, 0, 0, 0]),
        (r#"{"type":"percentage","value":"10","min_amount":"99"}"#, 9_899, ALL, [0; 5]),
    ] {
        assert_eq!(parts(rule(json).split(Some(amount), present).unwrap()), expected, "{json} {amount} {present:?}");
    }
}

#[test]
fn a_pool_of_its_own_is_split_even_by_a_rule_that_pays_nothing() {
    let nothing = r#"{"type":"fixed","value":"0","levels":[{"level":1,"share":"75"},{"level":2,"value":"0"}]}"#;
    assert_eq!(parts(rule(nothing).split_pool(100, ALL)), [100, 75, 0, 0, 25]);
    let above = r#"{"type":"fixed","value":"0","levels":[{"level":1,"value":"0.01"}]}"#;
    assert_eq!(Rule::parse(above, "CNY").unwrap_err().code, "levels_above_pool");
}

#[test]
fn without_an_amount_fixed_pays_uncut_and_percentage_nothing() {
    assert_eq!(rule(r#"{"type":"fixed","value":"8","max_per_order":"1","min_amount":"5"}"#).pool(None), Some(800));
    assert_eq!(rule(r#"{"type":"percentage","value":"8"}"#).pool(None), None);
}

#[test]
fn bad_rules_are_refused_with_their_code() {
    let level = |levels: &str| format!(r#"{{"type":"percentage","value":"10","levels":{levels}}}"#);
    for (json, code) in [
        ("{", "bad_rule"),
        ("[]", "bad_rule"),
        (r#"{"value":"1"}"#, "bad_rule"),
        (r#"{"type":"tiered","tiers":[]}"#, "unknown_type"),
        (r#"{"type":"fixed"}"#, "bad_value"),
        (r#"{"type":"fixed","value":1}"#, "bad_value"),
        (r#"{"type":"fixed","value":"one"}"#, "bad_value"),
        (r#"{"type":"fixed","value":"-1"}"#, "negative_value"),
        (r#"{"type":"fixed","value":"1.001"}"#, "too_many_decimals"),
        (r#"{"type":"percentage","value":"1.00001"}"#, "too_many_decimals"),
        (r#"{"type":"percentage","value":"50.0001"}"#, "above_ceiling"),
        (r#"{"type":"percentage","value":"5","rate":"5"}"#, "unknown_key"),
        (r#"{"type":"percentage","value":"5","missing_level":"burn"}"#, "bad_rule"),
        (r#"{"type":"percentage","value":"5","min_amount":"-1"}"#, "negative_value"),
        (&level("{}"), "bad_level"),
        (&level("[]"), "bad_level"),
        (&level("[1]"), "bad_rule"),
        (&level(r#"[{"level":0,"value":"1"}]"#), "bad_level"),
        (&level(r#"[{"level":"1","value":"1"}]"#), "bad_level"),
        (&level(r#"[{"level":4,"value":"1"}]"#), "too_many_levels"),
        (&level(r#"[{},{},{},{}]"#), "too_many_levels"),
        (&level(r#"[{"level":1}]"#), "bad_level"),
        (&level(r#"[{"level":1,"value":"1","share":"1"}]"#), "bad_level"),
        (&level(r#"[{"level":1,"value":"1","name":"x"}]"#), "unknown_key"),
        (&level(r#"[{"level":1,"value":"-1"}]"#), "negative_value"),
        (&level(r#"[{"level":1,"value":"1"},{"level":1,"value":"1"}]"#), "duplicate_level"),
        (&level(r#"[{"level":1,"value":"7"},{"level":2,"value":"3.0001"}]"#), "levels_above_pool"),
        (&level(r#"[{"level":1,"share":"70"},{"level":2,"value":"3.0001"}]"#), "levels_above_pool"),
    ] {
        assert_eq!(Rule::parse(json, "CNY").unwrap_err().code, code, "{json}");
    }
    assert_eq!(Rule::parse("{}", "XXX").unwrap_err().code, "bad_currency");
    assert_eq!(Rule::parse(&" ".repeat(MAX_RULE_BYTES + 1), "CNY").unwrap_err().code, "bad_rule");
}

proptest! {
    #[test]
    fn the_parts_sum_to_the_pool(
        value in 0u64..=500_000, shares in [0u64..400_000, 0u64..300_000, 0u64..300_000],
        amount in 0..=MAX_AMOUNT, present: [bool; 3], redistribute: bool,
    ) {
        let levels: Vec<_> = shares.iter().enumerate()
            .map(|(i, s)| format!(r#"{{"level":{},"share":"{}.{:04}"}}"#, i + 1, s / 10_000, s % 10_000)).collect();
        let missing = if redistribute { "redistribute" } else { "platform" };
        let json = format!(
            r#"{{"type":"percentage","value":"{}.{:04}","missing_level":"{missing}","levels":[{}]}}"#,
            value / 10_000, value % 10_000, levels.join(","),
        );
        let split = rule(&json).split(Some(amount), present).unwrap();
        prop_assert!(split.pool <= amount / 2);
        prop_assert_eq!(split.levels.iter().sum::<u64>() + split.platform, split.pool);
        for (level, present) in split.levels.iter().zip(present) {
            prop_assert!(present || *level == 0);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(json in "[-a-z0-9\\[\\]{}\":,. ]{0,60}") {
        let _ = Rule::parse(&json, "CNY");
    }
}
