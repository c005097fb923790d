//! What an edge does for many sites: device classes, security headers, CORS (Fetch standard), lines of a field.

use super::headers::{Fields, Side, note, noting};
use super::{Bereq, Beresp, Handle, Obj, Req, Resp, read_only, writable};
use crate::current::{self, Res};
use crate::fault::HostError;
use crate::library::patterns::Patterns;
use crate::library::query::checked;
use crate::notes::{self, Did};
use crate::scene::Scene;
use crate::value::{framing, text, text_of};
use copal_semantics::{Headers, RequestHead, Span};
use http::Method;
use rhai::{Array, Dynamic, Engine, ImmutableString, NativeCallContext};
use std::rc::Rc;

/// What [`harden`] says unless the application has said it. Not Strict-Transport-Security, which binds a host for as long
/// as it says; nor a Content-Security-Policy, which has to fit the pages.
const HARDENING: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "SAMEORIGIN"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("cross-origin-opener-policy", "same-origin-allow-popups"),
];
/// What tells about the machinery.
const TELLING: [&str; 4] = ["server", "x-powered-by", "x-aspnet-version", "x-generator"];

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w.eq_ignore_ascii_case(needle))
}

/// The class of device that sent the request: the client hint when there is one, otherwise the words of User-Agent that
/// makers of browsers have agreed on.
pub(crate) fn device(h: &Headers) -> &'static str {
    let agent = h.get("user-agent").unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|w| contains(agent, w.as_bytes()));
    if says(&["bot", "crawl", "spider", "slurp", "facebookexternalhit"]) {
        return "bot";
    }
    if says(&["ipad", "tablet", "kindle", "silk/"]) || (says(&["android"]) && !says(&["mobi"])) {
        return "tablet";
    }
    match h.get("sec-ch-ua-mobile") {
        Some(b"?1") => "mobile",
        Some(b"?0") => "desktop",
        _ if says(&["mobi", "iphone", "ipod", "opera mini"]) => "mobile",
        _ => "desktop",
    }
}

/// A CORS-preflight request (Fetch §3.3.2).
pub(crate) fn is_preflight(req: &RequestHead) -> bool {
    req.method == Method::OPTIONS
        && req.headers.contains("origin")
        && req.headers.contains("access-control-request-method")
}

fn set(h: &mut Headers, name: &str, value: impl AsRef<[u8]>) -> Result<(), HostError> {
    h.set(name, value.as_ref()).map_err(|e| framing(name, e))
}

pub(crate) fn harden(h: &mut Headers) -> Result<(), HostError> {
    for name in TELLING {
        h.remove(name);
    }
    for (name, value) in HARDENING {
        if !h.contains(name) {
            set(h, name, value)?;
        }
    }
    Ok(())
}

/// Lets pages of the listed origins read the response, and answers what a preflight asks.
pub(crate) fn cors(
    req: &RequestHead,
    h: &mut Headers,
    origins: &[impl AsRef<str>],
    methods: &str,
    max_age: Span,
) -> Result<(), HostError> {
    let anyone = origins.iter().any(|o| o.as_ref() == "*");
    if !anyone {
        // Also when the origin is not listed: the answer would be another one if it were.
        let named = h.get_all("vary").any(|v| v == b"*" || contains(v, b"origin"));
        if !named {
            h.append("vary", "Origin").map_err(|e| framing("vary", e))?;
        }
    }
    let Some(origin) = req.headers.get("origin") else { return Ok(()) };
    if anyone {
        set(h, "access-control-allow-origin", "*")?;
    } else if origins.iter().any(|o| o.as_ref().as_bytes() == origin) {
        set(h, "access-control-allow-origin", origin)?;
    } else {
        h.remove("access-control-allow-origin");
        return Ok(());
    }
    if is_preflight(req) {
        set(h, "access-control-allow-methods", methods)?;
        if let Some(asked) = req.headers.get("access-control-request-headers") {
            set(h, "access-control-allow-headers", asked)?;
        }
        set(h, "access-control-max-age", max_age.as_secs().max(0).to_string())?;
    }
    Ok(())
}

/// Bytes that the fields made here may take: charged before they are written.
pub(crate) const CHARGED: usize = 512;

