//! What is compiled natively does what the interpreter does: result, writes, log, and faults with their places.

use copal_policy::{Acl, Action, Environment, FaultKind, Health, Hook, Limit, Limits, Policy, Scene, SeededRandom};
use copal_semantics::{RequestHead, ResponseHead, Span};
use std::sync::Arc;

/// Splitmix64: the same scripts and scenes in every run.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        usize::try_from((z ^ (z >> 27)) >> 33).unwrap_or(0) % n
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

struct Sick;
impl Health for Sick {
    fn healthy(&self, name: Option<&str>) -> bool {
        name != Some("app2")
    }
}

fn env(interpret: bool, limits: Limits) -> Arc<Environment> {
    Arc::new(Environment {
        acls: [("purgers".to_owned(), Acl::parse(["10.0.0.0/8", "!10.0.0.66"]).expect("acl"))].into(),
        backends: vec!["app1".into(), "app2".into()],
        directors: vec!["app".into()],
        limits,
        health: Arc::new(Sick),
        random: Arc::new(SeededRandom::new(1)),
        interpret,
        ..Environment::default()
    })
}

fn scene(d: &mut Dice) -> Box<Scene> {
    let mut s = Box::<Scene>::default();
    let urls = [
        "/",
        "/a?z=1&utm_source=x&b=2",
        "/static/x.css",
        "/a?x=%0d%0aset-cookie:1",
        "/Ä?b&a&&c=%41",
        "*",
        "/news/?nocache=1",
        "/a?b=1#c",
        "/?gclid=1&fbclid=2",
        "/a/very/long/path/that/goes/on/and/on/until/it/is/longer/than/sixty/bytes",
    ];
    s.req = RequestHead::get(d.pick(&urls), []);
    s.bereq = RequestHead::get(d.pick(&urls), []);
    let method = d.pick(&["GET", "HEAD", "POST", "PURGE"]);
    s.req.method = method.parse().expect("method");
    s.bereq.method = method.parse().expect("method");
    s.resp = ResponseHead::new(d.pick(&[200, 404, 503, 1404]), []);
    s.beresp = ResponseHead::new(d.pick(&[200, 304, 500]), []);
    s.resp.reason = d.pick(&["", "Odd"]).into();
    for headers in [&mut s.req.headers, &mut s.bereq.headers, &mut s.resp.headers, &mut s.beresp.headers] {
        for (name, values) in [
            ("Host", ["a.example", "A.Example:80", "b"]),
            ("Cookie", ["a=1; sessionid=2", "theme = dark;; b=2", "x"]),
            ("Cookie", ["csrftoken=9", "utm_a=1; utm_b=2", "=;a"]),
            ("X-Odd", ["with space", "t\tab", "plain"]),
            ("Content-Type", ["text/html; charset=utf-8", "application/json", "image/png"]),
            ("X-Debug-A", ["1", "", "3"]),
            ("Content-Length", ["5", "6", "7"]),
        ] {
            if d.roll(2) == 0 {
                headers.append(name, d.pick(&values)).expect("valid");
            }
        }
        if d.roll(8) == 0 {
            headers.append("x-odd", b"\xff\xfe").expect("obs-text is allowed");
        }
    }
    s.client.ip = d.pick(&["10.1.2.3", "10.0.0.66", "::1"]).parse().expect("address");
    s.client.identity = d.pick(&[None, Some("me")]).map(str::to_owned);
    if d.roll(3) > 0 {
        s.obj = Some(copal_policy::ObjectVars {
            ttl: Span::from_secs(d.pick(&[-5, 0, 60])),
            hits: d.pick(&[0, 3]),
            ..copal_policy::ObjectVars::default()
        });
    }
    s.req_vars.backend = d.pick(&[None, Some("app1")]).map(str::to_owned);
    s.bereq_vars.backend = s.req_vars.backend.clone();
    s.req_vars.xid = d.pick(&["x1", "x2"]).into();
    s.resp_vars.hits = d.pick(&[0, 1, 7]);
    s.req_vars.restarts = u32::try_from(d.roll(2)).unwrap_or(0);
    s.bereq_vars.is_bgfetch = d.roll(2) == 0;
    s.beresp_vars.ttl = Span::from_secs(5);
    s
}

