//! The Django application under gunicorn, as a child process that the test can kill and start again.

use copal_testkit::{TempDir, Venv, wait};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

const PACKAGES: &[&str] = &["django==5.2.19", "gunicorn==23.0.0"];
const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/django/app");

/// A running application with its own state; dropping it kills it.
#[derive(Debug)]
pub(super) struct Site {
    venv: Venv,
    dir: TempDir,
    addr: SocketAddr,
    /// Leads a process group: gunicorn and its workers. Its stdin is the pipe whose end it takes for the end of the test.
    gunicorn: Option<Child>,
}

/// Keeps a view waiting until it is dropped.
#[derive(Debug)]
#[must_use = "a hold that is dropped holds nothing"]
pub(super) struct Hold(PathBuf);

impl Site {
    /// Starts it without a database, which only sessions and users need.
    #[track_caller]
    pub(super) fn start() -> Site {
        let mut site = Site::new();
        site.restart();
        site
    }

    /// Starts it with a database and the users alice and bob, whose passwords are alice-secret and bob-secret.
    #[track_caller]
    pub(super) fn with_users() -> Site {
        let mut site = Site::new();
        let made = site.command("python").arg("make_database.py").output().expect("python can be run");
        assert!(made.status.success(), "cannot make the database: {}", String::from_utf8_lossy(&made.stderr));
        site.restart();
        site
    }

    fn new() -> Site {
        let venv = Venv::with(env!("CARGO_TARGET_TMPDIR"), PACKAGES);
        let dir = TempDir::new();
        for folder in ["runs", "hold"] {
            fs::create_dir(dir.join(folder)).expect("a folder can be made in a directory that was made");
        }
        Site { venv, dir, addr: free_address(), gunicorn: None }
    }

    /// Where gunicorn listens, also while it is killed.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many times a view has run, or another thing that the application counts has happened.
    pub(super) fn runs(&self, name: &str) -> u64 {
        fs::metadata(self.dir.join("runs").join(name)).map_or(0, |file| file.len())
    }

    /// Waits until it has run that often.
    #[track_caller]
    pub(super) fn wait_runs(&self, name: &str, n: u64) {
        wait::until(wait::PATIENCE, &format!("{n} runs of {name}"), || self.runs(name) >= n);
    }

    /// Keeps `slow` or `stream` waiting: the first before it answers, the second after its first mebibyte.
    pub(super) fn hold(&self, name: &str) -> Hold {
        Hold(self.dir.write(&format!("hold/{name}"), ""))
    }

    /// Kills gunicorn and its workers; returns when nothing listens any more.
    #[track_caller]
    pub(super) fn kill(&mut self) {
        self.end();
        wait::until(wait::PATIENCE, "connections are refused", || TcpStream::connect(self.addr).is_err());
    }

    /// Starts gunicorn again, on the same port and with the same state; returns when it listens.
    #[track_caller]
    pub(super) fn restart(&mut self) {
        // Until the last worker is gone, its socket takes connections that nobody will serve.
        self.kill();
        let log = self.dir.join("gunicorn.log");
        let file = File::create(&log).expect("a file can be made in a directory that was made");
        let mut command = self.command("gunicorn");
        command.args(["--config", "gunicorn_conf.py", "--bind", &self.addr.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(file).process_group(0);
        let gunicorn = self.gunicorn.insert(command.spawn().expect("gunicorn can be run"));
        let listens = wait::poll(wait::PATIENCE, || {
            let ended = gunicorn.try_wait().expect("the child is ours to wait for").is_some();
            (ended || TcpStream::connect(self.addr).is_ok()).then_some(!ended)
        });
        let said = || fs::read_to_string(&log).unwrap_or_default();
        assert_eq!(listens, Some(true), "gunicorn does not listen on {}:\n{}", self.addr, said());
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.venv.command(program);
        command.current_dir(APP).env("SHOP_STATE", self.dir.path()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn end(&mut self) {
        let Some(mut gunicorn) = self.gunicorn.take() else { return };
        // The group that it leads, and only that: it is not waited for yet, so that its id is still its own.
        let _ = Command::new("sh").args(["-c", &format!("kill -s KILL -- -{}", gunicorn.id())]).status();
        let _ = gunicorn.wait();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.end();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A free address below the ports that the system gives to outgoing connections (32768 and up), one of which might else
/// take it while gunicorn is down.
#[track_caller]
fn free_address() -> SocketAddr {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..COUNT {
        // Test processes begin at different places.
        let n = std::process::id().wrapping_mul(101) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + n % COUNT).expect("32000 is a port");
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
    panic!("no port from {FIRST} to {} is free", FIRST + COUNT);
}
