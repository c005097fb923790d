//! Whatever is written in a page, reading it gives cases or findings, never a panic.

use copal_cases::parse;
use proptest::prelude::*;
use std::path::Path;

/// Pieces that pages are made of, so that the texts get beyond the first word.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "# ",
        "```",
        "````",
        "~~~",
        "origin",
        "client",
        "expect",
        "advance",
        "backend",
        "policy",
        "config",
        " ",
        "\n",
        "GET",
        "/a",
        "*",
        "->",
        "200",
        "body:",
        "size:",
        "delay:",
        "\"",
        "\\",
        "\\x",
        "raw",
        "from",
        "leaves",
        "after",
        "meanwhile",
        "status",
        "header",
        "steps",
        "edge",
        "fetches",
        "asked",
        "asked-header",
        "counter",
        "no",
        "recv",
        "~",
        ">=",
        "absent",
        ":",
        "é",
        "\t",
        "\r\n",
        "---",
        "1h",
        "app",
        "down",
        "127.0.0.1",
        "rhai",
        "x",
    ];
    prop_oneof![8 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        if let Err(wrong) = parse::file(Path::new("any.md"), &text) {
            let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            prop_assert!(!told.is_empty());
        }
    }

    #[test]
    fn no_line_of_a_block_makes_the_parser_panic(
        kind in prop::sample::select(vec!["origin", "client", "client raw", "expect", "backend", "advance"]),
        pieces in prop::collection::vec(piece(), 0..20),
    ) {
        let text = format!("# T\n```{kind}\n{}\n```\n", pieces.join(" "));
        let _cases_or_findings = parse::file(Path::new("any.md"), &text);
    }
}
