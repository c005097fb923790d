//! The control socket, and where it is when nobody says.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::address::Address;
use crate::values::View;

/// `[admin]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// Never a host name.
    pub listen: Address,
    /// The file with the token; always there when `listen` is TCP.
    pub token_file: Option<PathBuf>,
}

impl Admin {
    pub(crate) fn assemble(view: &View<'_>, env: &dyn Fn(&str) -> Option<String>) -> Admin {
        let listen =
            if view.is_set("listen") { view.address("listen") } else { Address::Unix(default_admin_socket(env)) };
        Admin { listen, token_file: view.path("token_file") }
    }
}

/// Where the admin socket is when nobody says: `/run/copal/admin.sock` for root, and for whoever owns `/run/copal`;
/// else `$XDG_RUNTIME_DIR/copal/admin.sock`, else `/tmp/copal-UID/admin.sock`. Server and commands agree by calling this.
#[must_use]
pub fn default_admin_socket(env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    // The owner of /proc/self is the effective user of this process.
    let uid = fs::metadata("/proc/self").map_or(0, |me| me.uid());
    let usable = |folder: &str| fs::metadata(folder).is_ok_and(|m| m.is_dir() && !m.permissions().readonly());
    let owned = fs::metadata("/run/copal").is_ok_and(|m| m.is_dir() && m.uid() == uid);
    if owned || (uid == 0 && usable("/run")) {
        return PathBuf::from("/run/copal/admin.sock");
    }
    match env("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => Path::new(&folder).join("copal/admin.sock"),
        None => PathBuf::from(format!("/tmp/copal-{uid}/admin.sock")),
    }
}
