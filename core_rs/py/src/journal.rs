//! `Writer`, `JournalReader`, the events' wire form, and what looks at whole journals.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyMapping, PyString};
use tuike_core::event::{Event, Id, Kind, MAX_EVENT, Value, hex, unhex};
use tuike_core::journal::{self, AppendError, Batch, Durability, Error, Next, Reader};

/// Linux' numbers for a full and for a failing disk: an `OSError` has one.
pub const ENOSPC: i32 = 28;
const EIO: i32 = 5;

create_exception!(tuike._core, JournalFull, PyOSError, "There is no room for this event; nothing of it was written.");

#[pyfunction]
pub fn encode_event<'py>(py: Python<'py>, event: &Bound<'py, PyMapping>) -> PyResult<Bound<'py, PyBytes>> {
    let items: Vec<(Bound<'py, PyString>, Bound<'py, PyAny>)> = event.items()?.extract()?;
    let mut event = Event::default();
    let mut kind = None;
    for (name, value) in &items {
        let name = name.to_str()?;
        let set = if name == "kind" {
            kind = value.cast::<PyString>().ok().and_then(|text| Kind::from_name(text.to_str().ok()?));
            kind.is_some()
        } else {
            value.is_none() || set_field(&mut event, name, value)
        };
        if !set {
            return Err(PyValueError::new_err(format!("{name}: no such field, or not a value of it")));
        }
    }
    event.kind = kind.ok_or_else(|| PyValueError::new_err("kind: missing"))?;
    let mut out = Vec::new();
    event.encode(&mut out);
    Ok(PyBytes::new(py, &out))
}

fn set_field<'a>(event: &mut Event<'a>, name: &str, value: &'a Bound<'_, PyAny>) -> bool {
    if let Ok(flag) = value.cast::<PyBool>() {
        event.set_named(name, Value::Bool(flag.is_true()))
    } else if let Ok(bytes) = value.cast::<PyBytes>() {
        event.set_named(name, Value::Bytes(bytes.as_bytes()))
    } else if let Ok(text) = value.cast::<PyString>() {
        let Ok(text) = text.to_str() else { return false };
        event.set_named(name, Value::Text(text))
            || unhex(text.as_bytes()).is_some_and(|id| event.set_named(name, Value::Id(id)))
    } else {
        value.extract().is_ok_and(|number| event.set_named(name, Value::Uint(number)))
    }
}

#[pyfunction]
pub fn decode_event<'py>(py: Python<'py>, payload: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    fields(py, &Event::decode(payload).map_err(|e| PyValueError::new_err(e.to_string()))?)
}

/// An event's present fields by name: ids as hex, `body` as bytes.
pub fn fields<'py>(py: Python<'py>, event: &Event<'_>) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    let mut set = fields.set_item("kind", event.kind.name());
    event.fields(|_, name, value| {
        let item = match value {
            Value::Uint(v) => fields.set_item(name, v),
            Value::Bool(v) => fields.set_item(name, v),
            Value::Id(v) => fields.set_item(name, hex_text(&v)),
            Value::Text(v) => fields.set_item(name, v),
            Value::Bytes(v) => fields.set_item(name, PyBytes::new(py, v)),
        };
        if set.is_ok() {
            set = item;
        }
    });
    set.map(|()| fields)
}

pub fn hex_text(id: &Id) -> String {
    hex(id).map(char::from).iter().collect()
}

/// None once it is closed.
#[pyclass(frozen, module = "tuike._core")]
pub struct Writer(RwLock<Option<journal::Writer>>);

impl Writer {
    /// Calls `work` with the open writer, the GIL released: even a short call may wait for the disk.
    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&journal::Writer) -> T + Send) -> PyResult<T> {
        let result = py.detach(|| self.0.read().expect("no call panics").as_ref().map(work));
        result.ok_or_else(closed)
    }
}

fn closed() -> PyErr {
    PyValueError::new_err("the journal is closed")
}

#[pymethods]
impl Writer {
    #[new]
    #[pyo3(signature = (root, producer, incarnation, *, durability = "interval", segment_bytes = journal::MAX_SEGMENT))]
    fn new(
        py: Python<'_>,
        root: PathBuf,
        producer: &str,
        incarnation: u64,
        durability: &str,
        segment_bytes: u64,
    ) -> PyResult<Writer> {
        let durability = Durability::from_name(durability).ok_or_else(|| {
            PyValueError::new_err(format!("durability: {durability} is none of process, interval, always"))
        })?;
        let opened = py.detach(|| journal::Writer::open(&root, producer, incarnation, durability, segment_bytes));
        Ok(Writer(RwLock::new(Some(opened.map_err(error)?))))
    }

