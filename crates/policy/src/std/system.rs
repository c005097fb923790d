//! `std::`: the log, health, random numbers, addresses, letters and dates; and Rhai's `print`, which is the log.

use crate::current::{self, Res};
use crate::environment::Environment;
use crate::fault::{FaultKind, HostError};
use crate::hooks::{Hook, HookSet};
use crate::host::{Req, headers};
use crate::library::ModuleFunction;
use crate::library::time::{shown, strftime};
use crate::notes::{self, Did};
use crate::sources::Sources;
use crate::value::{Backend, text, type_name};
use copal_semantics::{RequestHead, Span, Time};
use rhai::{Dynamic, Engine, ImmutableString, Module, NativeCallContext};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// With &, <, > and quotes as entities.
pub(crate) fn escape_html(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 8);
    for c in s.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// An address as logs and proxies write it: with brackets, with a port behind it, as IPv4 in IPv6. No names.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let ported = || text.parse::<SocketAddr>().ok().map(|a| a.ip());
    Some(text.parse().ok().or_else(bare).or_else(ported)?.to_canonical())
}

/// What to say of text that is no address.
pub(crate) fn not_an_address(t: &str) -> String {
    format!("\"{}\" is not an IP address", shown(t))
}

fn unknown(kind: &str, name: &str) -> HostError {
    HostError::new(FaultKind::UnknownName, format!("the configuration has no {kind} \"{}\"", shown(name)))
}

pub(crate) fn random(env: &Environment, from: &Dynamic, to: &Dynamic) -> Result<Dynamic, HostError> {
    let bits = env.random.next();
    if let (Ok(a), Ok(b)) = (from.as_int(), to.as_int()) {
        let width = i128::from(b) - i128::from(a) + 1;
        if width <= 0 {
            return Err(HostError::value("`std::random` takes the smaller number first"));
        }
        // Multiply and shift (Lemire 2019) instead of a remainder.
        let offset = (i128::from(bits >> 1) * width) >> 63;
        return Ok(i64::try_from(i128::from(a) + offset).unwrap_or(b).into());
    }
    #[expect(clippy::cast_precision_loss, reason = "a random number")]
    let number = |v: &Dynamic| v.as_float().or_else(|_| v.as_int().map(|i| i as f64));
    match (number(from), number(to)) {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are all that a float has")]
        (Ok(a), Ok(b)) => Ok((a + (b - a) * ((bits >> 11) as f64 / (1_u64 << 53) as f64)).into()),
        _ => {
            Err(HostError::value(format!("`std::random` takes numbers, not {} and {}", type_name(from), type_name(to))))
        }
    }
}

fn rollback(ctx: &NativeCallContext<'_>) -> Res<()> {
    let again = || {
        current::write("std", "rollback", HookSet::CLIENT, 0, |s| {
            if let Some(original) = &s.original {
                s.req = RequestHead::clone(original);
            }
            Ok(())
        })
    };
    if !notes::wanted(ctx.engine()) {
        return again();
    }
    let line = || current::read(|s| [("req.method", s.req.method.to_string()), ("req.url", s.req.url.clone())]);
    let before = line()?;
    headers::noting::<Req>(ctx, again)?;
    for ((what, value), _) in line()?.into_iter().zip(before).filter(|(now, was)| now != was) {
        notes::note(ctx, Did::Wrote, what.to_owned(), Some(value));
    }
    Ok(())
}

