//! The built-in behaviour as native code and as a script is the same.

use copal_policy::{Action, Environment, Hook, Policy, RequestBody, Scene, builtin};
use copal_semantics::{RequestHead, ResponseHead};
use std::sync::Arc;

/// Splitmix64: the same scenes in every run.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        usize::try_from((z ^ (z >> 27)) >> 33).unwrap_or(0) % n
    }
    /// What may stand in a field.
    fn text(&mut self) -> String {
        let length = self.roll(20);
        let text: String =
            (0..length).map(|_| self.pick(&['a', 'Z', '0', ' ', ',', '=', '"', '<', '&', 'é', '~'])).collect();
        text.trim().to_owned()
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

fn scene(d: &mut Dice) -> Scene {
    let req = RequestHead::get(d.pick(&["/", "/a?b=c&d", "*", "/é"]), []);
    let mut s = Scene { req, ..Scene::default() };
    let method = d.pick(&["GET", "HEAD", "POST", "PURGE", "PRI", "CONNECT", "OPTIONS", "TRACE", "get", "BREW"]);
    s.req.method = method.parse().expect("method");
    for (name, values) in [
        ("Host", ["a.example", "A.Example:80", ""]),
        ("cookie", ["a=1", "b=2", "c"]),
        ("authorization", ["x", "y", "z"]),
    ] {
        if d.roll(2) == 0 {
            s.req.headers.append(name, d.pick(&values)).expect("valid");
        }
    }
    for head in 0..d.roll(3) {
        s.req.headers.append(&format!("x-{head}"), d.text()).expect("valid");
    }
    s.req_body = match d.roll(5) {
        0 => RequestBody::Unread(Some(9)),
        1 => RequestBody::TooLarge,
        2 => RequestBody::Cached(Vec::new().into()),
        3 => RequestBody::Cached(d.text().into_bytes().into()),
        _ => RequestBody::None,
    };
    s.server.ip = d.pick(&["10.0.0.1", "::1"]).parse().expect("address");
    s.req_vars.xid = d.pick(&["1", "a<b>"]).into();
    if d.roll(2) == 0 {
        s.obj = Some(copal_policy::ObjectVars { hits: 3, uncacheable: d.roll(2) == 0, ..Default::default() });
    }
    s.req_vars.restarts = u32::try_from(d.roll(3)).unwrap_or(0);
    s.beresp_vars.uncacheable = d.roll(2) == 0;
    s.bereq_vars.is_bgfetch = d.roll(2) == 0;
    s.purge_count = d.pick(&[0, 1, 2, 99]);
    for head in [&mut s.resp, &mut s.beresp] {
        let status = u16::try_from(200 + d.roll(800) + 1000 * d.roll(3)).expect("small");
        *head = ResponseHead::new(d.pick(&[200, 404, 503, 1404, status]), []);
        head.reason = d.pick(&["", "Odd & <fine>", "é\t'\""]).into();
        for name in ["content-type", "retry-after", "cache-control", "set-cookie", "set-cookie", "vary"] {
            if d.roll(3) == 0 {
                head.headers.append(name, d.text()).expect("valid");
            }
        }
    }
    if d.roll(4) == 0 {
        s.resp_vars.body = Some(b"made".to_vec());
        s.beresp_vars.body = Some(b"made".to_vec());
    }
    s
}

type Native = fn(&mut Scene) -> Action;
const NATIVE: [(Hook, Native); 13] = [
    (Hook::Recv, |s| builtin::recv(s)),
    (Hook::Hash, builtin::hash),
    (Hook::Hit, |s| builtin::hit(s)),
    (Hook::Miss, |s| builtin::miss(s)),
    (Hook::Pass, |s| builtin::pass(s)),
    (Hook::Pipe, |s| builtin::pipe(s)),
    (Hook::Purge, |s| builtin::purge(s)),
    (Hook::BackendFetch, |s| builtin::backend_fetch(s)),
    (Hook::BackendRefresh, |s| builtin::backend_refresh(s)),
    (Hook::BackendResponse, |s| builtin::backend_response(s)),
    (Hook::BackendError, builtin::backend_error),
    (Hook::Deliver, |s| builtin::deliver(s)),
    (Hook::Synth, builtin::synth),
];

#[test]
fn the_script_and_the_native_code_decide_and_write_the_same() {
    let compiled = |interpret| {
        let env = Arc::new(Environment { interpret, ..Environment::default() });
        Policy::compile("builtin.rhai", builtin::SOURCE, env).unwrap_or_else(|e| panic!("{e}"))
    };
    // As the interpreter runs it, and as it is compiled.
    let policies = [compiled(true), compiled(false)];
    let mut d = Dice(42);
    let mut seen = std::collections::BTreeMap::<Hook, std::collections::BTreeSet<String>>::new();
    for _ in 0..1_000 {
        let start = scene(&mut d);
        for (hook, native) in NATIVE {
            let mut a = start.clone();
            let expected = native(&mut a);
            seen.entry(hook).or_default().insert(format!("{expected:?}"));
            for policy in &policies {
                let (b, got) = policy.call(hook, Box::new(start.clone()));
                assert_eq!(got.as_ref(), Ok(&expected), "{hook:?} {start:?}");
                assert_eq!(format!("{a:?}"), format!("{b:?}"), "{hook:?}");
            }
        }
    }
    // The scenes reach every decision there is: lookup, pass, purge and 405; four counts of a purge; one each elsewhere.
    for (hook, decisions) in seen {
        let wanted = if matches!(hook, Hook::Recv | Hook::Purge) { 4 } else { 1 };
        assert_eq!(decisions.len(), wanted, "{hook:?} {decisions:?}");
    }
}
