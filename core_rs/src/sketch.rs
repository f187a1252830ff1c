//! Sketches of visitors: how many different ones, in at most 4 KB, mergeable across any rows.
//!
//! HyperLogLog of Apache DataSketches, 2^12 registers of 8 bits, standard error 1.6 %; a few visitors
//! are kept as they are and counted almost exactly. The bytes are those that its Java, C++ and Python
//! libraries read and write. No bytes at all are the sketch of nobody.

pub use datasketches::error::Error;
use datasketches::hash::value::raw_bytes;
use datasketches::hll::{Coupon, HllSketch, HllType, HllUnion};

use crate::event::Id;

/// Binary logarithm of the number of registers.
const LG_REGISTERS: u8 = 12;
const REGISTERS: usize = 1 << LG_REGISTERS;
/// Where the registers begin in the bytes of a sketch that has them.
const PREAMBLE: usize = 40;
/// The byte that says how a sketch keeps its visitors, and that of one with registers of 8 bits.
const MODE: usize = 7;
const REGISTERS_OF_8_BITS: u8 = 0b1010;
/// Relative standard errors: sqrt((3 ln 2 - 1) / 2^12) of registers (Flajolet et al. 2007), and what the
/// library states of visitors that are kept one by one, by 26 bits of their hashes.
const REGISTERS_ERROR: f64 = 0.016_234;
const COUPONS_ERROR: f64 = 0.000_05;

/// A visitor's hash, computed once for all the sketches it goes into.
#[derive(Clone, Copy)]
pub struct Visitor(Coupon);

impl Visitor {
    pub fn new(id: &Id) -> Visitor {
        Visitor(Coupon::from_value(raw_bytes::from_slice(id)))
    }
}

/// Visitors on their way into a sketch.
#[derive(Default)]
pub struct Visitors(Option<HllSketch>);

impl Visitors {
    pub fn add(&mut self, visitor: Visitor) {
        let sketch =
            self.0.get_or_insert_with(|| HllSketch::new(LG_REGISTERS, HllType::Hll8).expect("a size it allows"));
        sketch.update_with_coupon(visitor.0);
    }

    /// The sketch's bytes; empty where nobody was added.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.as_ref().map(HllSketch::serialize).unwrap_or_default()
    }
}

/// The union of sketches. Those with registers are first made one by the greatest of each register, which
/// takes a hundredth of the library's time for them.
pub fn merge<'a>(sketches: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Error> {
    let mut union = HllUnion::new(LG_REGISTERS).expect("a size it allows");
    let mut greatest: Option<Vec<u8>> = None;
    for sketch in sketches.into_iter().filter(|bytes| !bytes.is_empty()) {
        match &mut greatest {
            Some(greatest) if has_registers(sketch) => {
                for (most, register) in greatest[PREAMBLE..].iter_mut().zip(&sketch[PREAMBLE..]) {
                    *most = (*most).max(*register);
                }
            }
            _ => {
                union.update(&HllSketch::deserialize(sketch)?);
                if has_registers(sketch) {
                    greatest = Some(sketch.to_vec());
                }
            }
        }
    }
    if let Some(greatest) = greatest {
        // what else its preamble says was its first sketch's: the union makes it anew of the registers
        union.update(&HllSketch::deserialize(&greatest)?);
    }
    Ok(if union.is_empty() { Vec::new() } else { union.to_sketch(HllType::Hll8).serialize() })
}

fn has_registers(sketch: &[u8]) -> bool {
    sketch.len() == PREAMBLE + REGISTERS && sketch[MODE] == REGISTERS_OF_8_BITS && sketch[3] == LG_REGISTERS
}

/// The relative standard error of a sketch's estimate; 0 of nobody.
pub fn relative_error(sketch: &[u8]) -> Result<f64, Error> {
    if sketch.is_empty() {
        return Ok(0.0);
    }
    HllSketch::deserialize(sketch)?;
    Ok(if has_registers(sketch) { REGISTERS_ERROR } else { COUPONS_ERROR })
}

/// How many different visitors a sketch has seen, rounded. It depends on who they were alone, not on
/// the order they came in nor on how they were merged, so a replay reports the same number.
pub fn estimate(sketch: &[u8]) -> Result<u64, Error> {
    if sketch.is_empty() {
        return Ok(0);
    }
    Ok(HllSketch::deserialize(sketch)?.composite_estimate().round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: u64) -> Id {
        u128::from(number).to_be_bytes()
    }

    fn sketch(visitors: impl IntoIterator<Item = u64>) -> Vec<u8> {
        let mut sketch = Visitors::default();
        visitors.into_iter().for_each(|v| sketch.add(Visitor::new(&id(v))));
        sketch.to_bytes()
    }

    #[test]
    fn nobody_is_no_bytes() {
        assert_eq!(sketch([]), b"");
        assert_eq!(merge([b"".as_slice()]).unwrap(), b"");
        assert_eq!(estimate(b"").unwrap(), 0);
    }

    #[test]
    fn few_visitors_are_counted_exactly_and_many_within_three_standard_errors() {
        for (visitors, slack) in [(1, 0), (7, 0), (100, 0), (20_000, 960), (300_000, 14_400)] {
            let counted = estimate(&sketch(0..visitors)).unwrap();
            assert!(counted.abs_diff(visitors) <= slack, "{counted} of {visitors}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_c_library() {
        // what its Python package 5.2.0 writes (serialize_compact) for these three ids
        let theirs = "0201070c0308030850c94d05854bd10adb8cbd05";
        let ours: String = sketch(0..3).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn the_error_is_that_of_how_visitors_are_kept() {
        let errors = [sketch([]), sketch(0..100), sketch(0..5_000)].map(|s| relative_error(&s).unwrap());
        assert_eq!(errors, [0.0, COUPONS_ERROR, REGISTERS_ERROR]);
        let off: Vec<f64> = (0..40u64)
            .map(|part| estimate(&sketch(part * 50_000..(part + 1) * 50_000)).unwrap() as f64 / 50_000.0 - 1.0)
            .collect();
        let seen = (off.iter().map(|error| error * error).sum::<f64>() / 40.0).sqrt();
        assert!(seen < 1.5 * REGISTERS_ERROR, "{seen}");
    }

    #[test]
    fn bytes_that_are_no_sketch_are_refused() {
        assert!(relative_error(b"not a sketch").is_err());
        assert!(estimate(b"not a sketch").is_err());
        assert!(merge([b"\x02".as_slice()]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn how_visitors_were_parted_and_ordered_changes_nothing(
            parts in proptest::collection::vec(proptest::collection::vec(0u64..9_000, 0..2_500), 0..8),
        ) {
            let sketches: Vec<Vec<u8>> = parts.iter().map(|p| sketch(p.iter().copied())).collect();
            let merged = merge(sketches.iter().rev().map(Vec::as_slice)).unwrap();
            let whole = sketch(parts.iter().flatten().copied());
            prop_assert_eq!(estimate(&merged).unwrap(), estimate(&whole).unwrap());
            let mut union = HllUnion::new(LG_REGISTERS).unwrap();
            sketches.iter().filter(|s| !s.is_empty()).for_each(|s| union.update(&HllSketch::deserialize(s).unwrap()));
            let by_library = union.to_sketch(HllType::Hll8).composite_estimate().round() as u64;
            prop_assert_eq!(by_library, estimate(&merged).unwrap());
        }
    }
}
