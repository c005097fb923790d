//! Where Copal listens: several addresses, and Unix sockets.

use super::{COPAL, echo};
use copal_testkit::{Client, Proxy};

#[test]
fn a_unix_socket_is_listened_on_beside_tcp_and_removed_at_the_end() {
    let origin = echo();
    let mut proxy = Proxy::builder(COPAL)
        .config("[[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\naddress = \"unix:{dir}/web.sock\"\n")
        .to(origin.addr())
        .listeners(1)
        .start();
    proxy.wait_log("listening on unix:");
    let path = proxy.dir().join("web.sock");
    let mut local = Client::connect_unix(&path).unwrap();
    assert_eq!(local.get("/page", &[]).text(), "/page");
    let response = local.get("/page", &[]);
    assert!(response.header("Cache-Status").unwrap().contains("hit"));
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).header("Age"), response.header("Age"));
    assert_eq!(
        (origin.count(), origin.requests()[0].header("X-Forwarded-For")),
        (1, None),
        "nobody has an address there"
    );
    drop(local);
    assert!(proxy.stop(super::SOON).success());
    assert!(!path.exists() && !proxy.admin().exists());
}

#[test]
fn a_client_on_a_unix_socket_sees_a_broken_body_as_broken() {
    let origin = copal_testkit::Origin::start(|_| copal_testkit::Reply::stream().chunk("hello").close());
    let proxy = Proxy::builder(COPAL)
        .config("[[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\naddress = \"unix:{dir}/web.sock\"\n")
        .to(origin.addr())
        .listeners(1)
        .start();
    let mut local = Client::connect_unix(&proxy.dir().join("web.sock")).unwrap();
    let response = local.get("/x", &[]);
    assert!(response.status >= 500 || !response.complete, "{response:?}");
}

#[test]
fn several_addresses_share_one_cache() {
    let origin = echo();
    let listen = "[[listen]]\naddress = \"127.0.0.1:0\"\n";
    let proxy = Proxy::builder(COPAL).config(&listen.repeat(3)).to(origin.addr()).start();
    for addr in proxy.addrs() {
        assert_eq!(copal_testkit::get(*addr, "/page", &[]).text(), "/page");
    }
    assert_eq!((proxy.addrs().len(), origin.count()), (3, 1));
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let origin = echo();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let exited = Proxy::builder(COPAL)
        .config(&format!("[[listen]]\naddress = \"{addr}\"\n"))
        .to(origin.addr())
        .try_start()
        .unwrap_err();
    assert_eq!(exited.status.and_then(|status| status.code()), Some(3));
    assert!(exited.stderr.contains(&addr.to_string()), "{}", exited.stderr);
}

#[test]
fn two_copals_do_not_share_a_port_unseen() {
    let origin = echo();
    let first = super::front(&origin);
    let addr = first.addr();
    let exited = Proxy::builder(COPAL)
        .config(&format!("[[listen]]\naddress = \"{addr}\"\n"))
        .to(origin.addr())
        .try_start()
        .unwrap_err();
    assert!(exited.stderr.contains("another process listens there"), "{}", exited.stderr);
}
