//! `std::file`: texts beside the policy. They are read when it is loaded; a hook gets them from memory.

use crate::current::Res;
use crate::fault::{FaultKind, HostError};
use crate::library::ModuleFunction;
use crate::library::time::shown;
use crate::sources::Sources;
use rhai::{ImmutableString, Module};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Adds to `std::`.
pub(crate) fn add(m: &mut Module, sources: &Arc<Sources>) {
    // Copied once per thread: a hook then only counts a reference.
    let files: HashMap<String, ImmutableString> =
        sources.files.iter().map(|(path, text)| (path.clone(), text.as_str().into())).collect();
    let there: HashSet<String> = sources.files.keys().cloned().collect();
    ModuleFunction::new("file_exists").set_into_module(m, move |path: &str| there.contains(path));
    ModuleFunction::new("file").set_into_module(m, move |path: &str| -> Res<ImmutableString> {
        files.get(path).cloned().ok_or_else(|| {
            let message = format!("the file \"{}\" was not read when the policy was loaded", shown(path));
            HostError::new(FaultKind::UnknownName, message).into()
        })
    });
}
