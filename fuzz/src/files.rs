//! What the owner writes: the configuration. (The policy is in `hosts`.) Any text gives a result or a message, never a panic.

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
