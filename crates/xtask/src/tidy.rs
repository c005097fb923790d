//! Runs all rules over the tree and prints what they found.

use std::path::Path;
use std::process::ExitCode;

use crate::finding::Finding;
use crate::rules::RULES;
use crate::tree::Tree;

pub(crate) fn run(root: &Path) -> ExitCode {
    let tree = match Tree::read(root) {
        Ok(tree) => tree,
        Err(why) => {
            eprintln!("tidy: cannot read {}: {why}", root.display());
            return ExitCode::from(2);
        }
    };
    let findings = check(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings.iter().filter(|finding| !finding.warning).count();
    let files = tree.files.len();
    println!("tidy: {} rules, {files} files, {errors} errors, {} warnings", RULES.len(), findings.len() - errors);
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Everything that violates a rule, in the order of the rules.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    RULES.iter().flat_map(|rule| (rule.check)(tree)).collect()
}
