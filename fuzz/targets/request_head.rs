//! The fuzz target `request_head`: see fuzz/src/lib.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| copal_fuzz::run("request_head", data));
