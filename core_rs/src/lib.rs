pub mod event;
pub mod journal;
