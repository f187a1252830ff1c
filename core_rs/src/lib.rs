pub mod event;
pub mod fold;
pub mod journal;
pub mod sketch;
pub mod touches;
