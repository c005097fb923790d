//! Checking a policy without a configuration: the names that only a configuration could vouch for are taken as they are, and
//! told, so that whoever checks knows what was not.

use crate::acl::Acl;
use crate::diagnostic::Diagnostics;
use crate::environment::Environment;
use crate::policy::Policy;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A name that a policy uses, and what a configuration has to have under it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Named {
    /// `backend`, `director`, `backend or director`, `ACL`, `policy`, `storage` or `GeoIP database`.
    pub kind: &'static str,
    /// The name; empty for the GeoIP database.
    pub name: String,
}

/// Takes names for known, and notes them.
#[derive(Debug, Default)]
pub struct Trust(Mutex<BTreeSet<Named>>);

impl Trust {
    fn note(&self, kind: &'static str, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(Named { kind, name: name.to_owned() });
    }

    fn names(&self) -> Vec<Named> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Environment {
    /// Is a name that is not known to be taken for known all the same?
    pub(crate) fn trusts(&self, kind: &'static str, name: &str) -> bool {
        self.trust.as_ref().inspect(|trust| trust.note(kind, name)).is_some()
    }
}

impl Policy {
    /// Loads the policy of a file with no configuration at hand; what a configuration has to have for it.
    ///
    /// # Errors
    /// As [`Policy::load`], but for names.
    pub fn load_alone(path: &Path, env: Environment) -> Result<(Arc<Policy>, Vec<Named>), Diagnostics> {
        let trust = Arc::new(Trust::default());
        let mut env = Environment { trust: Some(Arc::clone(&trust)), ..env };
        // Only for the names: what hooks do when they are loaded may need them.
        let _names_are_missing = Policy::load(path, Arc::new(env.clone()));
        let names = trust.names();
        for Named { kind, name } in names.clone() {
            match kind {
                "ACL" => drop(env.acls.insert(name, Acl::default())),
                "policy" => env.policies.push(name),
                "storage" => env.storages.push(name),
                "director" => env.directors.push(name),
                "backend" => env.backends.push(name),
                "backend or director" if !env.serves(&name) => env.backends.push(name),
                _ => {}
            }
        }
        Ok((Policy::load(path, Arc::new(env))?, names))
    }
}
