//! `SnapshotBuilder`: writes the file of promoters and links that edges map.

use std::path::PathBuf;
use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use tuike_core::registry::{Builder, HashKey, SnapshotError};

use crate::journal::io_error;

/// None once it is finished.
#[pyclass(frozen, module = "tuike._core")]
pub struct SnapshotBuilder(Mutex<Option<Builder>>);

impl SnapshotBuilder {
    /// Calls `work` with the builder, the GIL released.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Option<Builder>) -> Option<Result<T, SnapshotError>> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| work(&mut self.0.lock().expect("no call panics")));
        done.ok_or_else(|| PyValueError::new_err("the snapshot is finished"))?.map_err(error)
    }
}

#[pymethods]
impl SnapshotBuilder {
    #[new]
    fn new(path: PathBuf, hash_key: [u8; 16], promoters: usize, links: usize) -> PyResult<SnapshotBuilder> {
        let builder = Builder::create(&path, HashKey(hash_key), promoters, links).map_err(error)?;
        Ok(SnapshotBuilder(Mutex::new(Some(builder))))
    }

    fn add_promoters(&self, py: Python<'_>, rows: Vec<PyBackedStr>) -> PyResult<()> {
        self.with(py, |builder| Some(builder.as_mut()?.add_promoters(rows.iter().map(|row| &**row))))
    }

    fn add_links(&self, py: Python<'_>, rows: Vec<PyBackedStr>) -> PyResult<()> {
        self.with(py, |builder| Some(builder.as_mut()?.add_links(rows.iter().map(|row| &**row))))
    }

    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |builder| Some(builder.take()?.finish()))
    }
}

fn error(error: SnapshotError) -> PyErr {
    match error {
        SnapshotError::Io(path, source) => io_error(path, source),
        other => PyValueError::new_err(other.to_string()),
    }
}
