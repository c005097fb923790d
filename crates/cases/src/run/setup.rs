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
    /// Files that were read.
    pub(super) depends: Vec<PathBuf>,
}

/// Environment variables do not count: a case is the same everywhere.
fn no_environment(_: &str) -> Option<String> {
    None
}

pub(super) fn set_up(file: &File, case: &Case) -> Result<SetUp, Failure> {
    let folder = file.path.parent().unwrap_or(Path::new(""));
    let beside = folder.join("copal.toml");
    let mut depends = Vec::new();
    let loaded = match &case.config {
        Some(text) => Config::from_str(&file.name, &in_place(text)),
        None if beside.is_file() => {
            depends.push(beside.clone());
            Config::load(Some(&beside), &no_environment, &Overrides::default())
        }
        None => Config::from_str("(no configuration)", &made_up(case)),
    };
    let line = case.config.as_ref().map_or(case.line, |text| text.line);
    let mut config = loaded.map_err(|wrong| Failure::plain(line, format!("the configuration is wrong\n{wrong}")))?;
    let policy = case.policy.as_ref().map(|text| in_file(file, text));
    let beside = folder.join("policy.rhai");
    if policy.is_none() && config.policy.file.is_none() && beside.is_file() {
        config.policy.file = Some(beside);
    }
    depends.extend(config.policy.file.clone().filter(|_| policy.is_none()));
    depends.extend(config.policy.named.values().chain(config.policy.hosts.values()).cloned());
    check_names(case, &config)?;
    Ok(SetUp { config, policy, depends })
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
