//! The fuzz target `proxy_header`: see fuzz/src/lib.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| copal_fuzz::run("proxy_header", data));
