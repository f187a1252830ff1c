//! What a postback says.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tuike_core::dialect::Dialect;
use tuike_core::metrics::Outcome;
use tuike_core::params::Pair;
use tuike_core::respond::postback;

use crate::journal::fields;

#[pyfunction]
#[pyo3(signature = (pairs, currency, received, dialect=None))]
pub fn read_postback<'py>(
    py: Python<'py>,
    pairs: Vec<(String, String)>,
    currency: &str,
    received: u64,
    dialect: Option<&str>,
) -> PyResult<Bound<'py, PyDict>> {
    let refused = |outcome: Outcome| PyValueError::new_err(outcome.name());
    let dialect = dialect.map(Dialect::from_json).transpose().map_err(|e| PyValueError::new_err(e.to_string()))?;
    let pairs: Vec<Pair<'_>> = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let params = postback::params(&pairs, dialect.as_ref()).map_err(refused)?;
    // which products there are is the books' question
    fields(py, &postback::order(&params, currency, received, |_| true).map_err(refused)?)
}
