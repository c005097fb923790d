//! The exchange with origins on raw sockets: what they send, byte by byte, and what comes of it.

mod bodies;
mod connections;
mod faults;
mod probes;
mod support;
mod uploads;
