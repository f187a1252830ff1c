//! Withheld income tax on what promoters are paid (money.md, section 6): the arithmetic alone. Which
//! months are joined, and what was withheld before, the caller keeps.
//!
//! Amounts are fen (1e-2 yuan) of at most `money::MAX_AMOUNT`. All is exact until one rounding, half up.

use crate::money::WHOLE_RATE;

/// What is deducted from a month's labour remuneration up to `LABOUR_SMALL`; beyond that, a fifth of it.
const LABOUR_EXEMPT: u64 = 80_000;
const LABOUR_SMALL: u64 = 400_000;

/// What each month of a run deducts, after a fifth of the income.
const PLATFORM_DEDUCTION: u64 = 500_000;

/// Up to this taxable income, this rate in percent, less this.
struct Bracket {
    up_to: u64,
    percent: u64,
    less: u64,
}

const fn bracket(up_to: u64, percent: u64, less: u64) -> Bracket {
    Bracket { up_to, percent, less }
}

/// Prepayment on labour remuneration: State Taxation Administration announcement 2018/61, table 2.
const LABOUR_BRACKETS: [Bracket; 3] =
    [bracket(2_000_000, 20, 0), bracket(5_000_000, 30, 200_000), bracket(u64::MAX, 40, 700_000)];

/// Comprehensive income of a year: Individual Income Tax Law of 2018, table 1.
const ANNUAL_BRACKETS: [Bracket; 7] = [
    bracket(3_600_000, 3, 0),
    bracket(14_400_000, 10, 252_000),
    bracket(30_000_000, 20, 1_692_000),
    bracket(42_000_000, 25, 3_192_000),
    bracket(66_000_000, 30, 5_292_000),
    bracket(96_000_000, 35, 8_592_000),
    bracket(u64::MAX, 45, 18_192_000),
];

/// The tax on all labour remuneration of a person's month: up to 800 yuan none, up to 4,000 a fifth of
/// what is above 800, beyond that by the table on four fifths of it.
pub fn cn_labour(total: u64) -> u64 {
    let tenths = if total <= LABOUR_SMALL { total.saturating_sub(LABOUR_EXEMPT) * 10 } else { total * 8 };
    of_tenths(tenths, &LABOUR_BRACKETS)
}

/// The tax on the income of a run of months: four fifths of it, less 5,000 yuan a month, by the annual
/// table (announcement 2025/16 on internet platforms).
pub fn cn_platform(income: u64, months: u64) -> u64 {
    of_tenths((income * 8).saturating_sub(months * PLATFORM_DEDUCTION * 10), &ANNUAL_BRACKETS)
}

/// A rate of 1e-6 of an amount, at most 1e6.
pub fn flat(amount: u64, rate: u64) -> u64 {
    round_half_up(u128::from(amount) * u128::from(rate), u128::from(WHOLE_RATE))
}

/// By brackets, on a taxable income in tenths of a fen, which keep its fifths exact.
fn of_tenths(taxable: u64, brackets: &[Bracket]) -> u64 {
    let bracket = brackets.iter().find(|b| taxable <= b.up_to.saturating_mul(10)).expect("the last has no end");
    let exact = u128::from(taxable) * u128::from(bracket.percent) - u128::from(bracket.less) * 1_000;
    round_half_up(exact, 1_000)
}

fn round_half_up(numerator: u128, denominator: u128) -> u64 {
    ((numerator + denominator / 2) / denominator) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::MAX_AMOUNT;
    use proptest::prelude::*;

    #[test]
    fn labour_remuneration_by_the_table() {
        for (total, tax) in [
            (0, 0),
            (80_000, 0),
            (80_001, 0),
            (80_003, 1), // 0.6 fen
            (200_000, 24_000),
            (400_000, 64_000),
            (400_001, 64_000), // 64,000.16: both formulas meet at 4,000
            (800_000, 128_000),
            (2_500_000, 400_000),
            (2_500_001, 400_000), // 400,000.24 by 30 % less 2,000
            (3_000_000, 520_000),
            (6_000_000, 1_240_000),
            (6_250_000, 1_300_000),
            (6_250_005, 1_300_002), // 1.6 fen
            (10_000_000, 2_500_000),
        ] {
            assert_eq!(cn_labour(total), tax, "{total}");
        }
    }

    #[test]
    fn platform_income_by_the_cumulative_method() {
        // the run of money.md: 7,200, 6,000 and 8,000 withhold 22.80, 0 and 36.00
        for (income, months, tax) in [(720_000, 1, 2_280), (1_320_000, 2, 1_680), (2_120_000, 3, 5_880)] {
            assert_eq!(cn_platform(income, months), tax, "{income} in {months}");
        }
        // each bracket's end, above one month's deduction: table 1 of the law
        for (taxable, tax) in [
            (0, 0),
            (3_600_000, 108_000),
            (14_400_000, 1_188_000),
            (30_000_000, 4_308_000),
            (42_000_000, 7_308_000),
            (66_000_000, 14_508_000),
            (96_000_000, 25_008_000),
            (100_000_000, 26_808_000),
        ] {
            assert_eq!(cn_platform((taxable + PLATFORM_DEDUCTION) * 5 / 4, 1), tax, "{taxable}");
        }
    }

    #[test]
    fn a_flat_rate_rounds_half_up() {
        for (amount, rate, tax) in [(10, 50_000, 1), (9, 50_000, 0), (30, 50_000, 2), (999, 1_000_000, 999), (1, 0, 0)]
        {
            assert_eq!(flat(amount, rate), tax, "{amount} at {rate}");
        }
        assert_eq!(flat(MAX_AMOUNT, 1_000_000), MAX_AMOUNT);
    }

    proptest! {
        #[test]
        fn more_income_is_never_taxed_less(income in 0..MAX_AMOUNT, more in 0u64..10_000, months in 1u64..=12) {
            prop_assert!(cn_labour(income) <= cn_labour((income + more).min(MAX_AMOUNT)));
            prop_assert!(cn_labour(income) <= income);
            prop_assert!(cn_platform(income, months) <= cn_platform((income + more).min(MAX_AMOUNT), months));
            prop_assert!(months == 1 || cn_platform(income, months) <= cn_platform(income, months - 1));
        }

        #[test]
        fn brackets_meet(around in prop::sample::select(vec![80_000u64, 400_000, 2_500_000, 6_250_000]), by in 0u64..1_000) {
            // a fen more is taxed by at most its own rate and a rounding
            prop_assert!(cn_labour(around + by + 1) - cn_labour(around + by) <= 1);
        }
    }
}
