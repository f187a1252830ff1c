//! `Follower`, `Batch`, `TouchStore` and the sketches of visitors.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyMapping};
use tuike_core::event::{Event, Id, unhex};
use tuike_core::touches::{self, Ask, Key, Touch};
use tuike_core::{fold, sketch};

use crate::erasure::Erasure;
use crate::journal::{self, ENOSPC, fields};
use crate::shipment::Shipment;

#[pyclass(frozen, module = "tuike._core")]
pub struct Follower(Mutex<fold::Follower>);

#[pymethods]
impl Follower {
    #[new]
    fn new(root: PathBuf) -> Follower {
        Follower(Mutex::new(fold::Follower::new(&root)))
    }

    #[pyo3(signature = (after, limit, now, upto = None))]
    fn read(
        &self,
        py: Python<'_>,
        after: &Bound<'_, PyMapping>,
        limit: usize,
        now: u64,
        upto: Option<&Bound<'_, PyMapping>>,
    ) -> PyResult<Batch> {
        let after = positions(after)?;
        let upto = upto.map(positions).transpose()?;
        let read = || lock(&self.0).map(|mut follower| follower.read_between(&after, upto.as_ref(), limit, now));
        py.detach(read)?.map(Batch).map_err(fold_error)
    }

    fn take(&self, py: Python<'_>, after: &Bound<'_, PyMapping>, limit: usize, now: u64) -> PyResult<Shipment> {
        let after = positions(after)?;
        let take = || lock(&self.0).map(|mut follower| follower.take(&after, limit, now));
        Shipment::new(py, py.detach(take)?.map_err(fold_error)?)
    }
}

/// Producer, incarnation, after, packed records.
type Entry = (String, u64, u64, PyBackedBytes);
#[pyclass(frozen, module = "tuike._core")]
pub struct Batch(fold::Batch);

/// Producer, incarnation, offset, length.
pub type Damage = (String, u64, u64, u64);
/// Incarnation, sequence number, producer, fields.
type Other<'py> = (u64, u64, String, Bound<'py, PyDict>);
/// Bucket, merchant, product, promoter, channel, label number, label, four counts, sketch.
type Row<'py> = (u64, String, String, String, String, u8, String, u64, u64, u64, u64, Bound<'py, PyBytes>);

#[pymethods]
impl Batch {
    #[staticmethod]
    fn of_entries(py: Python<'_>, entries: Vec<Entry>) -> PyResult<Batch> {
        let fold = || {
            fold::Batch::of_entries(entries.iter().map(|(producer, incarnation, after, data)| fold::Entry {
                producer,
                incarnation: *incarnation,
                after: *after,
                data,
            }))
        };
        py.detach(fold).map(Batch).map_err(fold_error)
    }

    #[getter]
    fn upto(&self) -> BTreeMap<u64, u64> {
        self.0.upto.clone()
    }

    #[getter]
    fn watermark(&self) -> u64 {
        self.0.watermark
    }

    #[getter]
    fn count(&self) -> usize {
        self.0.count()
    }

    #[getter]
    fn more(&self) -> bool {
        self.0.more
    }

    #[getter]
    fn damage(&self) -> Vec<Damage> {
        self.0.damage.iter().map(stretch).collect()
    }

    fn hit_counts(&self) -> BTreeMap<u64, BTreeMap<String, u64>> {
        self.0.hit_counts.clone()
    }

    fn events<'py>(&self, py: Python<'py>) -> PyResult<Vec<Other<'py>>> {
        let other = |(source, seq, event): (&fold::Source, u64, Event<'_>)| {
            Ok((source.incarnation, seq, source.producer.to_string(), fields(py, &event)?))
        };
        self.0.events().map(other).collect()
    }

    fn rollups<'py>(&self, py: Python<'py>) -> Vec<Row<'py>> {
        let rollups = py.detach(|| {
            let mut sums = fold::Sums::default();
            sums.add(&self.0);
            sums.into_rollups()
        });
        rows(py, rollups)
    }

    fn touch_rows<'py>(&self, py: Python<'py>) -> (Vec<(u64, Rows<'py>)>, Rows<'py>) {
        let rows = py.detach(|| touches::rows(self.0.hits()));
        let bytes = |rows: Vec<touches::Row>| -> Rows<'py> {
            rows.into_iter().map(|(key, record)| (PyBytes::new(py, &key), PyBytes::new(py, &record))).collect()
        };
        (rows.days.into_iter().map(|(day, rows)| (day, bytes(rows))).collect(), bytes(rows.bindings))
    }
}

