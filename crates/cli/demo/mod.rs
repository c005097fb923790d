//! `copal demo`: proxy, origin and policy on loopback, and what to try.

mod origin;

use crate::Failed;
use crate::args::{Demo, Given};
use copal_config::Config;
use std::path::PathBuf;

/// The policy that the demo runs: the same file that the guide explains.
const POLICY: &str = include_str!("policy.rhai");

pub(crate) fn run(args: &Demo) -> Result<(), Failed> {
    let origin = origin::start().map_err(|error| Failed::state(format!("the demo's origin cannot start: {error}")))?;
    let dir = Folder::new().map_err(|error| Failed::state(format!("no folder for the demo's policy: {error}")))?;
    let policy = dir.0.join("site.rhai");
    std::fs::write(&policy, POLICY).map_err(|error| Failed::state(format!("{}: {error}", policy.display())))?;
    let admin = dir.0.join("admin.sock");
    let text = format!(
        "[cache]\nsize = \"64MiB\"\n\n[backend.app]\naddress = \"{origin}\"\nprobe = {{ path = \"/healthz/\", interval = \"1s\", timeout = \"500ms\", window = 4, threshold = 2, initial = 2 }}\n\n\
         [acl]\npurgers = [\"127.0.0.0/8\", \"::1\"]\n\n[purge]\nacl = \"purgers\"\n"
    );
    let given = Given {
        listen: vec![args.listen.clone()],
        policy: Some(policy.clone()),
        admin: Some(format!("unix:{}", admin.display())),
        ..Given::default()
    };
    let config = Config::from_text("demo.toml", &text, &|_| None, &crate::serve::overrides(&given))
        .map_err(|found| Failed::input(found.render(false)))?;
    let at = &args.listen;
    say!(
        "The demo's application answers at http://{origin}, its policy is {policy}.

Try, in another terminal:
  curl -si http://{at}/ | head -20             # a page, stored for 10 s: once more, and see Age and Cache-Status
  curl -si http://{at}/slow                    # takes a second, once
  curl -si -b sessionid=me http://{at}/account # logged in: passes, never stored
  curl -si -X PURGE http://{at}/               # drops the page
  curl -s -X POST http://{origin}/break        # the application fails; pages that were stored go on being served
  curl -s -X POST http://{origin}/mend         # and it is well again
  copal stat -1 --admin unix:{admin}
  edit {policy}, then: kill -HUP {pid}

Ctrl-C ends it.
",
        policy = policy.display(),
        admin = admin.display(),
        pid = std::process::id(),
    );
    let result = crate::serve::start(config, None);
    drop(dir);
    result
}

/// A folder that goes when the demo ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Folder> {
        let path = std::env::temp_dir().join(format!("copal-demo-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the temporary folder.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}
