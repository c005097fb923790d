//! A Python virtual environment with packages from PyPI, made once and kept under target/.

use crate::wait;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long making the environment and installing into it may take, each: the packages come over the network.
const PATIENCE: Duration = Duration::from_secs(300);

/// A virtual environment that is ready to use.
#[derive(Debug)]
pub struct Venv {
    dir: PathBuf,
}

impl Venv {
    /// The environment with these packages ("django==5.2"), made under `cache` unless an earlier run has done so.
    /// `cache` is `env!("CARGO_TARGET_TMPDIR")`, which only integration tests know. Tests that want the same one at the
    /// same time wait for each other. Panics with what to install when there is no python3 or it lacks venv.
    #[must_use]
    pub fn with(cache: impl AsRef<Path>, packages: &[&str]) -> Venv {
        let dir = cache.as_ref().join(format!("venv-{}", name_of(packages)));
        fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("cannot make {}: {error}", dir.display()));
        // Held to the end of this function, by this process or another; the kernel frees it when its owner dies.
        let lock = File::create(dir.join("lock")).expect("a file can be made in a directory that was made");
        lock.lock().expect("a file of our own can be locked");
        let venv = Venv { dir };
        let complete = venv.dir.join("complete");
        if !complete.exists() {
            venv.make(packages);
            fs::write(complete, packages.join("\n")).expect("a file can be made in a directory that was made");
        }
        venv
    }

    /// The path of a program in it: "python", "gunicorn".
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join("venv/bin").join(name)
    }

    /// A command that runs a program in it, with nothing on stdin.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        command.stdin(Stdio::null());
        command
    }

    fn make(&self, packages: &[&str]) {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(self.dir.join("venv"));
        self.run(venv, "this test needs Python 3 with venv: apt-get install python3 python3-venv");
        if packages.is_empty() {
            return;
        }
        let mut pip = self.command("python");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]).args(packages);
        self.run(pip, "this test needs these packages from PyPI; is the network there?");
    }

    /// Runs to the end, within bounds; panics with `advice` and what the command said.
    fn run(&self, mut command: Command, advice: &str) {
        let log = self.dir.join("log");
        let out = File::create(&log).expect("a file can be made in a directory that was made");
        let err = out.try_clone().expect("an open file can be shared");
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{advice}\n{command:?}: {error}"));
        let status = wait::exit(&mut child, PATIENCE);
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let ended = status.map_or_else(|| format!("did not end within {PATIENCE:?}"), |status| status.to_string());
        let good = status.is_some_and(|status| status.success());
        assert!(good, "{advice}\n{command:?}: {ended}\n{}", fs::read_to_string(log).unwrap_or_default());
    }
}

/// A name for a set of packages; only to tell environments apart, so that a hash that changes with Rust costs a rebuild.
fn name_of(packages: &[&str]) -> String {
    let mut packages = packages.to_vec();
    packages.sort_unstable();
    let mut hasher = DefaultHasher::new();
    packages.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_packages_has_one_name_in_any_order() {
        assert_eq!(name_of(&["a==1", "b==2"]), name_of(&["b==2", "a==1"]));
        assert_ne!(name_of(&["a==1"]), name_of(&["a==2"]));
    }
}
