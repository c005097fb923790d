//! copal-wire
