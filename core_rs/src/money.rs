//! Amounts: integers of a currency's minor unit, their text form, and sharing them out exactly.

/// Digits of an amount or rate, as written and as held.
pub const MAX_DIGITS: usize = 15;

/// The largest amount, in minor units.
pub const MAX_AMOUNT: u64 = 10u64.pow(MAX_DIGITS as u32) - 1;

/// Decimals of a percentage, which makes rates integers of 1e-6.
pub const RATE_DECIMALS: u32 = 4;
/// 100 %.
pub const WHOLE_RATE: u64 = 1_000_000;

/// How many decimals a currency has: ISO 4217, tables A.1 and A.2, with amendments up to 1 January
/// 2026. Codes without a minor unit (metals, XDR, XTS, XXX ...) are no currencies here.
pub fn exponent(currency: &str) -> Option<u32> {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => Some(0),
        "AED" | "AFN" | "ALL" | "AMD" | "AOA" | "ARS" | "AUD" | "AWG" | "AZN" | "BAM" | "BBD" | "BDT" | "BMD"
        | "BND" | "BOB" | "BOV" | "BRL" | "BSD" | "BTN" | "BWP" | "BYN" | "BZD" | "CAD" | "CDF" | "CHE" | "CHF"
        | "CHW" | "CNY" | "COP" | "COU" | "CRC" | "CUP" | "CVE" | "CZK" | "DKK" | "DOP" | "DZD" | "EGP" | "ERN"
        | "ETB" | "EUR" | "FJD" | "FKP" | "GBP" | "GEL" | "GHS" | "GIP" | "GMD" | "GTQ" | "GYD" | "HKD" | "HNL"
        | "HTG" | "HUF" | "IDR" | "ILS" | "INR" | "IRR" | "JMD" | "KES" | "KGS" | "KHR" | "KPW" | "KYD" | "KZT"
        | "LAK" | "LBP" | "LKR" | "LRD" | "LSL" | "MAD" | "MDL" | "MGA" | "MKD" | "MMK" | "MNT" | "MOP" | "MRU"
        | "MUR" | "MVR" | "MWK" | "MXN" | "MXV" | "MYR" | "MZN" | "NAD" | "NGN" | "NIO" | "NOK" | "NPR" | "NZD"
        | "PAB" | "PEN" | "PGK" | "PHP" | "PKR" | "PLN" | "QAR" | "RON" | "RSD" | "RUB" | "SAR" | "SBD" | "SCR"
        | "SDG" | "SEK" | "SGD" | "SHP" | "SLE" | "SOS" | "SRD" | "SSP" | "STN" | "SVC" | "SYP" | "SZL" | "THB"
        | "TJS" | "TMT" | "TOP" | "TRY" | "TTD" | "TWD" | "TZS" | "UAH" | "USD" | "USN" | "UYU" | "UZS" | "VED"
        | "VES" | "WST" | "XAD" | "XCD" | "XCG" | "YER" | "ZAR" | "ZMW" | "ZWG" => Some(2),
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => Some(3),
        "CLF" | "UYW" => Some(4),
        _ => None,
    }
}

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountError {
    BadAmount,
    BadCurrency,
}

impl AmountError {
    pub fn code(self) -> &'static str {
        match self {
            AmountError::BadAmount => "bad_amount",
            AmountError::BadCurrency => "bad_currency",
        }
    }
}

/// Minor units of a decimal string in the major unit.
pub fn parse_amount(text: &str, currency: &str) -> Result<u64, AmountError> {
    let decimals = exponent(currency).ok_or(AmountError::BadCurrency)?;
    parse_decimal(text, decimals).map_err(|_| AmountError::BadAmount)
}

/// A percentage of at most 100 as an integer of 1e-6.
pub fn parse_rate(text: &str) -> Option<u64> {
    parse_decimal(text, RATE_DECIMALS).ok().filter(|rate| *rate <= WHOLE_RATE)
}

