//! Dependencies as the manifests name them, and whether the decision for each is written down.

use crate::finding::Finding;
use crate::tree::{File, Tree, room};

/// A line of a manifest that takes a dependency.
pub(crate) struct Dependency {
    pub(crate) room: String,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) name: String,
    /// For tests, benches and examples only.
    pub(crate) dev: bool,
}

const DECISIONS: &str = "docs/decisions/dependencies.md";

/// What a package depends on. The shared versions in `[workspace.dependencies]` are not yet a use.
pub(crate) fn of_manifest(file: &File) -> Vec<Dependency> {
    let take = |(section, line, name): (String, usize, String)| {
        let used = section != "workspace.dependencies";
        let (room, dev) = (room(&file.path).to_owned(), section.contains("dev-dependencies"));
        used.then(|| Dependency { room, file: file.path.clone(), line, name, dev })
    };
    entries(&file.text).into_iter().filter_map(take).collect()
}

/// Each dependency named in the root manifest is explained.
pub(crate) fn explained(tree: &Tree) -> Vec<Finding> {
    let Some(manifest) = tree.file("Cargo.toml") else { return Vec::new() };
    let Some(decisions) = tree.file(DECISIONS) else {
        return vec![Finding::new("dependencies", DECISIONS, 1, "the file is missing")];
    };
    let shared = entries(&manifest.text).into_iter().filter(|(section, _, _)| section == "workspace.dependencies");
    shared
        .filter(|(_, _, name)| !name.starts_with("copal-") && !decisions.text.lines().any(|line| names(line, name)))
        .map(|(_, line, name)| {
            Finding::new("dependencies", "Cargo.toml", line, format!("`{name}` has no line in {DECISIONS}"))
        })
        .collect()
}

/// Section, line and name of everything under a `…dependencies` header.
fn entries(manifest: &str) -> Vec<(String, usize, String)> {
    let mut out = Vec::new();
    let mut section = String::new();
    for (i, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
            // [dependencies.name]
            if let Some((table, name)) = section.rsplit_once('.').filter(|(table, _)| table.ends_with("dependencies")) {
                out.push((table.to_owned(), i + 1, name.to_owned()));
                section.clear();
            }
        } else if section.ends_with("dependencies") && !line.is_empty() && !line.starts_with(['#', '}', ']']) {
            let name: String = line.chars().take_while(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect();
            if !name.is_empty() && line.contains('=') {
                out.push((section.clone(), i + 1, name));
            }
        }
    }
    out
}

/// Whether a line has this name as a whole word; `-` and `_` belong to words here.
fn names(line: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    line.match_indices(name).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(word) && !line[at + name.len()..].chars().next().is_some_and(word)
    })
}
