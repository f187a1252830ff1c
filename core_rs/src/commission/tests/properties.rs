//! What holds of every rule and every order.

use proptest::prelude::*;

use super::*;

fn decimal(units: u64, decimals: usize) -> String {
    let unit = 10u64.pow(decimals as u32);
    format!("{}.{:0decimals$}", units / unit, units % unit)
}

/// Of small orders and of all.
fn amounts() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..300, 0u64..1_000_000, 0..=MAX_AMOUNT]
}

/// What makes a rule's type, as fields of its JSON.
fn bases() -> impl Strategy<Value = String> {
    let rate = || prop_oneof![0u64..50, 0u64..=500_000];
    let percentage = rate().prop_map(|rate| format!(r#""type":"percentage","value":"{}""#, decimal(rate, 4)));
    let fixed = prop_oneof![0u64..50, 0u64..100_000];
    let fixed = fixed.prop_map(|value| format!(r#""type":"fixed","value":"{}""#, decimal(value, 2)));
    let tiers = prop::collection::vec((1u64..100_000, rate()), 1..4);
    let tiered = (tiers, any::<bool>()).prop_map(|(tiers, marginal)| {
        let mut from = 0;
        let mut texts = Vec::new();
        for (step, rate) in tiers {
            texts.push(format!(r#"{{"from":"{}","value":"{}"}}"#, decimal(from, 2), decimal(rate, 4)));
            from += step;
        }
        let mode = if marginal { "marginal" } else { "slab" };
        format!(r#""type":"tiered","mode":"{mode}","tiers":[{}]"#, texts.join(","))
    });
    let plain = prop_oneof![percentage, fixed, tiered].boxed();
    let bonus = (any::<bool>(), 0u64..100_000, prop::option::of(0u64..10_000)).prop_map(|(fixed, value, least)| {
        let kind = if fixed { "fixed" } else { "percentage" };
        let least = least.map_or_else(String::new, |least| format!(r#","min_amount":"{}""#, decimal(least, 2)));
        format!(r#"{{"type":"{kind}","value":"{}"{least}}}"#, decimal(value, if fixed { 2 } else { 4 }))
    });
    let hybrid = (plain.clone(), prop::collection::vec(bonus, 0..4))
        .prop_map(|(base, bonuses)| format!(r#""type":"hybrid","base":{{{base}}},"bonus":[{}]"#, bonuses.join(",")));
    prop_oneof![3 => plain, 1 => hybrid]
}

/// The highest, and all that an operator may set.
fn ceilings() -> impl Strategy<Value = u64> {
    prop_oneof![Just(MAX_CEILING), 1..=MAX_CEILING]
}

prop_compose! {
    fn rules()(
        base in bases(), shares in [0u64..400_000, 0u64..300_000, 0u64..300_000], redistribute: bool,
        tier_bonus in 0u64..100_000, multiplier in 0u64..30_000,
        max in prop::option::of(0u64..10_000), least in prop::option::of(0u64..1_000),
    ) -> String {
        let levels = shares.iter().enumerate()
            .map(|(i, share)| format!(r#"{{"level":{},"share":"{}"}}"#, i + 1, decimal(*share, 4))).collect::<Vec<_>>();
        let option = |key: &str, value: Option<u64>|
            value.map_or_else(String::new, |value| format!(r#","{key}":"{}""#, decimal(value, 2)));
        format!(
            r#"{{{base},"levels":[{}],"missing_level":"{}","promoter_tier_bonus":{{"gold":"{}"}},
            "season":{{"multiplier":"{}"}}{}{}}}"#,
            levels.join(","), if redistribute { "redistribute" } else { "platform" }, decimal(tier_bonus, 4),
            decimal(multiplier, 4), option("max_per_order", max), option("min_amount", least),
        )
    }
}

prop_compose! {
    fn credits()(
        cuts in prop::collection::vec(0..=WHOLE, 0..4), totals in prop::collection::vec(amounts(), 4),
        gold in any::<[bool; 4]>(), present in any::<[[bool; 3]; 4]>(),
    ) -> Vec<Credit<'static>> {
        let mut bounds = [&[0], &cuts[..], &[WHOLE]].concat();
        bounds.sort_unstable();
        bounds.windows(2).enumerate().map(|(i, pair)| Credit {
            weight: pair[1] - pair[0], total: totals[i % 4], tier: if gold[i % 4] { "gold" } else { "" },
            present: present[i % 4], ..credit("p")
        }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_parts_sum_to_the_pool_and_no_cap_is_passed(
        json in rules(), ceiling in ceilings(), amount in prop::option::of(amounts()), credits in credits(),
    ) {
        let rule = match Rule::parse(&json, "CNY", ceiling) {
            Ok(rule) => rule,
            Err(error) => {
                prop_assert!(error.code == "above_ceiling" && ceiling < MAX_CEILING, "{error}");
                return Ok(());
            }
        };
        let Some(booking) = rule.book(amount, NOON, &credits).unwrap() else {
            let fixed = json.starts_with(r#"{"type":"fixed""#);
            prop_assert!(amount.is_none() && !fixed);
            return Ok(());
        };
        prop_assert_eq!(booking.parts.iter().map(|part| part.part).sum::<u64>(), booking.pool);
        for (part, credit) in booking.parts.iter().zip(&credits) {
            prop_assert_eq!(part.levels.iter().sum::<u64>() + part.platform, part.part);
            prop_assert!(part.bonus <= part.part);
            prop_assert!(part.levels.iter().zip(credit.present).all(|(level, present)| present || *level == 0));
            let caps = [part.max_per_order, part.ceiling].into_iter().flatten().min().unwrap_or(u64::MAX);
            prop_assert_eq!(part.pool, caps.min(part.main + part.tier_bonus));
            prop_assert!(booking.pool <= caps);
        }
        if let Some(amount) = amount {
            let most = (u128::from(amount) * u128::from(ceiling) / 1_000_000) as u64;
            prop_assert!(booking.pool <= most && most <= amount / 2);
            prop_assert!(booking.parts.iter().all(|part| part.pool == 0 || part.ceiling == Some(most)));
            prop_assert!(booking.pool == 0 || !rule.below_min_amount(Some(amount)));
        }
    }

    #[test]
    fn a_larger_order_never_pays_less(json in rules(), amount in amounts(), more in 0u64..1_000, credits in credits()) {
        let rule = rule(&json);
        let pool = |amount| rule.book(Some(amount), NOON, &credits).unwrap().unwrap().pool;
        let more = (amount + more).min(MAX_AMOUNT);
        prop_assert!(pool(amount) <= pool(more), "{amount} {more}");
    }

    #[test]
    fn a_batch_is_each_order_booked_alone(
        json in rules(), amounts in prop::collection::vec(amounts(), 0..20), credits in credits(),
    ) {
        let rule = rule(&json);
        let credit = Credit { weight: WHOLE, ..credits[0] };
        let mut out = Vec::new();
        split_many(&rule, &amounts, NOON, &credit, &mut out).unwrap();
        let booked = amounts.iter().flat_map(|amount| {
            let part = part(&rule, Some(*amount), NOON, credit);
            [&part.levels[..], &[part.platform]].concat()
        });
        prop_assert_eq!(out, booked.collect::<Vec<_>>());
    }

    #[test]
    fn any_text_is_read_or_refused(json in "[-a-z0-9\\[\\]{}\":,. ]{0,60}", ceiling: u64) {
        let _ = Rule::parse(&json, "CNY", ceiling);
        let _ = Rule::parse(&json, "CNY", MAX_CEILING);
    }
}
