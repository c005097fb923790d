//! End-to-end tests.
mod examples;
mod wire;
