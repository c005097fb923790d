//! What is only read and compared costs no memory, natively and in the interpreter, and no script makes the process grow.

use allocation_counter::measure;
use copal_policy::{Action, Environment, Hook, Policy, Scene};
use copal_semantics::{RequestHead, ResponseHead};
use std::sync::Arc;

fn policy(body: &str, interpret: bool) -> Arc<Policy> {
    let env = Environment { interpret, ..Environment::default() };
    let source = format!("fn recv(req) {{ {body} }}");
    Policy::compile("site.rhai", &source, Arc::new(env)).unwrap_or_else(|e| panic!("{body}: {e}"))
}

fn scene() -> Box<Scene> {
    let mut s = Box::<Scene>::default();
    s.req = RequestHead::get("/news/2026/a-page?b=2", [("Host", "www.example.com"), ("Accept", "text/html")]);
    s.req.headers.append("cookie", "_ga=1; theme=dark").expect("valid");
    s.resp = ResponseHead::new(200, []);
    s
}

/// Heap allocations of one call, when the thread has the policy and has seen such a request.
fn allocations(policy: &Arc<Policy>) -> u64 {
    let mut kept = Some(scene());
    let mut call = || {
        let (back, result) = policy.call(Hook::Recv, kept.take().expect("it came back"));
        assert_eq!(result, Ok(Action::Default));
        kept = Some(back);
    };
    (0..3).for_each(|_| call());
    measure(call).count_total
}

#[test]
fn reading_what_is_only_compared_allocates_nothing() {
    for condition in ["req.method == \"POST\"", "req.url == \"/x\"", "!req.is_get_or_head()", "req.restarts > 2"] {
        for interpret in [false, true] {
            let policy = policy(&format!("if {condition} {{ return pass(); }}"), interpret);
            assert_eq!(policy.native().has(Hook::Recv), !interpret, "{condition}");
            assert_eq!(allocations(&policy), 0, "{condition}, interpreted: {interpret}");
        }
    }
    // What the interpreter has to hand on as a value of its own it shares or copies; native code looks at it where it is.
    for condition in [
        "req.http[\"host\"] == \"b.example\"",
        "req.http[\"x-none\"] != ()",
        "req.http.host == \"b.example\"",
        "req.url.starts_with(\"/static/\")",
        "req.cookie.has(\"sessionid\")",
        "url::path(req.url) == \"/x\"",
        "req.cookie.get(\"theme\") == \"light\"",
        "req.http.accept.matches(\"^image/\")",
        "url::extension(req.url) in [\"css\", \"js\"]",
        "(req.http.x_none ?? \"\") == \"x\"",
    ] {
        let policy = policy(&format!("if {condition} {{ return pass(); }}"), false);
        assert!(policy.native().has(Hook::Recv), "{condition}");
        assert_eq!(allocations(&policy), 0, "{condition}");
    }
    // The interpreter makes one for the handle `req.http`, and none for the field.
    assert_eq!(allocations(&policy("if req.http[\"host\"] == \"b.example\" { return pass(); }", true)), 1);
}

#[test]
fn a_function_of_the_script_that_only_compares_allocates_nothing() {
    let source = "fn is_asset(u) { url::extension(u) in [\"css\", \"js\"] }\nfn recv(req) { if is_asset(req.url) { return pass(); } }";
    let policy = Policy::compile("site.rhai", source, Arc::default()).expect("valid");
    assert!(policy.native().has(Hook::Recv));
    assert_eq!(allocations(&policy), 0);
}

#[test]
fn no_script_takes_more_than_its_limits_allow_and_nothing_stays_behind() {
    // 64 KiB in each of 100 variables is what a hook can hold in one scope, and 1 MiB is what it may write.
    let hoard: String = (0..100).map(|i| format!("let v{i} = s + \"{i}\"; ")).collect();
    for body in [
        "let s = \"abcdefgh\"; while s != \"\" { s += s; }".to_owned(),
        "let a = []; let s = \"x\"; s.pad(60000, \"y\"); loop { a.push(s + a.len()); if a.len() > 99999 { break; } }".to_owned(),
        "let m = #{}; let s = \"x\"; s.pad(60000, \"y\"); let i = 0; loop { i += 1; m.set(`${i}`, s + i); if i < 0 { break; } }".to_owned(),
        "let s = \"x\"; s.pad(60000, \"y\"); loop { req.http.append(\"x\", s); if s == \"\" { break; } }".to_owned(),
        format!("let s = \"x\"; s.pad(60000, \"y\"); {hoard} if v1 == \"\" {{ return pass(); }} throw \"done\";"),
    ] {
        let policy = policy(&body, true);
        assert!(policy.call(Hook::Recv, scene()).1.is_err(), "{body}");
        let used = measure(|| assert!(policy.call(Hook::Recv, scene()).1.is_err()));
        assert!(used.bytes_max < 24 << 20, "{body}: {} bytes at once", used.bytes_max);
        assert!(used.bytes_current < 64 << 10, "{body}: {} bytes stay", used.bytes_current);
    }
}
