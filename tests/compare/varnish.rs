//! A varnishd in front of origins.

use copal_testkit::{TempDir, wait};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running varnishd; dropping it ends it.
pub(crate) struct Varnish {
    child: Child,
    addr: SocketAddr,
    dir: TempDir,
}

impl Varnish {
    /// Without a VCL but for where the origin is.
    pub(crate) fn with_default_vcl(origin: SocketAddr) -> Varnish {
        Varnish::start_with(origin, "malloc,64m")
    }

    /// The same with that storage.
    pub(crate) fn start_with(origin: SocketAddr, storage: &str) -> Varnish {
        let backend =
            format!("vcl 4.1;\nbackend default {{ .host = \"{}\"; .port = \"{}\"; }}\n", origin.ip(), origin.port());
        Varnish::start(&backend, storage, &[])
    }

    /// With that VCL, that storage and those arguments more.
    pub(super) fn start(vcl: &str, storage: &str, more: &[&str]) -> Varnish {
        let dir = TempDir::new();
        let vcl = dir.write("default.vcl", vcl);
        // varnishd does not tell the port that it got for 0, so one is taken that was free a moment ago.
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("varnishd")
            .args(["-F", "-s", storage, "-a", &addr.to_string()])
            .args(more)
            .arg("-n")
            .arg(dir.join("work"))
            .arg("-f")
            .arg(vcl)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn();
        let mut varnish = Varnish { child: child.expect("varnishd is installed"), addr, dir };
        wait::until(Duration::from_secs(60), "varnishd to listen", || {
            let ended = varnish.child.try_wait().unwrap();
            assert!(ended.is_none(), "varnishd does not take the VCL; it has said why");
            TcpStream::connect(addr).is_ok()
        });
        varnish
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The manager's; the worker is its child.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A command for its command line.
    pub(super) fn say(&self, words: &[&str]) {
        let out = Command::new("varnishadm").arg("-n").arg(self.dir.join("work")).args(words).output().unwrap();
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stdout));
    }

    /// "Varnish 7.1.1".
    pub(crate) fn version(&self) -> String {
        Varnish::installed()
    }

    /// The same of the one that would be started.
    pub(super) fn installed() -> String {
        let out = Command::new("varnishd").arg("-V").output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        let number = text.split_once("varnish-").map_or("", |(_, rest)| rest.split_whitespace().next().unwrap_or(""));
        format!("Varnish {number}")
    }
}

impl Drop for Varnish {
    fn drop(&mut self) {
        // TERM, so that the manager ends its worker; KILL would leave it behind.
        let _ = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        let _ = wait::exit(&mut self.child, Duration::from_secs(20));
    }
}
