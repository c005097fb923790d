//! copal-observe
