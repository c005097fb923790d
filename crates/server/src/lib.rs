//! copal-server
