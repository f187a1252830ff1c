//! `tuike._core`: the door. Bindings convert, call and map errors; logic lives in `tuike-core`.
use pyo3::prelude::*;

mod money;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::money::{Forest, Rule, allocate, exponent, format_amount, parse_amount, weights};
}
