//! copal
fn main() {}