/// Generates script text of a type; `r` is the request's name here, `p` the response's if there is one.
struct Author<'d> {
    d: &'d mut Dice,
    hook: Hook,
    /// Variables that can be seen here, by what they hold.
    texts: Vec<String>,
    maybes: Vec<String>,
    ints: Vec<String>,
    made: usize,
}

impl Author<'_> {
    fn r(&self) -> &'static str {
        if matches!(self.hook, Hook::BackendFetch | Hook::BackendResponse | Hook::BackendError) {
            "bereq"
        } else {
            "req"
        }
    }

    fn p(&self) -> Option<&'static str> {
        match self.hook {
            Hook::BackendResponse | Hook::BackendError => Some("beresp"),
            Hook::Deliver | Hook::Synth => Some("resp"),
            _ => None,
        }
    }

    fn side(&mut self) -> &'static str {
        match self.p() {
            Some(p) if self.d.roll(2) == 0 => p,
            _ => self.r(),
        }
    }

    fn field(&mut self) -> String {
        let side = self.side();
        let name = self.d.pick(&["[\"x-odd\"]", ".host", ".content_type", "[\"Cookie\"]", ".x_debug_a", ".vary"]);
        format!("{side}.http{name}")
    }

    fn variable(&mut self) -> String {
        self.made += 1;
        format!("v{}", self.made)
    }

    fn any(d: &mut Dice, names: &[String]) -> Option<String> {
        (!names.is_empty()).then(|| names[d.roll(names.len())].clone())
    }

    fn maybe(&mut self) -> String {
        if self.d.roll(4) == 0
            && let Some(name) = Self::any(self.d, &self.maybes)
        {
            return name;
        }
        if self.d.roll(6) == 0 {
            return format!("moved({})", self.text(1));
        }
        let (r, n) = (self.r(), self.d.pick(&["x", "b", "utm_source", "nocache"]));
        match self.d.roll(5) {
            0 => format!("query::get({}, \"{n}\")", self.text(1)),
            1 => format!("{r}.cookie.get(\"{}\")", self.d.pick(&["a", "theme", "sessionid", ""])),
            2 => format!("({} ?? {})", self.field(), self.field()),
            _ => self.field(),
        }
    }

    fn text(&mut self, depth: usize) -> String {
        let r = self.r();
        if self.d.roll(5) == 0
            && let Some(name) = Self::any(self.d, &self.texts)
        {
            return name;
        }
        if depth == 0 {
            return match self.d.roll(4) {
                0 => format!("{r}.url"),
                1 => format!("{r}.method"),
                2 => format!("{r}.xid"),
                _ => self
                    .d
                    .pick(&["\"HIT\"", "\"\"", "\"/x\"", "\"a\\tb\"", "\"é\"", "\"bad\\r\\n\"", "client.identity"])
                    .to_owned(),
            };
        }
        let inner = self.text(depth - 1);
        match self.d.roll(26) {
            12 => format!("url::extension({inner})"),
            13 => format!("url::decode({inner})"),
            14 => format!("url::encode({inner})"),
            15 => format!("std::escape_html({inner})"),
            16 => format!("query::set({inner}, \"{}\", {})", self.d.pick(&["b", "é"]), self.maybe()),
            17 => {
                let re = self.d.pick(&["[a-z]+", "^/", "(x)(.?)", "$"]);
                let by = self.d.pick(&["\"\"", "\"<$0\\\\1>\"", "\"$$\""]);
                format!("{inner}.{}(`{re}`, {by})", self.d.pick(&["replace_re", "replace_all_re"]))
            }
            18 => format!("std::digest(\"sha256\", {inner})"),
            19 => format!("std::accept({}, [\"en\", \"de\"])", self.maybe()),
            20 => format!("page({inner}, {})", self.text(0)),
            21 => format!("few({})", self.int()),
            22 if self.d.roll(2) == 0 => format!("({} + {inner})", self.maybe()),
            22 => format!("({inner} + {})", self.maybe()),
            23 => format!(
                "switch {inner} {{ \"/\" => \"root\", \"GET\" | \"x1\" => {}, _ => {} }}",
                self.text(0),
                self.text(0)
            ),
            24 => format!("std::base64({inner})"),
            25 => format!("`${{{}}}${{{}}}`", self.maybe(), self.cond(0)),
            0 => format!("query::sort({inner})"),
            1 => format!("query::without({inner}, [\"utm_*\", \"gclid\", \"x\"])"),
            2 => format!("query::keep({inner}, [\"b\"])"),
            3 => format!("url::path({inner})"),
            4 => format!("url::query({inner})"),
            5 => format!("std::tolower({inner})"),
            6 => format!("std::toupper({inner})"),
            7 => format!("({} ?? {inner})", self.maybe()),
            8 => format!("({inner} + {})", self.text(0)),
            9 => {
                let int = self.int();
                format!("`a ${{{inner}}} b${{{int}}}`")
            }
            10 => format!("if {} {{ {inner} }} else {{ {} }}", self.cond(0), self.text(0)),
            _ => inner,
        }
    }

    fn int(&mut self) -> String {
        match self.d.roll(12) {
            0 => {
                let (a, b) = (self.simple_int(), self.simple_int());
                return format!("({a} {} {b})", self.d.pick(&["+", "-", "*", "%"]));
            }
            1 => return format!("std::bucket({}, 10)", self.text(0)),
            2 => return format!("std::integer({}, {})", self.maybe(), self.simple_int()),
            3 => return format!("{}.len()", self.text(0)),
            4 => return "std::random(1, 100)".to_owned(),
            _ => {}
        }
        self.simple_int()
    }

    fn simple_int(&mut self) -> String {
        if self.d.roll(4) == 0
            && let Some(name) = Self::any(self.d, &self.ints)
        {
            return name;
        }
        match (self.p(), self.d.roll(3)) {
            (Some(p), 0) => format!("{p}.status"),
            (Some("resp"), 1) => "resp.hits".to_owned(),
            (_, 1) if self.r() == "bereq" => "bereq.retries".to_owned(),
            (_, 1) => "req.restarts".to_owned(),
            _ => self.d.pick(&["0", "1", "-1", "404", "9223372036854775807"]).to_owned(),
        }
    }

    fn span(&mut self) -> String {
        let lit = self.d.pick(&["duration(\"10s\")", "duration(\"0\")", "duration(\"1h\")"]).to_owned();
        match (self.p(), self.d.roll(4)) {
            (Some("beresp"), 0) => format!("(beresp.ttl + {lit})"),
            (Some("beresp"), 1) => format!("(beresp.{} - {lit})", self.d.pick(&["grace", "age", "keep"])),
            (Some("beresp"), 2) => "beresp.ttl * 2".to_owned(),
            _ if matches!(self.hook, Hook::Hit | Hook::Deliver) && self.d.roll(2) == 0 => {
                format!("obj.{}", self.d.pick(&["ttl", "age", "grace"]))
            }
            _ => lit,
        }
    }

    fn cond(&mut self, depth: usize) -> String {
        if depth > 0 {
            let (a, b) = (self.cond(depth - 1), self.cond(depth - 1));
            return match self.d.roll(4) {
                0 => format!("({a} && {b})"),
                1 => format!("({a} || {b})"),
                2 => format!("!({a})"),
                _ => a,
            };
        }
        let r = self.r();
        match self.d.roll(32) {
            26 => format!(
                "{}.{}(\"{}\")",
                self.maybe(),
                self.d.pick(&["starts_with", "ends_with", "contains"]),
                self.d.pick(&["a", ""])
            ),
            27 => format!("{}.replace_re(\"a\", \"b\") == \"b\"", self.maybe()),
            28 => format!(
                "{}({}) == \"b\"",
                self.d.pick(&["std::tolower", "query::sort", "url::path", "url::decode"]),
                self.maybe()
            ),
            14 => format!("is_static({})", self.text(1)),
            15 => format!("{} {} {}", self.span(), self.d.pick(&["==", "<", ">="]), self.span()),
            16 => format!("{} in [\"a\", \"/\", \"css\"]", self.text(1)),
            17 => format!("[\"a\", \"GET\"].contains({})", self.maybe()),
            18 => format!("{}.captures(`^/([a-z]+)`) == ()", self.text(0)),
            19 => format!(
                "{r}.backend {} {}",
                self.d.pick(&["==", "!="]),
                self.d.pick(&["()", "\"app1\"", "backend(\"app1\")"])
            ),
            20 => format!("std::fnmatch(\"/*[a-z]\", {})", self.maybe()),
            21 => format!("std::same_secret({}, {})", self.maybe(), self.text(0)),
            22 => format!("throttle::allowed({}, \"10/s\", 3)", self.text(0)),
            23 if matches!(self.hook, Hook::Hit | Hook::Deliver) => "obj.hits > 1".to_owned(),
            23 => format!("deep({})", self.text(0)),
            24 => format!("\"a\" in {}", self.text(0)),
            25 => format!("{} not_in [\"/a\"]", self.text(0)).replace("not_in", "!in"),
            0 => format!("{r}.is_get_or_head()"),
            1 => format!("{}.http.has(\"{}\")", self.side(), self.d.pick(&["x-odd", "HOST", "nope"])),
            2 => format!("{r}.cookie.has(\"{}\")", self.d.pick(&["a", "sessionid", ""])),
            3 => format!("{} == ()", self.maybe()),
            4 => format!("() != {}", self.maybe()),
            5 if self.d.roll(2) == 0 => format!("{} == {}", self.maybe(), self.maybe()),
            5 => format!("{} == {}", self.maybe(), self.text(0)),
            6 => format!("{} != {}", self.text(1), self.text(0)),
            7 => format!("{r}.url.starts_with({})", self.d.pick(&["\"/a\"", "\"\"", "\"/static/\""])),
            8 => format!("{r}.url.ends_with({})", self.d.pick(&["\"css\"", "\"x\""])),
            9 => format!("{r}.url.contains({})", self.d.pick(&["\"?\"", "\"x\""])),
            10 => format!("{}.matches(`{}`)", self.field(), self.d.pick(&["^text/", "a.b", "(?i)JSON$", "^$"])),
            11 => format!("{} {} {}", self.int(), self.d.pick(&["==", "!=", "<", "<=", ">", ">="]), self.int()),
            12 => format!("client.ip.within(\"purgers\") && std::healthy(\"{}\")", self.d.pick(&["app", "app2"])),
            29 => format!("{}({r}.backend)", self.d.pick(&["std::healthy", "!std::healthy"])),
            30 => format!("{r}.backend.healthy()"),
            31 => "std::healthy(backend(\"app2\")) || std::healthy(())".to_owned(),
            _ => match r {
                "bereq" => "bereq.is_bgfetch".to_owned(),
                _ => self.d.pick(&["true", "false", "req.hash_always_miss"]).to_owned(),
            },
        }
    }

    fn action(&mut self) -> String {
        let code = self.d.pick(&["404", "1404", "503"]);
        match (self.hook, self.d.roll(5)) {
            (Hook::Recv, 0) => "pass()".to_owned(),
            (Hook::Recv, 1) => {
                format!("redirect(301, {})", if self.d.roll(3) == 0 { self.maybe() } else { self.text(1) })
            }
            (Hook::Recv | Hook::Deliver, 2) => format!("synth({code}, {})", self.text(1)),
            (Hook::Recv | Hook::Deliver, 3) => format!("synth({code})"),
            (Hook::Recv, _) => "lookup()".to_owned(),
            (Hook::Hit | Hook::Deliver | Hook::Synth | Hook::BackendError, _) => "deliver()".to_owned(),
            (Hook::BackendFetch, 0) => format!("error({code}, {})", self.text(1)),
            (Hook::BackendFetch, 1) => "error()".to_owned(),
            (Hook::BackendFetch, _) => "fetch()".to_owned(),
            (Hook::BackendResponse, 0) => "abandon()".to_owned(),
            (Hook::BackendResponse, 1) => "pass(duration(\"30s\"))".to_owned(),
            (Hook::BackendResponse, _) => "deliver()".to_owned(),
            _ => "lookup()".to_owned(),
        }
    }

    fn statement(&mut self, depth: usize) -> String {
        let r = self.r();
        let kinds = if depth == 0 { 13 } else { 32 };
        let (texts, maybes, ints) = (self.texts.len(), self.maybes.len(), self.ints.len());
        let text = match self.d.roll(kinds) {
            // Variables are seen to the end of their block: `block` forgets them.
            16 => {
                let (value, name) = (self.text(2), self.variable());
                self.texts.push(name.clone());
                return format!("let {name} = {value};");
            }
            17 => {
                let (value, name) = (self.maybe(), self.variable());
                self.maybes.push(name.clone());
                return format!("let {name} = {value};");
            }
            18 => {
                let (value, name) = (self.int(), self.variable());
                self.ints.push(name.clone());
                return format!("let {name} = {value};");
            }
            19 if !self.texts.is_empty() => {
                let name = Self::any(self.d, &self.texts).unwrap_or_default();
                let value = self.text(1);
                self.d.pick(&["N = V;", "N += V;", "N.trim();"]).replace('N', &name).replace('V', &value)
            }
            20 if !self.maybes.is_empty() => {
                let name = Self::any(self.d, &self.maybes).unwrap_or_default();
                format!("if {name} == () {{ {name} = {}; }}", self.text(1))
            }
            21 if !self.ints.is_empty() => {
                let name = Self::any(self.d, &self.ints).unwrap_or_default();
                self.d.pick(&["N += 1;", "N = 404;", "if N > 3 { N = N - 1; }"]).replace('N', &name)
            }
            22 => format!("strip({r});"),
            23 => format!("tidy({r}, {});", self.text(1)),
            24 => format!("for n in [\"x-odd\", \"{}\"] {{ {r}.http.remove(n); }}", self.d.pick(&["cookie", "host"])),
            25 => format!("for i in 0..3 {{ std::log(`${{i}} ${{{}}}`); }}", self.text(0)),
            26 => {
                let (a, b) = (self.statement(0), self.statement(0));
                format!(
                    "switch {} {{ \"/\" => {{ {a} }}, \"GET\" | \"HEAD\" if {} => {{ {b} }}, _ => {{ }} }}",
                    self.text(1),
                    self.cond(0)
                )
            }
            27 => format!(
                "switch {} {{ 0 | -1 => {{ {} }}, 1..=500 => {{ }}, _ => std::log(\"other\") }}",
                self.int(),
                self.statement(0)
            ),
            28 if r == "req" => {
                format!("req.vars[\"a\"] = {};", self.d.pick(&["1", "\"t\"", "()", "req.http.host", "true"]))
            }
            28 => format!("{r}.http.append(\"x-more\", {});", self.maybe()),
            29 if r == "req" => "req.http.x_var = req.vars[\"a\"]; std::log(`${req.vars[\"a\"]}`);".to_owned(),
            29 => format!("{r}.cookie.keep_matching(`^[a-s]`);"),
            30 => {
                let p = self.p().unwrap_or(r);
                format!("{p}.http.remove_lines(\"cookie\", \"^[a-m]\");")
            }
            31 => format!(
                "let c = {}.captures(`^/([a-z]+)(\\?)?`); if c != () {{ std::log(`${{c[1]}}-${{c[2]}}`); }}",
                self.text(0)
            ),
            0 | 1 => format!("{} = {};", self.field(), self.text(2)),
            2 => format!("{} = {};", self.field(), self.maybe()),
            3 => format!("{} = {};", self.field(), self.d.pick(&["()", "\"nosniff\"", "7"])),
            4 => format!("{}.http.remove(\"{}\");", self.side(), self.d.pick(&["cookie", "x-odd", "host"])),
            5 => format!("{}.http.remove_matching(\"{}\");", self.side(), self.d.pick(&["x-*", "*", "content-*"])),
            6 => format!("{r}.cookie.remove(\"{}\");", self.d.pick(&["a", "utm_*", "theme"])),
            7 => format!("{r}.cookie.keep([\"{}\", \"b*\"]);", self.d.pick(&["a", "theme"])),
            8 if self.d.roll(4) == 0 => format!("{r}.url = {};", self.maybe()),
            8 => format!("{r}.url = {};", self.text(2)),
            9 => format!("std::log({});", self.text(1)),
            10 if r == "req" => {
                self.d.pick(&["req.grace = duration(\"10s\");", "req.hash_always_miss = true;"]).to_owned()
            }
            10 if self.p().is_some() => {
                self.d.pick(&["beresp.ttl = duration(\"1d\");", "beresp.uncacheable = true;"]).to_owned()
            }
            11 if self.hook == Hook::Hash => format!("key.add({});", self.maybe()),
            11 => format!("{r}.backend = if {} {{ backend(\"app1\") }} else {{ director(\"app\") }};", self.cond(0)),
            12 => format!("if {} {{ return {}; }}", self.cond(1), self.action()),
            13 if depth > 0 => {
                format!("if {} {{\n{}\n}} else {{ {} }}", self.cond(1), self.block(depth - 1), self.block(depth - 1))
            }
            10 | 14 => format!("if {} {{ return; }}", self.cond(0)),
            _ => format!("if {} {{\n    {}\n}}", self.cond(1), self.block(depth.saturating_sub(1))),
        };
        self.texts.truncate(texts);
        self.maybes.truncate(maybes);
        self.ints.truncate(ints);
        text
    }

    /// The script's own functions.
    fn functions(&mut self) -> String {
        // A script's own functions see what is passed to them.
        let action = loop {
            let action = self.action();
            let foreign = ["resp", "client", "obj", "v1", "v2", "v3", "v4", "v5"];
            if !foreign.iter().any(|name| action.contains(name)) {
                break action.replace("bereq.", "r.").replace("req.", "r.");
            }
        };
        format!(
            "fn is_static(u) {{ url::extension(u) in [\"css\", \"x\"] }}\n\
             fn moved(p) {{ switch p {{ \"/\" => \"/home\", \"/a\" | \"*\" => \"/b\" }} }}\n\
             fn few(n) {{ switch n {{ 0 => \"none\", 404 if n > 3 => `${{n}}!`, 1..5 => \"few\", _ => {{ let t = `${{n}}`; t + t }} }} }}\n\
             fn page(t, u) {{\n    let x = std::escape_html(t);\n    if u == \"/\" {{ return \"root\"; }}\n    let y = few(x.len());\n    `<h1>${{x}}</h1>${{u}}${{y}}`\n}}\n\
             fn deep(t) {{ let a = t + \"x\"; if is_static(a) {{ return true; }} page(a, t).len() > 20 }}\n\
             fn strip(r) {{ r.http.remove(\"x-odd\"); r.http[\"x-seen\"] = \"1\"; }}\n\
             fn tidy(r, t) {{\n    let k = t + \"!\";\n    if k.len() > 20 {{ return; }}\n    r.http[\"x-k\"] = k;\n    strip(r);\n}}\n\
             fn decide(r) {{ if r.url.contains(\"x=\") {{ return {action}; }} r.http[\"x-d\"] = \"1\"; }}\n"
        )
    }

    fn block(&mut self, depth: usize) -> String {
        let n = 1 + self.d.roll(3);
        let (texts, maybes, ints) = (self.texts.len(), self.maybes.len(), self.ints.len());
        let text = (0..n).map(|_| self.statement(depth)).collect::<Vec<_>>().join("\n    ");
        self.texts.truncate(texts);
        self.maybes.truncate(maybes);
        self.ints.truncate(ints);
        text
    }

    fn script(&mut self) -> String {
        let body = self.block(2);
        let tail = match self.d.roll(6) {
            2 => format!("\n    return decide({});", self.r()),
            3 => format!("\n    decide({})", self.r()),
            0 => format!("\n    {}", self.action()),
            1 => format!("\n    return {};", self.action()),
            _ => String::new(),
        };
        let row = self.hook.row();
        format!("{}fn {}({}) {{\n    {body}{tail}\n}}\n", self.functions(), row.name, row.params.join(", "))
    }
}

