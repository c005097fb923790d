//! copal-xtask
fn main() {}