    #[getter]
    fn incarnation(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, journal::Writer::incarnation)
    }

    #[getter]
    fn fd(&self, py: Python<'_>) -> PyResult<i32> {
        self.with(py, journal::Writer::sync_fd)
    }

    #[getter]
    fn synced(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, journal::Writer::synced)
    }

    #[getter]
    fn problem(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        self.with(py, journal::Writer::problem)
    }

    fn append(&self, py: Python<'_>, payloads: Vec<Bound<'_, PyBytes>>) -> PyResult<u64> {
        let mut batch = Batch::new();
        for payload in &payloads {
            let payload = payload.as_bytes();
            if payload.is_empty() || payload.len() > MAX_EVENT {
                return Err(PyValueError::new_err(format!("an event of {} bytes", payload.len())));
            }
            batch.push_payload(payload);
        }
        let full = |AppendError::Full { reason }| {
            JournalFull::new_err((if reason == "disk_full" { ENOSPC } else { EIO }, reason))
        };
        self.with(py, |writer| writer.append(&mut batch))?.map_err(full)
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, journal::Writer::sync)
    }

    fn wait_synced(&self, py: Python<'_>, seq: u64, timeout: f64) -> PyResult<bool> {
        let timeout = Duration::try_from_secs_f64(timeout).map_err(|e| PyValueError::new_err(e.to_string()))?;
        self.with(py, |writer| writer.wait_synced(seq, timeout))
    }

    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, journal::Writer::drain)
    }

    #[pyo3(signature = (now, registry = 0))]
    fn tick(&self, py: Python<'_>, now: u64, registry: u64) -> PyResult<()> {
        self.with(py, |writer| writer.tick(now, registry))
    }

    fn close(&self, py: Python<'_>, now: u64) -> PyResult<()> {
        let close = || self.0.write().expect("no call panics").take().map(|writer| writer.close(now));
        py.detach(close).ok_or_else(closed)?.map_err(error)
    }
}

#[pyclass(frozen, module = "tuike._core")]
pub struct JournalReader {
    reader: Mutex<Reader>,
    damage: Mutex<Vec<(u64, u64, u64)>>,
}

#[pymethods]
impl JournalReader {
    #[new]
    #[pyo3(signature = (path, after = 0))]
    fn new(path: PathBuf, after: u64) -> PyResult<JournalReader> {
        let reader = Mutex::new(Reader::open(&path, after).map_err(error)?);
        Ok(JournalReader { reader, damage: Mutex::default() })
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<(u64, Bound<'py, PyBytes>)>> {
        let mut reader = self.reader.lock().expect("no call panics");
        loop {
            match reader.next() {
                Next::Record { seq, payload } => return Ok(Some((seq, PyBytes::new(py, payload)))),
                Next::Damage { segment, offset, length } => {
                    self.damage.lock().expect("no call panics").push((segment, offset, length));
                }
                Next::Wait | Next::End => return Ok(None),
                Next::Failed(failed) => return Err(error(failed)),
            }
        }
    }

    #[getter]
    fn damage(&self) -> Vec<(u64, u64, u64)> {
        self.damage.lock().expect("no call panics").clone()
    }
}

#[pyfunction]
pub fn check_journal<'py>(py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let report = py.detach(|| journal::check(&path)).map_err(error)?;
    let found = PyDict::new(py);
    found.set_item("records", report.records)?;
    found.set_item("bytes", report.bytes)?;
    found.set_item("last", report.last)?;
    found.set_item("damage", report.damage)?;
    found.set_item("torn", report.torn)?;
    found.set_item("live", report.live)?;
    found.set_item("closed", report.closed)?;
    Ok(found)
}

#[pyfunction]
pub fn incarnations(root: PathBuf) -> PyResult<Vec<(String, u64, String)>> {
    let found = journal::incarnations(&root).map_err(error)?;
    Ok(found
        .into_iter()
        .map(|(producer, number, dir)| (producer, number, dir.to_string_lossy().into_owned()))
        .collect())
}

#[pyfunction]
pub fn live_marks(py: Python<'_>, root: PathBuf) -> PyResult<BTreeMap<String, u64>> {
    py.detach(|| journal::live_marks(&root)).map_err(error)
}

pub fn io_error(path: PathBuf, source: io::Error) -> PyErr {
    match source.raw_os_error() {
        Some(code) => PyOSError::new_err((code, source.to_string(), path)),
        None => PyOSError::new_err(format!("{}: {source}", path.display())),
    }
}

pub fn error(error: Error) -> PyErr {
    match error {
        Error::Io { path, source } => io_error(path, source),
        Error::Unsynced { .. } => PyOSError::new_err(error.to_string()),
        Error::Newer { .. } | Error::Producer(_) | Error::SegmentSize(_) => PyValueError::new_err(error.to_string()),
    }
}
