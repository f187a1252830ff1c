//! Numbers as text.

/// Appends a number in decimal digits. (`write!` takes several times as long, and a hit has a few of them.)
pub fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] += (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Gives the decimal digits of a byte, the first one first.
pub fn short(number: u8, mut give: impl FnMut(char)) {
    let digit = |n: u8| char::from(b'0' + n % 10);
    if number >= 100 {
        give(digit(number / 100));
    }
    if number >= 10 {
        give(digit(number / 10));
    }
    give(digit(number));
}

/// The value of a hex digit of either case.
pub fn hex_digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_written_as_the_standard_library_does() {
        for number in 0..=u8::MAX {
            let mut out = String::new();
            short(number, |digit| out.push(digit));
            assert_eq!(out, number.to_string());
        }
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_the_standard_library_does(number: u64) {
            for number in [number, number % 1000, 0, u64::MAX] {
                let mut out = Vec::new();
                decimal(number, &mut out);
                prop_assert_eq!(out, number.to_string().into_bytes());
            }
        }
    }
}
