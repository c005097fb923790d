//! The cache policy and what it may use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::values::{Values, View};

/// `[policy]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyConfig {
    /// The script, resolved from the file's folder; without one the built-in policy decides.
    pub file: Option<PathBuf>,
    /// Policies by name, for `policy("name")`.
    pub named: BTreeMap<String, PathBuf>,
    /// Policies by host.
    pub hosts: BTreeMap<String, PathBuf>,
    /// Restarts of one request; 503 beyond.
    pub max_restarts: u32,
    /// Retries of one fetch; a failed fetch beyond.
    pub max_retries: u32,
    /// The GeoIP database, if there is one.
    pub geoip: Option<PathBuf>,
    /// What one hook call may use.
    pub limits: PolicyLimits,
}

impl PolicyConfig {
    pub(crate) fn assemble(values: &Values) -> PolicyConfig {
        let view = values.view("policy", "policy");
        PolicyConfig {
            file: view.path("file"),
            named: files(values, "policy.named", "policy.named.*"),
            hosts: files(values, "policy.hosts", "policy.hosts.*"),
            max_restarts: view.count("max_restarts"),
            max_retries: view.count("max_retries"),
            geoip: view.path("geoip"),
            limits: PolicyLimits::assemble(&values.view("policy.limits", "policy.limits")),
        }
    }
}

/// The files of a table whose keys are names.
fn files(values: &Values, table: &'static str, pattern: &str) -> BTreeMap<String, PathBuf> {
    let view = values.view(table, table);
    let names = values.of(pattern).filter_map(|entry| entry.path.strip_prefix(table)?.strip_prefix('.'));
    names.filter_map(|name| Some((name.to_owned(), view.path(name)?))).collect()
}

/// `[policy.limits]`: the names are those of faults and counters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyLimits {
    /// Script operations of one hook call.
    pub operations: u64,
    /// Processor time of one hook call.
    pub time: Duration,
    /// Script functions that call one another.
    pub call_depth: usize,
    /// Longest text that a script makes.
    pub string_bytes: usize,
    /// Most members of an array.
    pub array: usize,
    /// Most members of a map.
    pub map: usize,
    /// Most variables at one time.
    pub variables: usize,
    /// Most functions of one file; checked when the policy is loaded.
    pub functions: usize,
    /// Most modules imported; checked when the policy is loaded.
    pub modules: usize,
    /// Expressions inside expressions; checked when the policy is loaded.
    pub expression_depth: usize,
    /// What one hook call writes into heads, key, variables and log.
    pub written_bytes: usize,
    /// Regular expressions that one hook call makes at run time; those written in the policy are compiled once.
    pub patterns: u32,
    /// Keys that `throttle::` remembers.
    pub throttle_keys: usize,
}

impl PolicyLimits {
    fn assemble(view: &View<'_>) -> PolicyLimits {
        let size = |leaf: &str| usize::try_from(view.size(leaf)).unwrap_or(usize::MAX);
        let count = |leaf: &str| usize::try_from(view.count(leaf)).unwrap_or(usize::MAX);
        PolicyLimits {
            operations: u64::from(view.count("operations")),
            time: view.duration("time"),
            call_depth: count("call_depth"),
            string_bytes: size("string_bytes"),
            array: count("array"),
            map: count("map"),
            variables: count("variables"),
            functions: count("functions"),
            modules: count("modules"),
            expression_depth: count("expression_depth"),
            written_bytes: size("written_bytes"),
            patterns: view.count("patterns"),
            throttle_keys: count("throttle_keys"),
        }
    }
}
