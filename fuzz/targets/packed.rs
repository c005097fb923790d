//! The fuzz target `packed`: see fuzz/src/lib.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| copal_fuzz::run("packed", data));
