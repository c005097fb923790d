//! HAProxy in front of the real binary: what it says by the PROXY protocol, of clients, of TLS and of itself.
//!
//! Without HAProxy on this machine nothing is tested here.

use super::{COPAL, echo};
use copal_testkit::authority::{Authority, Issued, Validity};
use copal_testkit::{Client, Origin, Proxy, TempDir};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const POLICY: &str = r#"
fn recv(req) {
    if req.url == "/tls" {
        return synth(200, `${proxy::is_ssl()} ${proxy::ssl_version()} ${proxy::ssl_cipher() != ()} ${proxy::alpn()} ${proxy::authority()} `
            + `cert ${proxy::client_has_cert_conn()} ${proxy::client_has_cert_sess()} ${proxy::ssl_verify_result()} ${proxy::client_cert_cn() ?? "-"} `
            + `${proxy::cert_sign()} ${proxy::cert_key()}`);
    }
    if req.url == "/ends" {
        return synth(200, `${client.ip}:${client.port} ${server.port} ${remote.ip} ${unix::uid()} ${unix::gid()} ${unix::user() ?? "-"}`);
    }
}
fn synth(req, resp) { resp.body = resp.reason; return deliver(); }
"#;

/// A running HAProxy; dropping it ends it.
struct HaProxy {
    child: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl HaProxy {
    /// One that sends everything on to `server`; `bind` goes on behind its address. `None` where there is none to run.
    fn start(bind: &str, server: &str) -> Option<HaProxy> {
        if Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().is_err() {
            eprintln!("skipped: haproxy is not installed");
            return None;
        }
        let dir = TempDir::new();
        // It does not tell the port that it got for 0, so one is taken that was free a moment ago.
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = dir.write(
            "haproxy.cfg",
            format!(
                "defaults\n mode tcp\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n\
                 listen front\n bind {addr} {bind}\n server copal {server}\n"
            ),
        );
        let child = Command::new("haproxy").arg("-db").arg("-f").arg(config).spawn().unwrap();
        let haproxy = HaProxy { child, addr, _dir: dir };
        for _ in 0..500 {
            if TcpStream::connect(addr).is_ok() {
                return Some(haproxy);
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("haproxy does not listen");
    }
}

fn expecting(origin: &Origin) -> Proxy {
    let toml = format!(
        "backend.app.address = \"{}\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n\
         [[listen]]\naddress = \"unix:{{dir}}/web.sock\"\nproxy_protocol = true",
        origin.addr()
    );
    let proxy = Proxy::builder(COPAL).config(&toml).policy(POLICY).listeners(1).start();
    proxy.wait_log("listening on unix:");
    proxy
}

/// What comes back for one request over TLS, with that certificate of the client's.
fn over_tls(addr: SocketAddr, authority: &Authority, client: Option<&Issued>, path: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca_file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    let mut config = match client {
        None => config.with_no_client_auth(),
        Some(issued) => {
            let chain = vec![CertificateDer::from_pem_file(&issued.cert).unwrap()];
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&issued.key).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from("shop.example").unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = StreamOwned::new(tls, socket);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = Vec::new();
    // HAProxy may leave without the last words of TLS.
    let _end = stream.read_to_end(&mut response);
    let text = String::from_utf8(response).unwrap();
    text.split_once("\r\n\r\n").map_or_else(|| panic!("{text:?}"), |(_, body)| body.to_owned())
}

#[test]
fn haproxy_tells_of_tls_and_of_the_clients_certificate() {
    let (origin, authority) = (echo(), Authority::new());
    let proxy = expecting(&origin);
    let server = authority.issue("shop.example", Validity::Good);
    let dir = TempDir::new();
    let both = [fs::read_to_string(&server.cert).unwrap(), fs::read_to_string(&server.key).unwrap()].concat();
    let pem = dir.write("server.pem", both);
    let bind = format!(
        "ssl crt {} ca-file {} verify optional crt-ignore-err all alpn http/1.1",
        pem.display(),
        authority.ca_file().display()
    );
    let options = "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c";
    let Some(haproxy) = HaProxy::start(&bind, &format!("{} {options}", proxy.addr())) else { return };
    let ask = |client: Option<&Issued>| over_tls(haproxy.addr, &authority, client, "/tls");
    let told = ask(Some(&authority.issue("anna", Validity::Good)));
    assert!(told.starts_with("true TLSv1.3 true http/1.1 shop.example cert true true 0 anna "), "{told}");
    assert!(told.ends_with(" EC256"), "the key of the proxy's own certificate: {told}");
    let told = ask(None);
    assert!(told.contains(" cert false false  - "), "without one nothing is verified: {told}");
    let told = ask(Some(&authority.issue("berta", Validity::Expired)));
    assert!(told.contains(" cert true true 10 berta "), "X509_V_ERR_CERT_HAS_EXPIRED: {told}");
    assert_eq!(over_tls(haproxy.addr, &authority, None, "/page"), "/page");
    assert_eq!(origin.requests()[0].header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!((proxy.stat("client_proxy_headers"), proxy.stat("client_proxy_broken")), (4, 0));
}

#[test]
fn haproxy_says_who_the_client_is_in_both_versions() {
    let origin = echo();
    let proxy = expecting(&origin);
    for send in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c"] {
        let Some(haproxy) = HaProxy::start("", &format!("{} {send}", proxy.addr())) else { return };
        let mut client = Client::connect(haproxy.addr);
        let wanted = format!("{} {} 127.0.0.1   -", client.local_addr(), haproxy.addr.port());
        assert_eq!(client.get("/ends", &[]).text(), wanted, "{send}");
        assert_eq!(client.get("/ends", &[]).text(), wanted, "the connection goes on: {send}");
    }
}

#[test]
fn over_a_unix_socket_the_system_says_whose_process_it_is() {
    let origin = echo();
    let proxy = expecting(&origin);
    let socket = proxy.dir().join("web.sock");
    let us = fs::metadata(&socket).unwrap();
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let named = passwd.lines().find(|line| line.split(':').nth(2) == Some(&us.uid().to_string()));
    let name = named.map_or("-", |line| line.split(':').next().unwrap());
    let mut local = Client::connect_unix(&socket).unwrap();
    local.send_raw("PROXY UNKNOWN\r\n");
    let wanted = format!("0.0.0.0:0 0 0.0.0.0 {} {} {name}", us.uid(), us.gid());
    assert_eq!(local.get("/ends", &[]).text(), wanted);
    let Some(haproxy) = HaProxy::start("", &format!("unix@{} send-proxy-v2", socket.display())) else { return };
    let mut client = Client::connect(haproxy.addr);
    let wanted = format!("{} {} 0.0.0.0 {} {} {name}", client.local_addr(), haproxy.addr.port(), us.uid(), us.gid());
    assert_eq!(client.get("/ends", &[]).text(), wanted);
}
