//! vcl-examples/: each folder's own files run in the real binary, and every claim of its README holds.

mod ab_test;
mod anonymous_cookies;
mod api_authorization;
mod ban;
mod basic_auth;
mod bypass_parameter;
mod canary_by_cookie;
mod cookie_allow_list;
mod cors;
mod device_variants;
mod django_admin;
mod drupal;
mod error_page;
mod fastly_purge;
mod foshttpcache;
mod grace_and_probes;
mod graphql_get;
mod hit_for_miss_carts;
mod language_variants;
mod magento;
mod maintenance_page;
mod production_site;
mod purge_acl;
mod purge_tags;
mod query_normalisation;
mod rate_limit;
mod redirects;
mod refresh;
mod request_id;
mod round_robin_weights;
mod security_headers;
mod shard;
mod signed_urls;
mod slow_start;
mod soft_purge_on_publish;
mod stale_on_error_per_path;
mod static_404;
mod static_assets;
mod storages;
mod wagtail;
mod wordpress;
mod wordpress_purge;

use copal_testkit::{Origin, Proxy, Response, proxy::Builder};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const COPAL: &str = env!("CARGO_BIN_EXE_copal");

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vcl-examples").join(name)
}

/// Copal with the `copal.toml` and `policy.rhai` of that example, as they lie in its folder.
fn copal(name: &str) -> Builder {
    Proxy::builder(COPAL).arg("--config").arg(folder(name).join("copal.toml"))
}

/// The same in front of `origin`.
fn start(name: &str, origin: &Origin) -> Proxy {
    copal(name).env("APP", origin.addr().to_string()).start()
}

/// The Cache-Status that Copal gave.
fn cache_status(response: &Response) -> &str {
    response.header("Cache-Status").expect("every response has a Cache-Status")
}

fn is_hit(response: &Response) -> bool {
    cache_status(response).starts_with("copal; hit")
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(folder("")).expect("vcl-examples/ is part of the project");
    let folders = entries.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn copal_check_is_content_with_every_example() {
    for name in names() {
        let config = folder(&name).join("copal.toml");
        let out = Command::new(COPAL).arg("check").arg("--config").arg(config).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && said.is_empty(), "{name}: {}\n{said}", out.status);
        let found = String::from_utf8_lossy(&out.stdout);
        assert!(found.contains(&format!("{name}/policy.rhai")), "{name}: the policy is checked too: {found}");
    }
}

#[test]
fn every_example_has_its_files_its_place_in_the_index_and_a_test() {
    let names = names();
    assert!(names.len() >= 10, "{names:?}");
    let index = fs::read_to_string(folder("README.md")).unwrap();
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/examples");
    for name in &names {
        let (number, subject) = name.split_once('-').unwrap();
        let number_is_its_own = names.iter().filter(|other| other.starts_with(&format!("{number}-"))).count() == 1;
        assert!(number.len() == 2 && number.parse::<u8>().is_ok() && number_is_its_own, "{name}");
        for file in ["README.md", "idiom.vcl", "policy.rhai", "copal.toml", "cases.md"] {
            let text = fs::read_to_string(folder(name).join(file)).unwrap_or_else(|e| panic!("{name}/{file}: {e}"));
            assert!(!text.trim().is_empty(), "{name}/{file} is empty");
        }
        assert!(fs::read_to_string(folder(name).join("idiom.vcl")).unwrap().starts_with("vcl 4.1;\n"), "{name}");
        assert!(index.contains(&format!("[{name}]({name}/)")), "{name} is not in the index");
        let module = subject.replace('-', "_");
        let test = fs::read_to_string(tests.join(format!("{module}.rs"))).unwrap_or_default();
        assert!(test.contains("#[test]") && test.contains(&format!("\"{name}\"")), "{name} has no test of its own");
        assert!(include_str!("mod.rs").contains(&format!("mod {module};")), "{module}.rs does not run");
    }
}

#[test]
fn every_readme_explains_the_code_that_its_policy_has() {
    for name in names() {
        let read = |file: &str| fs::read_to_string(folder(&name).join(file)).unwrap();
        let (readme, policy, config) = (read("README.md"), read("policy.rhai"), read("copal.toml"));
        for line in readme.lines().filter(|line| line.starts_with("| `")) {
            let cell = line.split(" | ").next().unwrap().trim_start_matches('|').trim();
            // Code spans, of one or two backquotes; `…` in one leaves something out.
            let code = cell.trim_matches('`').trim();
            let parts = code.split('…').map(str::trim).filter(|part| !part.is_empty());
            for part in parts {
                assert!(policy.contains(part) || config.contains(part), "{name}: the README explains {part:?}");
            }
        }
        assert!(readme.contains(&format!("vcl-examples/{name}/copal.toml")), "{name}: how to try it");
    }
}
