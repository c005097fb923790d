//! The functions and variables that scripts meet, with arguments of every type: whatever they are handed, a call gives a
//! value or a fault, and neither panics, blocks nor grows. And what is compiled natively does what the interpreter does.

use copal_policy::functions::{FUNCTIONS, On};
use copal_policy::vars::{Type, VARS};
use copal_policy::{Acl, Environment, FaultKind, HOOKS, Hook, Limits, ObjectVars, Policy, Scene, SeededRandom};
use copal_semantics::{RequestHead, ResponseHead, Span};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Small, so that the limits are met too.
const LIMITS: Limits = Limits {
    operations: 5_000,
    time: Span::from_millis(10),
    call_depth: 16,
    string_bytes: 4_096,
    array: 200,
    map: 100,
    variables: 128,
    functions: 64,
    modules: 4,
    expression_depth: 64,
    written_bytes: 16_384,
    patterns: 4,
    throttle_keys: 100,
};

/// No hook may take longer, by far: an instrumented build on a busy machine is slow.
const LONG: Duration = Duration::from_secs(5);

fn env(interpret: bool) -> Arc<Environment> {
    Arc::new(Environment {
        acls: [("purgers".to_owned(), Acl::parse(["10.0.0.0/8"]).expect("an ACL"))].into(),
        backends: vec!["app".to_owned()],
        directors: vec!["all".to_owned()],
        limits: LIMITS,
        random: Arc::new(SeededRandom::new(1)),
        interpret,
        ..Environment::default()
    })
}

fn scene(data: &[u8]) -> Box<Scene> {
    let mut s = Box::<Scene>::default();
    let text = String::from_utf8_lossy(data);
    s.req = RequestHead::get("/a?b=1&utm_x=2", [("Host", "a.example"), ("Cookie", "a=1; b=2")]);
    s.bereq = s.req.clone();
    s.resp = ResponseHead::new(200, [("Content-Type", "text/html")]);
    s.beresp = s.resp.clone();
    for headers in [&mut s.req.headers, &mut s.bereq.headers, &mut s.resp.headers, &mut s.beresp.headers] {
        // What cannot be a field is not one.
        let _refused = headers.append("x-fuzz", &data[..data.len().min(2_000)]);
    }
    s.req_vars.vars.insert("text".to_owned(), copal_policy::ScriptValue::Text(text.into_owned()));
    s.obj = Some(ObjectVars { head: s.resp.clone(), ttl: Span::from_secs(9), ..ObjectVars::default() });
    s.purge_count = 2;
    s
}

/// Bytes that the hook has written, as far as the limit counts them.
fn written(s: &Scene) -> usize {
    let fields = [&s.req.headers, &s.bereq.headers, &s.resp.headers, &s.beresp.headers];
    let lines: usize = fields.iter().flat_map(|h| h.iter()).map(|(n, v)| n.len() + v.len()).sum();
    lines + s.req.url.len() + s.bereq.url.len() + s.key.bytes().len() + s.log.iter().map(String::len).sum::<usize>()
}

/// Runs every hook of the script both ways.
#[expect(clippy::disallowed_methods, reason = "how long a hook takes is what is looked for")]
fn run(source: &str, data: &[u8]) {
    let began = Instant::now();
    let reference = match Policy::compile("fuzz.rhai", source, env(true)) {
        Ok(policy) => policy,
        Err(found) => {
            assert!(!found.to_string().is_empty(), "an error without a message");
            assert!(began.elapsed() < LONG, "the checks took {:?}", began.elapsed());
            return;
        }
    };
    let native = Policy::compile("fuzz.rhai", source, env(false)).expect("the reference was accepted");
    for row in HOOKS.iter().filter(|row| row.hook != Hook::Init && reference.has(row.hook)) {
        let start = scene(data);
        let before = written(&start);
        let began = Instant::now();
        let (a, by_rhai) = reference.call(row.hook, start.clone());
        assert!(began.elapsed() < LONG, "`{}` took {:?}", row.name, began.elapsed());
        let grown = written(&a).saturating_sub(before);
        assert!(grown <= LIMITS.written_bytes, "`{}` wrote {grown} bytes", row.name);
        if let Err(fault) = &by_rhai {
            assert!(fault.kind != FaultKind::Panic, "a host function panicked: {fault}");
        }
        if !native.native().has(row.hook) {
            continue;
        }
        let (b, by_native) = native.call(row.hook, start);
        let by_native = match (by_native, &by_rhai) {
            // Rhai loses the place of some faults, and of limits that are hit in a function (tests/native.rs).
            (Err(f), Err(r)) if r.line == 0 || matches!(f.kind, FaultKind::Limit(_)) => {
                Err(Box::new(copal_policy::Fault { line: r.line, column: r.column, trace: r.trace.clone(), ..*f }))
            }
            (other, _) => other,
        };
        assert_eq!(by_native, by_rhai, "{source}");
        assert_eq!(format!("{b:?}"), format!("{a:?}"), "{source}");
    }
}

/// As `copal check`: the script is parsed, checked, compiled, and its `init` run; then each of its hooks.
pub(crate) fn policy(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        run(text, b"text");
    }
}

