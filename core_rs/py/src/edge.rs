//! `Edge`: the door to one worker's core.

use std::net::IpAddr;
use std::os::fd::{IntoRawFd, RawFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tuike_core::edge::{self, Options};
use tuike_core::front::{Handed, Limits};
use tuike_core::journal::Durability;
use tuike_core::respond::{Failure, Headers, Method, Network, Request, Settings};

#[pyclass(frozen)]
pub struct Edge(Mutex<Option<edge::Edge>>);

/// Descriptor, unread bytes, whether the front has answered there before.
type Given<'py> = (RawFd, Bound<'py, PyBytes>, bool);
/// Status, reason, headers, body, and what has to be synced before it is sent.
type Reply<'py> = (u16, String, Vec<(String, String)>, Bound<'py, PyBytes>, Option<u64>);

impl Edge {
    fn lock(&self) -> PyResult<Open<'_>> {
        let guard = self.0.lock().map_err(|_| PyRuntimeError::new_err("the edge has panicked"))?;
        if guard.is_some() { Ok(Open(guard)) } else { Err(PyRuntimeError::new_err("the edge is closed")) }
    }
}

/// The lock on an edge that is known to be open.
struct Open<'a>(MutexGuard<'a, Option<edge::Edge>>);

impl std::ops::Deref for Open<'_> {
    type Target = edge::Edge;
    fn deref(&self) -> &edge::Edge {
        self.0.as_ref().expect("open while locked")
    }
}

impl std::ops::DerefMut for Open<'_> {
    fn deref_mut(&mut self) -> &mut edge::Edge {
        self.0.as_mut().expect("open while locked")
    }
}

