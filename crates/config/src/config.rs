//! The whole configuration, typed and valid: what the rest of Copal is built from.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::acl::AclEntry;
use crate::address::Address;
use crate::admin::Admin;
use crate::assemble;
use crate::backend::Backend;
use crate::cache::{Cache, Storage};
use crate::check;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::director::Director;
use crate::env;
use crate::file::{self, Read};
use crate::flags::{self, Overrides};
use crate::limits::Limits;
use crate::listen::Listen;
use crate::log::Log;
use crate::pipe::Pipe;
use crate::policy::PolicyConfig;
use crate::purge::Purge;
use crate::resolved::Origin;
use crate::resolver::Resolver;
use crate::retry::{Retry, Shadow};
use crate::route::Route;
use crate::snapshot::Snapshot;
use crate::source::Source;
use crate::values::Values;

/// `[metrics]`: where Prometheus reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metrics {
    /// Never a host name.
    pub listen: Address,
}

/// Everything that was configured. Names refer to things that exist, files were there, numbers are in range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// What this proxy calls itself in `Via` and `Cache-Status`.
    pub name: String,
    /// Worker threads, at least 1.
    pub threads: usize,
    /// How long running requests may take after SIGTERM.
    pub drain_timeout: Duration,
    /// At least one.
    pub listen: Vec<Listen>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[cache]`.
    pub cache: Cache,
    /// `[snapshot]`.
    pub snapshot: Snapshot,
    /// Storages beside the main one, in the order of the file.
    pub storages: Vec<Storage>,
    /// In the order of the file.
    pub backends: Vec<Backend>,
    /// In the order of the file.
    pub directors: Vec<Director>,
    /// The backend or director that serves when the policy does not choose: `--to`, else the first director, else the
    /// first backend. None only where no backend is declared, and a policy must answer everything.
    pub default_target: Option<String>,
    /// In the order of the file.
    pub routes: Vec<Route>,
    /// `[retry]`.
    pub retry: Retry,
    /// `[shadow]`.
    pub shadow: Shadow,
    /// Access lists by name.
    pub acls: BTreeMap<String, Vec<AclEntry>>,
    /// `[purge]`.
    pub purge: Purge,
    /// `[pipe]`.
    pub pipe: Pipe,
    /// `[policy]`.
    pub policy: PolicyConfig,
    /// `[admin]`.
    pub admin: Admin,
    /// `[metrics]`, off when none.
    pub metrics: Option<Metrics>,
    /// `[resolver]`.
    pub resolver: Resolver,
    /// `[log]`.
    pub log: Log,
    pub(crate) resolved: Vec<(String, String, Origin)>,
}

impl Config {
    /// Reads the file (if one is given), the environment and the flags; later ones replace earlier ones.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, not only the first. The fault is the owner's and trying again does not help.
    pub fn load(
        file: Option<&Path>,
        env: &dyn Fn(&str) -> Option<String>,
        overrides: &Overrides,
    ) -> Result<Config, Diagnostics> {
        let Some(path) = file else { return Config::from_layers(None, env, overrides) };
        let name = path.display().to_string();
        let text = fs::read(path).map_err(|why| {
            Diagnostics(vec![Diagnostic::error(format!("cannot read `{name}`: {}", check::reason(&why)))])
        })?;
        let text = String::from_utf8(text).map_err(|why| {
            let line = why.as_bytes()[..why.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            Diagnostics(vec![Diagnostic::error(format!("`{name}` is not UTF-8: see line {line}"))])
        })?;
        Config::from_layers(Some(source(path, text)), env, overrides)
    }

    /// As [`load`](Config::load) from a text in memory; `name` stands for the file in messages, and relative paths start
    /// from its folder. No environment, no flags.
    ///
    /// # Errors
    ///
    /// As [`load`](Config::load).
    ///
    /// ```
    /// let config = copal_config::Config::from_str("copal.toml", "backend.app.address = '127.0.0.1:8000'").unwrap();
    /// assert_eq!(config.cache.size, 256 << 20);
    /// assert_eq!(config.default_target.as_deref(), Some("app"));
    /// ```
    pub fn from_str(name: &str, text: &str) -> Result<Config, Diagnostics> {
        Config::from_layers(Some(source(Path::new(name), text.to_owned())), &|_| None, &Overrides::default())
    }

    /// As [`load`](Config::load), from a text in memory, with environment and flags.
    ///
    /// # Errors
    ///
    /// As [`load`](Config::load).
    pub fn from_text(
        name: &str,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
        overrides: &Overrides,
    ) -> Result<Config, Diagnostics> {
        Config::from_layers(Some(source(Path::new(name), text.to_owned())), env, overrides)
    }

    /// Every key, its value as it would be written, and where that came from, in the order of the reference.
    #[must_use]
    pub fn resolved(&self) -> Vec<(String, String, Origin)> {
        self.resolved.clone()
    }

    fn from_layers(
        source: Option<Arc<Source>>,
        env: &dyn Fn(&str) -> Option<String>,
        overrides: &Overrides,
    ) -> Result<Config, Diagnostics> {
        let mut values = Values::default();
        let read = source.map_or(Read::Whole, |source| file::read(&source, env, &mut values));
        env::apply(&mut values, env, overrides.to.is_empty());
        flags::apply(&mut values, overrides);
        assemble::add_default_listener(&mut values);
        let mut errors = std::mem::take(&mut values.errors);
        if read != Read::Torn {
            let said: Vec<_> = errors.iter().map(|error| error.line).collect();
            let mut more = check::all(&values, read, !errors.is_empty());
            if read == Read::Patched {
                // A line that is no TOML is not also told what is wrong with its value.
                more.retain(|error| error.line.is_none() || !said.contains(&error.line));
            }
            errors.extend(more);
        }
        if errors.is_empty() { Ok(assemble::config(&values, env)) } else { Err(Diagnostics::sorted(errors)) }
    }
}

fn source(path: &Path, text: String) -> Arc<Source> {
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    Arc::new(Source { name: path.display().to_string(), folder, text })
}
