//! `tuike._core`: the door. Bindings convert, call and map errors; logic lives in `tuike-core`.
use pyo3::prelude::*;

#[pymodule]
mod _core {}