fn find<S: Side>(patterns: &Patterns, name: &str, re: &str) -> Res<Dynamic> {
    patterns.with(re, |regex| {
        current::try_read(|s| {
            for line in S::fields(s).into_iter().flat_map(|h| h.get_all(name)) {
                if regex.is_match(&String::from_utf8_lossy(line))? {
                    return Ok(text_of(line).into());
                }
            }
            Ok(Dynamic::UNIT)
        })
    })
}

fn remove_lines<S: Side>(patterns: &Patterns, name: &str, re: &str) -> Res<()> {
    patterns.with(re, |regex| {
        current::write(S::object(), "http", writable(S::TYPE), 0, |s| {
            S::check(name)?;
            let h = S::fields_mut(s).ok_or_else(|| read_only("http"))?;
            super::headers::remove_lines(h, name, regex)
        })
    })
}

fn lines<S: Side>(e: &mut Engine, patterns: &Rc<Patterns>) {
    let p = Rc::clone(patterns);
    e.register_fn("find", move |_: Fields<S>, name: &str, re: &str| find::<S>(&p, name, re));
    let p = Rc::clone(patterns);
    e.register_fn("remove_lines", move |_: Fields<S>, name: &str, re: &str| remove_lines::<S>(&p, name, re));
}

fn harden_this() -> Res<()> {
    current::write("resp", "http", writable(Resp::TYPE), CHARGED, |s| harden(&mut s.resp.headers))
}

fn cors_this(origins: Array, methods: &str, max_age: Span) -> Res<()> {
    let origins = checked(origins)?;
    let origins: Vec<ImmutableString> = origins.into_iter().filter_map(|o| o.into_immutable_string().ok()).collect();
    let asked = current::read(|s| {
        let sizes = ["origin", "access-control-request-headers"].map(|n| s.req.headers.get(n).map_or(0, <[u8]>::len));
        sizes.iter().sum::<usize>()
    })?;
    current::write("resp", "http", writable(Resp::TYPE), CHARGED + asked + methods.len(), |s| {
        cors(&s.req, &mut s.resp.headers, &origins, methods, max_age)
    })
}

/// Gives scripts these methods.
pub(crate) fn register(e: &mut Engine, patterns: &Rc<Patterns>) {
    e.register_fn("device", |_: Req| current::read(|s| text(device(&s.req.headers))));
    e.register_fn("device", |_: Bereq| current::read(|s| text(device(&s.bereq.headers))));
    e.register_fn("is_preflight", |_: Req| current::read(|s| is_preflight(&s.req)));
    e.register_fn("harden", |_: Resp| harden_this());
    e.register_fn("cors", |_: Resp, origins: Array, methods: &str, max_age: Span| cors_this(origins, methods, max_age));
    lines::<Req>(e, patterns);
    lines::<Bereq>(e, patterns);
    lines::<Resp>(e, patterns);
    lines::<Beresp>(e, patterns);
    lines::<Obj>(e, patterns);
}

type Ctx<'a> = NativeCallContext<'a>;

fn tell_lines<S: Side>(e: &mut Engine, patterns: &Rc<Patterns>) {
    let p = Rc::clone(patterns);
    e.register_fn("find", move |ctx: Ctx, _: Fields<S>, name: &str, re: &str| -> Res<Dynamic> {
        note::<S>(&ctx, Did::Read, name)?;
        find::<S>(&p, name, re)
    });
    let p = Rc::clone(patterns);
    e.register_fn("remove_lines", move |ctx: Ctx, _: Fields<S>, name: &str, re: &str| -> Res<()> {
        remove_lines::<S>(&p, name, re)?;
        note::<S>(&ctx, Did::Wrote, name)
    });
}

fn tell_device<S: Side>(e: &mut Engine, device_of: fn(&Scene) -> &'static str) {
    e.register_fn("device", move |ctx: Ctx, _: S| -> Res<ImmutableString> {
        note::<S>(&ctx, Did::Read, "user-agent")?;
        note::<S>(&ctx, Did::Read, "sec-ch-ua-mobile")?;
        current::read(|s| text(device_of(s)))
    });
}

