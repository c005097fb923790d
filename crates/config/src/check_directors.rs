//! What no key of a director can tell by itself: names that must exist, directors within themselves, keys of other kinds.

use crate::check::declared;
use crate::diagnostic::Diagnostic;
use crate::director::{Member, ONLY_FOR};
use crate::keys;
use crate::name;
use crate::place::Fault;
use crate::value::{Item, Value};
use crate::values::{Values, default_value};

/// Everything that is wrong with the directors as a whole.
pub(crate) fn all(values: &Values, errors: &mut Vec<Diagnostic>) {
    members_exist(values, errors);
    shadow_exists(values, errors);
    cycles(values, errors);
    keys_of_their_kind(values, errors);
    secrets(values, errors);
}

/// Shortest secret of a session cookie: 16 bytes are what its digest is keyed with.
const SECRET_BYTES_MIN: usize = 16;

/// That a file is there at all is checked with all others.
fn secrets(values: &Values, errors: &mut Vec<Diagnostic>) {
    for entry in values.of("director.*.cookie.secret_file") {
        let Value::Text(text) = &entry.value else { continue };
        let Ok(secret) = std::fs::read_to_string(entry.place.resolve(text)) else { continue };
        if secret.lines().next().unwrap_or_default().trim().len() < SECRET_BYTES_MIN {
            let fault = Fault::new(format!("the first line of `{text}` has less than {SECRET_BYTES_MIN} bytes"));
            let help = "write a random one: head -c 24 /dev/urandom | base64";
            errors.push(entry.place.error(fault.help(Some(help.to_owned()))));
        }
    }
}

fn members<'a>(values: &'a Values, director: &str) -> &'a [Item<Member>] {
    match values.entry(&format!("director.{director}.backends")).map(|entry| &entry.value) {
        Some(Value::Members(members)) => members,
        _ => &[],
    }
}

fn members_exist(values: &Values, errors: &mut Vec<Diagnostic>) {
    let (backends, directors) = (declared(values, "backend"), declared(values, "director"));
    for member in directors.iter().flat_map(|director| members(values, director)) {
        let name = member.value.backend.as_str();
        let broken = |section: &str| values.broken.contains(&format!("{section}.{name}"));
        if backends.contains(&name) || directors.contains(&name) || broken("backend") || broken("director") {
            continue;
        }
        let all: Vec<&str> = backends.iter().chain(&directors).copied().collect();
        // With nothing that is like it, the backends are what was most likely meant.
        let near = name::nearest(name, all.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let help = near.or_else(|| name::suggestion(name, &backends)).or(Some(format!("declare [backend.{name}]")));
        errors.push(member.place.error(Fault::new(format!("unknown backend `{name}`")).help(help)));
    }
}

fn shadow_exists(values: &Values, errors: &mut Vec<Diagnostic>) {
    let Some(entry) = values.entry("shadow.to") else { return };
    let Value::Text(name) = &entry.value else { return };
    let all = [declared(values, "backend"), declared(values, "director")].concat();
    if !all.contains(&name.as_str()) {
        let help = name::suggestion(name, &all).or(Some(format!("declare [backend.{name}]")));
        errors.push(entry.place.error(Fault::new(format!("unknown backend `{name}`")).help(help)));
    }
}

/// Each edge that leads back to where the walk came from is one fault.
fn cycles(values: &Values, errors: &mut Vec<Diagnostic>) {
    let mut done = Vec::new();
    for director in declared(values, "director") {
        walk(values, &mut vec![director], &mut done, errors);
    }
}

fn walk<'a>(values: &'a Values, path: &mut Vec<&'a str>, done: &mut Vec<&'a str>, errors: &mut Vec<Diagnostic>) {
    let Some(here) = path.last().copied().filter(|here| !done.contains(here)) else { return };
    for member in members(values, here) {
        let name = member.value.backend.as_str();
        // A name that is a backend's too is another fault, and already told.
        if declared(values, "backend").contains(&name) {
            continue;
        }
        if let Some(at) = path.iter().position(|above| *above == name) {
            let round = [&path[at..], &[name]].concat().join(" \u{2192} ");
            let fault = Fault::new(format!("the director `{name}` is a member of itself")).help(Some(round));
            errors.push(member.place.error(fault));
        } else if declared(values, "director").contains(&name) {
            path.push(name);
            walk(values, path, done, errors);
            path.pop();
        }
    }
    done.push(here);
}

/// A key that the director's kind does not have would do nothing.
fn keys_of_their_kind(values: &Values, errors: &mut Vec<Diagnostic>) {
    for table in values.tables("director.*") {
        let path = format!("{}.kind", table.path);
        if values.broken.contains(&path) {
            continue;
        }
        let default = || keys::find("director.*.kind").and_then(default_value);
        let Some(Value::Word(kind)) = values.entry(&path).map(|entry| entry.value.clone()).or_else(default) else {
            continue;
        };
        for (leaf, kinds) in ONLY_FOR {
            let Some(entry) = values.entry(&format!("{}.{leaf}", table.path)) else { continue };
            if !kinds.contains(&kind) {
                let fault = Fault::new(format!("a director of kind `{kind}` has no `{leaf}`"));
                errors.push(entry.place.error(fault.help(Some(format!("it belongs to {}", kinds.join(", "))))));
            }
        }
        for member in members(values, &table.name).iter().filter(|m| m.value.when.is_some() && kind != "split") {
            let fault = Fault::new(format!("a director of kind `{kind}` has no `when`"));
            errors.push(member.place.error(fault.help(Some("it belongs to split".to_owned()))));
        }
    }
}
