//! Commission rules.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyDict};
use tuike_core::commission::{self, BookError, Credit, Override, Part};

use crate::money::refused;

/// Promoter, kind, weight, total, tier, present levels.
type CreditTuple = (PyBackedStr, PyBackedStr, u64, u64, PyBackedStr, Vec<bool>);

fn credit((promoter, kind, weight, total, tier, present): &CreditTuple) -> Credit<'_> {
    let present = std::array::from_fn(|i| present.get(i).copied().unwrap_or(false));
    Credit { promoter, kind, weight: *weight, total: *total, tier, present }
}

fn book_error(error: BookError) -> PyErr {
    refused(error.code())
}

#[pyclass(frozen, module = "tuike._core")]
pub struct Rule(commission::Rule);

#[pymethods]
impl Rule {
    #[classattr]
    const MAX_CEILING: u64 = commission::MAX_CEILING;

    #[new]
    #[pyo3(signature = (rule, currency, ceiling = commission::MAX_CEILING as i64))]
    fn new(rule: &str, currency: &str, ceiling: i64) -> PyResult<Rule> {
        // one below 0 is refused as 0 is, and not as no number
        let read = commission::Rule::parse(rule, currency, ceiling.try_into().unwrap_or(0));
        read.map(Rule).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    #[getter]
    fn levels(&self) -> usize {
        self.0.levels()
    }

    #[getter]
    fn needs_total(&self) -> bool {
        self.0.needs_total()
    }

    #[getter]
    fn needs_tier(&self) -> bool {
        self.0.needs_tier()
    }

    #[getter]
    fn daily_budget(&self) -> Option<u64> {
        self.0.daily_budget()
    }

    #[pyo3(signature = (amount))]
    fn below_min_amount(&self, amount: Option<u64>) -> bool {
        self.0.below_min_amount(amount)
    }

    #[pyo3(signature = (amount, at, credits))]
    fn book<'py>(
        &self,
        py: Python<'py>,
        amount: Option<u64>,
        at: u64,
        credits: Vec<CreditTuple>,
    ) -> PyResult<Option<(u64, Vec<Bound<'py, PyDict>>)>> {
        let credits: Vec<Credit> = credits.iter().map(credit).collect();
        let Some(booking) = self.0.book(amount, at, &credits).map_err(book_error)? else {
            return Ok(None);
        };
        let parts = booking.parts.iter().map(|part| part_dict(py, part, self.0.levels())).collect::<PyResult<_>>()?;
        Ok(Some((booking.pool, parts)))
    }

    fn split_many<'py>(
        &self,
        py: Python<'py>,
        amounts: Vec<u64>,
        at: u64,
        credit: CreditTuple,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let credit = self::credit(&credit);
        let parts = py.detach(|| {
            let mut parts = Vec::new();
            commission::split_many(&self.0, &amounts, at, &credit, &mut parts)?;
            Ok(parts.iter().flat_map(|part| part.to_le_bytes()).collect::<Vec<u8>>())
        });
        Ok(PyBytes::new(py, &parts.map_err(book_error)?))
    }
}

fn part_dict<'py>(py: Python<'py>, part: &Part, levels: usize) -> PyResult<Bound<'py, PyDict>> {
    let by = part.by.map(|by| match by {
        Override::Promoter => "promoter",
        Override::Kind => "kind",
    });
    let rates: Vec<[u64; 2]> = part.rates.iter().map(|(amount, rate)| [*amount, *rate]).collect();
    let dict = PyDict::new(py);
    dict.set_item(intern!(py, "override"), by)?;
    dict.set_item(intern!(py, "rates"), rates)?;
    dict.set_item(intern!(py, "base"), part.base)?;
    dict.set_item(intern!(py, "bonuses"), &part.bonuses)?;
    dict.set_item(intern!(py, "multiplier"), part.multiplier)?;
    dict.set_item(intern!(py, "main"), part.main)?;
    dict.set_item(intern!(py, "tier_bonus"), part.tier_bonus)?;
    dict.set_item(intern!(py, "max_per_order"), part.max_per_order)?;
    dict.set_item(intern!(py, "ceiling"), part.ceiling)?;
    dict.set_item(intern!(py, "pool"), part.pool)?;
    dict.set_item(intern!(py, "part"), part.part)?;
    dict.set_item(intern!(py, "bonus"), part.bonus)?;
    dict.set_item(intern!(py, "levels"), &part.levels[..levels])?;
    dict.set_item(intern!(py, "platform"), part.platform)?;
    Ok(dict)
}
