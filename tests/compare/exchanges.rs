//! Varnish beside Copal: the same exchanges through both, what each did, and the RFC section that says who is right.
//!
//! `make compare` runs it where varnishd is installed and writes docs/varnish-differences.md. It fails when the two differ in
//! a case that the table says they agree in, or the other way round: so the table's judgements are about what was seen.

use super::cases::{CASES, Right};
use super::play::{self, play};
use super::varnish::Varnish;
use crate::wire::COPAL;
use copal_testkit::Proxy;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[test]
#[ignore = "needs varnishd; `make compare` runs it"]
fn copal_and_varnish_differ_only_where_the_table_says() {
    let binary = std::env::var_os("COPAL_BIN").map_or_else(|| COPAL.into(), PathBuf::from);
    let origin = play::origin();
    let copal = Proxy::builder(binary.canonicalize().unwrap()).to(origin.addr()).start();
    let seen_copal: Vec<String> =
        CASES.iter().enumerate().map(|(i, case)| play(case, i, &origin, copal.addr())).collect();
    drop(origin);
    let origin = play::origin();
    let varnish = Varnish::with_default_vcl(origin.addr());
    let seen_varnish: Vec<String> =
        CASES.iter().enumerate().map(|(i, case)| play(case, i, &origin, varnish.addr())).collect();
    let table = table(&seen_copal, &seen_varnish, &varnish.version());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/varnish-differences.md");
    std::fs::write(&path, &table).unwrap();
    let mut wrong = String::new();
    for ((case, a), b) in CASES.iter().zip(&seen_copal).zip(&seen_varnish) {
        if (a == b) != matches!(case.right, Right::Same) {
            writeln!(wrong, "{}\n  Copal   {a}\n  Varnish {b}", case.what).unwrap();
        }
    }
    assert!(wrong.is_empty(), "the table is wrong about:\n{wrong}");
}

/// The page.
fn table(copal: &[String], varnish: &[String], version: &str) -> String {
    let count = |test: fn(&Right) -> bool| CASES.iter().filter(|c| test(&c.right)).count();
    let mut out = format!(
        "# Copal beside Varnish: the same exchanges, and who is right\n\n\
         Written by `make compare` (`tests/compare/`); the exchanges and the last two columns are its table of cases, the rest is what was\n\
         seen. Both as they come: Copal without a configuration, {version} with its default VCL and a backend.\n\n\
         {} cases: {} alike; in {} the RFC says that Copal is right, {} are a cache's own choice. A case in which\n\
         Varnish were right would be a fault of Copal, to be mended and not listed.\n\n\
         How to read it: each step is a request; \"origin\" means that its answer came from the origin, \"cache\" that it was stored,\n\
         \"validated\" that it was stored and the origin confirmed it, \"proxy\" that the proxy made it. The number says which of the origin's\n\
         answers it was.\n\n\
         | case | Copal | Varnish | decided by | who is right |\n|---|---|---|---|---|\n",
        CASES.len(),
        count(|r| matches!(r, Right::Same)),
        count(|r| matches!(r, Right::Copal(_))),
        count(|r| matches!(r, Right::Either(_))),
    );
    for ((case, a), b) in CASES.iter().zip(copal).zip(varnish) {
        let right = match case.right {
            Right::Same => "alike".to_owned(),
            Right::Copal(why) => format!("**Copal**: {why}"),
            Right::Either(why) => format!("either: {why}"),
        };
        let b = if a == b { "the same" } else { b };
        writeln!(out, "| {} | {a} | {b} | {} | {right} |", case.what, case.section).unwrap();
    }
    out
}
