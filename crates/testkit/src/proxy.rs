//! The real `copal` binary as a child process: configured in a directory of its own, listening on a free port.

use crate::client::Client;
use crate::temp_dir::TempDir;
use crate::wait::{self, PATIENCE};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How a proxy is to be started.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    binary: PathBuf,
    dir: TempDir,
    config: Option<String>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    listeners: usize,
    own_listen: bool,
}

/// A running proxy; dropping it kills it, and only it.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    dir: TempDir,
    stdout: Lines,
    stderr: Lines,
    addrs: Vec<SocketAddr>,
}

/// A proxy that ended instead of listening.
#[derive(Debug)]
pub struct Exited {
    /// How it ended; `None` when it neither listened nor ended and was killed.
    pub status: Option<ExitStatus>,
    /// What it printed.
    pub stdout: String,
    /// What it printed as error.
    pub stderr: String,
}

/// The signals that Copal understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGHUP: reload.
    Hup,
    /// SIGTERM: drain and end.
    Term,
    /// SIGQUIT: hand over to a new binary.
    Quit,
    /// SIGSTOP: stand still.
    Stop,
    /// SIGCONT: go on.
    Cont,
    /// SIGKILL: end at once.
    Kill,
}

impl Builder {
    /// The configuration as TOML text. `{dir}` in it becomes the directory of the test. Without a `[[listen]]` in it the
    /// proxy listens on a free port of 127.0.0.1.
    pub fn config(mut self, toml: &str) -> Builder {
        self.own_listen = toml.contains("[[listen]]");
        self.listeners = toml.matches("[[listen]]").count().max(1);
        self.config = Some(toml.replace("{dir}", &self.dir.path().display().to_string()));
        self
    }

    /// The configuration from a file.
    pub fn config_file(self, path: impl AsRef<Path>) -> Builder {
        let path = path.as_ref();
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        self.config(&text)
    }

    /// The policy as Rhai text. It is `policy.rhai` in the directory of the test.
    pub fn policy(self, rhai: &str) -> Builder {
        let path = self.dir.write("policy.rhai", rhai);
        self.arg("--policy").arg(path)
    }

    /// A backend on the command line.
    pub fn to(self, addr: SocketAddr) -> Builder {
        self.arg("--to").arg(addr.to_string())
    }

    /// One more argument of `copal serve`.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Builder {
        self.args.push(arg.into());
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Builder {
        self.env.push((name.into(), value.into()));
        self
    }

    /// How many TCP listeners to wait for; 1, or as many as the configuration has `[[listen]]`.
    pub fn listeners(mut self, n: usize) -> Builder {
        self.listeners = n;
        self
    }