fn rows(py: Python<'_>, rollups: Vec<fold::Rollup>) -> Vec<Row<'_>> {
    let row = |row: fold::Rollup| {
        let (d, c) = (row.dimensions, row.counts);
        let visitors = PyBytes::new(py, &row.visitors);
        (
            d.bucket,
            d.merchant,
            d.product,
            d.promoter,
            d.channel,
            d.label_number,
            d.label,
            c.impressions,
            c.clicks,
            c.bots,
            c.prefetches,
            visitors,
        )
    };
    rollups.into_iter().map(row).collect()
}

#[pyclass(frozen, module = "tuike._core")]
pub struct Sums(Mutex<fold::Sums>);

#[pymethods]
impl Sums {
    #[new]
    fn new() -> Sums {
        Sums(Mutex::default())
    }

    fn add(&self, py: Python<'_>, batch: &Bound<'_, Batch>) -> PyResult<()> {
        let batch = &batch.get().0;
        py.detach(|| lock(&self.0).map(|mut sums| sums.add(batch)))
    }

    fn take<'py>(&self, py: Python<'py>) -> PyResult<(fold::HitCounts, Vec<Row<'py>>)> {
        let mut sums = std::mem::take(&mut *lock(&self.0)?);
        let counts = std::mem::take(&mut sums.hit_counts);
        let rollups = py.detach(|| sums.into_rollups());
        Ok((counts, rows(py, rollups)))
    }
}

/// Key and value of a store of touches.
type Rows<'py> = Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>;

#[pyfunction]
pub fn touch_key<'py>(py: Python<'py>, id: &str) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &touches::record_key(&parse_id(id)?)))
}

#[pyfunction]
pub fn touch_range<'py>(
    py: Python<'py>,
    kind: &str,
    merchant: &str,
    key: &str,
    since: u64,
    until: u64,
) -> PyResult<Option<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>> {
    let range = touches::range(parse_key(kind, key)?, merchant, since, until);
    Ok(range.map(|range| (PyBytes::new(py, range.start()), PyBytes::new(py, range.end()))))
}

#[pyfunction]
pub fn decode_touch<'py>(py: Python<'py>, record: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    fields(py, &Event::decode(record).map_err(|e| PyOSError::new_err(format!("touch store: {e}")))?)
}

fn parse_key<'a>(kind: &str, key: &'a str) -> PyResult<Key<'a>> {
    match kind {
        "visitor" => Ok(Key::Visitor(parse_id(key)?)),
        "cust" => Ok(Key::Customer(key)),
        "did" => Ok(Key::Device(key)),
        "fingerprint" => Ok(Key::Fingerprint(parse_id(key)?)),
        "address" => Ok(Key::Address(parse_id(key)?)),
        _ => Err(PyValueError::new_err(format!("touches are not kept by {kind:?}"))),
    }
}

pub fn stretch(damage: &fold::Damage) -> Damage {
    (damage.source.producer.to_string(), damage.source.incarnation, damage.offset, damage.length)
}

#[pyclass(frozen, module = "tuike._core")]
pub struct TouchStore(Mutex<Option<touches::TouchStore>>);

impl TouchStore {
    /// Calls `f` with the open store, the GIL released.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        f: impl FnOnce(&mut touches::TouchStore) -> Result<T, touches::Error> + Send,
    ) -> PyResult<T> {
        py.detach(|| {
            let mut store = lock(&self.0)?;
            let store = store.as_mut().ok_or_else(|| PyValueError::new_err("the touch store is closed"))?;
            f(store).map_err(store_error)
        })
    }
}

fn store_error(error: touches::Error) -> PyErr {
    if error.is_disk_full() {
        PyOSError::new_err((ENOSPC, error.to_string()))
    } else {
        PyOSError::new_err(error.to_string())
    }
}

#[pymethods]
impl TouchStore {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<TouchStore> {
        let open = || touches::TouchStore::open(Path::new(&path));
        let store = py.detach(open).map_err(store_error)?;
        Ok(TouchStore(Mutex::new(Some(store))))
    }

    fn put(&self, py: Python<'_>, batch: &Bound<'_, Batch>) -> PyResult<()> {
        let batch = &batch.get().0;
        self.with(py, |store| store.put(batch.hits()))
    }

    fn persist(&self, py: Python<'_>, sync: bool) -> PyResult<()> {
        self.with(py, |store| store.persist(sync))
    }

