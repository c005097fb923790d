//! Who may purge with an HTTP request, and how.

use crate::values::View;

/// A way to ask for a purge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PurgeProtocol {
    /// The method PURGE on the URL itself.
    Purge,
}

/// The protocols that this version has, as written in the file.
pub(crate) const PROTOCOLS: &[&str] = &["purge"];
/// The protocols that later versions will have.
pub(crate) const LATER_PROTOCOLS: &[&str] = &["xkey", "ban", "magento", "foshttpcache", "drupal", "wordpress"];

/// `[purge]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Purge {
    /// The access list of clients that may; without one purging is off (405). It exists.
    pub acl: Option<String>,
    /// How they may ask.
    pub protocols: Vec<PurgeProtocol>,
}

impl Purge {
    pub(crate) fn assemble(view: &View<'_>) -> Purge {
        // PROTOCOLS has one word: each one written is that.
        let protocols = view.words("protocols").iter().map(|_| PurgeProtocol::Purge).collect();
        Purge { acl: view.text("acl"), protocols }
    }
}