/// The shortest decimal string of a rate in percent.
pub fn format_rate(rate: u64) -> String {
    let unit = 10u64.pow(RATE_DECIMALS);
    let text = format!("{}.{:0width$}", rate / unit, rate % unit, width = RATE_DECIMALS as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The decimal string of minor units, with all of the currency's decimals; none for no currency.
pub fn format_amount(amount: i64, currency: &str) -> Option<String> {
    let decimals = exponent(currency)?;
    let sign = if amount < 0 { "-" } else { "" };
    let unit = 10u64.pow(decimals);
    let (whole, rest) = (amount.unsigned_abs() / unit, amount.unsigned_abs() % unit);
    Some(match decimals {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{rest:0width$}", width = decimals as usize),
    })
}

/// Why a text is no decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// Other than digits with perhaps a point between them, or more than `MAX_DIGITS`.
    Malformed,
    Negative,
    TooManyDecimals,
}

/// An exact decimal in units of 10^-`decimals`. Digits, then perhaps a point and digits; no exponent,
/// no sign, and no more decimals than asked for, zeros included.
pub fn parse_decimal(text: &str, decimals: u32) -> Result<u64, DecimalError> {
    if text.starts_with('-') {
        return Err(DecimalError::Negative);
    }
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return Err(DecimalError::Malformed),
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = || whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || digits().count() > MAX_DIGITS || !digits().all(|c| c.is_ascii_digit()) {
        return Err(DecimalError::Malformed);
    }
    let missing = decimals.checked_sub(fraction.len() as u32).ok_or(DecimalError::TooManyDecimals)?;
    let value = digits().fold(0u64, |value, c| value * 10 + u64::from(c - b'0'));
    // at most 15 digits and 4 decimals: below 10^19, which a u64 holds
    let value = value * 10u64.pow(missing);
    if value <= MAX_AMOUNT { Ok(value) } else { Err(DecimalError::Malformed) }
}

/// `numerator` / `denominator` to the nearest integer, halves to the even one. The denominator is
/// below 2^127.
pub fn round_half_even(numerator: u128, denominator: u128) -> u128 {
    let (quotient, remainder) = (numerator / denominator, numerator % denominator);
    match (2 * remainder).cmp(&denominator) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
        std::cmp::Ordering::Greater => quotient + 1,
    }
}

/// Why something cannot be shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocateError {
    /// There is something to share and no weight above zero.
    NoWeight,
    /// The total times the sum of the weights does not fit 128 bits.
    TooLarge,
}

impl AllocateError {
    pub fn code(self) -> &'static str {
        match self {
            AllocateError::NoWeight => "no_weight",
            AllocateError::TooLarge => "too_large",
        }
    }
}

/// Shares `total` out in proportion to the weights by largest remainder: floor each, then the units
/// left one by one to the largest fractions, ties to the earlier. The parts sum to `total`.
pub fn allocate(total: u64, weights: &[u128]) -> Result<Vec<u64>, AllocateError> {
    let mut parts = vec![0; weights.len()];
    let mut remainders = vec![(0, 0); weights.len()];
    allocate_into(total, weights, &mut parts, &mut remainders)?;
    Ok(parts)
}

/// The same for a known number of parts, without allocation.
pub fn allocate_array<const N: usize>(total: u64, weights: &[u128; N]) -> Result<[u64; N], AllocateError> {
    let (mut parts, mut remainders) = ([0; N], [(0, 0); N]);
    allocate_into(total, weights, &mut parts, &mut remainders)?;
    Ok(parts)
}

