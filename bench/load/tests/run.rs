//! The program against a small server of known behaviour.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

const REQUESTS: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nok";
const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nGIF";

/// Serves on threads; `answer` gets the number of a request over all connections, and an empty answer closes.
/// The address and how many requests came.
fn serve(answer: fn(u64) -> Vec<u8>) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let counted = counted.clone();
            thread::spawn(move || converse(stream.unwrap(), &counted, answer));
        }
    });
    (address, count)
}

fn converse(mut stream: TcpStream, counted: &AtomicU64, answer: fn(u64) -> Vec<u8>) {
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        // what is sent at once comes at once here: it is short
        for _ in memchr::memmem::find_iter(&buffer[..read], b" HTTP/1.1\r\n") {
            let bytes = answer(counted.fetch_add(1, Ordering::Relaxed));
            if bytes.is_empty() || stream.write_all(&bytes).is_err() {
                return;
            }
        }
    }
}

/// Runs the program for 0.3 s after 0.1 s of warm-up on 4 connections.
fn load(target: SocketAddr, more: &[&str]) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, REQUESTS).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_tuike-load"))
        .args(["--target", &target.to_string(), "--requests", file.path().to_str().unwrap()])
        .args(["--connections", "4", "--seconds", "0.3", "--warmup", "0.1"])
        .args(more)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn every_request_is_answered_and_counted() {
    let (target, count) = serve(|_| GOOD.to_vec());
    let report = load(target, &[]);
    assert!(report["sent"].as_u64() > Some(100));
    assert_eq!(report["statuses"]["200"], report["sent"]);
    assert_eq!(report["sent"], count.load(Ordering::Relaxed));
    for fault in ["lost", "malformed", "unanswered", "unsent", "unrecorded", "reconnects"] {
        assert_eq!(report[fault], 0, "{fault}");
    }
}

#[test]
fn pipelined_requests_are_answered_and_counted_one_by_one() {
    let (target, count) = serve(|_| GOOD.to_vec());
    let report = load(target, &["--burst", "16"]);
    assert!(report["sent"].as_u64() > Some(100));
    assert_eq!(report["statuses"]["200"], report["sent"]);
    assert_eq!(report["sent"], count.load(Ordering::Relaxed));
    for fault in ["lost", "malformed", "unanswered", "reconnects"] {
        assert_eq!(report[fault], 0, "{fault}");
    }
}

#[test]
fn what_is_left_of_a_burst_is_lost_with_its_connection() {
    let (target, _) = serve(|number| if number % 100 == 55 { Vec::new() } else { GOOD.to_vec() });
    let report = load(target, &["--burst", "16"]);
    assert!(report["lost"].as_u64() > report["reconnects"].as_u64());
    let answered = report["statuses"]["200"].as_u64().unwrap();
    assert_eq!(report["sent"].as_u64(), Some(answered + report["lost"].as_u64().unwrap()));
}

#[test]
fn what_went_wrong_is_counted_by_kind() {
    let (target, _) = serve(|number| match number % 10 {
        3 => Vec::new(),
        5 => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
        7 => b"HTTP/1.1 200 OK\r\nTuike-Recorded: 0\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec(),
        9 => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => GOOD.to_vec(),
    });
    let report = load(target, &[]);
    let count = |name: &str| report[name].as_u64().unwrap();
    let answered: u64 = report["statuses"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(count("sent"), answered + count("lost") + count("malformed"));
    assert_eq!(count("reconnects"), count("lost") + count("malformed") + count("unrecorded"));
    for kind in ["lost", "malformed", "unrecorded"] {
        assert!(count(kind) > 0, "{kind}");
    }
    assert!(report["statuses"]["503"].as_u64() > Some(0));
}

#[test]
fn the_open_loop_keeps_its_rate_and_counts_waiting_as_latency() {
    let (target, _) = serve(|_| GOOD.to_vec());
    let report = load(target, &["--rate", "1000", "--seconds", "1"]);
    let rate = report["requests_per_second"].as_f64().unwrap();
    assert!((850.0..1150.0).contains(&rate), "{rate}");

    // 4 connections with 10 ms for each answer do 400 a second: the others wait, longer and longer
    let (slow, _) = serve(|_| {
        thread::sleep(Duration::from_millis(10));
        GOOD.to_vec()
    });
    let report = load(slow, &["--rate", "600"]);
    assert!(report["p99_us"].as_f64() > Some(40_000.0), "{report}");
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, REQUESTS).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_tuike-load"))
        .args(["--target", &gone.to_string(), "--requests", file.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&done.stderr).lines().count(), 1);
}
