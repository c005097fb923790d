//! Names of users and groups, for `unix::user()` and `unix::group()`: read at the start and at a reload, so that no connection
//! waits for a file or a directory service.

use arc_swap::ArcSwap;
use copal_policy::UnixPeer;
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// Bytes read of each file: a hundred thousand accounts. A machine with more has them in a directory service.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// The names that this machine knows. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Accounts(Arc<ArcSwap<Names>>);

#[derive(Default)]
struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Accounts {
    /// Reads `/etc/passwd` and `/etc/group` (again). What cannot be read leaves names out, not users.
    pub(crate) fn read(&self) {
        let names = Names { users: file(Path::new("/etc/passwd")), groups: file(Path::new("/etc/group")) };
        self.0.store(Arc::new(names));
    }

    /// The peer with these numbers.
    pub(crate) fn peer(&self, uid: u32, gid: u32) -> UnixPeer {
        let names = self.0.load();
        UnixPeer { uid, gid, user: names.users.get(&uid).cloned(), group: names.groups.get(&gid).cloned() }
    }
}

fn file(path: &Path) -> HashMap<u32, String> {
    let read = || -> io::Result<String> {
        let mut text = Vec::new();
        std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    match read() {
        Ok(text) => names(&text),
        Err(error) => {
            tracing::warn!(target: "copal::listen", "{}: {error}; peers of Unix sockets have numbers only", path.display());
            HashMap::new()
        }
    }
}

/// `name:password:number:…`; the first line of a number counts, as it does for `getpwuid`.
fn names(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut parts = line.split(':');
        let (Some(name), Some(number)) = (parts.next(), parts.nth(1)) else { continue };
        if let Ok(number) = number.parse()
            && !name.is_empty()
        {
            names.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts_and_what_is_no_account_is_skipped() {
        let names = names("root:x:0:0::/:/bin/sh\n# a comment\n\n+nis\ntoor:x:0:\nwww:x:33:\nbad:x:minus:\n:x:7:\n");
        assert_eq!((names.len(), &names[&0][..], &names[&33][..]), (2, "root", "www"));
    }

    #[test]
    fn a_peer_without_a_name_has_its_numbers() {
        let accounts = Accounts::default();
        accounts.read();
        let peer = accounts.peer(0, 4_000_000_000);
        assert_eq!((peer.user.as_deref(), peer.group, peer.gid), (Some("root"), None, 4_000_000_000));
    }
}
