pub mod event;
pub mod sketch;