/// Gives scripts the module, `backend(..)` and `director(..)`.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>, sources: &Arc<Sources>) {
    let mut m = Module::new();
    ModuleFunction::new("log").set_into_module(&mut m, |ctx: NativeCallContext, value: Dynamic| -> Res<()> {
        crate::value::with_text(&value, |t| {
            let line = t.unwrap_or("()");
            let logged = current::log(line);
            notes::tell(&ctx, Did::Wrote, || ("log".to_owned(), Some(line.to_owned())));
            Ok(logged)
        })?
    });
    let world = Arc::clone(env);
    ModuleFunction::new("healthy").set_into_module(&mut m, move |name: &str| -> Res<bool> {
        if !world.serves(name) {
            return Err(unknown("backend or director", name).into());
        }
        Ok(world.health.healthy(Some(name)))
    });
    let world = Arc::clone(env);
    ModuleFunction::new("healthy").set_into_module(&mut m, move |b: Backend| world.health.healthy(Some(&b.0)));
    let world = Arc::clone(env);
    ModuleFunction::new("healthy").set_into_module(&mut m, move |(): ()| world.health.healthy(None));
    ModuleFunction::new("rollback")
        .with_volatility(true)
        .set_into_module(&mut m, |ctx: NativeCallContext| rollback(&ctx));
    ModuleFunction::new("denylist").with_volatility(true).set_into_module(
        &mut m,
        |ctx: NativeCallContext, time: Span| -> Res<()> {
            current::write("std", "denylist", HookSet::of(&[Hook::BackendResponse]), 0, |s| {
                s.beresp_vars.denylist = Some(time);
                Ok(())
            })?;
            let told = || ("beresp.backend".to_owned(), Some(format!("not asked for this URL for {time} s")));
            notes::tell(&ctx, Did::Wrote, told);
            Ok(())
        },
    );
    let variable = env.variable;
    ModuleFunction::new("getenv").with_volatility(true).set_into_module(&mut m, move |name: &str| -> Dynamic {
        crate::value::optional(variable(name).map(ImmutableString::from))
    });
    let world = Arc::clone(env);
    ModuleFunction::new("random")
        .set_into_module(&mut m, move |a: Dynamic, b: Dynamic| -> Res<Dynamic> { Ok(random(&world, &a, &b)?) });
    ModuleFunction::new("ip").set_into_module(&mut m, |t: &str| -> Res<IpAddr> {
        Ok(parse_ip(t).ok_or_else(|| HostError::value(not_an_address(t)))?)
    });
    ModuleFunction::new("ip").set_into_module(&mut m, |t: &str, fallback: IpAddr| parse_ip(t).unwrap_or(fallback));
    ModuleFunction::new("ip").set_into_module(&mut m, |(): (), fallback: IpAddr| fallback);
    ModuleFunction::new("ip").set_into_module(&mut m, |ip: IpAddr, _: IpAddr| ip);
    // A field that is not there, as VCL has it.
    for name in ["tolower", "toupper", "escape_html"] {
        ModuleFunction::new(name).set_into_module(&mut m, |(): ()| ImmutableString::new());
    }
    ModuleFunction::new("tolower").set_into_module(&mut m, |t: &str| text(&t.to_ascii_lowercase()));
    ModuleFunction::new("toupper").set_into_module(&mut m, |t: &str| text(&t.to_ascii_uppercase()));
    ModuleFunction::new("strftime")
        .set_into_module(&mut m, |t: Time, format: &str| ImmutableString::from(strftime(t, format)));
    ModuleFunction::new("escape_html").set_into_module(&mut m, |t: &str| ImmutableString::from(escape_html(t)));
    crate::host::body::add(&mut m);
    super::digest::add(&mut m);
    super::text::add(&mut m);
    super::files::add(&mut m, sources);
    e.register_static_module("std", m.into());

    for (kind, director) in [("backend", false), ("director", true)] {
        let world = Arc::clone(env);
        e.register_fn(kind, move |name: ImmutableString| -> Res<Backend> {
            let list = if director { &world.directors } else { &world.backends };
            if list.iter().any(|n| *n == name.as_str()) { Ok(Backend(name)) } else { Err(unknown(kind, &name).into()) }
        });
    }
    e.register_type_with_name::<Backend>("Backend");
    e.register_fn("==", |a: Backend, b: Backend| a == b).register_fn("!=", |a: Backend, b: Backend| a != b);
    e.register_fn("==", |a: Backend, b: &str| a.0 == b).register_fn("!=", |a: Backend, b: &str| a.0 != b);
    e.register_get("name", |b: &mut Backend| b.0.clone());
    let world = Arc::clone(env);
    e.register_fn("healthy", move |b: Backend| world.health.healthy(Some(&b.0)));
    // What is unset is asked of the default: `req.backend.healthy()` needs no guard.
    let world = Arc::clone(env);
    e.register_fn("healthy", move |(): ()| world.health.healthy(None));
    for name in ["to_string", "to_debug"] {
        e.register_fn(name, |b: Backend| b.0);
    }
    e.register_type_with_name::<HostError>("Error");
    for name in ["to_string", "to_debug"] {
        e.register_fn(name, |err: HostError| ImmutableString::from(err.message));
    }
    e.on_print(|line| drop(current::log(line))).on_debug(|line, _, _| drop(current::log(line)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_stay_in_their_range() {
        let env = Environment::default();
        let int = |a: i64, b: i64| random(&env, &a.into(), &b.into()).map(|v| v.as_int().unwrap_or(0));
        for _ in 0..200 {
            assert!((-2..=2).contains(&int(-2, 2).expect("range")));
        }
        assert_eq!(int(7, 7).expect("range"), 7);
        assert!(int(i64::MIN, i64::MAX).is_ok() && int(2, 1).is_err());
        let f = random(&env, &0.0_f64.into(), &1.0_f64.into()).expect("range").as_float().expect("float");
        assert!((0.0..1.0).contains(&f));
        assert!(random(&env, &"a".into(), &1_i64.into()).is_err());
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for (text, ip) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 192.0.2.7:4711 ", "192.0.2.7"),
            ("2001:DB8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(parse_ip(text).map(|ip| ip.to_string()).as_deref(), Some(ip), "{text}");
        }
        for text in ["", "x", "localhost", "1.2.3", "01.2.3.4", "[192.0.2.7]", "192.0.2.7:x", "192.0.2.7, 192.0.2.8"] {
            assert_eq!(parse_ip(text), None, "{text}");
        }
    }

    #[test]
    fn text_for_pages_is_escaped() {
        assert_eq!(escape_html("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
    }
}