/// The same methods, telling what they read and write.
pub(crate) fn tell(e: &mut Engine, patterns: &Rc<Patterns>) {
    tell_device::<Req>(e, |s| device(&s.req.headers));
    tell_device::<Bereq>(e, |s| device(&s.bereq.headers));
    e.register_fn("is_preflight", |ctx: Ctx, _: Req| -> Res<bool> {
        let method = current::read(|s| s.req.method.to_string())?;
        notes::note(&ctx, Did::Read, "req.method".to_owned(), Some(method));
        note::<Req>(&ctx, Did::Read, "origin")?;
        note::<Req>(&ctx, Did::Read, "access-control-request-method")?;
        current::read(|s| is_preflight(&s.req))
    });
    e.register_fn("harden", |ctx: Ctx, _: Resp| noting::<Resp>(&ctx, harden_this).map(drop));
    e.register_fn("cors", |ctx: Ctx, _: Resp, origins: Array, methods: &str, max_age: Span| -> Res<()> {
        note::<Req>(&ctx, Did::Read, "origin")?;
        noting::<Resp>(&ctx, || cors_this(origins, methods, max_age)).map(drop)
    });
    tell_lines::<Req>(e, patterns);
    tell_lines::<Bereq>(e, patterns);
    tell_lines::<Resp>(e, patterns);
    tell_lines::<Beresp>(e, patterns);
    tell_lines::<Obj>(e, patterns);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_known_by_their_words() {
        for (agent, hint, expected) in [
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148", "", "mobile"),
            ("Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/120.0 Mobile Safari/537.36", "?1", "mobile"),
            ("Mozilla/5.0 (Linux; Android 14; SM-X710) Chrome/120.0 Safari/537.36", "?0", "tablet"),
            ("Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) Mobile/15E148", "", "tablet"),
            ("Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0", "?0", "desktop"),
            ("Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0", "?1", "mobile"),
            ("Mozilla/5.0 (compatible; Googlebot/2.1)", "?1", "bot"),
            ("", "", "desktop"),
        ] {
            let mut h: Headers = [("User-Agent", agent)].into_iter().collect();
            if !hint.is_empty() {
                h.set("sec-ch-ua-mobile", hint).expect("valid");
            }
            assert_eq!(device(&h), expected, "{agent} {hint}");
        }
    }

    #[test]
    fn hardening_says_what_the_application_has_not_said() {
        let mut h: Headers = [("X-Frame-Options", "DENY"), ("Server", "app/1"), ("X-A", "1")].into_iter().collect();
        harden(&mut h).expect("valid");
        assert_eq!((h.get("x-frame-options"), h.get("server")), (Some(&b"DENY"[..]), None));
        assert_eq!(h.get("x-content-type-options"), Some(&b"nosniff"[..]));
        assert!(h.contains("x-a"));
    }

    #[test]
    fn only_listed_origins_may_read_and_only_preflights_are_answered() {
        let ask = |method: &str, origin: &str, listed: &str| {
            let mut req = RequestHead::get("/", [("Origin", origin), ("Access-Control-Request-Method", "PUT")]);
            req.method = method.parse().expect("method");
            req.headers.set("access-control-request-headers", "x-a, x-b").expect("valid");
            let mut h: Headers = [("Access-Control-Allow-Origin", "https://old.example")].into_iter().collect();
            cors(&req, &mut h, &[listed], "GET, PUT", Span::from_secs(60)).expect("valid");
            let get = |name: &str| h.get(name).map(|v| String::from_utf8_lossy(v).into_owned());
            (get("access-control-allow-origin"), get("access-control-allow-headers"), get("vary"))
        };
        let some = |s: &str| Some(s.to_owned());
        let (a, b) = ("https://a.example", "https://b.example");
        assert_eq!(ask("OPTIONS", a, a), (some(a), some("x-a, x-b"), some("Origin")));
        assert_eq!(ask("GET", a, a), (some(a), None, some("Origin")));
        assert_eq!(ask("OPTIONS", b, a), (None, None, some("Origin")));
        assert_eq!(ask("OPTIONS", b, "*"), (some("*"), some("x-a, x-b"), None));
    }
}