    /// The directory of the test, for files that the configuration names.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it and waits until it listens; panics with what it printed when it does not.
    #[track_caller]
    pub fn start(self) -> Proxy {
        match self.try_start() {
            Ok(proxy) => proxy,
            Err(Exited { status: Some(status), stdout, stderr }) => {
                panic!("copal ended with {status} instead of listening\nstdout:\n{stdout}\nstderr:\n{stderr}")
            }
            Err(Exited { status: None, stdout, stderr }) => {
                panic!("copal does not listen after {PATIENCE:?}\nstdout:\n{stdout}\nstderr:\n{stderr}")
            }
        }
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it ends first (a fault in the configuration), or listens too late.
    pub fn try_start(self) -> Result<Proxy, Exited> {
        let mut child = self.command().spawn().unwrap_or_else(|e| panic!("cannot run {}: {e}", self.binary.display()));
        let stdout = Lines::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Lines::of(child.stderr.take().expect("stderr is piped"));
        let mut proxy = Proxy { child, dir: self.dir, stdout, stderr, addrs: Vec::new() };
        let mut status = None;
        wait::poll(PATIENCE, || {
            proxy.addrs = proxy.listening();
            status = proxy.child.try_wait().expect("the child is ours to wait for");
            (proxy.addrs.len() >= self.listeners || status.is_some()).then_some(())
        });
        if status.is_none() && proxy.addrs.len() >= self.listeners {
            return Ok(proxy);
        }
        let _ = proxy.child.kill();
        let _ = proxy.child.wait();
        wait::poll(PATIENCE, || (proxy.stdout.at_end() && proxy.stderr.at_end()).then_some(()));
        Err(Exited { status, stdout: proxy.stdout(), stderr: proxy.stderr() })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("serve");
        if let Some(config) = &self.config {
            command.arg("--config").arg(self.dir.write("copal.toml", config));
        }
        if !self.own_listen {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.arg("--admin").arg(format!("unix:{}", admin_socket(&self.dir).display()));
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn admin_socket(dir: &TempDir) -> PathBuf {
    dir.join("admin.sock")
}

impl Proxy {
    /// Begins to configure one. `binary` is `env!("CARGO_BIN_EXE_copal")`, which only tests of the root package know.
    pub fn builder(binary: impl Into<PathBuf>) -> Builder {
        Builder {
            binary: binary.into(),
            dir: TempDir::new(),
            config: None,
            args: Vec::new(),
            env: Vec::new(),
            listeners: 1,
            own_listen: false,
        }
    }

    /// Where it listens first.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addrs[0]
    }

    /// All TCP addresses on which it listens, in the order in which it named them.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The directory of the test, with `copal.toml`, `policy.rhai` and `admin.sock`.
    #[must_use]
    pub fn dir(&self) -> &TempDir {
        &self.dir
    }

    /// The path of the admin socket.
    #[must_use]
    pub fn admin(&self) -> PathBuf {
        admin_socket(&self.dir)
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection to its first listener.
    #[track_caller]
    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(self.addr())
    }

    /// All statistics, from the admin socket.
    #[track_caller]
    #[must_use]
    pub fn stats(&self) -> serde_json::Value {
        let mut client = Client::connect_unix(&self.admin()).expect("the admin socket of a running copal answers");
        let response = client.request("GET", "/stats", &[("Connection", "close")], b"");
        assert_eq!(response.status, 200, "GET /stats: {}", response.text());
        serde_json::from_slice(&response.body).expect("statistics are JSON")
    }

    /// One counter. Panics when there is none with that name.
    #[track_caller]
    #[must_use]
    pub fn stat(&self, name: &str) -> i64 {
        let stats = self.stats();
        stats["counters"][name].as_i64().unwrap_or_else(|| panic!("no counter {name:?} in {stats}"))
    }

    /// Waits until a counter is as wanted, and returns it; panics with its last value after `within`.
    #[track_caller]
    pub fn wait_stat(&self, name: &str, wanted: impl Fn(i64) -> bool, within: Duration) -> i64 {
        let mut last = 0;
        let found = wait::poll(within, || {
            last = self.stat(name);
            wanted(last).then_some(last)
        });
        found.unwrap_or_else(|| panic!("counter {name} is still {last} after {within:?}"))
    }

    /// Sends a signal to this process and no other.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Hup => "HUP",
            Signal::Term => "TERM",
            Signal::Quit => "QUIT",
            Signal::Stop => "STOP",
            Signal::Cont => "CONT",
            Signal::Kill => "KILL",
        };
        // The shell's own kill: std cannot send signals, /bin/kill is not on every machine, and unsafe is forbidden.
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status();
        assert!(sent.expect("a shell can be run").success(), "cannot send SIG{name}");
    }

    /// Waits for its end; panics when it still runs after `within`.
    #[track_caller]
    pub fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        let status = wait::exit(&mut self.child, within);
        status.unwrap_or_else(|| panic!("copal still runs after {within:?}\nstderr:\n{}", self.stderr()))
    }

    /// Sends SIGTERM and waits for its end.
    #[track_caller]
    pub fn stop(&mut self, within: Duration) -> ExitStatus {
        self.signal(Signal::Term);
        self.wait_exit(within)
    }

    /// Its resident memory in KiB.
    #[track_caller]
    #[must_use]
    pub fn rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc of a running child");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a running child has VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("VmRSS is a number of kB")
    }

    /// What it has printed so far; the access log, when that goes to stdout.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has printed as error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until a line of stdout or stderr contains `part`, and returns that line.
    #[track_caller]
    pub fn wait_log(&self, part: &str) -> String {
        let found = wait::poll(PATIENCE, || self.lines().into_iter().find(|line| line.contains(part)));
        found.unwrap_or_else(|| panic!("no line with {part:?}\nstdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr()))
    }

    fn lines(&self) -> Vec<String> {
        [self.stdout.lines().clone(), self.stderr.lines().clone()].concat()
    }

    fn listening(&self) -> Vec<SocketAddr> {
        self.lines().iter().filter_map(|line| listening_on(line)).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The TCP address in "copal: listening on http://127.0.0.1:6081".
fn listening_on(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("copal: listening on ")?;
    let rest = rest.strip_prefix("http://").or_else(|| rest.strip_prefix("https://"))?;
    rest.split(|c: char| c.is_whitespace() || c == '/' || c == ',').next()?.parse().ok()
}

/// The lines that a child has printed so far, read by a thread so that the child never waits for the test.
#[derive(Debug)]
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: thread::JoinHandle<()>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Lines {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Lines { lines, reader }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> String {
        self.lines().join("\n")
    }

    fn at_end(&self) -> bool {
        self.reader.is_finished()
    }
}

#[cfg(test)]
mod tests;
