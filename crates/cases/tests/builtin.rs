//! `builtin.rhai` as a policy and no policy at all do the same, from the request's first byte to the response's last, with
//! whatever clients ask and origins answer. (`crates/policy/tests/builtin.rs` compares the hooks one by one.)

use copal_cases::run::{self, Wanted};
use copal_cases::{File, parse};
use copal_policy::builtin;
use proptest::prelude::*;
use std::path::Path;

fn one_of(list: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(list)
}

/// What an origin says of `/a` or `/b`, twice, and then differently.
fn answer() -> impl Strategy<Value = String> {
    let status = one_of(&["200", "200", "200", "404", "500", "503", "301", "204", "410", "302"]);
    let lifetime = one_of(&[
        "",
        "cache-control:max-age=60",
        "cache-control:\"max-age=10, stale-while-revalidate=600\"",
        "cache-control:\"max-age=10, stale-if-error=600\"",
        "cache-control:private",
        "cache-control:no-store",
        "cache-control:no-cache",
        "cache-control:\"public, max-age=5\"",
        "cache-control:\"s-maxage=30\"",
        "expires:\"Thu, 01 Jan 2026 00:05:00 GMT\"",
        "last-modified:\"Mon, 01 Dec 2025 00:00:00 GMT\"",
    ]);
    let more = one_of(&["", "set-cookie:a=1", "vary:cookie", "vary:*", "etag:\"\\\"v1\\\"\"", "age:8", "location:/b"]);
    let whole = (status, lifetime, more)
        .prop_map(|(status, lifetime, more)| format!("{status} {lifetime} {more} body:page {{n}} of {{url}}"));
    prop_oneof![12 => whole, 1 => Just("close".to_owned()), 1 => Just("garbage".to_owned())]
}

fn request() -> impl Strategy<Value = String> {
    let method = one_of(&["GET", "GET", "GET", "GET", "HEAD", "POST", "PURGE", "OPTIONS", "BREW", "PRI"]);
    let path = one_of(&["/a", "/b", "/a?x=1&y=2"]);
    let fields = [
        "cookie: sessionid=7",
        "authorization: Basic eDp5",
        "cache-control: no-cache",
        "cache-control: only-if-cached",
        "if-none-match: \"v1\"",
        "range: bytes=0-3",
        "host: Shop.EXAMPLE:80",
        "accept-language: de",
        "upgrade: websocket",
    ];
    let fields = proptest::sample::subsequence(fields.to_vec(), 0..3);
    (method, path, fields).prop_map(|(method, path, fields)| format!("{method} {path}\n{}", fields.join("\n")))
}

fn step() -> impl Strategy<Value = String> {
    let time = one_of(&["1s", "12s", "70s", "2h"]).prop_map(|time| format!("```advance {time}\n```\n"));
    prop_oneof![4 => request().prop_map(|r| format!("```client\n{}\n```\n", r.trim_end())), 1 => time]
}

fn page(policy: &str, answers: &[String], steps: &[String]) -> File {
    let origin: String =
        answers.iter().enumerate().map(|(i, a)| format!("ANY /{} -> {a}\n", ["a", "b"][i % 2])).collect();
    let text = format!(
        "# One\n```toml config\n[backend.app]\naddress = \"127.0.0.1:8000\"\n[acl]\nlocal = [\"127.0.0.0/8\"]\n[purge]\nacl = \
         \"local\"\n```\n```rhai policy\n{policy}\n```\n```origin\n{origin}```\n{}```client\nGET /a\n```\n```expect\nstatus > 0\n```\n",
        steps.concat()
    );
    parse::file(Path::new("one.md"), &text).unwrap_or_else(|wrong| {
        panic!("{text}\n{}", wrong.iter().map(ToString::to_string).collect::<String>());
    })
}

/// What happened, without what only a policy of one's own does: its hooks, and their lines. A pass is told with its reason,
/// which is the method where nobody has said `pass()`; then the key is made before, too, as an answer to POST may be good for GET
/// (RFC 9110 §9.3.3).
fn story(file: &File) -> Vec<String> {
    let suite = run::run(std::slice::from_ref(file), Wanted::default());
    assert!(suite.holds(), "{}", copal_cases::report::text(&suite, false));
    let lines = suite.outcomes[0].story.lines();
    let own = |line: &&str| !line.contains("  hook ") && !line.starts_with("                         ");
    let lines = lines.filter(own).map(|line| line.replace("pass, method", "pass, pass").replace("(method)", "(pass)"));
    lines.filter(|line| !line.contains("  key ")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_script_of_the_builtin_policy_serves_as_no_policy_does(
        answers in proptest::collection::vec(answer(), 2..7),
        steps in proptest::collection::vec(step(), 1..7),
    ) {
        let (none, script) = (page("// none", &answers, &steps), page(builtin::SOURCE, &answers, &steps));
        prop_assert_eq!(story(&none), story(&script), "{}", none.text);
    }
}