const HOOKS: [Hook; 8] = [
    Hook::Hit,
    Hook::Recv,
    Hook::Hash,
    Hook::Deliver,
    Hook::Synth,
    Hook::BackendFetch,
    Hook::BackendResponse,
    Hook::BackendError,
];

fn compare(native: &Arc<Policy>, reference: &Arc<Policy>, hook: Hook, scene: &Scene, source: &str) -> bool {
    let (a, by_native) = native.call(hook, Box::new(scene.clone()));
    let (b, by_rhai) = reference.call(hook, Box::new(scene.clone()));
    let by_native = match (by_native, &by_rhai) {
        // Rhai loses the place of some faults. What is known here may be said.
        (Err(f), Err(r)) if r.line == 0 => Err(Box::new(copal_policy::Fault { line: 0, column: 0, ..*f })),
        // Of a template that grows too long Rhai tells the number in it that came last, native code where it begins.
        (Err(f), Err(r))
            if matches!(f.kind, FaultKind::Limit(Limit::StringBytes)) && f.trace == r.trace && f.line == r.line =>
        {
            Err(Box::new(copal_policy::Fault { column: r.column, ..*f }))
        }
        // Of a limit that is hit in a function Rhai knows only where the hook called it.
        (Err(f), Err(r)) if matches!(f.kind, FaultKind::Limit(_)) && r.trace.is_empty() => {
            let outermost = f.trace.last().map_or(String::new(), |t| t.rsplit(" at ").next().unwrap_or("").to_owned());
            let same = outermost == format!("{}:{}:{}", r.file, r.line, r.column);
            Err(if same { r.clone() } else { f })
        }
        (other, _) => other,
    };
    assert_eq!(by_native, by_rhai, "{source}\n{}", scene.req.url);
    assert_eq!(format!("{a:?}"), format!("{b:?}"), "{source}\n{}", scene.req.url);
    by_native.is_err()
}