#[pymethods]
impl Edge {
    #[new]
    #[pyo3(signature = (data, producer, incarnation, *, secret, seed, durability = "interval", segment_bytes = 67_108_864,
        trusted_proxies = Vec::new(), cross_site_cookies = false, readable_cookie = false, rate_limit_hits = 0,
        rate_limit_orders = 0))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        data: PathBuf,
        producer: &str,
        incarnation: u64,
        secret: &str,
        seed: [u8; 32],
        durability: &str,
        segment_bytes: u64,
        trusted_proxies: Vec<String>,
        cross_site_cookies: bool,
        readable_cookie: bool,
        rate_limit_hits: u32,
        rate_limit_orders: u32,
    ) -> PyResult<Edge> {
        let network = |text: &String| {
            Network::parse(text)
                .ok_or_else(|| PyValueError::new_err(format!("{text} is no network (such as 10.0.0.0/8)")))
        };
        let settings = Settings {
            trusted_proxies: trusted_proxies.iter().map(network).collect::<PyResult<_>>()?,
            cross_site_cookies,
            readable_cookie,
            rate_limit_hits,
            rate_limit_orders,
        };
        let options = Options {
            data: &data,
            producer,
            incarnation,
            durability: Durability::from_name(durability)
                .ok_or_else(|| PyValueError::new_err(format!("no such durability: {durability}")))?,
            max_segment: segment_bytes,
            secret: secret_of(secret)?,
            seed,
            settings,
        };
        Ok(Edge(Mutex::new(Some(edge::Edge::open(options).map_err(error)?))))
    }

    #[pyo3(signature = (fd, *, connections, head = 10.0, idle = 75.0, stalled = 30.0, linger = 2.0))]
    fn listen(
        &self,
        fd: RawFd,
        connections: usize,
        head: f64,
        idle: f64,
        stalled: f64,
        linger: f64,
    ) -> PyResult<RawFd> {
        let ms = |seconds: f64| (seconds * 1000.0) as u64;
        let limits = Limits {
            connections,
            head_ms: ms(head),
            idle_ms: ms(idle),
            stalled_ms: ms(stalled),
            linger_ms: ms(linger),
        };
        Ok(self.lock()?.listen(fd, limits)?)
    }

    fn poll<'py>(&self, py: Python<'py>, now: u64, others_wait: bool) -> PyResult<Option<(Vec<Given<'py>>, bool)>> {
        let Some(turn) = self.lock()?.turn(now, others_wait) else { return Ok(None) };
        if turn.handed.is_empty() && !turn.again {
            return Ok(None);
        }
        let give = |handed: Handed| (handed.socket.into_raw_fd(), PyBytes::new(py, &handed.unread), handed.answered);
        Ok(Some((turn.handed.into_iter().map(give).collect(), turn.again)))
    }

    #[expect(clippy::too_many_arguments, reason = "a request")]
    fn respond<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        target: &[u8],
        fields: Vec<(PyBackedBytes, PyBackedBytes)>,
        peer: &str,
        body: Option<&[u8]>,
        now: u64,
    ) -> PyResult<Reply<'py>> {
        let mut headers = Headers::default();
        for (name, value) in &fields {
            headers.set(name, value);
        }
        let request = Request { method: Method::from_name(method), target, headers, body };
        let mut edge = self.lock()?;
        let reply = edge.respond(&request, address(peer)?, now);
        Ok(apart(py, reply.bytes, reply.after))
    }

    fn fail<'py>(&self, py: Python<'py>, reason: &str, now: u64) -> PyResult<Reply<'py>> {
        let why = match reason {
            "head_too_large" => Failure::HeadTooLarge,
            "target_too_long" => Failure::TargetTooLong,
            "body_too_large" => Failure::BodyTooLarge,
            "body_too_slow" => Failure::BodyTooSlow,
            "malformed_body" => Failure::MalformedBody,
            "not_synced" => Failure::NotSynced,
            _ => return Err(PyValueError::new_err(format!("no such reason: {reason}"))),
        };
        Ok(apart(py, self.lock()?.fail(why, now), None))
    }

    fn count_malformed(&self) -> PyResult<()> {
        self.lock()?.count_malformed();
        Ok(())
    }

    fn tick(&self, now: u64) -> PyResult<()> {
        self.lock()?.tick(now).map_err(error)
    }

    fn sweep(&self, away: usize) -> PyResult<bool> {
        Ok(self.lock()?.sweep(away))
    }

    fn drain(&self) -> PyResult<()> {
        self.lock()?.drain();
        Ok(())
    }

    fn end_idle(&self) -> PyResult<()> {
        self.lock()?.end_idle();
        Ok(())
    }

    #[getter]
    fn ready(&self) -> PyResult<bool> {
        Ok(self.lock()?.is_ready())
    }

    #[getter]
    fn accepting(&self) -> PyResult<bool> {
        Ok(self.lock()?.is_accepting())
    }

    #[getter]
    fn connections(&self) -> PyResult<usize> {
        Ok(self.lock()?.connections())
    }

    #[getter]
    fn problem(&self) -> PyResult<Option<&'static str>> {
        Ok(self.lock()?.problem())
    }

    #[getter]
    fn sync_fd(&self) -> PyResult<RawFd> {
        Ok(self.lock()?.sync_fd())
    }

    fn synced(&self) -> PyResult<u64> {
        Ok(self.lock()?.synced())
    }

    fn close(&self, py: Python<'_>, now: u64) -> PyResult<()> {
        let edge = self.0.lock().map_err(|_| PyRuntimeError::new_err("the edge has panicked"))?.take();
        match edge {
            Some(edge) => py.detach(|| edge.close(now)).map_err(error),
            None => Ok(()),
        }
    }
}

fn error(error: edge::Error) -> PyErr {
    match error {
        edge::Error::Io(e) => PyErr::from(e),
        other => PyOSError::new_err(other.to_string()),
    }
}

/// 64 hex digits.
fn secret_of(text: &str) -> PyResult<[u8; 32]> {
    let mut secret = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(PyValueError::new_err("the secret is 64 hex digits"));
    }
    for (byte, at) in secret.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16)
            .map_err(|_| PyValueError::new_err("the secret is 64 hex digits"))?;
    }
    Ok(secret)
}

/// An address as sockets name it, perhaps with a scope.
fn address(text: &str) -> PyResult<IpAddr> {
    let bare = text.split('%').next().unwrap_or_default();
    let address: IpAddr = bare.parse().map_err(|_| PyValueError::new_err(format!("no address: {text}")))?;
    Ok(address.to_canonical())
}

/// Takes an answer's bytes apart.
fn apart<'py>(py: Python<'py>, bytes: &[u8], after: Option<u64>) -> Reply<'py> {
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..head]);
    let mut lines = text.split("\r\n");
    let mut status = lines.next().unwrap_or_default().splitn(3, ' ').skip(1);
    let number = status.next().and_then(|n| n.parse().ok()).unwrap_or(500);
    let reason = status.next().unwrap_or_default().to_owned();
    let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers = lines.filter_map(pair).collect();
    (number, reason, headers, PyBytes::new(py, bytes.get(head + 4..).unwrap_or_default()), after)
}
