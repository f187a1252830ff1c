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

/// The union of sketches.
pub fn merge<'a>(sketches: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Error> {
    let mut union = HllUnion::new(LG_REGISTERS).expect("a size it allows");
    for sketch in sketches.into_iter().filter(|bytes| !bytes.is_empty()) {
        union.update(&HllSketch::deserialize(sketch)?);
    }
    Ok(if union.is_empty() { Vec::new() } else { union.to_sketch(HllType::Hll8).serialize() })
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
    fn bytes_that_are_no_sketch_are_refused() {
        assert!(estimate(b"not a sketch").is_err());
        assert!(merge([b"\x02".as_slice()]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn how_visitors_were_parted_and_ordered_changes_nothing(
            parts in proptest::collection::vec(proptest::collection::vec(0u64..4_000, 0..900), 0..8),
        ) {
            let sketches: Vec<Vec<u8>> = parts.iter().map(|p| sketch(p.iter().copied())).collect();
            let merged = merge(sketches.iter().rev().map(Vec::as_slice)).unwrap();
            let whole = sketch(parts.iter().flatten().copied());
            prop_assert_eq!(estimate(&merged).unwrap(), estimate(&whole).unwrap());
        }
    }
}
