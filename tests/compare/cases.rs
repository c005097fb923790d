//! The exchanges, and for each the section of an RFC that decides and the judgement, written by hand.

/// What the origin answers. `{now+60}` in a value is a date.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: &'static [(&'static str, &'static str)],
}

/// A request.
pub(super) struct Step {
    pub(super) method: &'static str,
    pub(super) fields: &'static [(&'static str, &'static str)],
    /// Before it is sent. Age is faked by the origin where that does; some rules are about time that passes in the cache.
    pub(super) pause_millis: u64,
}

/// Who is right. Were Varnish, that would be a fault of Copal, to be mended and not listed.
pub(super) enum Right {
    /// They do the same.
    Same,
    Copal(&'static str),
    /// The RFC leaves it to the cache.
    Either(&'static str),
}

pub(super) struct Case {
    pub(super) what: &'static str,
    pub(super) steps: &'static [Step],
    pub(super) answers: &'static [Answer],
    /// Fields of the responses to tell.
    pub(super) watched: &'static [&'static str],
    pub(super) section: &'static str,
    pub(super) right: Right,
}

type Fields = &'static [(&'static str, &'static str)];

const fn get(fields: Fields) -> Step {
    Step { method: "GET", fields, pause_millis: 0 }
}

const fn send(method: &'static str) -> Step {
    Step { method, fields: &[], pause_millis: 0 }
}

/// A GET when a response with `max-age=1` has just become stale.
const fn later(fields: Fields) -> Step {
    Step { method: "GET", fields, pause_millis: 1600 }
}

const TWICE: &[Step] = &[get(&[]), get(&[])];

const fn ok(fields: Fields) -> Answer {
    Answer { status: 200, fields }
}

const fn case(
    what: &'static str,
    steps: &'static [Step],
    answers: &'static [Answer],
    section: &'static str,
    right: Right,
) -> Case {
    Case { what, steps, answers, watched: &[], section, right }
}

const fn watching(watched: &'static [&'static str], case: Case) -> Case {
    Case {
        what: case.what,
        steps: case.steps,
        answers: case.answers,
        watched,
        section: case.section,
        right: case.right,
    }
}

use Right::Same;

