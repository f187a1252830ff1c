pub mod attribution;
pub mod commission;
pub mod event;
pub mod forest;
pub mod money;
