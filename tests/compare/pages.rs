//! The pages: a policy in both languages with its script, as a page of policy cases that `copal test` runs too. The VCL is a
//! block of its own, and what may differ another.

use copal_cases::File;
use copal_cases::case::Case;
use copal_cases::markdown::{Item, items};
use copal_config::Config;
use std::path::{Path, PathBuf};

/// Where they are.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compare/policies")
}

/// A page.
pub(super) struct Page {
    /// "07-grace".
    pub(super) name: String,
    /// Its heading.
    pub(super) title: String,
    pub(super) vcl: String,
    pub(super) rhai: String,
    pub(super) toml: String,
    pub(super) case: Case,
    pub(super) differences: Vec<Difference>,
    /// Names and ports of the backends, as the page writes them.
    pub(super) backends: Vec<(String, u16)>,
}

/// What may differ, and why: `3 status: reason`, `2 header x-a: reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// The request, from 1.
    pub(super) request: usize,
    /// "status", "body", "header x-a", "asked", "asked header x-a".
    pub(super) what: String,
    pub(super) reason: String,
}

/// All of them, in order.
pub(super) fn read() -> Vec<Page> {
    let files = copal_cases::find(&[folder()]);
    let files = files.unwrap_or_else(|wrong| panic!("{}", wrong.iter().map(ToString::to_string).collect::<String>()));
    let mut pages: Vec<Page> = files.into_iter().map(page).collect();
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    pages
}

fn page(file: File) -> Page {
    let name = file.path.file_stem().unwrap().to_str().unwrap().to_owned();
    let blocks = items(&file.text).into_iter().filter_map(|item| match item {
        Item::Block(block) => Some((block.info, block.text)),
        Item::Heading(..) => None,
    });
    let mut vcl = String::new();
    let mut differences = Vec::new();
    for (info, text) in blocks {
        match info.as_str() {
            "vcl" => vcl.push_str(&text),
            "difference" => differences.extend(text.lines().map(|line| difference(&name, line))),
            _ => {}
        }
    }
    assert!(!vcl.is_empty(), "{name} has no VCL");
    let [case]: [Case; 1] = file.cases.try_into().unwrap_or_else(|_| panic!("{name} has not one case"));
    let beside = || std::fs::read_to_string(folder().join("copal.toml")).unwrap();
    let toml = case.config.as_ref().map_or_else(beside, |text| text.text.clone());
    let config = Config::from_str(&name, &toml).unwrap_or_else(|wrong| panic!("{wrong}"));
    let backends = config.backends.iter().map(|b| (b.name.clone(), port(&b.address.to_string())));
    Page {
        title: case.name.clone(),
        rhai: case.policy.as_ref().map(|text| text.text.clone()).unwrap_or_default(),
        backends: backends.collect(),
        name,
        vcl,
        toml,
        case,
        differences,
    }
}

fn port(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

fn difference(page: &str, line: &str) -> Difference {
    let (place, reason) = line.split_once(": ").unwrap_or_else(|| panic!("{page}: no reason in `{line}`"));
    let (request, what) = place.split_once(' ').unwrap();
    Difference { request: request.parse().unwrap(), what: what.to_owned(), reason: reason.to_owned() }
}
