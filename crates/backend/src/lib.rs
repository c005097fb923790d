//! copal-backend
