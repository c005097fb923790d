//! Walks the document of a file against the table of keys and collects values and errors.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::keys::{self, Shape};
use crate::later;
use crate::name;
use crate::place::{Fault, Place};
use crate::raw::Located;
use crate::source::Source;
use crate::values::{Values, join};

/// Tables whose presence switches something on, even when they are empty.
pub(crate) const SWITCHES: &[&str] =
    &["log.access", "backend.*.probe", "backend.*.eject", "backend.*.tls", "director.*.cookie"];

/// The table whose keys are hosts; those of other tables are names.
const HOSTS: &str = "policy.hosts";

pub(crate) struct Walk<'a> {
    pub(crate) source: &'a Arc<Source>,
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) values: &'a mut Values,
}

impl Walk<'_> {
    /// All entries of a table; `pattern` is its path as in the table of keys, `path` as in the file.
    pub(crate) fn table(&mut self, table: &DeTable<'_>, pattern: &str, path: &str) {
        for (key, value) in table {
            let place = self.place(key.span());
            self.entry(key.get_ref(), &place, value, pattern, path);
        }
    }

    fn entry(&mut self, key: &str, place: &Place, value: &Spanned<DeValue<'_>>, pattern: &str, path: &str) {
        let (pattern_here, path_here) = (join(pattern, key), join(path, key));
        if let Some(instead) = later::instead(&pattern_here) {
            let fault = Fault::new(format!("`{path_here}` is not available in this version"));
            return self.values.errors.push(place.error(fault.help(Some(instead.to_owned()))));
        }
        match keys::shape(&pattern_here) {
            Shape::Value(known) => self.value(known, &path_here, value),
            Shape::Table => match value.get_ref().as_table() {
                Some(inner) => {
                    self.values.add_table(&pattern_here, &path_here, key, place.clone());
                    self.table(inner, &pattern_here, &path_here);
                }
                None => self.not_a_table(&path_here, value, &format!("a table `[{path_here}]`")),
            },
            Shape::Named => match value.get_ref().as_table() {
                Some(inner) => self.named(inner, &pattern_here, &path_here),
                None if value.get_ref().is_array() => {
                    let fault = Fault::new(format!("`[[{key}]]` has no names"));
                    let help = format!("write [{key}.NAME] with a name of your own for each");
                    self.values.errors.push(place.error(fault.help(Some(help))));
                }
                None => self.not_a_table(&path_here, value, &format!("a table `[{key}.NAME]`")),
            },
            Shape::TableList => match value.get_ref().as_array() {
                Some(items) => {
                    for (i, item) in items.iter().enumerate() {
                        let (pattern, path) = (format!("{pattern_here}[]"), format!("{path_here}[{i}]"));
                        let Some(inner) = item.get_ref().as_table() else {
                            self.not_a_table(&path, item, &format!("a table `[[{key}]]`"));
                            continue;
                        };
                        self.values.add_table(&pattern, &path, key, self.place(item.span()));
                        self.table(inner, &pattern, &path);
                    }
                }
                None => {
                    let help = format!("write [[{key}]], once for each");
                    let fault = Fault::new(format!("`{key}` is a list of tables")).help(Some(help));
                    self.values.errors.push(place.error(fault));
                }
            },
            Shape::Unknown => {
                let error = place.error(unknown(key, value.get_ref(), pattern));
                self.values.errors.push(error);
            }
        }
    }

    /// A table whose keys are names: `[backend.NAME]` tables, or values as in `[acl]`.
    fn named(&mut self, table: &DeTable<'_>, pattern: &str, path: &str) {
        for (key, value) in table {
            let place = self.place(key.span());
            let (pattern_here, path_here) = (join(pattern, "*"), join(path, key.get_ref()));
            let legal = if pattern == HOSTS { name::check_host } else { name::check };
            if let Err(fault) = legal(key.get_ref()) {
                self.values.break_at(&path_here, vec![place.error(fault)]);
                continue;
            }
            if let Shape::Value(known) = keys::shape(&pattern_here) {
                self.value(known, &path_here, value);
                continue;
            }
            let Some(inner) = value.get_ref().as_table() else {
                let known = keys::children(&pattern_here).contains(&key.get_ref().as_ref());
                let fault = if known {
                    Fault::new(format!("`{path}` needs a name")).help(Some(format!("write [{path}.NAME] above it")))
                } else {
                    Fault::new(format!("expected a table `[{path_here}]`, found {}", self.describe(value)))
                };
                self.values.break_at(&path_here, vec![place.error(fault)]);
                continue;
            };
            self.values.add_table(&pattern_here, &path_here, key.get_ref(), place);
            self.table(inner, &pattern_here, &path_here);
        }
    }

    fn value(&mut self, key: &'static keys::Key, path: &str, value: &Spanned<DeValue<'_>>) {
        match Located::from_toml(value, self.source, self.env) {
            Ok(raw) => self.values.set(key, path, &raw),
            Err(errors) => self.values.break_at(path, errors),
        }
    }

    fn not_a_table(&mut self, path: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let fault = Fault::new(format!("expected {expected}, found {}", self.describe(value)));
        let error = self.place(value.span()).error(fault);
        self.values.break_at(path, vec![error]);
    }

    fn describe(&self, value: &Spanned<DeValue<'_>>) -> String {
        let found = Located::from_toml(value, self.source, self.env);
        found.map_or_else(|_| "a value".to_owned(), |located| located.raw.describe())
    }

    fn place(&self, span: std::ops::Range<usize>) -> Place {
        Place::File { source: Arc::clone(self.source), span }
    }
}

/// The fault of a key that is not known: the nearest one in this table, or the table that has one of this name.
fn unknown(key: &str, value: &DeValue<'_>, pattern: &str) -> Fault {
    let here = if pattern.is_empty() { "at the top".to_owned() } else { format!("in `{}`", show(pattern)) };
    let what = if value.is_table() { "table" } else { "key" };
    let children = keys::children(pattern);
    let help = of_vcl(key, value, pattern).or_else(|| match name::nearest(key, children.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => keys::KEYS
            .iter()
            .find(|known| keys::split(known.path).1 == key)
            .map(|known| format!("there is a `{}`", show(known.path)))
            .or_else(|| name::suggestion(key, &children)),
    });
    Fault::new(format!("unknown {what} `{key}` {here}")).help(help)
}

/// What to write for an attribute that VCL has under another name.
fn of_vcl(key: &str, value: &DeValue<'_>, pattern: &str) -> Option<String> {
    Some(match (pattern, key) {
        ("backend.*", "host") => {
            format!("host and port are one: write `address = \"{}:80\"`", value.as_str().unwrap_or("HOST"))
        }
        ("backend.*", "port") => "host and port are one: write `address = \"HOST:PORT\"`".to_owned(),
        ("backend.*.probe", "url") => format!("write `path = \"{}\"`", value.as_str().unwrap_or("/healthz")),
        ("backend.*.probe", "expected_response") => "write `expected_status`".to_owned(),
        _ => return None,
    })
}

/// A path of the table of keys as people write it: `backend.NAME.address`, `listen.address`.
pub(crate) fn show(pattern: &str) -> String {
    pattern.replace('*', "NAME").replace("[]", "")
}
