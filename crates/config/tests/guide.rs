//! The configuration in the guide and in the README is accepted as it stands there, once it is completed to a file.

#![expect(clippy::unwrap_used, reason = "a test that unwraps what is not there fails, as it should")]
use copal_config::Config;
use std::path::{Path, PathBuf};

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = std::fs::read_dir(root.join("docs/guide")).unwrap().map(|entry| entry.unwrap().path());
    guide.filter(|path| path.extension().is_some_and(|e| e == "md")).chain([root.join("README.md")]).collect()
}

/// The blocks of TOML; those of policy cases say `config` and run there.
fn blocks(text: &str) -> Vec<String> {
    let parts = text.split("\n```toml\n").skip(1);
    let whole = parts.map(|part| part.split("\n```").next().unwrap_or_default());
    // Files that have to be there before the configuration is accepted.
    let files = [
        ", secret_file = \"/etc/copal/route.secret\"",
        "file = \"site.rhai\"",
        ", ca_file = \"/etc/copal/ca.pem\"",
        ", client_cert = \"/etc/copal/copal.pem\", client_key = \"/etc/copal/copal.key\"",
    ];
    let without = |block: &str| files.iter().fold(block.to_owned(), |block, file| block.replace(file, ""));
    whole.map(|block| without(block).replace("/var/lib/copal/", "")).collect()
}

/// The block as files: what speaks of a probe is a line of a backend, and backends that are named are somewhere.
fn files(block: &str) -> Vec<String> {
    let backend = |name: &str| format!("[backend.{name}]\naddress = \"127.0.0.1:8000\"\n");
    if block.lines().all(|line| line.starts_with("probe = ")) {
        return block.lines().map(|line| backend("app1") + line).collect();
    }
    let missing = ["app1", "app2", "old", "new", "next", "api", "shop"]
        .into_iter()
        .filter(|name| block.contains(&format!("\"{name}\"")) && !block.contains(&format!("[backend.{name}]")));
    let mut file = format!("{block}\n{}", missing.map(backend).collect::<String>());
    if !file.contains("[backend.") {
        file.push_str(&backend("app1"));
    }
    vec![file]
}

#[test]
fn every_configuration_in_the_guide_is_accepted() {
    let mut seen = 0;
    for page in pages() {
        for block in blocks(&std::fs::read_to_string(&page).unwrap()) {
            for file in files(&block) {
                if let Err(wrong) = Config::from_str("guide.toml", &file) {
                    panic!("{}: {wrong}", page.display());
                }
                seen += 1;
            }
        }
    }
    assert!(seen >= 9, "{seen}");
    assert!(Config::from_str("guide.toml", &files("[backend.app1]\nadress = \"x\"")[0]).is_err(), "not everything is");
}
