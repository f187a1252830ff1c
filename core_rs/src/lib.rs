pub mod event;
pub mod sketch;
pub mod touches;
