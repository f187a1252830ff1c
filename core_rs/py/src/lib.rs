//! `tuike._core`: the door. Bindings convert, call and map errors; logic lives in `tuike-core`.
use pyo3::prelude::*;

mod fold;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::fold::{Batch, Follower, TouchStore, estimate_sketch, merge_sketches};
}
