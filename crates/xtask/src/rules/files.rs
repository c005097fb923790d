//! What holds for files as such: the first line, the length, no paths of one machine.

use crate::finding::Finding;
use crate::tree::{Tree, is_test_file};

/// Lines before the tests from which a file is too long to be one noun.
const LENGTH_WARNING: usize = 500;
/// Lines before the tests that nobody argues for.
const LENGTH_ERROR: usize = 800;
/// Folders at the root of a file system where a machine, not the project, keeps things.
const MACHINE_FOLDERS: &[&str] = &["work", "root"];

pub(crate) fn first_line(tree: &Tree) -> Vec<Finding> {
    let mut out = Vec::new();
    for source in tree.sources() {
        let first = source.text.lines().next().unwrap_or_default();
        let says = first.strip_prefix("//!").map(|text| text.split_whitespace().count());
        let message = match says {
            None => "line 1 is not a `//!` comment that says what the file is",
            // A name alone says nothing.
            Some(0..3) => "line 1 says too little: what is this file?",
            Some(_) => continue,
        };
        out.push(Finding::new("first-line", source.path, 1, message));
    }
    out
}

pub(crate) fn length(tree: &Tree) -> Vec<Finding> {
    let mut out = Vec::new();
    for source in tree.sources() {
        let lines = if is_test_file(source.path) { source.lines.len() } else { source.lines_before_tests() };
        if lines > LENGTH_WARNING {
            let message = format!("{lines} lines before the tests: split it by nouns ({LENGTH_ERROR} is an error)");
            let finding = Finding::new("length", source.path, lines, message);
            out.push(if lines > LENGTH_ERROR { finding } else { finding.warning() });
        }
    }
    out
}

pub(crate) fn machine_path(tree: &Tree) -> Vec<Finding> {
    let mut out = Vec::new();
    for file in &tree.files {
        for (i, line) in file.text.lines().enumerate() {
            for folder in MACHINE_FOLDERS {
                let path = format!("/{folder}/");
                let starts = |at: usize| !line[..at].chars().next_back().is_some_and(continues_a_path);
                if line.match_indices(&path).any(|(at, _)| starts(at)) {
                    out.push(Finding::new(
                        "machine-path",
                        &file.path,
                        i + 1,
                        format!("`{path}` is a path of one machine"),
                    ));
                }
            }
        }
    }
    out
}

/// Before the folder, these make it a part of a longer path or URL.
fn continues_a_path(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '*' | '/' | '}' | '~')
}
