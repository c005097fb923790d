//! The texts of a policy: its file and the modules that it imports, read once.

use rhai::Position;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// One file.
#[derive(Debug, Clone, Default)]
pub(crate) struct File {
    /// As messages name it.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) text: String,
}

/// All files of a policy, and what the checks found out about them.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The policy itself.
    pub(crate) main: File,
    /// Its modules, under the path that `import` names.
    pub(crate) modules: BTreeMap<String, File>,
    /// The regular expressions written in them.
    pub(crate) patterns: Vec<String>,
    /// All texts that are written in them: whatever becomes of these, there are only so many.
    pub(crate) texts: BTreeSet<String>,
    /// Constants that are used as regular expressions: the file, the name, and where. What they are is known when the file has
    /// been run.
    pub(crate) in_constants: Vec<(String, String, Position)>,
    /// The texts that `std::file` names, under their paths.
    pub(crate) files: BTreeMap<String, String>,
}

/// The folder of a policy: `import` finds modules here and nowhere else.
#[derive(Debug)]
pub(crate) struct Folder {
    shown: PathBuf,
    real: PathBuf,
}

impl Folder {
    /// The folder that the file is in.
    pub(crate) fn of(file: &Path) -> Option<Folder> {
        let shown = file.parent()?.to_path_buf();
        let real = if shown.as_os_str().is_empty() { Path::new(".") } else { &shown }.canonicalize().ok()?;
        Some(Folder { shown, real })
    }

    /// Reads the module of that path; what is wrong otherwise.
    pub(crate) fn read(&self, path: &str) -> Result<File, String> {
        let plain =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !path.split('/').all(plain) {
            return Err(
                "a module is named by letters, digits, `_` and `-`, with `/` between: \"lib/cookies\"".to_owned()
            );
        }
        let file = format!("{path}.rhai");
        let text = self.open(&file)?;
        Ok(File { name: self.shown.join(&file).display().to_string(), text })
    }

    /// Reads a text of at most `max` bytes for `std::file`; what is wrong otherwise.
    pub(crate) fn text(&self, path: &str, max: usize) -> Result<String, String> {
        if Path::new(path).components().any(|c| !matches!(c, Component::Normal(_))) || path.is_empty() {
            return Err("a file is named by its path within the policy's folder: \"lists/bots.txt\"".to_owned());
        }
        let text = self.open(path)?;
        if text.len() > max {
            return Err(format!(
                "{path} has {} bytes, and a text {max} at most (`policy.limits.string_bytes`)",
                text.len()
            ));
        }
        Ok(text)
    }

    fn open(&self, file: &str) -> Result<String, String> {
        let real =
            self.real.join(file).canonicalize().map_err(|_| format!("there is no file {file} beside the policy"))?;
        // A symbolic link must not lead out of the folder.
        if !real.starts_with(&self.real) {
            return Err(format!("{file} is outside of the policy's folder"));
        }
        std::fs::read_to_string(&real).map_err(|e| format!("cannot read {file}: {e}"))
    }
}
