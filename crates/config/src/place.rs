//! Where a value was written, so that whoever finds it wrong can point there.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::resolved::Origin;
use crate::source::Source;

/// The spot that a value came from.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Default,
    File { source: Arc<Source>, span: Range<usize> },
    Env(String),
    Flag(&'static str),
}

/// What is wrong with a value, before it is known where the value stood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Fault { message: message.into(), help: None }
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

impl Place {
    /// The fault as an error that points here.
    pub(crate) fn error(&self, fault: Fault) -> Diagnostic {
        let diagnostic = match self {
            Place::Default => Diagnostic::error(fault.message),
            Place::File { source, span } => Diagnostic::at(source, span.clone(), fault.message),
            Place::Env(name) => Diagnostic::error(format!("{name}: {}", fault.message)),
            Place::Flag(name) => Diagnostic::error(format!("{name}: {}", fault.message)),
        };
        diagnostic.help(fault.help)
    }

    /// Adds a second mark where `first` was written, when both stand in the file.
    pub(crate) fn clash(&self, fault: Fault, first: &Place) -> Diagnostic {
        let diagnostic = self.error(fault);
        match (self, first) {
            (Place::File { .. }, Place::File { span, .. }) => diagnostic.related(span.clone(), "first here"),
            (_, Place::Default | Place::File { .. } | Place::Env(_) | Place::Flag(_)) => diagnostic,
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        match self {
            Place::Default => Origin::Default,
            Place::File { source, span } => Origin::File(source.position(span.start).0),
            Place::Env(name) => Origin::Env(name.clone()),
            Place::Flag(name) => Origin::Flag((*name).to_owned()),
        }
    }

    /// `path` as meant at this place: relative to the file's folder, or to the working directory elsewhere.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        match self {
            Place::File { source, .. } => source.folder.join(path),
            Place::Default | Place::Env(_) | Place::Flag(_) => Path::new(path).to_owned(),
        }
    }
}
