//! Proofs by many generated cases: nothing forbidden is reused, what is printed is read back, and another implementation
//! of the same rules differs only where docs/conformance.md says so.
#![expect(clippy::unwrap_used, reason = "a test that unwraps what is not there fails, as it should")]

mod exchange;
mod forbidden;
mod known;
mod oracle;

mod reuse;
mod round_trips;

/// That many cases, or as many as `PROPTEST_CASES` says: a long run is `PROPTEST_CASES=10000000`.
fn cases(usual: u32) -> proptest::test_runner::Config {
    let config = proptest::test_runner::Config::default();
    let long = std::env::var_os("PROPTEST_CASES").is_some();
    proptest::test_runner::Config { cases: if long { config.cases } else { usual }, ..config }
}
