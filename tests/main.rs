//! End-to-end tests.
mod cache;
mod examples;
mod wire;
