//! The files of the project as the rules see them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::code;

/// A text file of the project.
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A Rust file, ready to be searched.
pub(crate) struct Source<'a> {
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
    /// Without comments and literals, line by line.
    pub(crate) lines: Vec<String>,
    tests: Vec<bool>,
}

/// All text files of a tree.
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads the tree, leaving out `.git`, what `.gitignore` at the root names, and what is not UTF-8.
    pub(crate) fn read(root: &Path) -> io::Result<Tree> {
        let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let mut skip: Vec<&str> = ignored.lines().map(|line| line.trim().trim_matches('/')).collect();
        skip.retain(|name| !name.is_empty() && !name.starts_with('#'));
        skip.extend([".git", "target"]);
        let mut files = Vec::new();
        collect(root, "", &skip, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Tree { root: root.to_owned(), files })
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        self.files.iter().filter(|file| file.path.ends_with(".rs")).map(|file| {
            let masked = code::mask(&file.text);
            let tests = code::test_lines(&masked);
            let lines = masked.lines().map(str::to_owned).collect();
            Source { path: &file.path, text: &file.text, lines, tests }
        })
    }

    pub(crate) fn manifests(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml"))
    }
}

impl Source<'_> {
    /// Each line with its number from 1 and whether it is test code.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let whole = is_test_file(self.path);
        let tests = &self.tests;
        self.lines.iter().enumerate().map(move |(i, line)| (i + 1, line.as_str(), whole || tests[i]))
    }

    /// Lines before the first test module.
    pub(crate) fn lines_before_tests(&self) -> usize {
        self.tests.iter().position(|test| *test).unwrap_or(self.lines.len())
    }
}

/// The room a file belongs to: `semantics` for `crates/semantics/…`, `fuzz` for the fuzz targets, `cli` for the root package.
pub(crate) fn room(path: &str) -> &str {
    match path.strip_prefix("crates/").and_then(|rest| rest.split_once('/')) {
        Some((room, _)) => room,
        None if path.starts_with("fuzz/") => "fuzz",
        None => "cli",
    }
}

/// Whether a whole file is for development only: tests, benches, examples, fuzz targets, the test kit.
pub(crate) fn is_test_file(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let test_folder =
        folders.split('/').any(|folder| matches!(folder, "tests" | "benches" | "examples" | "fuzz" | "testkit"));
    test_folder || name == "tests.rs" || name.ends_with("_tests.rs")
}

fn collect(root: &Path, folder: &str, skip: &[&str], files: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let ending = |skipped: &&str| skipped.strip_prefix('*').is_some_and(|end| name.ends_with(end));
        if skip.contains(&name.as_str()) || skip.contains(&path.as_str()) || skip.iter().any(ending) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(root, &path, skip, files)?;
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push(File { path, text });
        }
    }
    Ok(())
}
