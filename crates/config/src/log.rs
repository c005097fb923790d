//! The access log.

use std::path::PathBuf;

use crate::values::Values;

/// How a line of the access log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessFormat {
    /// One JSON object a line.
    Json,
    /// The combined format of Apache, as varnishncsa writes it.
    Ncsa,
}

/// As written in the file, in the order of [`AccessFormat`].
pub(crate) const FORMATS: &[&str] = &["json", "ncsa"];

/// Where the access log goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccessPath {
    /// `-`: standard output.
    Stdout,
    /// A file that is appended to; its folder exists.
    File(PathBuf),
}

/// `log.access`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessLog {
    /// How a line looks.
    pub format: AccessFormat,
    /// Where it goes.
    pub path: AccessPath,
    /// Request fields that a line has beside the usual ones.
    pub headers: Vec<String>,
}

/// So many of them. Each is a search of the request's head, and stands in each line.
pub(crate) const HEADERS_MAX: usize = 16;

/// `[log]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// The access log; none unless asked for.
    pub access: Option<AccessLog>,
}

impl Log {
    pub(crate) fn assemble(values: &Values) -> Log {
        let access = values.tables("log.access").next().map(|table| {
            let view = values.view("log.access", &table.path);
            let path = match view.string("path").as_str() {
                "-" => AccessPath::Stdout,
                _ => AccessPath::File(view.path("path").unwrap_or_default()),
            };
            let format = if view.word("format") == "ncsa" { AccessFormat::Ncsa } else { AccessFormat::Json };
            AccessLog { format, path, headers: view.texts("headers") }
        });
        Log { access }
    }
}
