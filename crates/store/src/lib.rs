//! copal-store
