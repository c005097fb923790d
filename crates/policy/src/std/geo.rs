//! `geo::`: where an address is, by a database in MaxMind's format that the configuration names.

use crate::current::Res;
use crate::environment::Environment;
use crate::fault::HostError;
use crate::library::ModuleFunction;
use crate::library::json::to_script;
use maxminddb::{PathElement, Reader};
use rhai::{Dynamic, Engine, Module};
use serde_json::Value;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// The file could not be used. The owner's to mend.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {file} as a GeoIP database: {reason}")]
pub struct GeoError {
    file: String,
    reason: String,
}

/// A database, read into memory when it is opened; a look-up reads no file.
pub struct Geo(Reader<Vec<u8>>);

impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Geo").field(&self.0.metadata().database_type).finish()
    }
}

impl Geo {
    /// Reads a database.
    ///
    /// # Errors
    /// The file cannot be read or is none.
    pub fn open(file: &Path) -> Result<Geo, GeoError> {
        let failed = |reason: String| GeoError { file: file.display().to_string(), reason };
        let bytes = std::fs::read(file).map_err(|e| failed(e.to_string()))?;
        Ok(Geo(Reader::from_source(bytes).map_err(|e| failed(e.to_string()))?))
    }

    /// What the database has about an address under a path like "city/names/en"; none when it has nothing.
    fn find(&self, ip: IpAddr, path: &str) -> Option<Value> {
        let path: Vec<PathElement<'_>> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().map_or(PathElement::Key(part), PathElement::Index))
            .collect();
        // A damaged record is no record: the policy has a way for addresses that are not known.
        self.0.lookup(ip).ok()?.decode_path(&path).ok()?
    }
}

/// What to say where no database is configured.
pub(crate) const NO_DATABASE: &str = "the configuration has no GeoIP database";

/// Gives scripts the module.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>) {
    let mut m = Module::new();
    let find = |env: &Arc<Environment>| {
        let env = Arc::clone(env);
        move |ip: IpAddr, path: &str| -> Res<Dynamic> {
            let geo = env.geo.as_deref().ok_or_else(|| HostError::value(NO_DATABASE))?;
            Ok(geo.find(ip, path).map_or(Ok(Dynamic::UNIT), |v| to_script(v, &env.limits))?)
        }
    };
    let f = find(env);
    ModuleFunction::new("lookup").set_into_module(&mut m, move |ip: IpAddr, path: &str| f(ip, path));
    let f = find(env);
    ModuleFunction::new("country").set_into_module(&mut m, move |ip: IpAddr| f(ip, "country/iso_code"));
    e.register_static_module("geo", m.into());
}
