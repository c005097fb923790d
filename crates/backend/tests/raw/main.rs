//! The exchange with origins on raw sockets: what they send, byte by byte, and what comes of it.

mod bodies;
mod connections;
mod faults;
mod http2;
mod names;
mod probes;
mod reaching;
mod support;
mod tls;
mod uploads;
