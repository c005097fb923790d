//! copal-semantics
