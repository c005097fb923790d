//! The fuzz target `date`: see fuzz/src/lib.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| copal_fuzz::run("date", data));
