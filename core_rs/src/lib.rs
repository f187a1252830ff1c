//! The core of tuike, readable along a click's way:
//!
//! `head` (bytes → request) → `respond` (request + `registry` → answer and `event`, with `params`,
//! `target`, `agents`, `identity`, `json`) → `journal` (events on disk). `metrics` counts beside it.
//! Then, in batches: `attribution` (who gets credit), `forest` (who invited whom), `commission` and
//! `money` (who gets what).
//!
//! Pure: no I/O and no clock outside `journal` and `metrics`.

pub mod agents;
pub mod attribution;
pub mod commission;
pub mod event;
pub mod forest;
pub mod head;
pub mod identity;
pub mod journal;
pub mod json;
pub mod metrics;
pub mod money;
pub mod params;
pub mod registry;
pub mod respond;
pub mod target;
