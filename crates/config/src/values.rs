//! All values of one configuration by path, from whichever layer set them last.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use copal_semantics::Span;

use crate::acl::AclEntry;
use crate::address::Address;
use crate::by::By;
use crate::diagnostic::Diagnostic;
use crate::director::Member;
use crate::keys::{self, Given, Key};
use crate::place::Place;
use crate::raw::Located;
use crate::value::{Item, Value};

/// A value that somebody set.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: &'static Key,
    /// The concrete path: `backend.app1.address`.
    pub(crate) path: String,
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// A table that was written, or that a flag made.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// As in the key table: `backend.*`, `listen[]`, `backend.*.probe`.
    pub(crate) pattern: String,
    /// `backend.app1`, `listen[0]`.
    pub(crate) path: String,
    /// The last part of the path, where the owner chose it.
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// Everything that was set.
#[derive(Clone, Default, Debug)]
pub(crate) struct Values {
    pub(crate) entries: Vec<Entry>,
    pub(crate) tables: Vec<Table>,
    /// Paths that were set to something wrong: already reported, so nobody complains that they are missing.
    pub(crate) broken: BTreeSet<String>,
    pub(crate) errors: Vec<Diagnostic>,
    /// What serves when the policy does not choose, where a flag says so.
    pub(crate) target: Option<String>,
}

impl Values {
    /// Reads a value of `key` and sets it in place of what was there; a wrong one is reported and remembered.
    pub(crate) fn set(&mut self, key: &'static Key, path: &str, raw: &Located) {
        self.entries.retain(|entry| entry.path != path);
        self.broken.remove(path);
        match key.kind.read(raw) {
            Ok(value) => {
                self.entries.push(Entry { key, path: path.to_owned(), value, place: raw.place.clone() });
            }
            Err(errors) => self.break_at(path, errors),
        }
    }

    /// Reports a value that could not be read.
    pub(crate) fn break_at(&mut self, path: &str, errors: Vec<Diagnostic>) {
        self.errors.extend(errors);
        self.broken.insert(path.to_owned());
    }

    pub(crate) fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// The entries of one key, such as all `backend.*.address`.
    pub(crate) fn of(&self, pattern: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.key.path == pattern)
    }

    pub(crate) fn tables(&self, pattern: &str) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(move |table| table.pattern == pattern)
    }

    pub(crate) fn add_table(&mut self, pattern: &str, path: &str, name: &str, place: Place) {
        if !self.tables.iter().any(|table| table.path == path) {
            let (pattern, path, name) = (pattern.to_owned(), path.to_owned(), name.to_owned());
            self.tables.push(Table { pattern, path, name, place });
        }
    }

    /// The concrete paths that a key has here: one per table of its section, or its own when the section is fixed.
    pub(crate) fn paths_of(&self, key: &Key) -> Vec<String> {
        let (section, leaf) = keys::split(key.path);
        if leaf == "*" {
            return self.of(key.path).map(|entry| entry.path.clone()).collect();
        }
        let optional = section.contains(['*', '[']) || crate::walk::SWITCHES.contains(&section);
        if optional {
            return self.tables(section).map(|table| format!("{}.{leaf}", table.path)).collect();
        }
        vec![key.path.to_owned()]
    }

    pub(crate) fn view<'a>(&'a self, pattern: &'static str, path: &str) -> View<'a> {
        View { values: self, pattern, path: path.to_owned() }
    }
}

/// One table of the values, to read its keys by their last part. Keys that nobody set have their default.
///
/// The getters panic when the table of keys says another kind: a mistake in this crate, which the tests that read every
/// key would show.
pub(crate) struct View<'a> {
    values: &'a Values,
    pattern: &'static str,
    path: String,
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty) => {
        $(#[$doc])*
        pub(crate) fn $name(&self, leaf: &str) -> $type {
            match self.value(leaf) {
                Some(Value::$variant(value)) => value,
                other => self.mismatch(leaf, other),
            }
        }
    };
}

impl View<'_> {
    getter!(span, Span, Span);
    getter!(size, Size, u64);
    getter!(boolean, Bool, bool);
    getter!(word, Word, &'static str);
    getter!(words, Words, Vec<&'static str>);
    getter!(texts, Texts, Vec<String>);
    getter!(string, Text, String);
    getter!(address, Address, Address);
    getter!(percent, Percent, u32);
    getter!(status_list, StatusList, Vec<RangeInclusive<u16>>);
    getter!(by, By, By);
    getter!(networks, Networks, Vec<AclEntry>);

    pub(crate) fn duration(&self, leaf: &str) -> Duration {
        self.span(leaf).to_std()
    }

    pub(crate) fn count(&self, leaf: &str) -> u32 {
        match self.value(leaf) {
            Some(Value::Count(count)) => u32::try_from(count).unwrap_or(u32::MAX),
            other => self.mismatch(leaf, other),
        }
    }

    /// A number that may be unset.
    pub(crate) fn count_if_set(&self, leaf: &str) -> Option<u32> {
        self.value(leaf).map(|_| self.count(leaf))
    }

    pub(crate) fn members(&self, leaf: &str) -> Vec<Member> {
        match self.value(leaf) {
            Some(Value::Members(items)) => items.into_iter().map(|Item { value, .. }| value).collect(),
            other => self.mismatch(leaf, other),
        }
    }

    pub(crate) fn statuses(&self, leaf: &str) -> RangeInclusive<u16> {
        match self.value(leaf) {
            Some(Value::Statuses(first, last)) => first..=last,
            other => self.mismatch(leaf, other),
        }
    }

    /// A list of texts that may be unset.
    pub(crate) fn texts_if_set(&self, leaf: &str) -> Option<Vec<String>> {
        match self.value(leaf) {
            Some(Value::Texts(texts)) => Some(texts),
            None => None,
            other => self.mismatch(leaf, other),
        }
    }

    pub(crate) fn is_set(&self, leaf: &str) -> bool {
        self.value(leaf).is_some()
    }

    /// A text that may be unset.
    pub(crate) fn text(&self, leaf: &str) -> Option<String> {
        self.is_set(leaf).then(|| self.string(leaf))
    }

    /// A path that may be unset, resolved from where it was written.
    pub(crate) fn path(&self, leaf: &str) -> Option<PathBuf> {
        let place = self.values.entry(&self.concrete(leaf)).map_or(Place::Default, |entry| entry.place.clone());
        self.text(leaf).map(|text| place.resolve(&text))
    }

    fn value(&self, leaf: &str) -> Option<Value> {
        if let Some(entry) = self.values.entry(&self.concrete(leaf)) {
            return Some(entry.value.clone());
        }
        default_value(keys::find(&join(self.pattern, leaf))?)
    }

    fn concrete(&self, leaf: &str) -> String {
        join(&self.path, leaf)
    }

    fn mismatch(&self, leaf: &str, found: Option<Value>) -> ! {
        unreachable!("the key table has another kind or no default for {}: {found:?}", self.concrete(leaf))
    }
}

/// The default of a key as a value, when it has one.
pub(crate) fn default_value(key: &Key) -> Option<Value> {
    match key.default {
        Given::Is(text) => key.kind.read(&Located::loose(text, Place::Default)).ok(),
        Given::Unset(_) | Given::Required => None,
    }
}

pub(crate) fn join(table: &str, leaf: &str) -> String {
    if table.is_empty() { leaf.to_owned() } else { format!("{table}.{leaf}") }
}
