//! Policies at work: what hooks return, and what that means.

use super::{env, policy, request};
use copal_policy::{Action, Hook, Policy};
use copal_semantics::{ResponseHead, Span};

#[test]
fn the_sample_policy_of_the_guide_does_what_it_says() {
    let p = policy(
        r#"
// Anonymous pages are shared; logged-in users go straight to the application.
fn recv(req) {
    if !req.is_get_or_head() || req.cookie.has("sessionid") { return pass(); }   // a login form needs its csrftoken
    req.http.remove("cookie");
    req.url = query::sort(query::without(req.url, ["utm_*", "gclid", "fbclid"]));
}

fn backend_response(bereq, beresp) {
    if bereq.is_bgfetch && beresp.status >= 500 { return abandon(); }            // a failed refresh keeps the stale page
    beresp.grace = duration("6h");
    if bereq.url.starts_with("/static/") {
        beresp.ttl = duration("1d");
        beresp.http.remove("set-cookie");
    }
}

fn deliver(req, resp) {
    resp.http["x-cache"] = if resp.hits > 0 { "HIT" } else { "MISS" };
}
"#,
    );
    assert_eq!(p.defined(), ["recv", "backend_response", "deliver"]);
    let (mut s, r) = p.call(Hook::Recv, request("/a?z=1&utm_source=x&b=2", &[("cookie", "theme=dark")]));
    assert_eq!(r, Ok(Action::Default));
    assert_eq!((s.req.url.as_str(), s.req.headers.get("cookie")), ("/a?b=2&z=1", None));

    assert_eq!(p.call(Hook::Recv, request("/", &[("cookie", "a=b; sessionid=1")])).1, Ok(Action::Pass));
    s.req.method = http::Method::POST;
    let (mut s, r) = p.call(Hook::Recv, s);
    assert_eq!(r, Ok(Action::Pass));

    s.bereq.url = "/static/a.css".into();
    s.beresp = ResponseHead::new(200, [("set-cookie", "a=1"), ("set-cookie", "b=2")]);
    let (mut s, r) = p.call(Hook::BackendResponse, s);
    assert_eq!(r, Ok(Action::Default));
    assert_eq!((s.beresp_vars.ttl, s.beresp_vars.grace), (Span::from_secs(86_400), Span::from_secs(21_600)));
    assert!(!s.beresp.headers.contains("set-cookie"));

    s.bereq_vars.is_bgfetch = true;
    s.beresp.status = 502;
    let (mut s, r) = p.call(Hook::BackendResponse, s);
    assert_eq!(r, Ok(Action::Abandon));

    s.resp_vars.hits = 3;
    let (s, r) = p.call(Hook::Deliver, s);
    assert_eq!(r, Ok(Action::Default));
    assert_eq!(s.resp.headers.get("x-cache"), Some(&b"HIT"[..]));
}

#[test]
fn hooks_that_are_not_defined_decide_nothing() {
    let p = policy("fn recv(req) { }");
    assert!(p.has(Hook::Recv) && !p.has(Hook::Deliver));
    for h in [Hook::Recv, Hook::Deliver, Hook::Init] {
        assert_eq!(p.call(h, Box::default()).1, Ok(Action::Default));
    }
    assert!(!Policy::builtin().has(Hook::Recv));
}

#[test]
fn every_action_says_what_it_is() {
    for (text, hook, action) in [
        ("lookup()", "recv(req)", Action::Lookup),
        ("pass();", "recv(req)", Action::Pass),
        ("return pipe();", "recv(req)", Action::Pipe),
        ("purge()", "recv(req)", Action::Purge),
        ("restart()", "hit(req, obj)", Action::Restart),
        ("synth(404)", "recv(req)", Action::Synth { status: 404, reason: String::new() }),
        ("synth(1750, `Busy`)", "recv(req)", Action::Synth { status: 1750, reason: "Busy".into() }),
        ("redirect(301, \"/x\" + req.url)", "recv(req)", Action::Redirect { status: 301, location: "/x/".into() }),
        ("fail(\"no\")", "recv(req)", Action::Fail { reason: "no".into() }),
        ("policy(\"shop\")", "recv(req)", Action::Policy("shop".into())),
        ("deliver()", "hit(req, obj)", Action::Deliver),
        ("miss()", "hit(req, obj)", Action::Miss),
        ("fetch()", "pass(req)", Action::Fetch),
        ("pipe()", "pipe(req, bereq)", Action::Pipe),
        ("synth(200, `${count} gone`)", "purge(req, count)", Action::Synth { status: 200, reason: "7 gone".into() }),
        (
            "error(503, \"Maintenance\")",
            "backend_fetch(bereq)",
            Action::Error { status: 503, reason: "Maintenance".into() },
        ),
        ("merge()", "backend_refresh(bereq, beresp, stale)", Action::Merge),
        ("keep_stale()", "backend_refresh(bereq, beresp, stale)", Action::KeepStale),
        ("use_new()", "backend_refresh(bereq, beresp, stale)", Action::UseNew),
        ("pass(duration(\"2m\"))", "backend_response(bereq, beresp)", Action::PassFor(Span::from_secs(120))),
        ("abandon()", "backend_error(bereq, beresp)", Action::Abandon),
        ("retry()", "backend_error(bereq, beresp)", Action::Retry),
        ("synth(404); ()", "synth(req, resp)", Action::Default),
    ] {
        let source = format!("fn {hook} {{ {text} }}");
        let name = hook.split('(').next().expect("name");
        let mut scene = request("/", &[]);
        scene.purge_count = 7;
        match Policy::compile("p", &source, env()) {
            Ok(p) => {
                assert_eq!(p.call(Hook::by_name(name).expect("hook"), scene).1, Ok(action), "{source}");
            }
            // An action that is not returned is found at load.
            Err(e) => assert!(action == Action::Default && e.to_string().contains("has no effect"), "{e}"),
        }
    }
}

#[test]
fn actions_mean_actions_where_hooks_have_their_names() {
    let p = policy(
        "fn pass(req) { synth(503) }\nfn synth(req, resp) { deliver() }\nfn deliver(req, resp) { deliver() }\nfn recv(req) { pass() }",
    );
    assert_eq!(p.call(Hook::Recv, request("/", &[])).1, Ok(Action::Pass));
    assert_eq!(p.call(Hook::Pass, request("/", &[])).1, Ok(Action::Synth { status: 503, reason: String::new() }));
    assert_eq!(p.call(Hook::Deliver, request("/", &[])).1, Ok(Action::Deliver));
}
