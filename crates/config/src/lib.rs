//! copal-config
