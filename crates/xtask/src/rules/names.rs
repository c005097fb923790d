//! Nothing of ours carries another product's name; prose, peers in benches and the examples may speak of it.

use crate::finding::Finding;
use crate::tree::Tree;

const OTHER: &str = "varnish";
/// Where the other product itself is spoken of or run. (The rule's own file has to name it.)
const EXEMPT: &[&str] = &["benches/", "vcl-examples/", "docs/", "tests/", "crates/xtask/"];

pub(crate) fn other_product(tree: &Tree) -> Vec<Finding> {
    let rule = "name";
    let mut out = Vec::new();
    for file in tree.files.iter().filter(|file| !EXEMPT.iter().any(|folder| file.path.starts_with(folder))) {
        if file.path.to_lowercase().contains(OTHER) {
            out.push(Finding::new(rule, &file.path, 1, format!("the file's name contains `{OTHER}`")));
        }
    }
    for file in tree.manifests() {
        for (i, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("name") && line.to_lowercase().contains(OTHER) {
                out.push(Finding::new(rule, &file.path, i + 1, format!("a crate or binary is called `{OTHER}`")));
            }
        }
    }
    let header = format!("x-{OTHER}");
    for source in tree.sources().filter(|source| !EXEMPT.iter().any(|folder| source.path.starts_with(folder))) {
        for ((line, code, _), text) in source.code().zip(source.text.lines()) {
            if code.to_lowercase().contains(OTHER) {
                out.push(Finding::new(rule, source.path, line, format!("an item's name contains `{OTHER}`")));
            }
            let comment = text.trim_start().starts_with("//");
            if !comment && text.to_lowercase().contains(&header) {
                out.push(Finding::new(rule, source.path, line, format!("a header is called `{header}…`")));
            }
        }
    }
    out
}
