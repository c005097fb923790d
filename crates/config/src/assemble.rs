//! Makes the typed configuration of values that were found right.

use std::num::NonZero;

use crate::admin::Admin;
use crate::backend::Backend;
use crate::cache::{Cache, Storage};
use crate::config::{Config, Metrics};
use crate::director::Director;
use crate::keys::{Given, KEYS, Key};
use crate::limits::Limits;
use crate::listen::Listen;
use crate::log::Log;
use crate::pipe::Pipe;
use crate::place::Place;
use crate::policy::PolicyConfig;
use crate::purge::Purge;
use crate::resolved::Origin;
use crate::resolver::Resolver;
use crate::retry::{Retry, Shadow};
use crate::route::Route;
use crate::snapshot::Snapshot;
use crate::values::{Values, default_value};

/// Without any `[[listen]]` there is one with the defaults.
pub(crate) fn add_default_listener(values: &mut Values) {
    let tried = values.broken.iter().any(|path| path.starts_with("listen"));
    if values.tables("listen[]").next().is_none() && !tried {
        values.add_table("listen[]", "listen[0]", "listen", Place::Default);
    }
}

pub(crate) fn config(values: &Values, env: &dyn Fn(&str) -> Option<String>) -> Config {
    let top = values.view("", "");
    let metrics = values.view("metrics", "metrics");
    let backends: Vec<Backend> = values.tables("backend.*").map(|table| Backend::assemble(table, values)).collect();
    let directors: Vec<Director> = values.tables("director.*").map(|table| Director::assemble(table, values)).collect();
    let first = directors.first().map(|d| d.name.clone()).or_else(|| backends.first().map(|b| b.name.clone()));
    let acl = values.view("acl", "acl");
    let lists = values.of("acl.*").filter_map(|entry| entry.path.strip_prefix("acl."));
    let mut config = Config {
        name: top.string("name"),
        threads: if top.is_set("threads") {
            usize::try_from(top.count("threads")).unwrap_or(1)
        } else {
            std::thread::available_parallelism().map_or(1, NonZero::get)
        },
        drain_timeout: top.duration("drain_timeout"),
        listen: values.tables("listen[]").map(|t| Listen::assemble(&values.view("listen[]", &t.path))).collect(),
        limits: Limits::assemble(&values.view("limits", "limits")),
        cache: Cache::assemble(&values.view("cache", "cache")),
        snapshot: Snapshot::assemble(&values.view("snapshot", "snapshot")),
        storages: values.tables("store.*").map(|table| Storage::assemble(table, values)).collect(),
        backends,
        directors,
        default_target: values.target.clone().or(first),
        routes: values.tables("route[]").map(|t| Route::assemble(&values.view("route[]", &t.path))).collect(),
        retry: Retry::assemble(&values.view("retry", "retry")),
        shadow: Shadow::assemble(&values.view("shadow", "shadow")),
        acls: lists.map(|name| (name.to_owned(), acl.networks(name))).collect(),
        purge: Purge::assemble(&values.view("purge", "purge")),
        pipe: Pipe::assemble(&values.view("pipe", "pipe")),
        policy: PolicyConfig::assemble(values),
        resolver: Resolver::assemble(&values.view("resolver", "resolver")),
        admin: Admin::assemble(&values.view("admin", "admin"), env),
        metrics: metrics.is_set("listen").then(|| Metrics { listen: metrics.address("listen") }),
        log: Log::assemble(values),
        resolved: Vec::new(),
    };
    config.resolved = resolved(values, &config);
    config
}

fn resolved(values: &Values, config: &Config) -> Vec<(String, String, Origin)> {
    let mut out = Vec::new();
    for key in KEYS {
        for path in values.paths_of(key) {
            let (text, origin) = match values.entry(&path) {
                Some(entry) => (entry.value.show(), entry.place.origin()),
                None => (default_text(key, config), Origin::Default),
            };
            out.push((path, text, origin));
        }
    }
    out
}

/// What a key that nobody set amounts to; in parentheses where it is not a value.
fn default_text(key: &Key, config: &Config) -> String {
    match (key.path, key.default) {
        ("threads", _) => config.threads.to_string(),
        ("cache.object_size", _) => crate::units::show_size(config.cache.object_size),
        ("admin.listen", _) => config.admin.listen.to_string(),
        (_, Given::Unset(meaning)) => format!("({meaning})"),
        (_, Given::Is(text)) => default_value(key).map_or_else(|| text.to_owned(), |value| value.show()),
        (_, Given::Required) => "(required)".to_owned(),
    }
}
