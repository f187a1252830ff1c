//! `tuike._core`: the door. Bindings convert, call and map errors; logic lives in `tuike-core`.
mod fold;
mod journal;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::fold::{Batch, Follower, TouchStore, estimate_sketch, merge_sketches};
    #[pymodule_export]
    use super::journal::{
        JournalFull, JournalReader, Writer, check_journal, decode_event, encode_event, incarnations, live_marks,
    };
}
