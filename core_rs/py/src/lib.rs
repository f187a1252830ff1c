//! `tuike._core`: the door. Bindings convert, call and map errors; logic lives in `tuike-core`.
mod identity;
mod metrics;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::identity::{parse_query, seal, unseal};
    #[pymodule_export]
    use super::metrics::{edge_states, render_metrics};
}
