//! `pick_touches`: of touches as they stand in a store, those that somebody asks for.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyDict;
use tuike_core::event::{Event, Kind, unhex};
use tuike_core::touches::Wanted;

use crate::journal::fields;

#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "keywords in Python")]
#[pyo3(signature = (records, most, *, kind, aff, pid, merchant, visitor, counted, reason, since, until))]
pub fn pick_touches<'py>(
    py: Python<'py>,
    records: Vec<PyBackedBytes>,
    most: usize,
    kind: &str,
    aff: &str,
    pid: &str,
    merchant: &str,
    visitor: &str,
    counted: Option<bool>,
    reason: &str,
    since: u64,
    until: u64,
) -> PyResult<(Vec<Bound<'py, PyDict>>, usize)> {
    let known = |what: &str, text: &str| PyValueError::new_err(format!("{text:?} is no {what}"));
    let kind = match kind {
        "" => None,
        name => Some(Kind::from_name(name).ok_or_else(|| known("kind of event", name))?),
    };
    let visitor = match visitor {
        "" => None,
        id => Some(unhex(id.as_bytes()).ok_or_else(|| known("id of 32 hex digits", id))?),
    };
    let wanted = Wanted { kind, aff, pid, merchant, visitor, counted, reason, since, until };
    let mut found = Vec::new();
    for (place, record) in records.iter().enumerate() {
        let hit = Event::decode(record).map_err(|e| PyOSError::new_err(format!("touch store: {e}")))?;
        if wanted.takes(&hit) {
            found.push(fields(py, &hit)?);
            if found.len() == most {
                return Ok((found, place + 1));
            }
        }
    }
    Ok((found, records.len()))
}
