//! No message and no help of the checks is without a golden: the texts are looked for in the source.

use super::{UNAVAILABLE, WITH_MODULES, files, lines, values};
use regex::Regex;

/// Messages that are made elsewhere, by the name that stands where they are reported.
const ELSEWHERE: &[(&str, &str)] = &[
    ("not_a_duration", "is not a duration"),
    ("not_a_size", "is not a size"),
    ("not_an_address", "is not an IP address"),
    ("not_a_digest", "is not a digest"),
    ("not_an_algorithm", "is not an algorithm of tokens"),
    ("not_a_rate", "is not a rate"),
    ("NO_DATABASE", "has no GeoIP database"),
    ("e.position()", "is a reserved word"),
    ("e.message", "is not a status that can be sent"),
];

/// What stands between the parentheses that begin at `at`.
fn arguments(source: &str, at: usize) -> &str {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (i, c) in source[at..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return &source[at + 1..at + i];
                }
            }
            _ => {}
        }
    }
    panic!("a call without an end")
}

/// The message of each `report(…)` of the checks, as an expression that its goldens match.
fn reported() -> Vec<(String, Regex)> {
    let literal = Regex::new(r#""((?:[^"\\]|\\.)*)""#).expect("valid");
    let bound = Regex::new(r#"message\s*=\s*(?:format!\()?\s*"((?:[^"\\]|\\.)*)""#).expect("valid");
    let hole = Regex::new(r"\\\{[^{}]*\\\}").expect("valid");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/check")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let source = std::fs::read_to_string(&path).expect("a file");
        for (at, _) in source.match_indices("report(").filter(|(at, _)| !source[..*at].ends_with("fn ")) {
            let call = arguments(&source, at + "report".len());
            let place = format!("{}:{}", path.display(), source[..at].lines().count());
            if let Some((_, words)) = ELSEWHERE.iter().find(|(name, _)| call.contains(name)) {
                all.push((place, Regex::new(&regex::escape(words)).expect("valid")));
                continue;
            }
            // The message is the argument after the place; a name stands for what it was last bound to.
            let direct = literal.captures(call).filter(|_| !call.contains(" message,"));
            let found = direct
                .or_else(|| bound.captures_iter(&source[..at]).last())
                .or_else(|| bound.captures(&source[at..]))
                .unwrap_or_else(|| panic!("{place}: no message: {call}"));
            let words = found[1].replace("\\\"", "\"");
            let words = hole.replace_all(&regex::escape(&words), ".*").into_owned();
            all.push((place, Regex::new(&format!("^[0-9]+:[0-9]+ {words}( \\(|$)")).expect("valid")));
        }
    }
    all
}

#[test]
fn every_message_of_the_checks_has_a_golden() {
    let goldens: Vec<&str> = lines()
        .iter()
        .map(|l| l.2)
        .chain(values::lines().iter().map(|l| l.2))
        .chain(files().iter().chain(&values::files()).map(|f| f.1))
        .chain(WITH_MODULES.iter().chain(values::MODULES).map(|m| m.1))
        .chain(UNAVAILABLE)
        .collect();
    let all = reported();
    assert!(all.len() > 45, "the checks report {} messages: is this test reading them?", all.len());
    for (place, message) in all {
        assert!(goldens.iter().any(|g| message.is_match(g)), "{place}: no golden for {message}");
    }
}

/// Every longer text in the checks, message or help, as an expression that its goldens match.
fn texts() -> Vec<(String, Regex)> {
    let literal = Regex::new(r#""((?:[^"\\]|\\.)*)""#).expect("valid");
    let hole = Regex::new(r"\\\{[^{}]*\\\}").expect("valid");
    let mut all = Vec::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/check");
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.ends_with("absent.rs") || path.ends_with("vmods.rs") {
            // The guide has these, and a test compares them.
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("a file");
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        for (n, line) in code.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
            for found in literal.captures_iter(line) {
                let words = found[1].replace("\\\"", "\"").replace("\\\\", "\\");
                if words.split(' ').count() < 3 {
                    continue;
                }
                let words = hole.replace_all(&regex::escape(&words), ".*").into_owned();
                all.push((format!("{}:{}", path.display(), n + 1), Regex::new(&words).expect("valid")));
            }
        }
    }
    all
}

#[test]
fn every_help_of_the_checks_has_a_golden() {
    // The goldens as they are written.
    let goldens = [
        include_str!("values.rs"),
        include_str!("main.rs"),
        include_str!("lines.rs"),
        include_str!("vcl.rs"),
        include_str!("conditions.rs"),
    ];
    let goldens = goldens.concat().replace("\\\"", "\"").replace("\\\\", "\\");
    let goldens: Vec<&str> = goldens.lines().collect();
    let all = texts();
    assert!(all.len() > 90, "{}", all.len());
    let missing: Vec<_> = all.iter().filter(|(_, text)| !goldens.iter().any(|g| text.is_match(g))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
