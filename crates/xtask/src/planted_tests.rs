//! A clean tree passes, and each planted violation is found at its line by its rule.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::docs;
use crate::rules::closure;
use crate::tidy;
use crate::tree::Tree;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A small tree that keeps all rules; removed at the end.
struct Planted(PathBuf);

impl Planted {
    fn clean() -> Planted {
        let name = format!("copal-tidy-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let tree = Planted(std::env::temp_dir().join(name));
        tree.put(".gitignore", "/target\n")
            .put("target/junk.rs", "unsafe {}\n")
            .put("Cargo.toml", "[workspace.dependencies]\nbytes = \"1\"\n\n[package]\nname = \"copal\"\n")
            .put("docs/decisions/dependencies.md", "| `bytes` | buffers |\n")
            .put("crates/cli/main.rs", "//! The command line of it all.\nuse clap::Parser;\nuse copal_server::run;\n")
            .put(
                "crates/semantics/Cargo.toml",
                "[package]\nname = \"copal-semantics\"\n[dependencies]\nbytes.workspace = true\n",
            )
            .put(
                "crates/semantics/src/lib.rs",
                "//! The rules of caching.\n// unsafe in a comment, async too\npub fn a() {}\n",
            )
            .put(
                "crates/store/src/lib.rs",
                "//! Objects in memory.\nuse moka::sync::Cache;\nuse copal_observe::clock::Clock;\n",
            )
            .put("crates/observe/src/clock.rs", "//! The one clock.\npub fn now() { std::time::Instant::now(); }\n");
        docs::write(&tree.0);
        tree
    }

    fn put(&self, path: &str, text: &str) -> &Planted {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn found(&self) -> Vec<String> {
        let findings = tidy::check(&Tree::read(&self.0).unwrap());
        findings.iter().map(|f| format!("{}:{} {}", f.file, f.line, f.rule)).collect()
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Plants one file in a clean tree and expects exactly these findings.
fn plant(path: &str, text: &str, expected: &[&str]) {
    let tree = Planted::clean();
    tree.put(path, text);
    assert_eq!(tree.found(), expected, "{path}: {text}");
}

#[test]
fn a_clean_tree_passes() {
    assert_eq!(Planted::clean().found(), Vec::<String>::new());
}

#[test]
fn semantics_is_linked_with_nothing_impure_however_deep() {
    let tree = Planted(std::env::temp_dir().join(format!("copal-closure-{}", std::process::id())));
    let package = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{more}")
    };
    let lock = || {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let made =
            std::process::Command::new(cargo).args(["generate-lockfile", "--offline"]).current_dir(&tree.0).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    tree.put("Cargo.toml", "[workspace]\nmembers = [\"crates/*\", \"deps/*\"]\nresolver = \"3\"\n");
    for name in ["middle", "tokio"] {
        tree.put(&format!("deps/{name}/Cargo.toml"), &package(name, "")).put(&format!("deps/{name}/src/lib.rs"), "");
    }
    tree.put("crates/semantics/src/lib.rs", "");
    let semantics = |more: &str| {
        tree.put("crates/semantics/Cargo.toml", &package("copal-semantics", more));
        lock();
        closure::pure(&Tree::read(&tree.0).unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    // For tests it may depend on anything.
    let clean =
        "[dependencies]\nmiddle.path = \"../../deps/middle\"\n[dev-dependencies]\ntokio.path = \"../../deps/tokio\"\n";
    assert_eq!(semantics(clean), Vec::<String>::new());
    tree.put(
        "deps/middle/Cargo.toml",
        &package("middle", "[target.'cfg(windows)'.dependencies]\ntokio.path = \"../tokio\"\n"),
    );
    let found = semantics(clean);
    assert!(found.len() == 1 && found[0].contains("is linked with `tokio`"), "{found:?}");
}

#[test]
fn semantics_stays_pure() {
    plant(
        "crates/semantics/src/a.rs",
        "//! A planted file.\nasync fn a() {}\n",
        &["crates/semantics/src/a.rs:2 pure-semantics"],
    );
    plant(
        "crates/semantics/src/a.rs",
        "//! A planted file.\nuse copal_observe::Event;\n",
        &["crates/semantics/src/a.rs:2 pure-semantics", "crates/semantics/src/a.rs:2 direction"],
    );
    plant(
        "crates/semantics/Cargo.toml",
        "[package]\nname = \"copal-semantics\"\n\n[dependencies]\ntokio = \"1\"\n",
        &["crates/semantics/Cargo.toml:5 pure-semantics"],
    );
}

#[test]
fn outside_crates_stay_in_their_rooms() {
    let cases = [
        ("pipeline", "use pingora_core::server::Server;"),
        ("server", "fn a(e: &rhai::Engine) {}"),
        ("backend", "use moka;"),
        ("config", "#[derive(clap::Parser)]"),
    ];
    for (room, code) in cases {
        let path = format!("crates/{room}/src/a.rs");
        plant(&path, &format!("//! A planted file.\n\n{code}\n"), &[&format!("{path}:3 confined")]);
    }
    let manifest = "[package]\nname = \"copal-store\"\n[dependencies]\nrhai.workspace = true\n[dependencies.pingora-core]\nversion = \"1\"\n";
    plant(
        "crates/store/Cargo.toml",
        manifest,
        &["crates/store/Cargo.toml:4 confined", "crates/store/Cargo.toml:5 confined"],
    );
    plant("crates/policy/src/a.rs", "//! Not the crate: a word.\nfn a(rhai: u8) -> u8 { rhai }\n// moka::Cache\n", &[]);
}

#[test]
fn crates_import_only_downwards() {
    let cases = [
        ("store", "policy"),
        ("policy", "observe"),
        ("config", "store"),
        ("pipeline", "server"),
        ("cli", "pipeline"),
        ("pipeline", "wire"),
    ];
    for (from, to) in cases {
        let path = format!("crates/{from}/src/a.rs");
        let text = format!("//! A planted file.\npub fn a() {{ copal_{to}::b(); }}\n");
        plant(&path, &text, &[&format!("{path}:2 direction")]);
        let path = format!("crates/{from}/Cargo.toml");
        plant(&path, &format!("[dependencies]\ncopal-{to}.workspace = true\n"), &[&format!("{path}:2 direction")]);
    }
    let in_tests = "//! A planted file.\n#[cfg(test)]\nmod tests {\n    use copal_testkit::Origin;\n}\n";
    plant("crates/store/src/a.rs", in_tests, &[]);
    plant(
        "crates/store/src/a.rs",
        "//! A planted file.\nuse copal_testkit::Origin;\n",
        &["crates/store/src/a.rs:2 direction"],
    );
    plant("crates/store/Cargo.toml", "[dev-dependencies]\ncopal-testkit.workspace = true\n", &[]);
    plant("Cargo.toml", "[dependencies]\ncopal-store.workspace = true\n", &["Cargo.toml:2 direction"]);
}

#[test]
fn the_clock_is_read_in_one_file() {
    for call in ["std::time::SystemTime::now()", "Instant :: now()"] {
        let text = format!("//! A planted file.\nfn a() {{ {call}; }}\n");
        plant("crates/store/src/a.rs", &text, &["crates/store/src/a.rs:2 clock"]);
        plant("crates/testkit/src/a.rs", &text, &[]);
        plant("crates/store/tests/a.rs", &text, &[]);
    }
}

#[test]
fn what_panics_or_is_unsafe_is_found() {
    let a = "crates/store/src/a.rs";
    for code in ["unsafe { b() }", "todo!()", "unimplemented!(\"x\")", "b.unwrap();"] {
        plant(a, &format!("//! A planted file.\nfn a() {{ {code} }}\n"), &[&format!("{a}:2 panics")]);
    }
    let fine = "//! A planted file.\nfn a() { b.unwrap_or(1); c.expect(\"the list has one\"); }\n#[test]\n#[cfg(test)]\nmod tests {\n fn b() { c.unwrap(); }\n}\n";
    plant(a, fine, &[]);
}

#[test]
fn the_first_line_says_what_a_file_is() {
    plant("crates/store/src/a.rs", "use std::fs;\n", &["crates/store/src/a.rs:1 first-line"]);
    plant("crates/store/src/a.rs", "//! copal-store\n", &["crates/store/src/a.rs:1 first-line"]);
    plant("tests/main.rs", "fn main() {}\n", &["tests/main.rs:1 first-line"]);
}

#[test]
fn long_files_are_warned_of_and_then_refused() {
    let text = |lines: usize| format!("//! A planted file.\n{}", "\n".repeat(lines));
    plant("crates/store/src/a.rs", &text(490), &[]);
    plant("crates/store/src/a.rs", &text(600), &["crates/store/src/a.rs:601 length"]);
    let tree = Planted::clean();
    for (lines, warning) in [(600, true), (900, false)] {
        tree.put("crates/store/src/a.rs", &text(lines));
        let findings = tidy::check(&Tree::read(&tree.0).unwrap());
        assert_eq!(findings.iter().map(|f| f.warning).collect::<Vec<_>>(), [warning]);
    }
    let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", text(400), "\n".repeat(900));
    plant("crates/store/src/a.rs", &tests, &[]);
}

#[test]
fn another_products_name_is_found() {
    plant(
        "crates/store/src/a.rs",
        "//! As in Varnish it is.\n// varnish\nfn varnish_like() {}\n",
        &["crates/store/src/a.rs:3 name"],
    );
    plant(
        "crates/store/src/a.rs",
        "//! A planted file.\nconst A: &str = \"X-Varnish-Id\";\n",
        &["crates/store/src/a.rs:2 name"],
    );
    plant("crates/store/src/varnish.rs", "//! A planted file.\n", &["crates/store/src/varnish.rs:1 name"]);
    plant("crates/store/Cargo.toml", "[package]\nname = \"varnish-store\"\n", &["crates/store/Cargo.toml:2 name"]);
    plant("benches/peers/varnish.vcl", "vcl 4.1;\n", &[]);
}

#[test]
fn paths_of_one_machine_are_found() {
    for folder in ["work", "root"] {
        plant("README.md", &format!("see\n`/{folder}/main`\n"), &["README.md:2 machine-path"]);
        plant("README.md", &format!("https://example.com/{folder}/main and src/{folder}/x\n"), &[]);
    }
}

#[test]
fn an_unexplained_dependency_is_found() {
    let manifest = "[workspace.dependencies]\nbytes = \"1\"\nbyte = \"1\"\ncopal-store = { path = \"x\" }\n";
    plant("Cargo.toml", manifest, &["Cargo.toml:3 dependencies"]);
    let tree = Planted::clean();
    fs::remove_file(tree.0.join("docs/decisions/dependencies.md")).unwrap();
    assert_eq!(tree.found(), ["docs/decisions/dependencies.md:1 dependencies"]);
}

#[test]
fn a_stale_page_is_found() {
    for (path, _) in docs::PAGES {
        plant(path, "old\n", &[&format!("{path}:1 docs")]);
    }
}
