//! Scripts that mean harm: whatever they do, a hook ends soon, and holds a few megabytes at most.

use copal_policy::{Environment, Fault, FaultKind, Hook, Limit, Limits, Policy, Scene, Stopwatch};
use copal_semantics::RequestHead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn request() -> Box<Scene> {
    let mut scene = Box::<Scene>::default();
    scene.req = RequestHead::get("/", [("host", "a")]);
    scene
}

fn fault_in(env: Environment, text: &str) -> Fault {
    let p = Policy::compile("site.rhai", text, Arc::new(env)).unwrap_or_else(|e| panic!("{e}"));
    *p.call(Hook::Recv, request()).1.expect_err(text)
}

fn fault(text: &str) -> Fault {
    fault_in(Environment::default(), text)
}

fn limit(body: &str) -> Limit {
    match fault(&format!("fn recv(req) {{ {body} }}")).kind {
        FaultKind::Limit(limit) => limit,
        other => panic!("{body}: {other:?}"),
    }
}

/// The most memory that this process has had, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn no_script_grows() {
    let before = most_memory();
    let long = "let s = \"\"; s.pad(60000, \"a\");";
    let few = Environment { limits: Limits { map: 500, ..Limits::default() }, ..Environment::default() };
    let many = fault_in(few, "fn recv(req) { let m = #{}; for i in 0..3000 { m[`${i}`] = i; } }");
    assert_eq!(many.kind, FaultKind::Limit(Limit::Map));
    assert_eq!(
        limit(&format!("{long} let m = #{{}}; for i in 0..9000 {{ m[`${{i}}`] = s + i; }}")),
        Limit::StringBytes
    );
    assert_eq!(
        limit(&format!("{long} let m = #{{}}; for i in 0..9000 {{ m[`${{i}}`] = [s + i]; }}")),
        Limit::StringBytes
    );
    assert_eq!(
        limit(&format!("{long} let a = []; a.pad(4000, 0); for i in 0..4000 {{ a[i] = s + i; }}")),
        Limit::StringBytes
    );
    assert_eq!(
        limit(&format!("{long} let m = #{{a: [], b: []}}; for i in 0..4000 {{ m.a.push(s + i); }}")),
        Limit::StringBytes
    );
    let through_this = format!(
        "fn grow(s) {{ for i in 0..9000 {{ this[`${{i}}`] = s + i; }} }}\nfn recv(req) {{ {long} let m = #{{}}; m.grow(s); }}"
    );
    assert_eq!(fault(&through_this).kind, FaultKind::Limit(Limit::StringBytes));
    let in_function = format!(
        "fn grow(m, s) {{ for i in 0..9000 {{ m[`${{i}}`] = s + i; }} }}\nfn recv(req) {{ {long} grow(#{{}}, s); }}"
    );
    assert_eq!(fault(&in_function).kind, FaultKind::Limit(Limit::StringBytes));
    // 262 MB before the data was watched.
    assert!(most_memory() - before < 48 * 1024, "{} KiB", most_memory() - before);
}

