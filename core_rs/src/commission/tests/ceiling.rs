//! A platform's ceiling below the highest.

use super::*;

#[test]
fn a_lower_ceiling_cuts_what_an_order_pays_and_leaves_one_without_an_amount() {
    let fixed = r#"{"type":"fixed","value":"8"}"#;
    let season = r#"{"type":"percentage","value":"10","season":{"multiplier":"3"}}"#;
    let bonus = r#"{"type":"percentage","value":"10","promoter_tier_bonus":{"gold":"10"},"max_per_order":"1.50"}"#;
    for (ceiling, json, amount, pool) in [
        (100_000, fixed, 1_009, 100), // floor(100.9)
        (100_000, fixed, 9_000, 800),
        (123_456, fixed, 1_000, 123),
        (1, fixed, 999_999, 0), // 0.0001 % of 9,999.99
        (1, fixed, 1_000_000, 1),
        (200_000, season, 1_000, 200),
        (120_000, bonus, 1_000, 120),
        (160_000, bonus, 1_000, 150), // the maximum is less
    ] {
        let part = part(&under(ceiling, json), Some(amount), 0, Credit { tier: "gold", ..credit("p") });
        let most = u128::from(amount) * u128::from(ceiling) / 1_000_000;
        assert_eq!((part.pool, part.ceiling), (pool, Some(most as u64)), "{ceiling} {json} {amount}");
    }
    assert_eq!(part(&under(1, fixed), None, 0, credit("p")).pool, 800);
}

#[test]
fn a_rate_above_a_lower_ceiling_is_refused_with_its_name() {
    let percentage = r#"{"type":"percentage","value":"12.3457"}"#;
    let tiered = r#"{"type":"tiered","tiers":[{"from":"0","value":"1"},{"from":"9","value":"12.3457"}]}"#;
    let hybrid = format!(r#"{{"type":"hybrid","base":{percentage}}}"#);
    let overridden = r#"{"type":"percentage","value":"1","overrides":[{"kind":"kol","value":"12.3457"}]}"#;
    for json in [percentage, tiered, &hybrid, overridden] {
        let error = Rule::parse(json, "CNY", 123_456).unwrap_err();
        assert_eq!(error.code, "above_ceiling", "{json}");
        assert!(error.detail.ends_with("`value` is above the platform's ceiling of 12.3456 %"), "{error}");
        under(123_457, json);
    }
}

#[test]
fn a_ceiling_is_above_0_and_at_most_half() {
    let json = r#"{"type":"percentage","value":"0"}"#;
    for ceiling in [0, MAX_CEILING + 1, u64::MAX] {
        assert_eq!(Rule::parse(json, "CNY", ceiling).unwrap_err().code, "bad_ceiling", "{ceiling}");
    }
    for ceiling in [1, MAX_CEILING] {
        under(ceiling, json);
    }
}
