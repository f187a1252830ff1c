//! `Erasure`: who is to be forgotten, and what is written instead.

use std::path::PathBuf;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tuike_core::erasure::{self, Erasures, Subject, is_erased};
use tuike_core::event::{Event, Id, unhex};
use tuike_core::journal::{self, Rewritten};
use tuike_core::touches;

use crate::journal::{error, fields, hex_text};

/// Kind, merchant, who, until (ms), number of the books, random id (hex).
type Person = (String, String, String, u64, u64, String);
/// Key and value of a store of touches.
type Rows<'py> = Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>;

#[pyclass(frozen, module = "tuike._core")]
pub struct Erasure(pub Erasures);

#[pymethods]
impl Erasure {
    #[new]
    fn new(people: Vec<Person>) -> PyResult<Erasure> {
        people.into_iter().map(parse).collect::<PyResult<_>>().map(|list| Erasure(Erasures(list)))
    }

    #[getter]
    fn fresh(&self) -> Vec<String> {
        self.0.0.iter().map(|one| hex_text(one.fresh())).collect()
    }

    fn rewrite_segment(&self, py: Python<'_>, path: PathBuf, index: u64) -> PyResult<Option<u64>> {
        let rewrite = || journal::rewrite(&path, index, |bytes| self.0.mentioned(bytes), |p| self.0.rewrite(p));
        let done = rewritten(py.detach(rewrite))?;
        if done.is_none() {
            journal::ask_to_turn(&path).map_err(error)?;
        }
        Ok(done)
    }

    fn rewrite_booked(&self, record: &str) -> Option<String> {
        self.0.rewrite_booked(record)
    }

    fn rewrite_text(&self, merchant: &str, json: &str) -> Option<String> {
        self.0.rewrite_text(merchant, json)
    }

    fn rewrite_touch<'py>(
        &self,
        py: Python<'py>,
        record: &[u8],
        binds: bool,
    ) -> PyResult<Option<(Vec<Bound<'py, PyBytes>>, Rows<'py>)>> {
        for one in &self.0.0 {
            let found = touches::erased_rows(one, record, binds);
            if let Some((gone, come)) = found.map_err(|e| PyOSError::new_err(format!("touch store: {e}")))? {
                let gone = gone.iter().map(|key| PyBytes::new(py, key)).collect();
                let rows = come.iter().map(|(key, record)| (PyBytes::new(py, key), PyBytes::new(py, record))).collect();
                return Ok(Some((gone, rows)));
            }
        }
        Ok(None)
    }

    fn find<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        index: u64,
        limit: usize,
    ) -> PyResult<Vec<(u64, Bound<'py, PyDict>)>> {
        let mut found = Vec::new();
        let named =
            |payload: &[u8]| Event::decode(payload).is_ok_and(|event| self.0.0.iter().any(|one| one.names(&event)));
        let look = || {
            journal::find(
                &path,
                index,
                |bytes| self.0.mentioned(bytes),
                |seq, payload| {
                    if named(payload) {
                        found.push((seq, payload.to_vec()));
                    }
                    found.len() < limit
                },
            )
        };
        py.detach(look).map_err(error)?;
        let event = |(seq, payload): (u64, Vec<u8>)| {
            let event = Event::decode(&payload).map_err(|e| PyValueError::new_err(e.to_string()))?;
            Ok((seq, fields(py, &event)?))
        };
        found.into_iter().map(event).collect()
    }
}

/// The records that were changed; none where the segment is being written.
fn rewritten(result: Result<Rewritten, journal::Error>) -> PyResult<Option<u64>> {
    match result.map_err(error)? {
        Rewritten::Open => Ok(None),
        Rewritten::Records(records) => Ok(Some(records)),
    }
}

fn parse((kind, merchant, who, until, number, random): Person) -> PyResult<erasure::Erasure> {
    let subject = match kind.as_str() {
        "visitor" => Subject::Visitor(id(&who)?),
        "customer" => Subject::Customer { merchant, cust: who },
        _ => return Err(PyValueError::new_err(format!("{kind:?} is neither visitor nor customer"))),
    };
    Ok(erasure::Erasure::new(subject, until, number, id(&random)?))
}

fn id(text: &str) -> PyResult<Id> {
    unhex(text.as_bytes()).ok_or_else(|| PyValueError::new_err(format!("{text:?} is no id of 32 hex digits")))
}

#[pyfunction]
pub fn anonymize_segment(py: Python<'_>, path: PathBuf, index: u64, before: u64) -> PyResult<Option<u64>> {
    rewritten(py.detach(|| journal::rewrite(&path, index, |_| true, |p| erasure::anonymous(p, before))))
}

#[pyfunction]
pub fn journal_segments(path: PathBuf) -> PyResult<Vec<u64>> {
    journal::segments(&path).map_err(error)
}

#[pyfunction]
#[pyo3(signature = (*, visitor = "", cust = "", did = ""))]
pub fn is_erased_person(visitor: &str, cust: &str, did: &str) -> bool {
    is_erased(&Event { visitor: unhex(visitor.as_bytes()), cust, did, ..Event::default() })
}
