//! `FraudRules`, `Networks` and the tally of touches.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use tuike_core::event::Event;
use tuike_core::fraud::{self, Line};
use tuike_core::touches::Tally;

/// As `books.fraud.Facts` has them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Facts {
    since_click: Option<u64>,
    address_clicks: u64,
    devices: u64,
    clicks_before: u64,
    fingerprint_visitors: u64,
    agents: u64,
    hour: u64,
    hours: Vec<u64>,
    orders: u64,
    undone: u64,
    related: bool,
    ring: u64,
    datacentre: bool,
    own_site: bool,
}

#[pyclass(frozen, module = "tuike._core")]
pub struct FraudRules(fraud::Rules);

#[pymethods]
impl FraudRules {
    #[new]
    fn new(rules: &str) -> PyResult<FraudRules> {
        fraud::Rules::parse(rules).map(FraudRules).map_err(PyValueError::new_err)
    }

    #[getter]
    fn off(&self) -> bool {
        self.0 == fraud::Rules::default()
    }

    fn judge(&self, facts: Facts) -> Vec<(&'static str, u64, u64, u64)> {
        let facts = fraud::Facts {
            since_click: facts.since_click,
            address_clicks: facts.address_clicks,
            devices: facts.devices,
            clicks_before: facts.clicks_before,
            fingerprint_visitors: facts.fingerprint_visitors,
            agents: facts.agents,
            hour: facts.hour,
            hours: facts.hours,
            orders: facts.orders,
            undone: facts.undone,
            related: facts.related,
            ring: facts.ring,
            datacentre: facts.datacentre,
            own_site: facts.own_site,
        };
        self.0.judge(&facts).into_iter().map(|found| (found.rule, found.score, found.value, found.limit)).collect()
    }
}

#[pyclass(frozen, module = "tuike._core")]
pub struct Networks(fraud::Networks);

#[pymethods]
impl Networks {
    #[new]
    fn new(py: Python<'_>, lines: Vec<PyBackedStr>) -> Networks {
        Networks(py.detach(|| fraud::Networks::parse(lines.iter().map(|line| &**line)).0))
    }

    #[staticmethod]
    fn kinds(lines: Vec<PyBackedStr>) -> Vec<&'static str> {
        let (_, kinds) = fraud::Networks::parse(lines.iter().map(|line| &**line));
        let name = |line: &Line| match line {
            Line::Network => "network",
            Line::Narrow => "narrow",
            Line::Bad => "bad",
        };
        kinds.iter().map(name).collect()
    }

    fn holds(&self, prefix: &str) -> bool {
        self.0.holds(prefix)
    }
}

#[pyfunction]
pub fn flood_score(clicks: u64, hours: Vec<u64>) -> u64 {
    fraud::flood_score(clicks, &hours)
}

#[pyfunction]
pub fn tally_touches(records: Vec<PyBackedBytes>, at: u64, click_at: u64, did: &str) -> PyResult<(u64, u64, u64, u64)> {
    let mut tally = Tally::new(at, click_at, did);
    for record in &records {
        tally.add(&Event::decode(record).map_err(|e| PyOSError::new_err(format!("touch store: {e}")))?);
    }
    Ok((tally.clicks_before(), tally.devices(), tally.visitors(), tally.agents()))
}
