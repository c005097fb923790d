//! Policies of many styles, all of them right: they load without a finding, and do the same with the interpreter and without.

use copal_policy::{Acl, Environment, Hook, Policy, Scene};
use copal_semantics::RequestHead;
use std::sync::Arc;

fn env(interpret: bool) -> Arc<Environment> {
    Arc::new(Environment {
        acls: [("purgers".to_owned(), Acl::default())].into(),
        backends: vec!["app1".into(), "app2".into()],
        directors: vec!["app".into()],
        interpret,
        ..Environment::default()
    })
}

/// Bodies of `recv`, and whole files.
const STYLES: &[&str] = &[
    "pass()",
    "return pass();",
    "return;",
    "();",
    "if req.method != \"GET\" { pass() } else { lookup() }",
    "return if req.method == \"GET\" { lookup() } else { pass() };",
    "switch req.method { \"GET\" | \"HEAD\" => lookup(), \"PURGE\" => purge(), _ => pass() }",
    "switch req.method { \"GET\" if req.url == \"/\" => (), \"GET\" => { return lookup(); } _ => { return pass(); } }",
    "let action = if req.method == \"GET\" { lookup() } else { () }; if action != () { return action; }",
    "let a = (); if req.url == \"/\" { a = pass(); } return a;",
    "let done = false; for p in [\"/a\", \"/b\"] { if req.url.starts_with(p) { done = true; } } if done { return pass(); }",
    "for p in [\"/a\", \"/b\"] { if req.url == p { return pass(); } } lookup()",
    "let i = 0; while i < 3 { i += 1; } if i == 3 { req.http.x_i = i; }",
    "let i = 5; do { i -= 1; } while i > 0; req.http.x_i = `${i}`;",
    "let i = 0; loop { i += 1; if i > 4 { break; } } if i.is_odd { req.http.x_odd = \"yes\"; }",
    "let n = loop { break 5; }; req.http.x_n = n;",
    "for (p, i) in [\"a\", \"b\"] { req.http[`x-${p}`] = i; }",
    "for i in 0..3 { req.http.append(\"x-n\", i); }",
    "for i in range(0, 6, 2) { req.http.append(\"x-n\", i); }",
    "for c in \"abc\" { req.http.append(\"x-c\", `${c}`); }",
    "let m = #{de: \"/de\", en: \"/en\"}; let lang = req.http.accept_language ?? \"de\"; if lang in m { req.url = m[lang] + req.url; }",
    "let m = #{}; m[\"a\"] = 1; m.b = 2; req.http.x_m = m.a + m.b; req.http.x_keys = m.len();",
    "let list = req.url.split(\"/\"); if list.len() > 1 && list[1] == \"a\" { return pass(); }",
    "let list = [\"b\", \"a\"]; list.sort(); list.push(\"c\"); req.http.x_l = list[0] + list[2];",
    "let list = [1, 2, 3].filter(|x| x > 1).map(|x| x * 2); req.http.x_l = list.len();",
    "let total = [1, 2, 3].reduce(|sum, x| (sum ?? 0) + x); req.http.x_t = total;",
    "if [\"/a\", \"/b\"].some(|p| p == \"/a\") { return pass(); }",
    "if req.url in [\"/\", \"/a?x=1\"] { return pass(); }",
    "if !(req.http.has(\"cookie\") || req.http.has(\"authorization\")) { return lookup(); }",
    "let c = req.http.cookie; if c != () && c.len() > 3 { return pass(); }",
    "let c = req.cookie.get(\"lang\") ?? \"de\"; req.http.x_lang = c;",
    "let host = (req.http.host ?? \"\").to_lower(); if host.starts_with(\"www.\") { host = host.sub_string(4); } req.http.host = host;",
    "let host = req.http.host ?? \"\"; host.make_upper(); host.replace(\"A\", \"B\"); req.http.x_h = host;",
    "req.http.host.make_lower(); req.url.replace(\"x\", \"y\");",
    "req.http.x_a = req.http.x_a ?? \"none\"; req.http.x_a += \" more\"; req.http.x_a = ();",
    "req.http[\"x-count\"] = std::integer(req.http[\"x-count\"], 0) + 1;",
    "let h = req.http; h.remove(\"cookie\"); h[\"x-seen\"] = true; h.x_when = now;",
    "req.grace = duration(\"10s\") * 2 + duration(\"1m\") / 2; if req.grace > duration(\"1s\") { req.http.x_g = req.grace; }",
    "let t = duration(\"1s\"); t += duration(\"1s\"); t = t * 2; req.max_age = t;",
    "let age = now - (now - duration(\"90s\")); if age.seconds() > 60.0 { req.http.x_old = \"yes\"; }",
    "let x = 5; let x = `${x}`; req.http.x_x = x + \"!\";",
    "let x = 5; { let x = \"inner\"; req.http.x_in = x; } req.http.x_out = x + 1;",
    "const LIMIT = 3; let n = LIMIT * 2; req.http.x_n = n % 4;",
    "let re = \"^/(\" + \"a|b\" + \")\"; if req.url.matches(re) { return pass(); }",
    "req.url = req.url.replace_re(\"^/(..)/\", \"/$1-\").replace_all_re(\"//+\", \"/\");",
    "let c = req.url.captures(\"^/([a-z]+)\"); if c != () { req.http.x_c = c[1]; }",
    "try { throw \"no\"; } catch (e) { req.http.x_e = `${e}`; }",
    "try { if req.url == \"/\" { throw 404; } } catch (e) { if e == 404 { return synth(404); } }",
    "req.vars[\"n\"] = 5; let n = req.vars[\"n\"]; if n == 5 { req.http.x_n = n; }",
    "req.backend = if req.url.starts_with(\"/a\") { backend(\"app1\") } else { director(\"app\") };",
    "req.backend = \"app2\"; if req.backend == \"app2\" && req.backend != () { req.http.x_b = req.backend.name; }",
    "if client.ip == \"10.1.2.3\" || client.ip.within(\"purgers\") { return pass(); }",
    "req.http.x_page = `<script>const t = \"\\${5}\"; // not ours: ${req.url}</script>`;",
    "req.http.x_price = \"$5 and ${nothing} here\";",
    "let f = |a, b| a + b; req.http.x_f = f.call(1, 2);",
    "let a = [[1, 2], [3, 4]]; req.http.x_a = a[1][0]; let b = a[0]; b.push(5); req.http.x_b = b.len;",
    "let s = req.url; if s[0] == '/' && s.contains('/') { req.http.x_s = s.index_of(\"/\"); }",
    "let u = req.url - \"/\"; req.http.x_u = u;",
    "if req.url.len > 3 && !req.url.is_empty { req.http.x_len = req.url.len(); }",
    "let n = 7.0; if n.floor() == 7.0 && (2 + 1.5) > 3 && -n < 0 { req.http.x_f = n; }",
    "fn clean(req) { req.http.remove(\"cookie\"); }\nfn recv(req) { clean(req); lookup() }",
    "fn guard(req) { if req.url == \"/\" { return synth(403); } }\nfn recv(req) { let a = guard(req); if a != () { return a; } pass() }",
    "fn guard(req) { if req.url == \"/\" { return synth(403); } }\nfn recv(req) { return guard(req) ?? lookup(); }",
    "fn guard(req) { if req.url == \"/\" { return synth(403); } }\nfn recv(req) { guard(req) }",
    "fn first(a, b) { if a == () { b } else { a } }\nfn recv(req) { req.http.x_f = first(req.http.x_no, \"b\"); req.http.x_g = first(5, 6); }",
    "fn kind(url) { switch url::extension(url) { \"css\" | \"js\" => \"file\", _ => \"page\" } }\nfn recv(req) { req.http.x_k = kind(req.url); }",
    "fn is_admin(url) { url.starts_with(\"/admin\") }\nfn recv(req) { if is_admin(req.url) && !is_admin(\"/\") { return pass(); } }",
    "fn fact(n) { if n < 2 { 1 } else { n * fact(n - 1) } }\nfn recv(req) { req.http.x_f = fact(5); }",
    "fn even(n) { n == 0 || odd(n - 1) }\nfn odd(n) { n != 0 && even(n - 1) }\nfn recv(req) { if even(4) { return pass(); } }",
    "fn set(http, name, value) { http[name] = value; }\nfn recv(req) { set(req.http, \"x-a\", 1); set(req.http, \"x-b\", \"two\"); set(req.http, \"x-c\", ()); }",
    "fn twice() { this = this + this; }\nfn recv(req) { let s = \"a\"; s.twice(); req.http.x_s = s; let n = 2; n.twice(); req.http.x_n = n; }",
    "fn both(x) { x }\nfn recv(req) { let f = Fn(\"both\"); req.http.x_a = f.call(5); req.http.x_b = both(\"text\").len(); }",
    "const HOSTS = [\"a\", \"b\"];\nconst PATH = \"^/\" + \"x\";\nfn recv(req) { if req.http.host in global::HOSTS || req.url.matches(global::PATH) { return pass(); } }",
    "const TTL = duration(\"1h\");\nfn recv(req) { req.grace = global::TTL; if req.grace == global::TTL { return lookup(); } }",
    "fn which(n) { if n > 1 { return pass(); } if n > 0 { return lookup(); } }\nfn recv(req) { which(req.restarts) }",
    "fn deny(req) { synth(403, \"No\") }\nfn recv(req) { if req.url == \"/\" { return deny(req); } }\nfn hit(req, obj) { if obj.hits > 5 { return deny(req); } }",
    "fn name(req) { req.http.host ?? \"none\" }\nfn recv(req) { std::log(\"host: \" + name(req)); }\nfn deliver(req, resp) { resp.http.x_h = name(req); }",
    "fn mark(http) { http[\"x-mark\"] = \"1\"; }\nfn recv(req) { mark(req.http); }\nfn deliver(req, resp) { mark(resp.http); }",
    "fn ttl_of(status) { switch status { 404 => duration(\"10s\"), 200..=299 => duration(\"1h\"), _ => duration(\"0s\") } }\nfn recv(req) { req.grace = ttl_of(404); }",
];

