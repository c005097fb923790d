//! What the owner writes: the configuration and the policy. Any text gives a result or a message, never a panic.

use copal_policy::{Environment, Policy};
use std::sync::Arc;

pub(crate) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match copal_config::Config::from_str("copal.toml", text) {
        Ok(config) => assert!(!config.resolved().is_empty()),
        Err(found) => {
            assert!(!found.render(false).is_empty(), "an error without a message");
            let _any = found.json();
        }
    }
}

/// As `copal check`: the script is parsed, checked, compiled, and its `init` run within the limits of a hook.
pub(crate) fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let env = Environment { backends: vec!["app".to_owned()], ..Environment::default() };
    if let Err(found) = Policy::compile("fuzz.rhai", text, Arc::new(env)) {
        assert!(!found.to_string().is_empty(), "an error without a message");
    }
}
