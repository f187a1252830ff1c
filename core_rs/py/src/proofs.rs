//! What proves the books: the hash chain, Merkle trees, signatures.

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;
use tuike_core::ledger::Texts;
use tuike_core::{merkle, signing};

use crate::money::refused;

fn fixed<const N: usize>(bytes: &[u8], code: &'static str) -> PyResult<[u8; N]> {
    bytes.try_into().map_err(|_| refused(code))
}

fn hashes<'py>(py: Python<'py>, hashes: &[[u8; 32]]) -> Vec<Bound<'py, PyBytes>> {
    hashes.iter().map(|hash| PyBytes::new(py, hash)).collect()
}

#[pyfunction]
pub fn chain_hashes<'py>(
    py: Python<'py>,
    previous: &[u8],
    first: u64,
    transfers: Vec<(PyBackedStr, Vec<(PyBackedStr, i64)>)>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let previous = fixed(previous, "bad_hash")?;
    let chain = py.detach(|| {
        let mut texts = Texts::default();
        for (number, (currency, entries)) in (first..).zip(&transfers) {
            texts.push(number, currency, entries.iter().map(|(account, amount)| (&**account, *amount)));
        }
        texts.chain(previous)
    });
    Ok(hashes(py, &chain))
}

#[pyclass(frozen, module = "tuike._core")]
pub struct MerkleTree(merkle::Tree);

#[pymethods]
impl MerkleTree {
    #[new]
    fn new(py: Python<'_>, leaves: Vec<PyBackedBytes>) -> MerkleTree {
        MerkleTree(py.detach(|| merkle::Tree::new(&leaves)))
    }

    #[getter]
    fn root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.root())
    }

    fn proof<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let proof = self.0.proof(index).ok_or_else(|| PyIndexError::new_err("there is no such leaf"))?;
        Ok(hashes(py, &proof))
    }
}

#[pyfunction]
pub fn merkle_verify(leaf: &[u8], index: u64, size: u64, proof: Vec<PyBackedBytes>, root: &[u8]) -> bool {
    let proof: Option<Vec<[u8; 32]>> = proof.iter().map(|hash| (**hash).try_into().ok()).collect();
    match (proof, root.try_into()) {
        (Some(proof), Ok(root)) => merkle::verify(leaf, index, size, &proof, root),
        _ => false,
    }
}

#[pyfunction]
pub fn ed25519_public<'py>(py: Python<'py>, seed: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &signing::public(&fixed(seed, "bad_key")?)))
}

#[pyfunction]
pub fn ed25519_sign<'py>(py: Python<'py>, seed: &[u8], message: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &signing::sign(&fixed(seed, "bad_key")?, message)))
}

#[pyfunction]
pub fn ed25519_verify(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    match (public.try_into(), signature.try_into()) {
        (Ok(public), Ok(signature)) => signing::verify(public, message, signature),
        _ => false,
    }
}
