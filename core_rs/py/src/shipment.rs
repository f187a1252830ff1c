//! `Shipment`, and views of what it has packed.

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;
use tuike_core::fold;

use crate::fold::{Damage, stretch};

/// Producer, incarnation, last sequence number read, mark.
type Heard = (String, u64, u64, u64);
/// Incarnation, partition, packed records.
type Place<T> = (u64, u32, T);

#[pyclass(frozen, module = "tuike._core")]
pub struct Shipment {
    taken: fold::Shipment,
    packed: Vec<Place<Py<Packed>>>,
}

/// Packed records, to be seen through views.
#[pyclass(frozen, module = "tuike._core")]
pub struct Packed(Vec<u8>);

#[pymethods]
impl Packed {
    /// # Safety
    /// Python's: `view` is its to be filled.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let bytes = &slf.get().0;
        let length = ffi::Py_ssize_t::try_from(bytes.len())?;
        // SAFETY: the view is a read-only one and keeps `slf`, whose bytes nobody moves or changes; to copy them for
        // the socket would cost as much as to read them
        match unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), bytes.as_ptr().cast_mut().cast(), length, 1, flags) }
        {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}

impl Shipment {
    pub fn new(py: Python<'_>, mut taken: fold::Shipment) -> PyResult<Shipment> {
        let packed = std::mem::take(&mut taken.packed).into_iter();
        let place = |(incarnation, partition, data)| Ok((incarnation, partition, Py::new(py, Packed(data))?));
        Ok(Shipment { packed: packed.map(place).collect::<PyResult<_>>()?, taken })
    }
}

#[pymethods]
impl Shipment {
    #[classattr]
    const ENDED: u64 = fold::ENDED;
    #[classattr]
    const GONE: u64 = fold::GONE;
    #[classattr]
    const PARTITIONS: u32 = fold::PARTITIONS;

    #[getter]
    fn heard(&self) -> Vec<Heard> {
        let heard = |h: &fold::Heard| (h.source.producer.to_string(), h.source.incarnation, h.upto, h.mark);
        self.taken.heard.iter().map(heard).collect()
    }

    #[getter]
    fn count(&self) -> usize {
        self.taken.count
    }

    #[getter]
    fn more(&self) -> bool {
        self.taken.more
    }

    #[getter]
    fn damage(&self) -> Vec<Damage> {
        self.taken.damage.iter().map(stretch).collect()
    }

    #[getter]
    fn packed<'py>(&self, py: Python<'py>) -> PyResult<Vec<Place<Bound<'py, PyMemoryView>>>> {
        let view = |data: &Py<Packed>| PyMemoryView::from(data.bind(py));
        self.packed.iter().map(|(incarnation, partition, data)| Ok((*incarnation, *partition, view(data)?))).collect()
    }
}