fn run(seed: u64, scripts: usize, limits: &Limits) -> (usize, usize, usize) {
    let mut d = Dice(seed);
    let (mut compiled, mut calls, mut faults) = (0, 0, 0);
    let mut reasons = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..scripts {
        let hook = d.pick(&HOOKS);
        let source =
            Author { d: &mut d, hook, texts: Vec::new(), maybes: Vec::new(), ints: Vec::new(), made: 0 }.script();
        let reference = match Policy::compile("site.rhai", &source, env(true, limits.clone())) {
            Ok(policy) => policy,
            // What is refused at load is none of this test's business, but both must refuse it.
            Err(_) => {
                assert!(Policy::compile("site.rhai", &source, env(false, limits.clone())).is_err(), "{source}");
                continue;
            }
        };
        assert!(reference.native().is_empty());
        let native = Policy::compile("site.rhai", &source, env(false, limits.clone())).expect("as the reference");
        compiled += usize::from(native.native().has(hook));
        for (_, why) in native.interpreted() {
            *reasons.entry(why.reason.clone()).or_default() += 1;
        }
        for _ in 0..8 {
            faults += usize::from(compare(&native, &reference, hook, &scene(&mut d), &source));
            calls += 1;
        }
    }
    println!("{reasons:#?}");
    (compiled, calls, faults)
}

