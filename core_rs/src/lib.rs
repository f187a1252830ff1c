//! The core of tuike, readable along a click's way:
//!
//! `front` (sockets) → `head` (bytes → request) → `respond` (request + `registry` → answer and `event`,
//! with `params`, `target`, `agents`, `identity`, `rate`, `json`, `digits`) → `journal` (events on disk); `edge` joins
//! them for one worker, `registry_log` keeps its registry new, `metrics` counts.
//! Then, in batches: `fold` (what all producers wrote → sums, with `sketch`, and `touches`),
//! `attribution` (who gets credit), `fraud` (what a person should look at first), `forest` (who invited whom),
//! `commission` and `money` (who gets what), `tax` (what is withheld), `ledger`, `leaves`, `merkle` and `signing`
//! (what proves it); `erasure` (who is forgotten).
//!
//! Pure: no I/O and no clock outside `front`, `journal`, `registry_log`, `metrics`, `touches`, and `edge`
//! and `fold`, which drive them.

pub mod agents;
pub mod attribution;
pub mod commission;
pub mod dialect;
pub mod digits;
pub mod edge;
pub mod erasure;
pub mod event;
pub mod fold;
pub mod forest;
pub mod fraud;
pub mod front;
pub mod head;
pub mod identity;
pub mod journal;
pub mod json;
pub mod leaves;
pub mod ledger;
pub mod merkle;
pub mod metrics;
pub mod money;
pub mod params;
pub mod rate;
pub mod registry;
pub mod registry_log;
pub mod respond;
pub mod signing;
pub mod sketch;
pub mod target;
pub mod tax;
pub mod touches;
