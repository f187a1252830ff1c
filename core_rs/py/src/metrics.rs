//! Reading the producers' pages of metrics.
use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tuike_core::metrics;

#[pyfunction]
pub fn render_metrics(directory: PathBuf) -> PyResult<String> {
    Ok(metrics::render(&directory)?)
}

#[pyfunction]
pub fn edge_states(py: Python<'_>, directory: PathBuf, now: u64) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let state = |state: metrics::State| {
        let dict = PyDict::new(py);
        dict.set_item("producer", state.producer)?;
        dict.set_item("process", state.process)?;
        dict.set_item("alive", state.alive)?;
        dict.set_item("problem", state.problem)?;
        dict.set_item("registry", state.registry)?;
        dict.set_item("connections", state.connections)?;
        dict.set_item("draining", state.draining)?;
        Ok(dict)
    };
    metrics::states(&directory, now)?.into_iter().map(state).collect()
}
