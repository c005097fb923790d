//! Reads the configuration file into the values.

use std::sync::Arc;

use toml::de::DeTable;

use crate::source::Source;
use crate::syntax;
use crate::values::Values;
use crate::walk::Walk;

/// Whether what was read can be checked as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read {
    Whole,
    /// Mistakes in the TOML, each within a value or a name given twice: the rest is what was meant, but what is missing may
    /// stand where the mistake is.
    Patched,
    /// Mistakes in the TOML after which nothing can be trusted.
    Torn,
}

pub(crate) fn read(source: &Arc<Source>, env: &dyn Fn(&str) -> Option<String>, values: &mut Values) -> Read {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    let mistakes = syntax::mistakes(&errors, source);
    if mistakes.contained {
        Walk { source, env, values }.table(document.get_ref(), "", "");
        // A line that is no TOML is not also told what is wrong with its value.
        let torn: Vec<_> = mistakes.errors.iter().map(|error| error.line).collect();
        values.errors.retain(|error| !torn.contains(&error.line));
    }
    let read = match mistakes.contained {
        true if mistakes.errors.is_empty() => Read::Whole,
        true => Read::Patched,
        false => Read::Torn,
    };
    values.errors.extend(mistakes.errors);
    read
}
