//! Which crate may import which: the picture of the rooms in docs/ARCHITECTURE.md as a table.

use crate::code;
use crate::finding::Finding;
use crate::rules::dependencies::{Dependency, of_manifest};
use crate::tree::{Tree, room};

/// Each room and what it may import of this workspace. Rooms for development import anything.
const ROOMS: &[(&str, &[&str])] = &[
    ("semantics", &[]),
    ("wire", &["semantics"]),
    ("observe", &["semantics"]),
    ("store", &["semantics", "observe"]),
    ("policy", &["semantics"]),
    ("backend", &["semantics", "observe", "wire"]),
    ("pipeline", &["semantics", "observe", "store", "policy", "backend"]),
    ("config", &["semantics"]),
    ("server", &["semantics", "observe", "wire", "store", "policy", "backend", "pipeline", "config"]),
    ("cases", &["semantics", "observe", "wire", "policy", "backend", "pipeline", "config", "server"]),
    ("cli", &["semantics", "observe", "policy", "config", "server", "cases"]),
];
const DEVELOPMENT: &[&str] = &["testkit", "xtask", "fuzz"];

/// Crates from outside that must not spread: how their names begin, and the rooms they belong to.
const CONFINED: &[(&str, &[&str])] =
    &[("pingora", &["backend", "server"]), ("rhai", &["policy"]), ("moka", &["store"]), ("clap", &["cli"])];

pub(crate) fn pure_semantics(tree: &Tree) -> Vec<Finding> {
    let rule = "pure-semantics";
    let mut out = Vec::new();
    for dependency in dependencies(tree).filter(|d| d.room == "semantics") {
        let name = dependency.name.as_str();
        if name.starts_with("copal-") || name.starts_with("tokio") || name.starts_with("async") {
            out.push(Finding::new(rule, &dependency.file, dependency.line, format!("semantics depends on `{name}`")));
        }
    }
    for source in tree.sources().filter(|source| room(source.path) == "semantics") {
        for (line, text, _) in source.code() {
            for word in ["async", "await", "tokio", "futures"] {
                if code::has_word(text, word) {
                    out.push(Finding::new(rule, source.path, line, format!("semantics uses `{word}`")));
                }
            }
            // Its own benches and tests name it from outside.
            for other in crates_named(text).filter(|other| other != "semantics") {
                out.push(Finding::new(rule, source.path, line, format!("semantics imports `copal_{other}`")));
            }
        }
    }
    out
}

pub(crate) fn confined(tree: &Tree) -> Vec<Finding> {
    let rule = "confined";
    let mut out = Vec::new();
    let only = |rooms: &[&str]| format!("belongs to {} alone", rooms.join(" and "));
    for dependency in dependencies(tree) {
        for (prefix, rooms) in CONFINED {
            let is = dependency.name == *prefix || dependency.name.starts_with(&format!("{prefix}-"));
            if is && !rooms.contains(&dependency.room.as_str()) {
                let message = format!("`{}` {}", dependency.name, only(rooms));
                out.push(Finding::new(rule, &dependency.file, dependency.line, message));
            }
        }
    }
    for source in tree.sources().filter(|source| in_a_crate(source.path)) {
        for (line, text, _) in source.code() {
            for (prefix, rooms) in CONFINED {
                if names_crate(text, prefix) && !rooms.contains(&room(source.path)) {
                    out.push(Finding::new(rule, source.path, line, format!("`{prefix}` {}", only(rooms))));
                }
            }
        }
    }
    out
}

pub(crate) fn direction(tree: &Tree) -> Vec<Finding> {
    let rule = "direction";
    let mut out = Vec::new();
    for dependency in dependencies(tree) {
        let Some(other) = dependency.name.strip_prefix("copal-") else { continue };
        // The root's tests and benches may drive any part by itself; the command may not.
        let of_the_root = dependency.dev && dependency.file == "Cargo.toml";
        if !of_the_root && !may_import(&dependency.room, other, dependency.dev) {
            let message =
                format!("{} may not depend on {other}: it may import {}", dependency.room, allowed(&dependency.room));
            out.push(Finding::new(rule, &dependency.file, dependency.line, message));
        }
    }
    for source in tree.sources().filter(|source| in_a_crate(source.path)) {
        let here = room(source.path);
        for (line, text, test) in source.code() {
            for other in crates_named(text).filter(|other| other != here && !may_import(here, other, test)) {
                let message = format!("{here} may not import copal_{other}: it may import {}", allowed(here));
                out.push(Finding::new(rule, source.path, line, message));
            }
        }
    }
    out
}

fn may_import(from: &str, to: &str, test: bool) -> bool {
    let listed = ROOMS.iter().find(|(room, _)| *room == from).is_some_and(|(_, to_rooms)| to_rooms.contains(&to));
    let for_tests = test && to == "testkit" && from != "semantics";
    listed || for_tests || from == to || DEVELOPMENT.contains(&from)
}

fn allowed(from: &str) -> String {
    match ROOMS.iter().find(|(room, _)| *room == from) {
        Some((_, [])) => "nothing of this workspace".to_owned(),
        Some((_, rooms)) => rooms.join(", "),
        None => "nothing until it has a line in crates/xtask/src/rules/imports.rs".to_owned(),
    }
}

/// Code of a crate; tests and benches at the root stand outside and may use everything.
fn in_a_crate(path: &str) -> bool {
    path.starts_with("crates/")
}

/// The crates of this workspace that a line of code names: `store` for `copal_store::…`.
fn crates_named(line: &str) -> impl Iterator<Item = String> + '_ {
    line.match_indices("copal_").filter_map(move |(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(code::is_word);
        let name: String = line[at + 6..].chars().take_while(|c| code::is_word(*c)).collect();
        let path_or_use = line[at + 6 + name.len()..].trim_start().starts_with("::") || line[..at].contains("use ");
        let known = ROOMS.iter().any(|(room, _)| *room == name) || DEVELOPMENT.contains(&name.as_str());
        (!before && path_or_use && known).then_some(name)
    })
}

/// Whether a line names a crate whose name begins so: in a path, or in a `use`.
fn names_crate(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(|c| code::is_word(c) || c == '.' || c == ':');
        let name: String = line[at..].chars().take_while(|c| code::is_word(*c)).collect();
        let rest = line[at + name.len()..].trim_start();
        let exact = name == prefix || name.starts_with(&format!("{prefix}_"));
        let used = line[..at].trim_end().ends_with("use") || line[..at].trim_end().ends_with("extern crate");
        !before && exact && (rest.starts_with("::") || used)
    })
}

fn dependencies(tree: &Tree) -> impl Iterator<Item = Dependency> + '_ {
    tree.manifests().flat_map(of_manifest)
}