/// `remainders` is room to work in; all slices have the same length.
pub(crate) fn allocate_into(
    total: u64,
    weights: &[u128],
    parts: &mut [u64],
    remainders: &mut [(u128, usize)],
) -> Result<(), AllocateError> {
    let sum = weights.iter().try_fold(0u128, |sum, w| sum.checked_add(*w)).ok_or(AllocateError::TooLarge)?;
    let product = sum.checked_mul(u128::from(total)).ok_or(AllocateError::TooLarge)?;
    if product == 0 {
        parts.fill(0);
        return if total == 0 { Ok(()) } else { Err(AllocateError::NoWeight) };
    }
    // 64-bit division is several times faster, and nearly every order fits it
    let narrow = u64::try_from(product).is_ok();
    let mut left = total;
    for (i, &weight) in weights.iter().enumerate() {
        let (quotient, remainder) = if narrow {
            let (product, sum) = (total * weight as u64, sum as u64);
            (product / sum, u128::from(product % sum))
        } else {
            let product = u128::from(total) * weight;
            let quotient = product / sum;
            (quotient as u64, product - quotient * sum)
        };
        parts[i] = quotient;
        remainders[i] = (remainder, i);
        left -= quotient;
    }
    if left > 0 {
        remainders.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        // fewer units are left than there are fractions above zero, so weight 0 gets none
        for &(_, i) in &remainders[..left as usize] {
            parts[i] += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_that_are_amounts() {
        for (text, currency, amount) in [
            ("0", "CNY", 0),
            ("100", "CNY", 10_000),
            ("100.5", "CNY", 10_050),
            ("007.05", "CNY", 705),
            ("500", "JPY", 500),
            ("1.234", "KWD", 1_234),
            ("1.2345", "CLF", 12_345),
            ("9999999999999.99", "USD", MAX_AMOUNT),
        ] {
            assert_eq!(parse_amount(text, currency), Ok(amount), "{text} {currency}");
        }
    }

    #[test]
    fn texts_that_are_none() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e2",
            "1,0",
            " 1",
            "1 ",
            "0x1",
            "١",
            "1.000",
            "1..0",
            "1.0.0",
            "NaN",
            "10000000000000",
            "0000000000000001",
        ] {
            assert_eq!(parse_amount(text, "CNY"), Err(AmountError::BadAmount), "{text}");
        }
        assert_eq!(parse_amount("1.0", "JPY"), Err(AmountError::BadAmount));
        for currency in ["", "cny", "XXX", "XAU", "BTC", "CNYY"] {
            assert_eq!(parse_amount("1", currency), Err(AmountError::BadCurrency), "{currency}");
        }
    }

    #[test]
    fn rates_are_percentages_of_at_most_four_decimals() {
        for (text, rate) in [("0", Some(0)), ("5.0", Some(50_000)), ("0.0001", Some(1)), ("100", Some(WHOLE_RATE))] {
            assert_eq!(parse_rate(text), rate, "{text}");
        }
        for text in ["", "-1", "1.00001", "100.0001", "5%"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
        for (rate, text) in [(0, "0"), (1, "0.0001"), (50_000, "5"), (123_450, "12.345"), (WHOLE_RATE, "100")] {
            assert_eq!(format_rate(rate), text);
        }
    }

    #[test]
    fn amounts_have_one_text_form() {
        for (amount, currency, text) in [
            (0, "CNY", "0.00"),
            (-5, "CNY", "-0.05"),
            (-120, "JPY", "-120"),
            (i64::MIN, "KWD", "-9223372036854775.808"),
        ] {
            assert_eq!(format_amount(amount, currency).as_deref(), Some(text));
        }
        assert_eq!(format_amount(1, "XTS"), None);
    }

    #[test]
    fn halves_go_to_the_even() {
        for (tenths, rounded) in [(26, 3), (25, 2), (35, 4), (20, 2), (24, 2), (5, 0), (15, 2)] {
            assert_eq!(round_half_even(tenths, 10), rounded, "{tenths}");
        }
    }

    #[test]
    fn what_cannot_be_shared_out_is_said() {
        assert_eq!(allocate(1, &[0, 0]), Err(AllocateError::NoWeight));
        assert_eq!(allocate(1, &[]), Err(AllocateError::NoWeight));
        assert_eq!(allocate(0, &[0, 0]), Ok(vec![0, 0]));
        assert_eq!(allocate(2, &[u128::MAX]), Err(AllocateError::TooLarge));
        assert_eq!(allocate(1, &[u128::MAX, 1]), Err(AllocateError::TooLarge));
    }

    proptest! {
        #[test]
        fn every_rate_reads_back(rate in 0..=WHOLE_RATE) {
            prop_assert_eq!(parse_rate(&format_rate(rate)), Some(rate));
        }

        #[test]
        fn every_amount_reads_back(amount in 0..=MAX_AMOUNT, currency in prop::sample::select(vec!["JPY", "CNY", "KWD", "UYW"])) {
            let text = format_amount(amount as i64, currency).unwrap();
            prop_assert_eq!(parse_amount(&text, currency), Ok(amount));
        }

        #[test]
        fn parts_sum_to_the_total_and_are_within_a_unit(
            total in 0..=MAX_AMOUNT, weights in prop::collection::vec(0u128..1 << 70, 1..9), shift in 0u32..70,
        ) {
            let weights: Vec<u128> = weights.iter().map(|w| w >> shift).collect();
            let sum: u128 = weights.iter().sum();
            prop_assume!(sum > 0);
            let parts = allocate(total, &weights).unwrap();
            prop_assert_eq!(parts.iter().sum::<u64>(), total);
            for (part, weight) in parts.iter().zip(&weights) {
                let floor = (u128::from(total) * weight / sum) as u64;
                prop_assert!(*part == floor || *part == floor + 1);
                prop_assert!(*weight > 0 || *part == 0);
            }
        }
    }
}
