//! tuike-load: sends prepared requests over N connections and measures the answers.
//!
//! One thread. *Closed loop*: each connection has one request out, always (with `--burst N` it pipelines: N at
//! once, and the next N when they are answered). *Open loop* (`--rate`):
//! requests are due at the instants of a Poisson process and their latency counts from then, so time
//! spent waiting for a slow server is in it (coordinated omission corrected). The requests are the
//! bytes of a file, sent in turn; the result is one JSON object on stdout.
//!
//! `load` is the run. It sends and receives through `connection`, which cuts the server's bytes with
//! `answer`; `requests` cuts the file. `arrivals` says when the open loop's requests are due, `report`
//! counts, with latencies in a `histogram`.

#![forbid(unsafe_code)]

mod answer;
mod arrivals;
mod connection;
mod histogram;
mod load;
mod report;
mod requests;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use crate::load::{Load, Plan};

const USAGE: &str = "usage: tuike-load --target IP:PORT --requests FILE
  [--connections 64] [--burst 1] [--seconds 3] [--warmup 0.3] [--rate REQUESTS_PER_SECOND] [--seed 1]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (plan, file) = match parse(&arguments) {
        Ok(parsed) => parsed,
        Err(problem) => {
            eprintln!("tuike-load: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(plan, &file) {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("tuike-load: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(plan: Plan, file: &str) -> Result<String, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let requests = requests::split(&bytes).map_err(|problem| format!("{file}: {problem}"))?;
    let target = plan.target;
    let load = Load::connect(plan, requests).map_err(|error| format!("{target}: {error}"))?;
    let report = load.run().map_err(|error| format!("{target}: {error}"))?;
    serde_json::to_string(&report).map_err(|error| error.to_string())
}

/// The plan and the requests' file from `--name value` pairs.
fn parse(arguments: &[String]) -> Result<(Plan, String), String> {
    let mut target = None;
    let mut file = None;
    let mut plan = Plan::default();
    for pair in arguments.chunks(2) {
        let [name, value] = pair else {
            return Err(format!("{} needs a value", pair[0]));
        };
        match name.as_str() {
            "--target" => target = Some(number::<SocketAddr>(name, value)?),
            "--requests" => file = Some(value.clone()),
            "--connections" => plan.connections = number(name, value)?,
            "--burst" => plan.burst = number(name, value)?,
            "--seconds" => plan.length = seconds(name, value)?,
            "--warmup" => plan.warmup = seconds(name, value)?,
            "--rate" => plan.rate = Some(number(name, value)?),
            "--seed" => plan.seed = number(name, value)?,
            _ => return Err(format!("unknown option {name}")),
        }
    }
    plan.target = target.ok_or("--target is missing")?;
    plan.check()?;
    Ok((plan, file.ok_or("--requests is missing")?))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: {value} is not understood"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number(name, value)?).map_err(|_| format!("{name}: {value} is not understood"))
}
