//! Every message as a person sees it: `tests/messages.txt` holds files and the whole text that each one gets.
//!
//! A case is a line `=== name`, the file, a line `---`, and the expected text. `BLESS=1 cargo test -p copal-config`
//! writes what comes out; read the difference before believing it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use copal_config::{Config, Overrides};

fn environment(name: &str) -> Option<String> {
    (name == "SET").then(|| "7s".to_owned())
}

#[test]
fn every_wrong_file_gets_the_message_that_is_written_down() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages.txt");
    let written = fs::read_to_string(&page).unwrap();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut actual = String::new();
    for case in written.split("=== ").filter(|case| !case.trim().is_empty()) {
        let (name, rest) = case.split_once('\n').unwrap();
        let text = rest.split_once("---\n").map_or(rest, |(text, _)| text);
        let file = folder.join("copal.toml");
        let result = Config::from_text(file.to_str().unwrap(), text, &environment, &Overrides::default());
        let message = match result {
            Ok(_) => "no error".to_owned(),
            Err(errors) => errors.to_string().replace(folder.to_str().unwrap(), "DIR"),
        };
        let _ = write!(actual, "=== {name}\n{text}---\n{message}\n");
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(&page, &actual).unwrap();
    } else {
        assert_eq!(actual, written);
    }
    assert!(!actual.contains("no error"), "a case without an error tests nothing");
}