#[test]
fn what_is_right_loads_and_does_the_same_both_ways() {
    assert!(STYLES.len() >= 75);
    for style in STYLES {
        let text = if style.contains("fn recv(") { (*style).to_owned() } else { format!("fn recv(req) {{ {style} }}") };
        let load =
            |interpret| Policy::compile("site.rhai", &text, env(interpret)).unwrap_or_else(|e| panic!("{text}\n{e}"));
        let (either, interpreted) = (load(false), load(true));
        for (url, fields) in [
            ("/", vec![("host", "WWW.a.example"), ("accept-language", "en")]),
            ("/a?x=1", vec![("host", "a"), ("cookie", "lang=fr; s=1"), ("x-a", "1"), ("x-count", "41")]),
            ("/de/x/y.css", vec![]),
        ] {
            let run = |p: &Arc<Policy>| {
                let mut scene = Box::<Scene>::default();
                scene.req = RequestHead::get(url, fields.clone());
                let (scene, result) = p.call(Hook::Recv, scene);
                let fields: Vec<String> =
                    scene.req.headers.iter().map(|(n, v)| format!("{n}: {}", String::from_utf8_lossy(v))).collect();
                let faults = result.as_ref().err().map(|f| (f.kind, f.line));
                (result.ok(), faults, scene.req.url.clone(), fields, scene.log.clone())
            };
            assert_eq!(run(&either), run(&interpreted), "{text} for {url}");
        }
    }
}
