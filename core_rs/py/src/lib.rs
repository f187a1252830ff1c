//! `tuike._core`: the door. Bindings convert, call and map errors; logic lives in `tuike-core`.
mod edge;
mod erasure;
mod fold;
mod fraud;
mod identity;
mod journal;
mod leaves;
mod listing;
mod metrics;
mod money;
mod postback;
mod proofs;
mod registry;
mod rule;
mod shipment;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::edge::Edge;
    #[pymodule_export]
    use super::erasure::{Erasure, anonymize_segment, is_erased_person, journal_segments};
    #[pymodule_export]
    use super::fold::{
        Batch, Follower, Sums, TouchStore, decode_touch, estimate_sketch, merge_sketches, sketch_error, touch_key,
        touch_range,
    };
    #[pymodule_export]
    use super::fraud::{FraudRules, Networks, flood_score, tally_touches};
    #[pymodule_export]
    use super::identity::{look_agent, parse_query, pseudonym, seal, unseal};
    #[pymodule_export]
    use super::journal::{
        JournalFull, JournalReader, Writer, check_journal, decode_event, encode_event, incarnations, live_marks,
    };
    #[pymodule_export]
    use super::leaves::ledger_leaves;
    #[pymodule_export]
    use super::listing::pick_touches;
    #[pymodule_export]
    use super::metrics::{edge_states, render_metrics};
    #[pymodule_export]
    use super::money::{
        Forest, allocate, bound, exponent, format_amount, format_rate, parse_amount, parse_rate, tax_cn_labour,
        tax_cn_platform, tax_flat, weights, weights_many,
    };
    #[pymodule_export]
    use super::postback::read_postback;
    #[pymodule_export]
    use super::proofs::{MerkleTree, chain_hashes, ed25519_public, ed25519_sign, ed25519_verify, merkle_verify};
    #[pymodule_export]
    use super::registry::SnapshotBuilder;
    #[pymodule_export]
    use super::rule::Rule;
    #[pymodule_export]
    use super::shipment::Shipment;
}
