//! Environment variables that set keys: `COPAL_` and the path in capitals, `_` for every `.` and `-`.
//!
//! `cache.size` is `COPAL_CACHE_SIZE`, `backend.app1.address` is `COPAL_BACKEND_APP1_ADDRESS` (for a backend that the
//! file declares). `COPAL_LISTEN` and `COPAL_TO` are lists of addresses separated by commas, with the meaning of the
//! flags. An empty variable counts as unset.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::flags;
use crate::keys::{self, KEYS, Key};
use crate::name;
use crate::place::Place;
use crate::raw::Located;
use crate::values::Values;
use crate::walk::SWITCHES;

/// Variables that other parts of the binary read.
const OTHERS: &[&str] = &["COPAL_CONFIG", "COPAL_LOG", "COPAL_ADMIN", "COPAL_LISTEN", "COPAL_TO"];

/// The variable that sets a path.
pub(crate) fn variable(path: &str) -> String {
    format!("COPAL_{}", path.to_ascii_uppercase().replace(['.', '-'], "_"))
}

/// Takes over what the environment sets; `to` is false when the flag `--to` will replace it anyway.
pub(crate) fn apply(values: &mut Values, env: &dyn Fn(&str) -> Option<String>, to: bool) {
    let list = |name: &str| -> Vec<String> {
        let text = env(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect()
    };
    flags::listen(values, &list("COPAL_LISTEN"), &Place::Env("COPAL_LISTEN".to_owned()));
    if to {
        flags::to(values, &list("COPAL_TO"), &Place::Env("COPAL_TO".to_owned()));
    }
    for key in KEYS {
        for path in paths(values, key) {
            let name = variable(&path);
            let Some(text) = env(&name).filter(|text| !text.is_empty()) else { continue };
            let place = Place::Env(name);
            let (section, _) = keys::split(key.path);
            if SWITCHES.contains(&section) {
                let (table, _) = keys::split(&path);
                values.add_table(section, table, "", place.clone());
            }
            values.set(key, &path, &Located::loose(&text, place));
        }
    }
}

/// The paths of a key that a variable can set: its own, or one for each name that is declared.
fn paths(values: &Values, key: &Key) -> Vec<String> {
    if key.path.contains("[]") {
        return Vec::new();
    }
    let Some((head, rest)) = key.path.split_once(".*") else { return vec![key.path.to_owned()] };
    if rest.is_empty() {
        return values.of(key.path).map(|entry| entry.path.clone()).collect();
    }
    values.tables(&format!("{head}.*")).map(|table| format!("{}{rest}", table.path)).collect()
}

/// Warns of variables that begin with `COPAL_` and set nothing: a slip in a name must not pass in silence.
///
/// Names of declared backends, directors and lists are not known here, so their variables pass by their first part.
#[must_use]
pub fn unknown_variables<'a>(names: impl IntoIterator<Item = &'a str>) -> Diagnostics {
    let fixed: Vec<String> =
        KEYS.iter().filter(|key| !key.path.contains(['*', '['])).map(|key| variable(key.path)).collect();
    let known: Vec<&str> = fixed.iter().map(String::as_str).chain(OTHERS.iter().copied()).collect();
    let named = ["COPAL_BACKEND_", "COPAL_DIRECTOR_", "COPAL_ACL_"];
    let mut unknown: Vec<&str> = names.into_iter().filter(|name| name.starts_with("COPAL_")).collect();
    unknown.retain(|name| !known.contains(name) && !named.iter().any(|prefix| name.starts_with(prefix)));
    unknown.sort_unstable();
    let warn = |name: &str| {
        let near = name::nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        Diagnostic::error(format!("the environment variable `{name}` sets nothing")).warning().help(near)
    };
    Diagnostics(unknown.into_iter().map(warn).collect())
}
