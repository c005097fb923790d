//! Routes: where requests go by their host and path, where the policy does not say.

use crate::check::declared;
use crate::diagnostic::Diagnostic;
use crate::name;
use crate::place::{Fault, Place};
use crate::value::Value;
use crate::values::{Table, Values, View};

/// One `[[route]]`; the first that fits serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// In lower case, without a port; `*.` before it stands for all hosts below it. Every host when none.
    pub host: Option<String>,
    /// This path and all below it. Every path when none.
    pub path: Option<String>,
    /// A backend or director that exists.
    pub to: String,
}

impl Route {
    pub(crate) fn assemble(view: &View<'_>) -> Route {
        Route { host: view.text("host"), path: view.text("path"), to: view.string("to") }
    }
}

/// Names that must exist, and routes that nothing can come to.
pub(crate) fn check(values: &Values, errors: &mut Vec<Diagnostic>) {
    let all = [declared(values, "backend"), declared(values, "director")].concat();
    let mut before: Vec<(&Table, Option<&str>, Option<&str>)> = Vec::new();
    for table in values.tables("route[]") {
        if let Some((to, place)) = text(values, table, "to")
            && !all.contains(&to)
        {
            let help = name::suggestion(to, &all).or(Some(format!("declare [backend.{to}]")));
            errors.push(place.error(Fault::new(format!("unknown backend or director `{to}`")).help(help)));
        }
        if ["host", "path"].iter().any(|leaf| values.broken.contains(&format!("{}.{leaf}", table.path))) {
            continue;
        }
        let leaf = |leaf| text(values, table, leaf).map(|(text, _)| text);
        let (host, path) = (leaf("host"), leaf("path"));
        if let Some((first, ..)) = before.iter().find(|(_, h, p)| takes_host(*h, host) && takes_path(*p, path)) {
            let fault = Fault::new("no request comes to this route: an earlier one takes them all");
            errors.push(table.place.clash(fault.help(Some("put it before that one".to_owned())), &first.place));
        }
        before.push((table, host, path));
    }
}

fn text<'a>(values: &'a Values, table: &Table, leaf: &str) -> Option<(&'a str, &'a Place)> {
    let entry = values.entry(&format!("{}.{leaf}", table.path))?;
    match &entry.value {
        Value::Text(text) => Some((text, &entry.place)),
        _ => None,
    }
}

/// Does the first take every host that the second takes?
fn takes_host(first: Option<&str>, second: Option<&str>) -> bool {
    match (first, second) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(first), Some(second)) => match first.strip_prefix('*') {
            Some(below) => second.trim_start_matches('*').ends_with(below),
            None => first == second,
        },
    }
}

/// The same of paths.
fn takes_path(first: Option<&str>, second: Option<&str>) -> bool {
    match (first, second) {
        (None | Some("/"), _) => true,
        (Some(_), None) => false,
        (Some(first), Some(second)) => match second.strip_prefix(first) {
            Some(rest) => first.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
            None => false,
        },
    }
}
