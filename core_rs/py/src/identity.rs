//! Sealing, pseudonyms, the query parser.
use std::net::IpAddr;
use std::sync::{LazyLock, Mutex};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tuike_core::agents::Agents;
use tuike_core::{event, identity, params};

/// The bytes of a secret in hex.
pub fn key(hex: &str) -> PyResult<[u8; 32]> {
    let (high, low) = hex.as_bytes().split_at_checked(32).unwrap_or_default();
    match (event::unhex(high), event::unhex(low)) {
        (Some(high), Some(low)) => Ok([high, low].concat().try_into().expect("two halves of 16 bytes")),
        _ => Err(PyValueError::new_err("a secret is 64 hex digits")),
    }
}

#[pyfunction]
pub fn seal(secret: &str, purpose: &str, plain: &[u8], nonce: &[u8]) -> PyResult<String> {
    let nonce = nonce.try_into().map_err(|_| PyValueError::new_err("a nonce is 12 bytes"))?;
    Ok(identity::seal(&key(secret)?, purpose, plain, &nonce))
}

#[pyfunction]
pub fn unseal(secret: &str, purpose: &str, sealed: &str) -> PyResult<Vec<u8>> {
    identity::unseal(&key(secret)?, purpose, sealed)
        .ok_or_else(|| PyValueError::new_err("not sealed under this secret for this purpose"))
}

#[pyfunction]
pub fn parse_query(query: &[u8]) -> Vec<(String, String)> {
    params::pairs(query).map(|((name, value), _)| (name.into_owned(), value.into_owned())).collect()
}

/// The pseudonym of an address under a day's key, and its network.
#[pyfunction]
pub fn pseudonym(day_key: &[u8], address: IpAddr) -> PyResult<(String, String)> {
    let key = day_key.try_into().map_err(|_| PyValueError::new_err("a day's key is 32 bytes"))?;
    let id = identity::DayKey::new(key).address(address);
    Ok((String::from_utf8_lossy(&event::hex(&id)).into_owned(), identity::prefix(address).to_string()))
}

#[pyfunction]
pub fn look_agent(agent: &[u8]) -> (u64, bool) {
    static AGENTS: LazyLock<Mutex<Agents>> = LazyLock::new(Mutex::default);
    let found = AGENTS.lock().expect("looking up does not panic").look(agent);
    (found.hash, found.bot)
}
