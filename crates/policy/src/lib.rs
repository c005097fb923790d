//! copal-policy
