//! A generated exchange: a request, its response, and a second request later, as a model from which heads are written.
//!
//! The rules of `forbidden` judge the model, the crate reads the heads: so no parser is shared between the two.

use crate::forbidden;
use copal_semantics::{RequestHead, ResponseHead, Time, date};
use http::Method;
use proptest::prelude::*;
use proptest::sample::select;

/// A directive: its name, and its argument if it has one.
pub(crate) type Directive = (&'static str, Option<i64>);

/// A request and its wishes.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) directives: Vec<Directive>,
    pub(crate) pragma: bool,
    pub(crate) authorization: bool,
    /// The values of `X-A` and `X-B`, which responses may vary on.
    pub(crate) fields: [Option<&'static str>; 2],
}

/// A date as seconds relative to the arrival of the response, or something that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dated {
    At(i64),
    Invalid,
}

/// How the fields are spelled. Most cases are plain; the odd ones are what parsers differ about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    Plain,
    UpperCase,
    Quoted,
    /// White space and empty members around the commas.
    Spacious,
    /// Every directive on a line of its own.
    Lines,
}

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) directives: Vec<Directive>,
    pub(crate) spelling: Spelling,
    pub(crate) date: Option<Dated>,
    pub(crate) expires: Option<Dated>,
    pub(crate) last_modified: Option<Dated>,
    pub(crate) age: Option<i64>,
    pub(crate) etag: bool,
    pub(crate) set_cookie: bool,
    pub(crate) pragma: bool,
    /// Indexes into the request's fields; 2 stands for `*`.
    pub(crate) vary: Vec<usize>,
}

/// All of it. Times are whole seconds, as dates are; what happens within one second is left to the unit tests.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) first: Asked,
    pub(crate) answer: Answered,
    /// Seconds that the origin took.
    pub(crate) delay: i64,
    pub(crate) second: Asked,
    /// Seconds from the arrival of the response to the second request.
    pub(crate) after: i64,
}

/// When the response arrives.
pub(crate) const ARRIVED: Time = Time::from_secs(1_700_000_000);
pub(crate) const FIELDS: [&str; 3] = ["X-A", "X-B", "*"];

/// The number of a directive: small ones near each other, so that lifetimes and ages meet.
fn seconds() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0i64..40, 2 => 40i64..200_000, 1 => Just(0)]
}

fn request_directive() -> impl Strategy<Value = Directive> {
    prop_oneof![
        2 => Just(("no-cache", None)),
        1 => Just(("no-store", None)),
        3 => seconds().prop_map(|n| ("max-age", Some(n))),
        2 => seconds().prop_map(|n| ("min-fresh", Some(n))),
        3 => proptest::option::of(seconds()).prop_map(|n| ("max-stale", n)),
    ]
}

fn response_directive() -> impl Strategy<Value = Directive> {
    let flags = &["no-store", "no-cache", "private", "must-revalidate", "proxy-revalidate", "must-understand"][..];
    prop_oneof![
        8 => seconds().prop_map(|n| ("max-age", Some(n))),
        3 => seconds().prop_map(|n| ("s-maxage", Some(n))),
        2 => seconds().prop_map(|n| ("stale-while-revalidate", Some(n))),
        1 => seconds().prop_map(|n| ("stale-if-error", Some(n))),
        4 => select(flags).prop_map(|f| (f, None)),
        3 => select(&["public", "immutable", "no-transform"][..]).prop_map(|f| (f, None)),
    ]
}

fn dated(range: std::ops::Range<i64>) -> impl Strategy<Value = Dated> {
    prop_oneof![8 => range.prop_map(Dated::At), 1 => Just(Dated::Invalid)]
}

prop_compose! {
    fn asked(first: bool)(
        method in prop_oneof![12 => Just(Method::GET), 1 => Just(Method::HEAD), 1 => Just(Method::POST), 1 => Just(Method::DELETE)],
        directives in proptest::collection::vec(request_directive(), 0..3),
        quiet in proptest::bool::weighted(0.7),
        pragma in proptest::bool::weighted(0.05),
        authorization in proptest::bool::weighted(0.15),
        fields in [proptest::option::of(select(&["1", "2"][..])), proptest::option::of(select(&["1", "2"][..]))],
    ) -> Asked {
        let method = if first { method } else { Method::GET };
        Asked { method, directives: if quiet { Vec::new() } else { directives }, pragma, authorization, fields }
    }
}

prop_compose! {
    fn answered()(
        status in prop_oneof![10 => Just(200u16), 1 => select(&[203u16, 204, 301, 302, 304, 307, 404, 410, 500, 503][..]), 1 => 103u16..600],
        directives in proptest::collection::vec(response_directive(), 0..5),
        spelling in prop_oneof![12 => Just(Spelling::Plain), 1 => Just(Spelling::UpperCase), 1 => Just(Spelling::Quoted), 1 => Just(Spelling::Spacious), 1 => Just(Spelling::Lines)],
        date in proptest::option::weighted(0.7, prop_oneof![2 => Just(Dated::At(0)), 1 => dated(-60..30)]),
        expires in proptest::option::weighted(0.3, dated(-60..300)),
        last_modified in proptest::option::weighted(0.3, prop_oneof![dated(-2_000_000..100), dated(-500..10)]),
        age in proptest::option::weighted(0.3, seconds()),
        etag in any::<bool>(),
        set_cookie in proptest::bool::weighted(0.1),
        pragma in proptest::bool::weighted(0.05),
        vary in prop_oneof![3 => Just(Vec::new()), 2 => proptest::collection::vec(prop_oneof![8 => 0usize..2, 1 => Just(2)], 1..3)],
    ) -> Answered {
        // 206 needs a Content-Range and has tests of its own.
        let status = if status == 206 { 200 } else { status };
        Answered { status, directives, spelling, date, expires, last_modified, age, etag, set_cookie, pragma, vary }
    }
}

