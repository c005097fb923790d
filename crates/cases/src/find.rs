//! Which files hold cases: those that are named, and every `.md` below a folder that is named.

use crate::case::File;
use crate::parse;
use copal_policy::Diagnostic;
use std::path::{Path, PathBuf};

/// Folders below each other that are looked into: a limit, so that a link in a circle ends.
const DEPTH_MAX: usize = 16;

/// Reads the files named by `paths`. A page in a folder that holds no case is passed over; a file that is named must
/// hold one.
///
/// # Errors
/// Everything that is wrong in any of them, at once.
pub fn find(paths: &[PathBuf]) -> Result<Vec<File>, Vec<Diagnostic>> {
    let (mut files, mut wrong) = (Vec::new(), Vec::new());
    for path in paths {
        let mut pages = Vec::new();
        let named = !path.is_dir();
        if named {
            pages.push(path.clone());
        } else if let Err(why) = below(path, &mut pages, DEPTH_MAX) {
            wrong.push(Diagnostic::of_file(&path.display().to_string(), format!("cannot read the folder: {why}")));
        }
        let before = files.len() + wrong.len();
        for page in pages {
            match read(&page) {
                Ok(file) if file.cases.is_empty() && !named => {}
                Ok(file) if file.cases.is_empty() => wrong.push(
                    Diagnostic::of_file(&file.name, "there is no case in this file")
                        .help(Some("a case is a heading with `client` and `expect` blocks below it".to_owned())),
                ),
                Ok(file) => files.push(file),
                Err(list) => wrong.extend(list),
            }
        }
        if !named && files.len() + wrong.len() == before {
            wrong.push(Diagnostic::of_file(&path.display().to_string(), "there is no case below this folder"));
        }
    }
    if wrong.is_empty() { Ok(files) } else { Err(wrong) }
}

fn read(page: &Path) -> Result<File, Vec<Diagnostic>> {
    let name = page.display().to_string();
    let text = std::fs::read_to_string(page)
        .map_err(|why| vec![Diagnostic::of_file(&name, format!("cannot read it: {why}"))])?;
    parse::file(page, &text)
}

/// All pages below a folder in the order of their names. What is hidden, and `target`, is passed over.
fn below(folder: &Path, pages: &mut Vec<PathBuf>, depth: usize) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            if depth > 0 {
                below(&path, pages, depth - 1)?;
            }
        } else if name.ends_with(".md") {
            pages.push(path);
        }
    }
    Ok(())
}
