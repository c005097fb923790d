//! Who may purge with an HTTP request, and how.

use crate::values::View;

/// A way to ask for a purge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PurgeProtocol {
    /// The method PURGE on the URL itself.
    Purge,
    /// PURGE with keys.
    Xkey,
    /// The method BAN, with an expression or a pattern for URLs.
    Ban,
    /// What the PHP library FOSHttpCache sends.
    FosHttpCache,
    /// What the plug-in Proxy Cache Purge sends.
    Wordpress,
    /// What Magento 2 sends.
    Magento,
    /// What Drupal's purger sends.
    Drupal,
    /// The method REFRESH: fetch and replace.
    Refresh,
}

const ALL: [(&str, PurgeProtocol); 8] = [
    ("purge", PurgeProtocol::Purge),
    ("xkey", PurgeProtocol::Xkey),
    ("ban", PurgeProtocol::Ban),
    ("foshttpcache", PurgeProtocol::FosHttpCache),
    ("wordpress", PurgeProtocol::Wordpress),
    ("magento", PurgeProtocol::Magento),
    ("drupal", PurgeProtocol::Drupal),
    ("refresh", PurgeProtocol::Refresh),
];

/// The protocols as written in the file.
pub(crate) const PROTOCOLS: &[&str] =
    &["purge", "xkey", "ban", "foshttpcache", "wordpress", "magento", "drupal", "refresh"];

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
        let words = view.words("protocols");
        let protocols = ALL.iter().filter(|(word, _)| words.contains(word)).map(|(_, protocol)| *protocol).collect();
        Purge { acl: view.text("acl"), protocols }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_a_protocol() {
        assert_eq!(ALL.map(|(word, _)| word).as_slice(), PROTOCOLS);
    }
}
