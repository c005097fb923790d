//! What a policy is told of the client's connection: everything where it is known, nothing that could be taken for something
//! where it is not, and the same whether the hook is native or interpreted.

use super::{env, request};
use copal_policy::{ClientSsl, Connection, Environment, Hook, Policy, Proxied, Scene, UnixPeer};
use std::sync::Arc;

const ALL: &str = r#"
fn recv(req) {
    std::log(`${proxy::alpn() ?? "-"} ${proxy::authority() ?? "-"} ${proxy::ssl_version() ?? "-"} ${proxy::ssl_cipher() ?? "-"}`);
    std::log(`${proxy::client_cert_cn() ?? "-"} ${proxy::cert_sign() ?? "-"} ${proxy::cert_key() ?? "-"}`);
    std::log(`${proxy::is_ssl()} ${proxy::client_has_cert_conn()} ${proxy::client_has_cert_sess()}`);
    std::log(`${proxy::ssl_verify_result()} ${unix::uid()} ${unix::gid()} ${unix::user() ?? "-"} ${unix::group() ?? "-"}`);
    if proxy::client_cert_cn() == "anna" { req.http.x_client = proxy::client_cert_cn(); }
    req.http.x_none = proxy::alpn();
    let verified = proxy::ssl_verify_result();
    if verified == () { std::log("nothing to verify"); }
    if unix::uid() != () { std::log("a peer"); }
}
"#;

fn scene(connection: Option<Connection>) -> Box<Scene> {
    let mut scene = request("/", &[("host", "a")]);
    scene.connection = connection.map(Arc::new);
    scene
}

/// What it logs, and the field that it sets; the same both ways.
fn told(text: &str, connection: Option<Connection>, native: bool) -> (Vec<String>, Option<String>) {
    let both = [false, true].map(|interpret| {
        let env = Environment { interpret, ..Environment::clone(&env()) };
        let policy = Policy::compile("site.rhai", text, Arc::new(env)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(policy.native().has(Hook::Recv), native && !interpret);
        let (scene, result) = policy.call(Hook::Recv, scene(connection.clone()));
        result.unwrap_or_else(|e| panic!("{e}"));
        (scene.log, scene.req.headers.get_str("x-client").map(std::borrow::Cow::into_owned))
    });
    assert_eq!(both[0], both[1], "native and interpreted");
    let [told, _] = both;
    told
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn tls() -> ClientSsl {
    ClientSsl { ssl: true, version: text("TLSv1.3"), cn: text("anna"), ..ClientSsl::default() }
}

#[test]
fn a_connection_of_which_nothing_is_known_tells_nothing() {
    let nothing =
        (["- - - -", "- - -", "false false false", "   - -", "nothing to verify"].map(str::to_owned).to_vec(), None);
    assert_eq!(told(ALL, None, true), nothing);
    assert_eq!(told(ALL, Some(Connection::default()), true), nothing);
}

#[test]
fn what_is_known_is_told() {
    let ssl = ClientSsl { cert_sess: true, verify: 18, cipher: text("AES"), sign: text("S"), key: text("K"), ..tls() };
    let proxied = Proxied { alpn: text("h2"), authority: text("shop.example"), ssl: Some(ssl) };
    let peer = Some(UnixPeer { uid: 110, gid: 33, user: text("haproxy"), group: None });
    let (log, field) = told(ALL, Some(Connection { proxied, peer }), true);
    assert_eq!(log[..3], ["h2 shop.example TLSv1.3 AES", "anna S K", "true false true"]);
    assert_eq!(log[3..], ["18 110 33 haproxy -", "a peer"]);
    assert_eq!(field.as_deref(), Some("anna"));
}

#[test]
fn without_a_certificate_or_a_peer_nobody_passes_for_one() {
    let body = r#"
    fn recv(req) {
        if proxy::ssl_verify_result() == 0 { std::log("verified"); }
        if proxy::ssl_verify_result() != 0 { std::log("refused"); }
        if unix::uid() == 0 || unix::uid() < 1000 || unix::gid() <= 0 || unix::gid() >= 0 || unix::uid() > -1 { std::log("a user"); }
    }"#;
    let with = |ssl: ClientSsl| Connection { proxied: Proxied { ssl: Some(ssl), ..Proxied::default() }, peer: None };
    for connection in [None, Some(with(tls()))] {
        assert_eq!(told(body, connection, true).0, ["refused"]);
    }
    assert_eq!(told(body, Some(with(ClientSsl { cert_conn: true, ..tls() })), true).0, ["verified"]);
    assert_eq!(told(body, Some(with(ClientSsl { cert_sess: true, verify: 1, ..tls() })), true).0, ["refused"]);
}

#[test]
fn numbers_compare_as_numbers() {
    let body = r#"
    fn recv(req) {
        if unix::uid() == 110 && unix::uid() != 33 && unix::gid() < 34 && unix::gid() <= 33 && unix::gid() > 32 && unix::gid() >= 33 {
            std::log("right");
        }
        if unix::uid() != 110 || unix::uid() == 33 || unix::gid() < 33 || unix::gid() > 33 { std::log("wrong"); }
    }"#;
    let peer = Some(UnixPeer { uid: 110, gid: 33, ..UnixPeer::default() });
    assert_eq!(told(body, Some(Connection { peer, ..Connection::default() }), true).0, ["right"]);
    // A number on the left is for the interpreter.
    let turned = "fn recv(req) { if 33 == unix::uid() { std::log(\"a user\"); } }";
    assert_eq!(told(turned, None, false).0, [""; 0]);
}
