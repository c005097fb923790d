//! End-to-end tests: the real binary over real sockets, one folder per area.
#![expect(clippy::unwrap_used, reason = "a test that unwraps what is not there fails, as it should")]
mod cache;
mod cases;
mod compare;
mod django;
mod examples;
mod fuzz;
mod outage;
mod soak;
mod wire;
