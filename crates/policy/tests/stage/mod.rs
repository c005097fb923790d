//! What the examples of the reference find: a folder, an environment and a scene, as `examples::SCENE` tells them.

mod mmdb;

use copal_policy::{Acl, ClientSsl, Connection, Environment, Geo, Hook, ObjectVars, Proxied, Scene, UnixPeer};
use copal_semantics::{RequestHead, ResponseHead, Span, Time};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder that is gone when the test ends.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("copal-policy-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("lists")).expect("folder");
        std::fs::write(path.join("lists/bots.txt"), "bad bot").expect("file");
        let database = mmdb::database(&[([192, 0, 2], "CH", "Switzerland"), ([10, 0, 0], "NZ", "New Zealand")]);
        std::fs::write(path.join("geo.mmdb"), database).expect("file");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn env(folder: &Path) -> Arc<Environment> {
    Arc::new(Environment {
        acls: [("purgers".to_owned(), Acl::parse(["10.0.0.0/8"]).expect("acl"))].into(),
        backends: vec!["app1".into()],
        directors: vec!["app".into()],
        policies: vec!["shop".into()],
        geo: Some(Arc::new(Geo::open(&folder.join("geo.mmdb")).unwrap_or_else(|e| panic!("{e}")))),
        ..Environment::default()
    })
}

/// What `examples::SCENE` says.
pub(super) fn scene() -> Box<Scene> {
    let mut s = Box::<Scene>::default();
    s.req = RequestHead::get(
        "/shop?b=2&a=1",
        [
            ("Host", "shop.example"),
            ("Cookie", "sessionid=42; _ga=7"),
            ("Accept-Language", "de-CH, en;q=0.8"),
            ("Authorization", "Basic YW5uYTpzZWNyZXQ="),
            ("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148"),
        ],
    );
    s.req_body = copal_policy::RequestBody::Cached("name=anna".into());
    s.original = Some(Box::new(s.req.clone()));
    s.bereq = RequestHead::get("/shop?b=2&a=1", [("Host", "shop.example")]);
    s.resp = ResponseHead::new(200, [("Server", "app"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]);
    s.beresp = s.resp.clone();
    s.beresp_vars.backend = "app1".into();
    s.obj = Some(ObjectVars {
        head: ResponseHead::new(200, [("X-Kind", "page")]),
        ttl: Span::from_secs(60),
        grace: Span::from_secs(10),
        keep: Span::from_secs(3600),
        age: Span::from_secs(20),
        hits: 3,
        uncacheable: false,
    });
    s.resp_vars.hits = 3;
    s.req_vars.xid = "r-1".into();
    s.hostname = "edge-1".into();
    for peer in [&mut s.client, &mut s.remote] {
        (peer.ip, peer.port) = ("192.0.2.7".parse().expect("address"), 40_000);
    }
    for peer in [&mut s.server, &mut s.local] {
        (peer.ip, peer.port) = ("198.51.100.1".parse().expect("address"), 80);
    }
    let text = |text: &str| Some(text.to_owned());
    s.connection = Some(Arc::new(Connection {
        proxied: Proxied {
            alpn: text("h2"),
            authority: text("shop.example"),
            ssl: Some(ClientSsl {
                ssl: true,
                cert_conn: true,
                cert_sess: true,
                verify: 0,
                version: text("TLSv1.3"),
                cn: text("anna"),
                cipher: text("TLS_AES_256_GCM_SHA384"),
                sign: text("RSA-SHA256"),
                key: text("RSA2048"),
            }),
        },
        peer: Some(UnixPeer { uid: 110, gid: 33, user: text("haproxy"), group: text("www-data") }),
    }));
    s.now = Time::from_secs(784_111_777);
    s
}

pub(super) fn hook_of(code: &str) -> Hook {
    let mentions = |word: &str| code.contains(&format!("{word}."));
    match () {
        () if mentions("bereq") || mentions("beresp") => Hook::BackendResponse,
        () if mentions("resp") => Hook::Deliver,
        () if mentions("key") => Hook::Hash,
        () if code.starts_with("purge::") => Hook::Miss,
        () => Hook::Recv,
    }
}
