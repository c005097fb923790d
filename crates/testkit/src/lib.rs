//! copal-testkit
