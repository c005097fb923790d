//! What a case is run with: configuration and policy from its blocks, else from the files beside it, else made up.

use super::Failure;
use crate::case::{Case, File, Text, What};
use copal_config::{Config, Overrides};
use std::path::{Path, PathBuf};

/// What a case is run with.
pub(super) struct SetUp {
    pub(super) config: Config,
    /// Name and text of a policy that stands in the file of cases.
    pub(super) policy: Option<(String, String)>,
}

/// How deep folders below a policy's are looked into: as for pages.
const DEPTH_MAX: usize = 16;

/// The files that a case may be made of beside its page, whether they are there or not: the configuration, the policies, and
/// every script that these could import.
pub(super) fn depends(file: &File, case: &Case) -> Vec<PathBuf> {
    let folder = file.path.parent().unwrap_or(Path::new(""));
    let mut list = beside(folder).to_vec();
    let mut folders = vec![folder.to_owned()];
    if let Ok(SetUp { config, .. }) = set_up(file, case) {
        let policies = config.policy.named.values().chain(config.policy.hosts.values()).chain(&config.policy.file);
        for policy in policies {
            list.push(policy.clone());
            folders.extend(policy.parent().map(Path::to_owned));
        }
    }
    folders.dedup();
    folders.iter().for_each(|folder| scripts(folder, &mut list, DEPTH_MAX));
    list
}

/// The files beside a page that are read when they are there.
fn beside(folder: &Path) -> [PathBuf; 2] {
    [folder.join("copal.toml"), folder.join("policy.rhai")]
}

fn scripts(folder: &Path, list: &mut Vec<PathBuf>, depth: usize) {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || name == "target" {
            continue;
        }
        if path.extension().is_some_and(|end| end == "rhai") {
            list.push(path);
        } else if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            scripts(&path, list, depth - 1);
        }
    }
}

/// Environment variables do not count: a case is the same everywhere.
fn no_environment(_: &str) -> Option<String> {
    None
}

pub(super) fn set_up(file: &File, case: &Case) -> Result<SetUp, Failure> {
    let folder = file.path.parent().unwrap_or(Path::new(""));
    let [toml, script] = beside(folder);
    let loaded = match &case.config {
        Some(text) => Config::from_str(&file.name, &in_place(text)),
        None if toml.is_file() => Config::load(Some(&toml), &no_environment, &Overrides::default()),
        None => Config::from_str("(no configuration)", &made_up(case)),
    };
    let line = case.config.as_ref().map_or(case.line, |text| text.line);
    let mut config = loaded.map_err(|wrong| Failure::plain(line, format!("the configuration is wrong\n{wrong}")))?;
    let policy = case.policy.as_ref().map(|text| in_file(file, text));
    if policy.is_none() && config.policy.file.is_none() && script.is_file() {
        config.policy.file = Some(script);
    }
    check_names(case, &config)?;
    Ok(SetUp { config, policy })
}

/// A policy of the file of cases as the host takes it.
pub(super) fn in_file(file: &File, text: &Text) -> (String, String) {
    (file.name.clone(), in_place(text))
}

/// The text on the lines on which it stands in its file, so that messages name these.
fn in_place(text: &Text) -> String {
    format!("{}{}", "\n".repeat(text.line.saturating_sub(1)), text.text)
}

/// A backend for each origin that the case names, or one called `app`.
fn made_up(case: &Case) -> String {
    let mut names: Vec<&str> = Vec::new();
    for step in &case.steps {
        match &step.what {
            What::Origin(script) => names.extend(script.name.as_deref()),
            What::Backends(states) => names.extend(states.iter().map(|(name, _)| name.as_str())),
            What::Client(_) | What::Expect(_) | What::Advance(_) | What::Reload(_) => {}
        }
    }
    if names.is_empty() {
        names.push("app");
    }
    let mut text = String::new();
    for (i, name) in names.iter().enumerate().filter(|(i, name)| !names[..*i].contains(name)) {
        text += &format!("[backend.{name}]\naddress = \"127.0.0.1:{}\"\n", 8001 + i);
    }
    text
}

fn check_names(case: &Case, config: &Config) -> Result<(), Failure> {
    let names: Vec<&str> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
    let directors = config.directors.iter().map(|director| director.name.as_str());
    let known: Vec<&str> = names.iter().copied().chain(directors).collect();
    for step in &case.steps {
        let (named, all): (Vec<&str>, _) = match &step.what {
            What::Origin(script) => (script.name.as_deref().into_iter().collect(), &names),
            What::Backends(states) => (states.iter().map(|(name, _)| name.as_str()).collect(), &known),
            What::Client(_) | What::Expect(_) | What::Advance(_) | What::Reload(_) => continue,
        };
        if let Some(name) = named.into_iter().find(|name| !all.contains(name)) {
            let there = all.join("`, `");
            let help = match copal_policy::diagnostic::nearest(name, all.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are: `{there}`"),
            };
            return Err(Failure::plain(step.line, format!("the configuration has no backend `{name}`; {help}")));
        }
    }
    Ok(())
}
