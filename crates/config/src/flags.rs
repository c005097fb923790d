//! Flags of `copal serve` that set keys.

use std::path::PathBuf;

use crate::keys;
use crate::place::{Fault, Place};
use crate::raw::{Located, Raw};
use crate::values::Values;

/// What was given on the command line; everything empty when nothing was. Flags win over file and environment.
#[derive(Clone, Default, Debug)]
pub struct Overrides {
    /// `--listen ADDR`, repeatable: replaces the listeners; the n-th keeps the timeouts of the file's n-th.
    pub listen: Vec<String>,
    /// `--to ADDR`, repeatable: adds the backend `to`, or `to1`, `to2` … behind a round-robin director `to`, and makes
    /// it what serves when the policy does not choose.
    pub to: Vec<String>,
    /// `--policy FILE`, relative to the working directory.
    pub policy: Option<PathBuf>,
    /// `--size`: `cache.size`.
    pub size: Option<String>,
    /// `--ttl`: `cache.ttl`.
    pub ttl: Option<String>,
    /// `--grace`: `cache.grace`.
    pub grace: Option<String>,
    /// `--admin`: `admin.listen`.
    pub admin: Option<String>,
}

/// Takes over what the flags set.
pub(crate) fn apply(values: &mut Values, overrides: &Overrides) {
    listen(values, &overrides.listen, &Place::Flag("--listen"));
    to(values, &overrides.to, &Place::Flag("--to"));
    let policy = overrides.policy.as_ref().map(|path| path.to_string_lossy().into_owned());
    let single = [
        ("policy.file", "--policy", &policy),
        ("cache.size", "--size", &overrides.size),
        ("cache.ttl", "--ttl", &overrides.ttl),
        ("cache.grace", "--grace", &overrides.grace),
        ("admin.listen", "--admin", &overrides.admin),
    ];
    for (path, flag, text) in single {
        if let (Some(text), Some(key)) = (text, keys::find(path)) {
            values.set(key, path, &Located::loose(text, Place::Flag(flag)));
        }
    }
}

/// Replaces the listeners by these addresses, if there are any.
pub(crate) fn listen(values: &mut Values, addresses: &[String], place: &Place) {
    let Some(key) = keys::find("listen[].address").filter(|_| !addresses.is_empty()) else { return };
    let count = addresses.len();
    let beyond = |path: &str| {
        let index = path.strip_prefix("listen[").and_then(|rest| rest.split(']').next()).and_then(|i| i.parse().ok());
        index.is_some_and(|index: usize| index >= count)
    };
    values.tables.retain(|table| !beyond(&table.path));
    values.entries.retain(|entry| !beyond(&entry.path));
    for (i, address) in addresses.iter().enumerate() {
        let path = format!("listen[{i}]");
        values.add_table("listen[]", &path, "listen", place.clone());
        values.set(key, &format!("{path}.address"), &Located::loose(address, place.clone()));
    }
}

/// Adds these addresses as backends, several as a director, and makes them serve.
pub(crate) fn to(values: &mut Values, addresses: &[String], place: &Place) {
    let (Some(key), Some(members)) = (keys::find("backend.*.address"), keys::find("director.*.backends")) else {
        return;
    };
    if addresses.is_empty() {
        return;
    }
    let names: Vec<String> = match addresses.len() {
        1 => vec!["to".to_owned()],
        many => (1..=many).map(|i| format!("to{i}")).collect(),
    };
    for (name, address) in names.iter().zip(addresses) {
        let path = format!("backend.{name}");
        if values.tables.iter().any(|table| table.path == path) {
            let fault = Fault::new(format!("the file has a backend `{name}` too"));
            let help = format!("this name is for the flag; rename [{path}] in the file");
            values.errors.push(place.error(fault.help(Some(help))));
        }
        values.add_table("backend.*", &path, name, place.clone());
        values.set(key, &format!("{path}.address"), &Located::loose(address, place.clone()));
    }
    if names.len() > 1 {
        let member = |name: &String| Located { raw: Raw::Text(name.clone()), place: place.clone() };
        let raw = Located { raw: Raw::List(names.iter().map(member).collect()), place: place.clone() };
        values.add_table("director.*", "director.to", "to", place.clone());
        values.set(members, "director.to.backends", &raw);
    }
    values.target = Some("to".to_owned());
}
