//! The store on file, for a warm restart.

use std::path::PathBuf;

use crate::values::View;

/// `[snapshot]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Where it is written and loaded from; none: the store lives and ends with the process.
    pub file: Option<PathBuf>,
    /// Written when the process ends in order.
    pub on_drain: bool,
    /// Bytes a second that writing and loading may take.
    pub rate: u64,
}

impl Snapshot {
    pub(crate) fn assemble(view: &View<'_>) -> Snapshot {
        Snapshot { file: view.path("file"), on_drain: view.boolean("on_drain"), rate: view.size("rate") }
    }
}
