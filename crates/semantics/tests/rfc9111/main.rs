//! RFC 9111 section by section: one table per section, named after it. Details of spelling are tested beside the code.

mod s3_storing;
mod s4_constructing;
mod s4_validation;
mod s5_fields;

use copal_semantics::freshness::{Freshness, freshness};
use copal_semantics::{Headers, RequestHead, ResponseHead, Rules, Span, Time, date};

/// Field lines.
type Lines<'a> = &'a [(&'a str, &'a str)];

/// When a response arrives, unless a test says otherwise.
const NOW: Time = Time::from_secs(1_700_000_000);

fn resp(status: u16, lines: Lines<'_>) -> ResponseHead {
    ResponseHead::new(status, lines.iter().copied())
}

fn req(lines: Lines<'_>) -> RequestHead {
    RequestHead::get("/a", lines.iter().copied())
}

fn headers(lines: Lines<'_>) -> Headers {
    lines.iter().copied().collect()
}

/// The date so many seconds from [`NOW`].
fn at(secs: i64) -> String {
    date::http_date(NOW + Span::from_secs(secs))
}

/// The freshness of a 200 that came at once.
fn fresh(lines: Lines<'_>) -> Freshness {
    freshness(&req(&[]), &resp(200, lines), &Rules::default(), NOW, NOW)
}

#[test]
fn every_section_with_a_rule_has_its_table() {
    let tests = [
        include_str!("s3_storing.rs"),
        include_str!("s4_constructing.rs"),
        include_str!("s4_validation.rs"),
        include_str!("s5_fields.rs"),
    ]
    .concat();
    for section in [
        "2", "3", "3_1", "3_2", "3_3", "3_4", "3_5", "4", "4_1", "4_2", "4_2_1", "4_2_2", "4_2_3", "4_2_4", "4_3_1",
        "4_3_2", "4_3_3", "4_3_4", "4_3_5", "4_4", "5_1", "5_2", "5_2_1", "5_2_2", "5_2_3", "5_3", "5_4", "5_5",
    ] {
        let named = |line: &str| {
            let rest = line.strip_prefix("fn s").and_then(|l| l.strip_prefix(section));
            rest.is_some_and(|r| r.starts_with('_') && !r[1..].starts_with(|c: char| c.is_ascii_digit()))
        };
        assert!(tests.lines().any(named), "no test is named after §{}", section.replace('_', "."));
    }
}
