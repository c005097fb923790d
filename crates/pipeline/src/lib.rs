//! copal-pipeline