/// Bytes as choices.
struct Choices<'d>(&'d [u8]);

impl<'d> Choices<'d> {
    fn roll(&mut self, n: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % n
    }

    fn text(&mut self) -> String {
        let len = self.roll(24).min(self.0.len());
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        quoted(&String::from_utf8_lossy(text))
    }

    /// An expression of some type: all that a script can hold.
    fn value(&mut self, depth: usize) -> String {
        match self.roll(if depth == 0 { 24 } else { 28 }) {
            0..=3 => self.text(),
            4 => {
                ["0", "1", "-1", "9223372036854775807", "-9223372036854775807", "404", "65536"][self.roll(7)].to_owned()
            }
            5 => ["0.5", "-1e300", "1e-300", "0.0"][self.roll(4)].to_owned(),
            6 => ["true", "false", "()", "'x'"][self.roll(4)].to_owned(),
            7 => "[]".to_owned(),
            8 => "#{}".to_owned(),
            9 => ["duration(\"1s\")", "duration(\"292277y\")", "-duration(\"1d\")"][self.roll(3)].to_owned(),
            10 => "now".to_owned(),
            11 => ["client.ip", "std::ip(\"::1\")"][self.roll(2)].to_owned(),
            12 => ["backend(\"app\")", "director(\"all\")"][self.roll(2)].to_owned(),
            13 => ["client", "server", "local", "remote"][self.roll(4)].to_owned(),
            14 => self.handle().to_owned(),
            15 => format!("{}.http", self.handle()),
            16 => "req.cookie".to_owned(),
            17 => "req.vars".to_owned(),
            18 => "req.vars[\"text\"]".to_owned(),
            19 => "\"x\".pad(3000, 'x')".to_owned(),
            20 => "|x| x".to_owned(),
            21 => "0..9".to_owned(),
            22 => ["\"sha256\"", "\"HS256\"", "\"10/s\"", "\"purgers\"", "\"^(a|b)+$\"", "\"*\"", "\"%Y\""]
                [self.roll(7)]
            .to_owned(),
            23 => format!("{}.http[{}]", self.handle(), self.text()),
            24 => format!("[{}, {}]", self.value(depth - 1), self.value(depth - 1)),
            25 => format!("#{{a: {}}}", self.value(depth - 1)),
            26 => format!("{} + {}", self.value(depth - 1), self.value(depth - 1)),
            _ => self.call(depth - 1),
        }
    }

    fn handle(&mut self) -> &'static str {
        ["req", "resp", "obj"][self.roll(3)]
    }

    /// A call of any function of the table, on what it belongs to or, now and then, on anything.
    fn call(&mut self, depth: usize) -> String {
        let f = &FUNCTIONS[self.roll(FUNCTIONS.len())];
        let count = if self.roll(8) == 0 { self.roll(4) } else { f.params.len() };
        let args: Vec<String> = (0..count).map(|_| format!("t({})", self.value(depth))).collect();
        let args = args.join(", ");
        match f.on {
            On::Free => format!("{}({args})", f.name),
            On::Module(module) => format!("{module}::{}({args})", f.name),
            On::Type(_) if self.roll(8) == 0 => format!("t({}).{}({args})", self.value(depth), f.name),
            On::Type(ty) => format!("{}.{}({args})", of_type(ty), f.name),
        }
    }

    fn statement(&mut self) -> String {
        match self.roll(4) {
            0 => {
                let v = &VARS[self.roll(VARS.len())];
                format!("{}.{} = t({});", v.object, v.name, self.value(1))
            }
            1 => format!("{}.http[t({})] = t({});", self.handle(), self.value(0), self.value(1)),
            2 => format!("req.vars[{}] = t({});", self.text(), self.value(1)),
            _ => format!("t({});", self.call(2)),
        }
    }
}

/// Something of that type that a `deliver` or a `synth` sees.
fn of_type(ty: Type) -> &'static str {
    match ty {
        Type::Bereq => "bereq",
        Type::Resp => "resp",
        Type::Key => "key",
        Type::Headers => "resp.http",
        Type::Cookies => "req.cookie",
        Type::Vars => "req.vars",
        Type::Text => "t(\"a text\")",
        Type::Address => "client.ip",
        Type::Duration => "duration(\"3s\")",
        Type::Time => "now",
        Type::Backend => "backend(\"app\")",
        _ => "req",
    }
}

/// As a script writes it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Each statement in a `try` of its own, so that one fault does not hide the next. `t` hides the type of what it is handed
/// from the checks at load.
pub(crate) fn hosts(data: &[u8]) {
    let mut choices = Choices(data);
    let (hook, params) =
        [("deliver", "req, resp"), ("synth", "req, resp"), ("hash", "req, key"), ("backend_fetch", "bereq")]
            [choices.roll(4)];
    let mut body = String::new();
    for _ in 0..4 {
        let statement = choices.statement();
        let _infallible = writeln!(body, "    try {{ {statement} }} catch {{ }}");
    }
    run(&format!("fn t(x) {{ x }}\nfn {hook}({params}) {{\n{body}    ()\n}}\n"), data);
}