const MA: (&str, &str) = ("Cache-Control", "max-age=60");
const TAG: (&str, &str) = ("ETag", "\"a\"");

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    // Freshness.
    case("`max-age=60`", TWICE, &[ok(&[MA])], "RFC 9111 §4.2", Same),
    case("nothing about caching", TWICE, &[ok(&[])], "RFC 9111 §4.2.2", Right::Either("a heuristic may be used for a 200; Varnish assumes 120 s, Copal nothing without a date to reckon from (`ttl` in `[cache]` is that setting)")),
    case("`Last-Modified` a day ago", TWICE, &[ok(&[("Last-Modified", "{now-86400}"), ("Date", "{now+0}")])], "RFC 9111 §4.2.2", Same),
    case("`Last-Modified` two seconds ago, asked again after 1.6 s", &[get(&[]), later(&[])], &[ok(&[("Last-Modified", "{now-2}"), ("Date", "{now+0}")])], "RFC 9111 §4.2.2", Right::Copal("a tenth of the time since the last change is what the section suggests; Varnish takes 120 s whatever the date is")),
    case("404, nothing about caching", TWICE, &[Answer { status: 404, fields: &[] }], "RFC 9111 §4.2.2", Right::Either("as for the 200: 404 is heuristically cacheable")),
    case("503 with `max-age=60`", TWICE, &[Answer { status: 503, fields: &[MA] }], "RFC 9111 §3", Right::Either("any final status with an explicit lifetime may be stored; Varnish does not store this one")),
    case("302 with `max-age=60`", TWICE, &[Answer { status: 302, fields: &[MA, ("Location", "/x")] }], "RFC 9111 §3", Same),
    watching(&["Age"], case("`Age: 30` with `max-age=60`", TWICE, &[ok(&[MA, ("Age", "30")])], "RFC 9111 §4.2.3", Same)),
    case("`Age: 70` with `max-age=60`", TWICE, &[ok(&[MA, ("Age", "70")])], "RFC 9111 §4.2.3", Same),
    case("`Date` 100 seconds ago with `max-age=60`", TWICE, &[ok(&[MA, ("Date", "{now-100}")])], "RFC 9111 §4.2.3", Right::Copal("the apparent age of 100 s exceeds the lifetime; Varnish looks at Age alone")),
    case("`Expires` in a minute", TWICE, &[ok(&[("Expires", "{now+60}"), ("Date", "{now+0}")])], "RFC 9111 §5.3", Same),
    case("`Expires: 0`", TWICE, &[ok(&[("Expires", "0")])], "RFC 9111 §5.3", Right::Copal("an invalid date, \"especially the value 0\", MUST be taken as past; Varnish takes it as absent and assumes 120 s")),
    case("`Expires` in a minute, in the format of RFC 850", TWICE, &[ok(&[("Expires", "{850+60}"), ("Date", "{now+0}")])], "RFC 9110 §5.6.7", Same),
    case("`max-age=0, s-maxage=60`", TWICE, &[ok(&[("Cache-Control", "max-age=0, s-maxage=60")])], "RFC 9111 §4.2.1", Same),
    case("`max-age=\"60\"`, in quotes", TWICE, &[ok(&[("Cache-Control", "max-age=\"60\"")])], "RFC 9111 §5.2", Right::Copal("both forms of an argument ought to be accepted")),
    case("`max-age=9999999999999999999`", TWICE, &[ok(&[("Cache-Control", "max-age=9999999999999999999")])], "RFC 9111 §1.2.2", Same),
    case("`max-age=60` and `no-store` on two lines", TWICE, &[ok(&[MA, ("Cache-Control", "no-store")])], "RFC 9111 §5.2.2.5", Same),
    case("`no-store` in `CDN-Cache-Control`, `max-age=60` in Cache-Control", TWICE, &[ok(&[MA, ("CDN-Cache-Control", "no-store")])], "RFC 9213 §2.2", Right::Copal("the targeted field replaces Cache-Control for a cache that implements it; Varnish does not")),
    case("`max-age=60` in `CDN-Cache-Control`, `no-store` in Cache-Control", TWICE, &[ok(&[("CDN-Cache-Control", "max-age=60"), ("Cache-Control", "no-store")])], "RFC 9213 §2.2", Right::Copal("as above")),
    // Storing.
    case("`private, max-age=60`", TWICE, &[ok(&[("Cache-Control", "private, max-age=60")])], "RFC 9111 §5.2.2.7", Same),
    case("`private=\"x-a\", max-age=60`", TWICE, &[ok(&[("Cache-Control", "private=\"x-a\", max-age=60"), ("X-A", "1")])], "RFC 9111 §5.2.2.7", Right::Either("the form with field names may be taken as the one without; Copal stores the response without these fields")),
    case("`no-cache` with an ETag", TWICE, &[ok(&[("Cache-Control", "no-cache"), TAG])], "RFC 9111 §5.2.2.4", Right::Either("a cache may store it and validate each use, which saves the body, or not store it")),
    case("the first request says `no-store`", &[get(&[("Cache-Control", "no-store")]), get(&[])], &[ok(&[MA])], "RFC 9111 §5.2.1.5", Right::Copal("MUST NOT store any response to it")),
    case("the first request has Authorization", &[get(&[("Authorization", "Basic eDp5")]), get(&[])], &[ok(&[MA])], "RFC 9111 §3.5", Same),
    case("the requests have Authorization, the response `public, max-age=60`", &[get(&[("Authorization", "Basic eDp5")]), get(&[("Authorization", "Basic eDp6")])], &[ok(&[("Cache-Control", "public, max-age=60")])], "RFC 9111 §3.5", Right::Either("`public` allows sharing; Varnish passes every request with Authorization")),
    case("the requests have a Cookie", &[get(&[("Cookie", "a=1")]), get(&[("Cookie", "a=2")])], &[ok(&[MA])], "RFC 9111 §4.1", Right::Either("a Cookie selects nothing unless Vary names it; Varnish is careful for applications that forget Vary (`pass()` in a policy does the same)")),
    case("the response sets a cookie, `max-age=60`", TWICE, &[ok(&[MA, ("Set-Cookie", "a=1")])], "RFC 9111 §7.3", Same),
    case("the response sets a cookie, `public, max-age=60`", TWICE, &[ok(&[("Cache-Control", "public, max-age=60"), ("Set-Cookie", "a=1")])], "RFC 9111 §7.3", Right::Either("the section warns of cookies and lets the origin decide; it said `public`")),
    watching(&["X-Hop"], case("a field that Connection names", TWICE, &[ok(&[MA, ("Connection", "X-Hop"), ("X-Hop", "1")])], "RFC 9110 §7.6.1", Same)),
    case("HEAD, then GET", &[send("HEAD"), get(&[])], &[ok(&[MA])], "RFC 9110 §9.3.2", Same),
    case("GET, then HEAD", &[get(&[]), send("HEAD")], &[ok(&[MA])], "RFC 9111 §4", Same),
    // Selecting.
    case("`Vary: X-A`, another X-A", &[get(&[("X-A", "1")]), get(&[("X-A", "2")])], &[ok(&[MA, ("Vary", "X-A")])], "RFC 9111 §4.1", Same),
    case("`Vary: X-A`, the same list with other white space", &[get(&[("X-A", "1, 2")]), get(&[("X-A", "1,2")])], &[ok(&[MA, ("Vary", "X-A")])], "RFC 9111 §4.1", Right::Either("fields match when they can be made alike by white space; a cache need not try")),
    case("`Vary: *`", TWICE, &[ok(&[MA, ("Vary", "*")])], "RFC 9111 §4.1", Same),
    case("`Vary: Accept-Encoding`, the same codings in another order", &[get(&[("Accept-Encoding", "gzip, br")]), get(&[("Accept-Encoding", "br,GZIP")])], &[ok(&[MA, ("Vary", "Accept-Encoding")])], "RFC 9111 §4.1", Same),
    // Wishes of the client.
    case("the second request says `no-cache`", &[get(&[]), get(&[("Cache-Control", "no-cache")])], &[ok(&[MA])], "RFC 9111 §5.2.1.4", Same),
    case("the first request says `only-if-cached`", &[get(&[("Cache-Control", "only-if-cached")])], &[ok(&[MA])], "RFC 9111 §5.2.1.7", Right::Copal("\"the cache SHOULD either respond using a stored response … or respond with a 504\"")),
    // Stale responses.
    case("stale, nothing allows it to be served", &[get(&[]), later(&[])], &[ok(&[("Cache-Control", "max-age=1")])], "RFC 9111 §4.2.4", Right::Copal("MUST NOT unless disconnected or allowed; Varnish's grace of 10 s is allowed by its owner at most (`grace` in `[cache]`)")),
    case("stale, `must-revalidate`", &[get(&[]), later(&[])], &[ok(&[("Cache-Control", "max-age=1, must-revalidate")])], "RFC 9111 §5.2.2.2", Right::Copal("MUST NOT be reused until validated; Varnish's grace does not look at it")),
    case("stale, `stale-while-revalidate=60`", &[get(&[]), later(&[])], &[ok(&[("Cache-Control", "max-age=1, stale-while-revalidate=60")])], "RFC 5861 §3", Same),
    case("stale, `stale-while-revalidate=0`", &[get(&[]), later(&[])], &[ok(&[("Cache-Control", "max-age=1, stale-while-revalidate=0")])], "RFC 5861 §3", Same),
    case("stale with an ETag, the origin says 304", &[get(&[]), later(&[])], &[ok(&[("Cache-Control", "max-age=1, must-revalidate"), TAG])], "RFC 9111 §4.3.3", Right::Copal("`must-revalidate`, as above; Copal validates first")),
    case("stale, `stale-if-error=60`, the origin says 503", &[get(&[]), later(&[])], &[ok(&[("Cache-Control", "max-age=1, stale-if-error=60")]), Answer { status: 503, fields: &[] }], "RFC 5861 §4", Same),
    // Conditions and ranges.
    case("`If-None-Match: \"b\", W/\"a\"`, stored `\"a\"`", &[get(&[]), get(&[("If-None-Match", "\"b\", W/\"a\"")])], &[ok(&[MA, TAG])], "RFC 9110 §13.1.2", Right::Copal("the weak comparison of a member of the list matches")),
    case("`If-None-Match: *`", &[get(&[]), get(&[("If-None-Match", "*")])], &[ok(&[MA, TAG])], "RFC 9110 §13.1.2", Right::Copal("\"the condition is false if the origin server has a current representation\"")),
    case("`If-Modified-Since` later than `Last-Modified`", &[get(&[]), get(&[("If-Modified-Since", "{now-10}")])], &[ok(&[MA, ("Last-Modified", "{now-1000}")])], "RFC 9110 §13.1.3", Same),
    case("`If-Modified-Since` now, the response has a Date alone", &[get(&[]), get(&[("If-Modified-Since", "{now+0}")])], &[ok(&[MA, ("Date", "{now-5}")])], "RFC 9111 §4.3.2", Same),
    case("`If-Match: \"b\"`, stored `\"a\"`", &[get(&[]), get(&[("If-Match", "\"b\"")])], &[ok(&[MA, TAG])], "RFC 9110 §13.1.1", Right::Either("a cache MAY leave If-Match aside, or answer 412")),
    watching(&["Content-Range"], case("`Range: bytes=0-1`", &[get(&[]), get(&[("Range", "bytes=0-1")])], &[ok(&[MA])], "RFC 9110 §14.2", Same)),
    watching(&["Content-Range"], case("`Range: bytes=0-1` on a miss", &[get(&[("Range", "bytes=0-1")]), get(&[])], &[ok(&[MA])], "RFC 9111 §3.3", Same)),
    case("`Range: bytes=0-0,3-3`", &[get(&[]), get(&[("Range", "bytes=0-0,3-3")])], &[ok(&[MA])], "RFC 9110 §15.3.7.2", Right::Copal("both ranges exist, so 416 is wrong; the whole with 200 would be right, too")),
    watching(&["Content-Range"], case("`Range: bytes=100-`, beyond the end", &[get(&[]), get(&[("Range", "bytes=100-")])], &[ok(&[MA])], "RFC 9110 §15.5.17", Same)),
    case("`If-Range: \"b\"`, stored `\"a\"`", &[get(&[]), get(&[("Range", "bytes=0-1"), ("If-Range", "\"b\"")])], &[ok(&[MA, TAG])], "RFC 9110 §13.1.5", Same),
    // Invalidation.
    case("GET, POST, GET", &[get(&[]), send("POST"), get(&[])], &[ok(&[MA])], "RFC 9111 §4.4", Right::Copal("MUST invalidate the target of an unsafe request that succeeded")),
    case("GET, a POST that fails, GET", &[get(&[]), send("POST"), get(&[])], &[ok(&[MA]), Answer { status: 500, fields: &[] }], "RFC 9111 §4.4", Same),
];
