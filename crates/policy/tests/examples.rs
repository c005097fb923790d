//! The examples of the reference run, and give what the reference says.

mod mmdb;

use copal_policy::examples::{EXAMPLES, Example};
use copal_policy::examples_vars::{HOOK_EXAMPLES, VARIABLES};
use copal_policy::vars::{self, Var};
use copal_policy::{Acl, Action, Environment, Geo, HOOKS, Hook, ObjectVars, Policy, Scene};
use copal_semantics::{RequestHead, ResponseHead, Span, Time};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
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

fn env(folder: &Path) -> Arc<Environment> {
    Arc::new(Environment {
        acls: [("purgers".to_owned(), Acl::parse(["10.0.0.0/8"]).expect("acl"))].into(),
        backends: vec!["app1".into()],
        directors: vec!["app".into()],
        geo: Some(Arc::new(Geo::open(&folder.join("geo.mmdb")).unwrap_or_else(|e| panic!("{e}")))),
        ..Environment::default()
    })
}

/// What `examples::SCENE` says.
fn scene() -> Box<Scene> {
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
    s.now = Time::from_secs(784_111_777);
    s
}

fn hook_of(code: &str) -> Hook {
    let mentions = |word: &str| code.contains(&format!("{word}."));
    match () {
        () if mentions("bereq") || mentions("beresp") => Hook::BackendResponse,
        () if mentions("resp") => Hook::Deliver,
        () if mentions("key") => Hook::Hash,
        () => Hook::Recv,
    }
}

fn run(folder: &Folder, hook: Hook, body: &str) -> (Box<Scene>, Action) {
    let text = format!("fn {}({}) {{\n{body}\n}}", hook.name(), hook.row().params.join(", "));
    let file = folder.0.join("site.rhai");
    std::fs::write(&file, &text).expect("file");
    let policy = Policy::load(&file, env(&folder.0)).unwrap_or_else(|e| panic!("{text}\n{e}"));
    let (scene, result) = policy.call(hook, scene());
    (scene, result.unwrap_or_else(|e| panic!("{text}\n{e}")))
}

#[test]
fn every_example_gives_what_the_reference_says() {
    let folder = Folder::new("examples");
    for e in EXAMPLES {
        if e.gives.is_empty() {
            let legal = |h: &&copal_policy::hooks::HookRow| {
                h.actions.iter().any(|a| a.written().split('(').next() == Some(e.of))
            };
            let hook = HOOKS.iter().find(legal).unwrap_or_else(|| panic!("{} is legal nowhere", e.of)).hook;
            let (_, action) = run(&folder, hook, e.code);
            let written = action.kind().map(|k| k.written()).unwrap_or_default();
            assert_eq!(written.split('(').next(), Some(e.of), "{}", e.code);
            continue;
        }
        gives(&folder, hook_of(e.code), e);
    }
}

fn gives(folder: &Folder, hook: Hook, e: &Example) {
    let body = format!(
        "let shown = {{ {} }};\nstd::log(if type_of(shown) == \"()\" {{ \"()\" }} else {{ shown.to_string() }});",
        e.code
    );
    let (scene, _) = run(folder, hook, &body);
    assert_eq!(scene.log.last().map(String::as_str), Some(e.gives), "{}: {}", e.of, e.code);
}

/// The first hook in which the variable is at hand, to be written when the example writes it.
fn hook_for(v: &Var, code: &str) -> Hook {
    let writes = code.contains(&format!("{}.{} = ", v.object, v.name));
    let set = if writes { v.write } else { v.read };
    let at_hand = |h: &&copal_policy::hooks::HookRow| {
        set.has(h.hook)
            && (h.params.contains(&v.object) || vars::GLOBALS.iter().any(|g| g.0 == v.object && g.2.has(h.hook)))
    };
    let found = HOOKS.iter().filter(|h| h.hook != Hook::Init).find(at_hand);
    found.unwrap_or_else(|| panic!("{}.{} is nowhere", v.object, v.name)).hook
}

#[test]
fn every_variable_is_what_the_reference_shows() {
    let folder = Folder::new("variables");
    for e in VARIABLES {
        let var = e.of.split_once('.').and_then(|(object, name)| vars::find(object, name));
        gives(&folder, var.map_or(Hook::Recv, |v| hook_for(v, e.code)), e);
    }
}

#[test]
fn every_hook_decides_what_the_reference_says() {
    let folder = Folder::new("hooks");
    for e in HOOK_EXAMPLES {
        let policy = Policy::compile("hook.rhai", e.code, env(&folder.0)).unwrap_or_else(|e| panic!("{e}"));
        assert!(policy.has(e.hook), "{}", e.code);
        let (_, action) = policy.call(e.hook, scene());
        let action = action.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(action.kind().map_or("nothing", |k| k.written()), e.gives, "{}", e.code);
    }
}

#[test]
fn addresses_are_found_where_the_database_has_them() {
    let folder = Folder::new("geo");
    let body = r#"
        for ip in ["192.0.2.200", "10.0.0.1", "10.0.1.1", "2001:db8::1"] { std::log(geo::country(std::ip(ip)) ?? "nowhere"); }
        std::log(geo::lookup(client.ip, "country/capital") ?? "none");
        std::log(geo::lookup(client.ip, "").country.names.en);
    "#;
    assert_eq!(run(&folder, Hook::Recv, body).0.log, ["CH", "NZ", "nowhere", "nowhere", "none", "Switzerland"]);
    std::fs::write(folder.0.join("geo.mmdb"), b"no database").expect("file");
    let refused = Geo::open(&folder.0.join("geo.mmdb")).expect_err("refused").to_string();
    assert!(refused.contains("geo.mmdb as a GeoIP database"), "{refused}");
}

#[test]
fn files_are_read_at_load_and_from_the_folder_of_the_policy_only() {
    let folder = Folder::new("files");
    let file = folder.0.join("site.rhai");
    let load = |path: &str, limit: usize| {
        std::fs::write(&file, format!("fn recv(req) {{ std::log(std::file(\"{path}\")); }}")).expect("file");
        let mut env = Environment::clone(&env(&folder.0));
        env.limits.string_bytes = limit;
        Policy::load(&file, Arc::new(env))
    };
    let policy = load("lists/bots.txt", 100).unwrap_or_else(|e| panic!("{e}"));
    std::fs::remove_file(folder.0.join("lists/bots.txt")).expect("removed");
    assert_eq!(policy.call(Hook::Recv, scene()).0.log, ["bad bot"]);
    std::fs::write(folder.0.join("lists/long.txt"), "x".repeat(101)).expect("file");
    for (path, reason) in [
        ("lists/bots.txt", "there is no file lists/bots.txt beside the policy"),
        ("../x", "a file is named by its path"),
        ("/etc/passwd", "a file is named by its path"),
        ("", "a file is named by its path"),
        ("lists/long.txt", "has 101 bytes, and a text 100 at most"),
    ] {
        let e = load(path, 100).expect_err(path);
        assert!(e.list[0].help.as_deref().is_some_and(|h| h.contains(reason)), "{e}");
    }
    let e = Policy::compile("p", "fn recv(req) { std::file(req.url) == \"x\"; }", Arc::default()).expect_err("refused");
    assert_eq!(e.list[0].message, "`std::file` takes a literal path: the file is read at load");
}