#[test]
fn no_value_is_nested_so_deep_that_dropping_it_takes_the_stack() {
    assert_eq!(limit("let a = []; while a != () { a = [a]; }"), Limit::Array);
    assert_eq!(limit("let m = #{}; while m != () { m = #{m: m}; }"), Limit::Map);
    // What JSON may have is within the limit.
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let fine = format!("fn recv(req) {{ let a = json::parse(\"{deep}\"); for i in 0..100 {{ let b = a; }} }}");
    let p = Policy::compile("site.rhai", &fine, Arc::default()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(p.call(Hook::Recv, request()).1.err(), None);
}

#[test]
fn looking_at_much_data_counts_as_operations() {
    // 4,000 members are looked at for each 64 uses of a variable: the price of 125 operations.
    let body = |n: u32| {
        format!("let a = []; a.pad({n}, 0); let n = 0; while n < 6000 {{ n += 1; }} if a.len() > {n} {{ a = []; }}")
    };
    let run = |n| {
        let text = format!("fn recv(req) {{ {} }}", body(n));
        let p = Policy::compile("site.rhai", &text, Arc::default()).unwrap_or_else(|e| panic!("{e}"));
        p.call(Hook::Recv, request()).1.err().map(|f| f.kind)
    };
    assert_eq!(run(1), None);
    assert_eq!(run(4000), Some(FaultKind::Limit(Limit::Operations)));
}

/// Each reading is so much later than the one before.
struct Steps {
    wall: (AtomicU64, u64),
    spent: (AtomicU64, u64),
}

impl Steps {
    fn of(wall: u64, spent: u64) -> Arc<Steps> {
        Arc::new(Steps { wall: (AtomicU64::new(7), wall), spent: (AtomicU64::new(9), spent) })
    }
}

impl Stopwatch for Steps {
    fn wall(&self) -> u64 {
        self.wall.0.fetch_add(self.wall.1, Ordering::Relaxed)
    }
    fn spent(&self) -> u64 {
        self.spent.0.fetch_add(self.spent.1, Ordering::Relaxed)
    }
}

#[test]
fn a_hook_that_takes_too_much_time_is_ended() {
    let text = "fn recv(req) {\n  let n = 0;\n  while n < 1000 { n += 1; }\n}";
    let run = |stopwatch| {
        let env = Environment { stopwatch, interpret: true, ..Environment::default() };
        let p = Policy::compile("site.rhai", text, Arc::new(env)).unwrap_or_else(|e| panic!("{e}"));
        let (scene, first) = p.call(Hook::Recv, request());
        // A second call begins anew.
        assert_eq!(p.call(Hook::Recv, scene).1.is_err(), first.is_err());
        first.err()
    };
    let ended = run(Steps::of(1_000_000, 1_000_000)).expect("ten milliseconds are over");
    assert_eq!((ended.kind, ended.line), (FaultKind::Limit(Limit::Time), 3), "{ended}");
    assert!(ended.to_string().contains("took too much time"), "{ended}");
    // The machine was busy with something else: the hook had the processor for a moment only.
    assert_eq!(run(Steps::of(1_000_000, 10)), None);
    // It is quick.
    assert_eq!(run(Steps::of(10, 1_000_000)), None);
}

#[test]
fn a_limit_that_is_hit_inside_of_functions_tells_the_calls() {
    let f = fault("fn down(n) {\n  while n >= 0 { n += 1; }\n}\nfn up(m) {\n  down(m)\n}\nfn recv(req) {\n  up(1);\n}");
    assert_eq!((f.kind, f.line), (FaultKind::Limit(Limit::Operations), 2), "{f}");
    assert_eq!(f.trace, ["in `down` called at site.rhai:5:3", "in `up` called at site.rhai:8:3"], "{f}");
    let f = fault("fn down(n) {\n  down(n + 1)\n}\nfn recv(req) {\n  down(0);\n}");
    assert_eq!((f.kind, f.line, f.trace.len()), (FaultKind::Limit(Limit::CallDepth), 2, 17), "{f}");
    assert_eq!(f.trace[16], "in `down` called at site.rhai:5:3", "{f}");
    let grown = "fn grow(a) {\n  while a != () { a = [a]; }\n}\nfn recv(req) {\n  grow(1);\n}";
    let f = fault(grown);
    assert_eq!((f.kind, f.line, f.trace.len()), (FaultKind::Limit(Limit::Array), 2, 1), "{f}");
    // In the hook itself there is no call to tell.
    let f = fault("fn f(n) { n }\nfn recv(req) { let n = f(1); while n >= 0 { n += 1; } }");
    assert_eq!(f.trace, Vec::<String>::new(), "{f}");
}

#[test]
fn a_limit_that_is_caught_ends_the_hook_all_the_same() {
    for then in ["", "return pass();", "f(-1);", "f(0); let m = 1; while m > 0 { m += 1; }"] {
        let text = format!(
            "fn f(n) {{ if n < 0 {{ f(n) }} }}\nfn recv(req) {{\n  try {{ let n = 0; while n >= 0 {{ n += 1; }} }} catch {{ {then} }}\n}}"
        );
        let f = fault(&text);
        assert_eq!(f.kind, FaultKind::Limit(Limit::Operations), "{f}");
    }
}

#[test]
fn a_limit_that_is_hit_in_a_module_names_its_file() {
    let dir = tempdir("hostile-module");
    std::fs::write(dir.join("lib.rhai"), "\n\nfn spin(n) {\n  while n >= 0 { n += 1; }\n}").expect("file");
    let main = dir.join("main.rhai");
    std::fs::write(&main, "import \"lib\" as lib;\nfn recv(req) {\n  lib::spin(1);\n}").expect("file");
    let p = Policy::load(&main, Arc::default()).unwrap_or_else(|e| panic!("{e}"));
    let f = p.call(Hook::Recv, request()).1.expect_err("it spins");
    assert!(f.file.ends_with("lib.rhai") && f.line == 4, "{f}");
    assert!(
        f.trace.len() == 1 && f.trace[0].starts_with("in `spin` called at ") && f.trace[0].ends_with("main.rhai:3:8"),
        "{f}"
    );
    std::fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn faults_of_functions_in_modules_have_their_place() {
    for (line, column) in [
        ("let z = 0; let b = std::bucket(\"a\", z);", 25),
        ("let s = []; s.pad(2, \"a\"); let b = std::accept(\"a\", []);", 41),
        ("for i in range(0, 5, 0) { req.http.x = i; }", 10),
        ("let s = \"[\"; s.pad(9001, \"1,\"); s += \"1]\"; let j = json::parse(s);", 58),
    ] {
        let f = fault(&format!("fn recv(req) {{\n{line}\n}}"));
        assert_eq!((f.line, f.column), (2, column), "{line}: {f}");
    }
}

#[test]
fn what_a_fault_says_is_short_and_plain() {
    let f = fault("fn recv(req) { let s = \"\"; s.pad(30000, \"é\"); throw s; }");
    assert!(f.message.len() < 1_100 && f.message.ends_with('…'), "{}", f.message.len());
    let f = fault("fn recv(req) { let a = [1, \"a\"]; a.sort(); }");
    assert_eq!(f.message, "elements of different types cannot be sorted");
    let f = fault("fn recv(req) { let a = [1, 2]; let b = a[0..1]; }");
    assert_eq!(f.message, "a value of type int is needed here, not range");
    let f = fault("fn recv(req) { let f = |x| x + (); f.call(1); }");
    assert!(f.trace.first().is_some_and(|t| t.starts_with("in a closure called at ")), "{f}");
}

#[test]
fn a_hook_without_the_interpreter_has_a_limit_on_time_too() {
    let env = |stopwatch| Environment { stopwatch, ..Environment::default() };
    // 100 rounds took five seconds for a field of 7,000 bytes.
    let regex = "fn recv(req) {\n  for i in 0..100 {\n    if req.http.x_long.matches(\"a[ab]{90}c\") { return pass(); }\n  }\n}";
    let long = "fn recv(req) {\n  for i in 0..100 {\n    req.http.x = i;\n    req.http.y = i;\n  }\n}";
    for (text, wall, spent, ends) in [
        (regex, 1_000_000, 1_000_000, Some(3)),
        (regex, 1_000_000, 10, None),
        (regex, 10, 1_000_000, None),
        (long, 10_000_000, 10_000_000, Some(3)),
    ] {
        let p =
            Policy::compile("site.rhai", text, Arc::new(env(Steps::of(wall, spent)))).unwrap_or_else(|e| panic!("{e}"));
        assert!(p.native().has(Hook::Recv), "{text}");
        let mut scene = request();
        scene.req.headers.set("x-long", "ab".repeat(500)).expect("a value");
        let (_, result) = p.call(Hook::Recv, scene);
        assert_eq!(
            result.err().map(|f| (f.kind, f.line)),
            ends.map(|line| (FaultKind::Limit(Limit::Time), line)),
            "{text}"
        );
    }
}

#[test]
fn modules_that_import_each_other_are_refused() {
    let dir = tempdir("hostile-circle");
    let file = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("file");
    file("one.rhai", "import \"two\" as two;\nfn a(x) { two::b(x) }");
    file("two.rhai", "import \"one\" as one;\nfn b(x) { one::a(x) }");
    file("main.rhai", "import \"one\" as one;\nfn recv(req) { one::a(1); }");
    let refused = Policy::load(&dir.join("main.rhai"), Arc::default()).expect_err("a circle").to_string();
    assert!(refused.contains("modules import each other in a circle: \"one\", \"two\", \"one\""), "{refused}");
    assert!(refused.contains("two.rhai:1:8"), "{refused}");
    std::fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn modules_that_import_each_other_along_many_ways_are_refused() {
    // Each imports the next twice: two to the power of thirty ways, and the load did not end.
    let dir = tempdir("hostile-many");
    for i in 0..30 {
        let next = i + 1;
        let text = format!("import \"m{next}\" as a;\nimport \"m{next}\" as b;\nfn f(x) {{ a::f(x) }}");
        std::fs::write(dir.join(format!("m{i}.rhai")), text).expect("file");
    }
    std::fs::write(dir.join("m30.rhai"), "fn f(x) { x }").expect("file");
    std::fs::write(dir.join("main.rhai"), "import \"m0\" as m;\nfn recv(req) { }").expect("file");
    let refused = Policy::load(&dir.join("main.rhai"), Arc::default()).expect_err("many ways").to_string();
    assert!(refused.contains("more than 1000 ways"), "{refused}");
    // Half of them twice are few enough.
    std::fs::write(dir.join("main.rhai"), "import \"m22\" as m;\nfn recv(req) { if m::f(1) == 2 { return pass(); } }")
        .expect("file");
    let p = Policy::load(&dir.join("main.rhai"), Arc::default()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(p.call(Hook::Recv, request()).1.err(), None);
    std::fs::remove_dir_all(&dir).expect("removed");
}

fn tempdir(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("copal-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("folder");
    dir
}