#[test]
fn generated_scripts_do_the_same_natively_and_in_the_interpreter() {
    let (compiled, calls, faults) = run(1, 600, &Limits::default());
    assert!(compiled > 400 && calls > 3_000 && faults > 100, "{compiled} {calls} {faults}");
}

#[test]
fn limits_are_hit_at_the_same_place() {
    let tight = Limits { written_bytes: 120, string_bytes: 90, ..Limits::default() };
    let (compiled, _, faults) = run(2, 600, &tight);
    assert!(compiled > 400 && faults > 400, "{compiled} {faults}");
}

#[test]
fn the_policies_of_the_guide_and_the_benches_need_no_interpreter() {
    let native = |source: &str| Policy::compile("p", source, env(false, Limits::default())).expect("valid").native();
    let sample = native(include_str!("../../../benches/peers/policy.rhai"));
    assert!(sample.has(Hook::Recv) && sample.has(Hook::Deliver));
    let cookies = native(include_str!("../../../vcl-examples/01-anonymous-cookies/policy.rhai"));
    assert!(cookies.has(Hook::Recv) && cookies.has(Hook::BackendResponse) && cookies.has(Hook::Deliver));
}

#[test]
fn what_is_not_known_stays_with_the_interpreter() {
    for body in [
        "for i in [1, 2] { req.url = \"/\"; }",
        "for i in req.http.all(\"x\") { req.url = \"/\"; }",
        "while req.url == \"/\" { req.url = \"/x\"; }",
        "let x = 1.5; req.http.x = x;",
        "let x = #{a: 1}; req.http.x = x.a;",
        "if req?.url == \"/\" { req.url = \"/\"; }",
        "try { req.url = \"/x\"; } catch { }",
        "throw \"x\";",
        "switch 'x' { 'x' => pass(), _ => lookup() }",
        "req.http.x = json::get(req.url, \"/a\");",
        "for i in 0..3 { if req.url == \"/\" { break; } }",
        "req.http.x = again(3);",
    ] {
        let source =
            format!("fn again(n) {{ if n > 0 {{ again(n - 1) }} else {{ \"\" }} }}\nfn recv(req) {{\n{body}\n}}");
        let policy =
            Policy::compile("p", &source, env(false, Limits::default())).unwrap_or_else(|e| panic!("{body}: {e}"));
        assert!(!policy.native().has(Hook::Recv), "{body}");
    }
    let own = "fn starts_with(a, b) { true }\nfn recv(req) { if req.url.starts_with(\"/x\") { return pass(); } }";
    let policy = Policy::compile("p", own, env(false, Limits::default()));
    assert!(policy.is_err() || policy.is_ok_and(|p| p.native().is_empty()), "a script's own function counts");
    let few = Limits { operations: 20, ..Limits::default() };
    let policy =
        Policy::compile("p", "fn recv(req) { req.url = query::sort(req.url); }", env(false, few)).expect("valid");
    assert!(policy.native().is_empty(), "the limit on operations is the interpreter's to keep");
    assert_eq!(policy.call(Hook::Recv, Box::default()).1, Ok(Action::Default));
}

