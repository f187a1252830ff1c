//! Amounts, attribution, the promoter forest and taxes.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tuike_core::attribution::{self, Binding, Model};
use tuike_core::forest::{self, ForestError};
use tuike_core::{money, tax};

pub fn refused(code: &'static str) -> PyErr {
    PyValueError::new_err(code)
}

#[pyfunction]
pub fn exponent(currency: &str) -> Option<u32> {
    money::exponent(currency)
}

#[pyfunction]
pub fn parse_amount(text: &str, currency: &str) -> PyResult<u64> {
    money::parse_amount(text, currency).map_err(|error| refused(error.code()))
}

#[pyfunction]
pub fn parse_rate(text: &str) -> PyResult<u64> {
    money::parse_rate(text).ok_or_else(|| refused("bad_rate"))
}

#[pyfunction]
pub fn format_rate(rate: u64) -> String {
    money::format_rate(rate)
}

#[pyfunction]
pub fn format_amount(amount: i64, currency: &str) -> PyResult<String> {
    money::format_amount(amount, currency).ok_or_else(|| refused("bad_currency"))
}

#[pyfunction]
pub fn allocate(total: u64, weights: Vec<u128>) -> PyResult<Vec<u64>> {
    money::allocate(total, &weights).map_err(|error| refused(error.code()))
}

#[pyfunction]
#[pyo3(signature = (model, times, half_life = attribution::DEFAULT_HALF_LIFE))]
pub fn weights(model: &str, times: Vec<u64>, half_life: u64) -> PyResult<Vec<u64>> {
    let model = Model::from_name(model).ok_or_else(|| refused("unknown_model"))?;
    attribution::weights(model, &times, half_life).map_err(|error| refused(error.code()))
}

#[pyfunction]
#[pyo3(signature = (model, times, lengths, half_life = attribution::DEFAULT_HALF_LIFE))]
pub fn weights_many<'py>(
    py: Python<'py>,
    model: &str,
    times: &[u8],
    lengths: &[u8],
    half_life: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let model = Model::from_name(model).ok_or_else(|| refused("unknown_model"))?;
    let ((times, odd), (lengths, rest)) = (times.as_chunks::<8>(), lengths.as_chunks::<4>());
    if !odd.is_empty() || !rest.is_empty() {
        return Err(refused("bad_lengths"));
    }
    let weights = py.detach(|| {
        let times: Vec<u64> = times.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let lengths: Vec<usize> = lengths.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize).collect();
        let weights = attribution::weights_many(model, &times, &lengths, half_life)?;
        // a weight is at most 1e9
        Ok(weights.iter().flat_map(|weight| (*weight as u32).to_le_bytes()).collect::<Vec<u8>>())
    });
    Ok(PyBytes::new(py, &weights.map_err(|error: attribution::PathError| refused(error.code()))?))
}

#[pyfunction]
pub fn bound(mode: &str, clicks: Vec<u64>, protect: u64) -> PyResult<Option<usize>> {
    let mode = Binding::from_name(mode).ok_or_else(|| refused("unknown_mode"))?;
    attribution::bound(mode, &clicks, protect).map_err(|error| refused(error.code()))
}

fn in_range(amount: u64) -> PyResult<u64> {
    if amount <= money::MAX_AMOUNT { Ok(amount) } else { Err(refused("bad_amount")) }
}

#[pyfunction]
pub fn tax_cn_labour(total: u64) -> PyResult<u64> {
    Ok(tax::cn_labour(in_range(total)?))
}

#[pyfunction]
pub fn tax_cn_platform(income: u64, months: u64) -> PyResult<u64> {
    if !(1..=12).contains(&months) {
        return Err(refused("bad_months"));
    }
    Ok(tax::cn_platform(in_range(income)?, months))
}

#[pyfunction]
pub fn tax_flat(amount: u64, rate: u64) -> PyResult<u64> {
    if rate > money::WHOLE_RATE {
        return Err(refused("bad_rate"));
    }
    Ok(tax::flat(in_range(amount)?, rate))
}

#[pyclass(module = "tuike._core")]
#[derive(Default)]
pub struct Forest(forest::Forest);

fn forest_error(error: ForestError) -> PyErr {
    refused(error.code())
}

#[pymethods]
impl Forest {
    #[new]
    fn new() -> Forest {
        Forest::default()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn load(&mut self, ids: Vec<String>, parents: Vec<i64>) -> PyResult<()> {
        self.0.load(&ids, &parents).map_err(forest_error)
    }

    #[pyo3(signature = (id, parent))]
    fn add(&mut self, id: &str, parent: Option<&str>) -> PyResult<()> {
        self.0.add(id, parent).map_err(forest_error)
    }

    #[pyo3(signature = (id, parent, at))]
    fn set_parent(&mut self, id: &str, parent: Option<&str>, at: u64) -> PyResult<()> {
        self.0.set_parent(id, parent, at).map_err(forest_error)
    }

    fn bind(&mut self, id: &str, parent: &str, at: u64) -> PyResult<bool> {
        self.0.bind(id, parent, at).map_err(forest_error)
    }

    fn chain(&self, id: &str, at: u64, max_levels: usize) -> PyResult<Vec<&str>> {
        self.0.chain(id, at, max_levels).map_err(forest_error)
    }

    fn chains<'py>(&self, py: Python<'py>, indexes: &[u8], max_levels: usize) -> PyResult<Bound<'py, PyBytes>> {
        let (indexes, rest) = indexes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(refused("bad_indexes"));
        }
        let chains = py.detach(|| {
            let indexes: Vec<u32> = indexes.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
            let chains = self.0.chains(&indexes, max_levels);
            chains.iter().flat_map(|index| index.to_le_bytes()).collect::<Vec<u8>>()
        });
        Ok(PyBytes::new(py, &chains))
    }

    fn team(&self, id: &str) -> PyResult<(u64, u64, Vec<u64>)> {
        let team = self.0.team(id).map_err(forest_error)?;
        Ok((team.direct, team.total, team.by_level))
    }

    /// The interpreter's lock is held: another thread's change would find it borrowed.
    fn teams(&self, groups: Vec<Vec<String>>) -> Vec<(u64, u64)> {
        self.0.teams(&groups).into_iter().map(|below| (below.direct, below.total)).collect()
    }
}
