//! The fuzz target `hosts`: see fuzz/src/lib.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| copal_fuzz::run("hosts", data));