#[test]
fn the_hooks_of_the_examples_run_natively_but_for_these() {
    let world = Environment {
        acls: ["editors", "purgers", "staff"].map(|n| (n.to_owned(), Acl::parse(["10.0.0.0/8"]).expect("acl"))).into(),
        backends: ["app", "api", "canary", "web", "media"].map(str::to_owned).into(),
        directors: ["app", "visitors", "web"].map(str::to_owned).into(),
        storages: ["main", "images"].map(str::to_owned).into(),
        ..Environment::default()
    };
    let world = Arc::new(world);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vcl-examples");
    let mut examples: Vec<_> =
        std::fs::read_dir(folder).expect("examples").filter_map(|e| Some(e.ok()?.path())).collect();
    examples.sort();
    let (mut native, mut interpreted) = (0, Vec::new());
    for example in examples.iter().filter(|e| e.join("policy.rhai").exists()) {
        let name = example.file_name().and_then(|n| n.to_str()).expect("a name");
        let policy = Policy::load(&example.join("policy.rhai"), Arc::clone(&world)).unwrap_or_else(|e| panic!("{e}"));
        native += policy.defined().iter().filter(|h| Hook::by_name(h).is_some_and(|h| policy.native().has(h))).count();
        for (hook, why) in policy.interpreted() {
            interpreted.push(format!("{name} {}: {}:{} {}", hook.name(), why.line, why.column, why.reason));
        }
    }
    let known = [
        "21-ban recv: 6:13 `ban(…)` with these arguments",
        "24-magento backend_response: 35:91 the method `find` of a value of this type, or with arguments of these",
        "27-storages backend_response: 5:38 the variable `storage`",
        "34-ab-test recv: 6:78 the method `unix` of a value of this type, or with arguments of these",
        "35-rate-limit synth: 17:70 the method `seconds` of a value of this type, or with arguments of these",
        "47-api-authorization recv: 6:23 `jwt::verify(…)`",
        "48-soft-purge-on-publish recv: 7:27 `tags::soft_purge(…)`",
        "50-production-site recv: 37:61 a text with a value in it whose type is not known at load",
        "50-production-site backend_response: 69:26 such an assignment",
    ];
    assert_eq!(interpreted, known);
    assert!(native > 60, "{native}");
}