prop_compose! {
    /// Any exchange.
    pub(crate) fn exchange()(
        first in asked(true),
        answer in answered(),
        delay in prop_oneof![5 => Just(0i64), 1 => 0i64..20],
        second in asked(false),
        alike in proptest::bool::weighted(0.6),
        edge in 0..12,
        off in -1i64..2,
        after in prop_oneof![2 => Just(0), 12 => 0i64..60, 1 => 0i64..300_000],
    ) -> Exchange {
        let mut second = second;
        if alike {
            second.fields = first.fields;
        }
        let mut x = Exchange { first, answer, delay, second, after };
        // The client's wish at the very edge of what the response is, or one second beside it.
        let (age, left) = (forbidden::current_age(&x), forbidden::lifetime(&x.answer) - forbidden::current_age(&x));
        match edge {
            0 => x.second.directives = vec![("max-stale", Some((off - left).max(0)))],
            1 => x.second.directives = vec![("max-age", Some((age + off).max(0)))],
            2 => x.second.directives = vec![("min-fresh", Some((left + off).max(0)))],
            // A tenth that is no whole second, and the request within that second.
            3 => {
                x.after %= 60;
                x.answer.last_modified = Some(Dated::At(-10 * x.after - 5));
                (x.answer.date, x.answer.expires) = (Some(Dated::At(0)), None);
                x.answer.directives.retain(|(_, argument)| argument.is_none());
            }
            _ => {}
        }
        x
    }
}

fn text(at: Dated) -> String {
    match at {
        Dated::At(secs) => date::http_date(Time::from_secs(ARRIVED.as_secs() + secs)),
        Dated::Invalid => "0".to_owned(),
    }
}

/// The lines of a Cache-Control field.
fn cache_control(directives: &[Directive], spelling: Spelling) -> Vec<String> {
    let one = |(name, argument): &Directive| {
        let name = if spelling == Spelling::UpperCase { name.to_ascii_uppercase() } else { (*name).to_owned() };
        match (argument, spelling) {
            (None, _) => name,
            (Some(n), Spelling::Quoted) => format!("{name}=\"{n}\""),
            (Some(n), _) => format!("{name}={n}"),
        }
    };
    let all: Vec<String> = directives.iter().map(one).collect();
    match spelling {
        _ if all.is_empty() => Vec::new(),
        Spelling::Lines => all,
        Spelling::Spacious => vec![format!(" ,{}\t", all.join("\t ,, "))],
        Spelling::Plain | Spelling::UpperCase | Spelling::Quoted => vec![all.join(", ")],
    }
}

impl Asked {
    pub(crate) fn head(&self) -> RequestHead {
        let mut head = RequestHead { method: self.method.clone(), ..RequestHead::get("/a", [("Host", "a.example")]) };
        let mut put = |name: &str, value: &str| head.headers.append(name, value).unwrap();
        for line in cache_control(&self.directives, Spelling::Plain) {
            put("Cache-Control", &line);
        }
        if self.pragma {
            put("Pragma", "no-cache");
        }
        if self.authorization {
            put("Authorization", "Basic eDp5");
        }
        for (name, value) in FIELDS.iter().zip(self.fields) {
            if let Some(value) = value {
                put(name, value);
            }
        }
        head
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.directives.iter().any(|(n, _)| *n == name)
    }

    /// The arguments of all directives of that name.
    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = Option<i64>> + '_ {
        self.directives.iter().filter(move |(n, _)| *n == name).map(|(_, v)| *v)
    }
}

impl Answered {
    pub(crate) fn head(&self) -> ResponseHead {
        let mut head = ResponseHead::new(self.status, []);
        let mut put = |name: &str, value: &str| head.headers.append(name, value).unwrap();
        for line in cache_control(&self.directives, self.spelling) {
            put("Cache-Control", &line);
        }
        for (name, value) in [("Date", self.date), ("Expires", self.expires), ("Last-Modified", self.last_modified)] {
            if let Some(at) = value {
                put(name, &text(at));
            }
        }
        if let Some(age) = self.age {
            put("Age", &age.to_string());
        }
        if self.etag {
            put("ETag", "\"a\"");
        }
        if self.set_cookie {
            put("Set-Cookie", "session=1");
        }
        if self.pragma {
            put("Pragma", "no-cache");
        }
        for &field in &self.vary {
            put("Vary", FIELDS[field]);
        }
        head
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.directives.iter().any(|(n, _)| *n == name)
    }

    /// The arguments of all directives of that name.
    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = Option<i64>> + '_ {
        self.directives.iter().filter(move |(n, _)| *n == name).map(|(_, v)| *v)
    }
}

impl Exchange {
    pub(crate) fn asked_at(&self) -> Time {
        Time::from_secs(ARRIVED.as_secs() - self.delay)
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_secs(ARRIVED.as_secs() + self.after)
    }
}
