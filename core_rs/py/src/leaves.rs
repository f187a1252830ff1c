//! The leaves of the days' Merkle trees.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyBytes;
use tuike_core::leaves::{Entry, Leaves};

/// Transfer, position, account, currency, amount, kind, instant, id.
type Row = (u64, u32, PyBackedStr, PyBackedStr, i64, PyBackedStr, u64, PyBackedStr);

#[pyfunction]
pub fn ledger_leaves<'py>(py: Python<'py>, secret: &str, entries: Vec<Row>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let secret = crate::identity::key(secret)?;
    let made = py.detach(|| {
        let leaves = Leaves::new(&secret);
        let leaf = |(transfer, position, account, currency, amount, kind, at, id): &Row| {
            leaves.leaf(&Entry {
                transfer: *transfer,
                position: *position,
                account,
                currency,
                amount: *amount,
                kind,
                at: *at,
                id,
            })
        };
        entries.iter().map(leaf).collect::<Vec<_>>()
    });
    Ok(made.iter().map(|leaf| PyBytes::new(py, leaf)).collect())
}