    fn click<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        let id = parse_id(id)?;
        self.with(py, |store| store.click(&id))?.map(|touch| touch_fields(py, &touch)).transpose()
    }

    fn path<'py>(
        &self,
        py: Python<'py>,
        kind: &str,
        merchant: &str,
        key: &str,
        since: u64,
        until: u64,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let key = parse_key(kind, key)?;
        let path = self.with(py, |store| store.path(key, merchant, since, until))?;
        path.iter().map(|touch| touch_fields(py, touch)).collect()
    }

    fn bindings<'py>(
        &self,
        py: Python<'py>,
        kind: &str,
        merchant: &str,
        key: &str,
        until: u64,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let key = match kind {
            "visitor" => Key::Visitor(parse_id(key)?),
            "cust" => Key::Customer(key),
            _ => return Err(PyValueError::new_err(format!("{kind:?} is bound to nobody"))),
        };
        let clicks = self.with(py, |store| store.bindings(key, merchant, until))?;
        clicks.iter().map(|click| touch_fields(py, click)).collect()
    }

    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn seen<'py>(
        &self,
        py: Python<'py>,
        merchant: &str,
        click: &str,
        visitor: &str,
        cust: &str,
        did: &str,
        since: u64,
        at: u64,
        most: u64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let id = |text: &str| if text.is_empty() { Ok(None) } else { parse_id(text).map(Some) };
        let ask = Ask { merchant, click: id(click)?, visitor: id(visitor)?, cust, did, since, at, most };
        let seen = self.with(py, |store| store.seen(&ask))?;
        let fields = PyDict::new(py);
        fields.set_item("prefix", seen.prefix)?;
        fields.set_item("referrer", seen.referrer)?;
        fields.set_item("address_clicks", seen.address_clicks)?;
        fields.set_item("fingerprint_visitors", seen.fingerprint_visitors)?;
        fields.set_item("devices", seen.devices)?;
        fields.set_item("clicks_before", seen.clicks_before)?;
        fields.set_item("agents", seen.agents)?;
        Ok(fields)
    }

    fn days(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        self.with(py, |store| Ok(store.days()))
    }

    fn newest_of_day<'py>(
        &self,
        py: Python<'py>,
        day: u64,
        before: &str,
        most: usize,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let before = if before.is_empty() { None } else { Some(parse_id(before)?) };
        let found = self.with(py, |store| store.newest_of_day(day, before.as_ref(), most))?;
        Ok(found.iter().map(|touch| PyBytes::new(py, touch.record())).collect())
    }

    fn erase(&self, py: Python<'_>, erasure: &Bound<'_, Erasure>, merchants: Vec<String>) -> PyResult<u64> {
        let erasures = &erasure.get().0;
        self.with(py, |store| store.erase(erasures, &merchants))
    }

    fn drop_before(&self, py: Python<'_>, instant: u64) -> PyResult<usize> {
        self.with(py, |store| store.drop_before(instant))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| match lock(&self.0)?.take() {
            Some(store) => store.persist(true).map_err(store_error),
            None => Ok(()),
        })
    }
}

#[pyfunction]
pub fn merge_sketches<'py>(py: Python<'py>, sketches: Vec<PyBackedBytes>) -> PyResult<Bound<'py, PyBytes>> {
    let merged = sketch::merge(sketches.iter().map(|bytes| &**bytes)).map_err(no_sketch)?;
    Ok(PyBytes::new(py, &merged))
}

#[pyfunction]
pub fn estimate_sketch(sketch: &[u8]) -> PyResult<u64> {
    sketch::estimate(sketch).map_err(no_sketch)
}

#[pyfunction]
pub fn sketch_error(sketch: &[u8]) -> PyResult<f64> {
    sketch::relative_error(sketch).map_err(no_sketch)
}

fn lock<T>(mutex: &Mutex<T>) -> PyResult<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| PyRuntimeError::new_err("a call before this one has panicked"))
}

fn positions(map: &Bound<'_, PyMapping>) -> PyResult<HashMap<u64, u64>> {
    Ok(map.items()?.extract::<Vec<(u64, u64)>>()?.into_iter().collect())
}

fn fold_error(e: fold::Error) -> PyErr {
    match e {
        fold::Error::Newer { .. } | fold::Error::CutShort(_) => PyValueError::new_err(e.to_string()),
        fold::Error::Journal(e) => journal::error(e),
    }
}

fn no_sketch(e: sketch::Error) -> PyErr {
    PyValueError::new_err(e.to_string())
}

fn parse_id(text: &str) -> PyResult<Id> {
    unhex(text.as_bytes()).ok_or_else(|| PyValueError::new_err(format!("{text:?} is no id of 32 hex digits")))
}

fn touch_fields<'py>(py: Python<'py>, touch: &Touch) -> PyResult<Bound<'py, PyDict>> {
    fields(py, &touch.event().map_err(|e| PyOSError::new_err(e.to_string()))?)
}
