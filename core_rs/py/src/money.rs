//! Amounts, commission rules, attribution weights and the promoter forest.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tuike_core::attribution::{self, Model};
use tuike_core::commission::{self, MAX_LEVELS};
use tuike_core::forest::{self, ForestError};
use tuike_core::money;

fn refused(code: &'static str) -> PyErr {
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

fn in_range(amount: u64) -> PyResult<u64> {
    if amount <= money::MAX_AMOUNT { Ok(amount) } else { Err(refused("bad_amount")) }
}

/// The levels of a rule that are present; what is not said is not present.
fn levels(present: &[bool]) -> [bool; MAX_LEVELS] {
    std::array::from_fn(|i| present.get(i).copied().unwrap_or(false))
}

#[pyclass(frozen, module = "tuike._core")]
pub struct Rule(commission::Rule);

#[pymethods]
impl Rule {
    #[new]
    fn new(rule: &str, currency: &str) -> PyResult<Rule> {
        commission::Rule::parse(rule, currency).map(Rule).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    #[pyo3(signature = (amount))]
    fn below_min_amount(&self, amount: Option<u64>) -> bool {
        self.0.below_min_amount(amount)
    }

    #[pyo3(signature = (amount))]
    fn pool(&self, amount: Option<u64>) -> PyResult<Option<u64>> {
        Ok(self.0.pool(amount.map(in_range).transpose()?))
    }

    #[getter]
    fn levels(&self) -> usize {
        self.0.levels()
    }

    fn split_pool(&self, pool: u64, present: Vec<bool>) -> PyResult<(Vec<u64>, u64)> {
        let split = self.0.split_pool(in_range(pool)?, levels(&present));
        Ok((split.levels[..self.0.levels()].to_vec(), split.platform))
    }

    #[pyo3(signature = (amount, present))]
    fn split(&self, amount: Option<u64>, present: Vec<bool>) -> PyResult<Option<(u64, Vec<u64>, u64)>> {
        let split = self.0.split(amount.map(in_range).transpose()?, levels(&present));
        Ok(split.map(|split| (split.pool, split.levels[..self.0.levels()].to_vec(), split.platform)))
    }

    fn split_many<'py>(&self, py: Python<'py>, amounts: Vec<u64>, present: Vec<bool>) -> PyResult<Bound<'py, PyBytes>> {
        amounts.iter().try_for_each(|amount| in_range(*amount).map(drop))?;
        let parts = py.detach(|| {
            let mut parts = Vec::new();
            commission::split_many(&self.0, &amounts, levels(&present), &mut parts);
            parts.iter().flat_map(|part| part.to_le_bytes()).collect::<Vec<u8>>()
        });
        Ok(PyBytes::new(py, &parts))
    }
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
}
