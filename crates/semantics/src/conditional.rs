//! RFC 9110 §13 and RFC 9111 §4.3.2: a client's preconditions, answered from a response.
//!
//! Runs on hits; allocates nothing but for [`not_modified_head`].

use crate::date;
use crate::etag::{self, EntityTag};
use crate::message::{RequestHead, ResponseHead};
use crate::reason::Reason;
use crate::time::{Span, Time};
use http::Method;
use smallvec::SmallVec;

/// What a 304 does not have because it describes content that is not sent.
const METADATA: [&str; 7] = [
    "content-length",
    "content-type",
    "content-encoding",
    "content-language",
    "content-range",
    "transfer-encoding",
    "trailer",
];

/// What the preconditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// None, or none that holds the response back: send it.
    Proceed,
    /// 304 (GET and HEAD only).
    NotModified(Reason),
    /// 412. From a cache this may be the word of an old copy: §13.1.1 lets a cache leave If-Match to the origin.
    Failed(Reason),
}

/// Does If-Range let a Range be applied?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfRange {
    /// Yes, or there is no If-Range.
    Holds,
    /// No: send the whole.
    Fails(Reason),
}

/// Evaluates the preconditions of `req` in the order of RFC 9110 §13.2.2.
///
/// `status`: the status that the response has without them; only a 2xx can be conditional (§13.2.1). `stored`: its head.
/// `now` stands in for Last-Modified when neither that nor Date can be read (RFC 9111 §4.3.2).
///
/// ```
/// use copal_semantics::{Reason, RequestHead, ResponseHead, Time, conditional::*};
/// let req = RequestHead::get("/", [("If-None-Match", "W/\"b\", \"a\"")]);
/// let resp = ResponseHead::new(200, [("ETag", "\"a\"")]);
/// assert_eq!(evaluate(&req, 200, &resp, Time::EPOCH), Precondition::NotModified(Reason::IfNoneMatch));
/// ```
#[must_use]
pub fn evaluate(req: &RequestHead, status: u16, stored: &ResponseHead, now: Time) -> Precondition {
    if !(200..300).contains(&status) {
        return Precondition::Proceed;
    }
    let get = req.method == Method::GET || req.method == Method::HEAD;
    let tag = EntityTag::of(&stored.headers);
    // 1 and 2: the conditions under which the client wants the request carried out at all.
    if req.headers.contains("if-match") {
        if !any_tag(req, "if-match", |t| tag.is_some_and(|own| own.strong_eq(t))) {
            return Precondition::Failed(Reason::IfMatch);
        }
    } else if let Some(limit) = one_date(req, "if-unmodified-since")
        && modified(stored, now) > limit
    {
        return Precondition::Failed(Reason::IfUnmodifiedSince);
    }
    // 3 and 4: whether the client has it already. If-None-Match takes precedence.
    if req.headers.contains("if-none-match") {
        if any_tag(req, "if-none-match", |t| tag.is_some_and(|own| own.weak_eq(t))) {
            return if get {
                Precondition::NotModified(Reason::IfNoneMatch)
            } else {
                Precondition::Failed(Reason::IfNoneMatch)
            };
        }
    } else if get
        && let Some(since) = one_date(req, "if-modified-since")
        && modified(stored, now) <= since
    {
        return Precondition::NotModified(Reason::IfModifiedSince);
    }
    Precondition::Proceed
}

/// Does `*`, or any tag of the list in all lines of that name, fulfil `test`?
fn any_tag(req: &RequestHead, name: &str, test: impl Fn(EntityTag<'_>) -> bool) -> bool {
    req.headers.get_all(name).flat_map(etag::list).any(|t| t.opaque == b"*" || test(t))
}

/// §13.1.3 and §13.1.4: the field is ignored when it is not one valid HTTP-date.
fn one_date(req: &RequestHead, name: &str) -> Option<Time> {
    let mut lines = req.headers.get_all(name);
    match (lines.next(), lines.next()) {
        (Some(v), None) => date::parse(v),
        (None | Some(_), _) => None,
    }
}

/// RFC 9111 §4.3.2: Last-Modified, else Date, else the time of reception, for which `now` is the safe stand-in.
fn modified(stored: &ResponseHead, now: Time) -> Time {
    let of = |name| stored.headers.get(name).and_then(date::parse);
    of("last-modified").or_else(|| of("date")).unwrap_or(now)
}

/// Evaluates If-Range (§13.1.5): a strong entity tag, or exactly the date of a Last-Modified that is a strong validator.
#[must_use]
pub fn if_range_holds(req: &RequestHead, stored: &ResponseHead) -> IfRange {
    let Some(value) = req.headers.get("if-range") else { return IfRange::Holds };
    let holds = match date::parse(value) {
        Some(_) => stored.headers.get("last-modified") == Some(value) && is_strong_date(stored),
        None => match (EntityTag::parse(value), EntityTag::of(&stored.headers)) {
            (Some(asked), Some(own)) => asked.strong_eq(own),
            (None | Some(_), None) | (None, Some(_)) => false,
        },
    };
    if holds { IfRange::Holds } else { IfRange::Fails(Reason::IfRange) }
}

/// Is Last-Modified a strong validator (§8.8.2.2)? When Date is so much later that no second change can hide in the same
/// second and clocks do not matter: 60 seconds, as RFC 7232 put it.
#[must_use]
pub fn is_strong_date(stored: &ResponseHead) -> bool {
    let of = |name| stored.headers.get(name).and_then(date::parse);
    matches!((of("last-modified"), of("date")), (Some(m), Some(d)) if d - m >= Span::from_secs(60))
}

/// The head of the 304 for this response (RFC 9110 §15.4.5).
///
/// "MUST generate […] Content-Location, Date, ETag, and Vary; Cache-Control and Expires"; "SHOULD NOT generate
/// representation metadata other than the above listed fields unless said metadata exists for the purpose of guiding cache
/// updates": metadata go, Last-Modified only when there is an ETag, and what is about the message (CORS, security
/// policies, cookies) stays.
#[must_use]
pub fn not_modified_head(head: &ResponseHead) -> ResponseHead {
    let mut out = head.clone();
    out.status = 304;
    out.reason.clear();
    let mut dropped: SmallVec<[&str; 8]> = SmallVec::from_slice(&METADATA);
    if head.headers.contains("etag") {
        dropped.push("last-modified");
    }
    out.headers.retain(|name, _| !dropped.iter().any(|n| n.eq_ignore_ascii_case(name)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T1: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const T1_850: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
    const T2: &str = "Sun, 06 Nov 1994 08:50:37 GMT";
    const NOW: Time = Time::from_secs(2_000_000_000);

    fn eval(method: Method, req: &[(&str, &str)], stored: &[(&str, &str)]) -> Precondition {
        let req = RequestHead { method, ..RequestHead::get("/", req.iter().copied()) };
        evaluate(&req, 200, &ResponseHead::new(200, stored.iter().copied()), NOW)
    }

    #[test]
    fn preconditions_are_evaluated_in_the_order_of_the_rfc() {
        use Precondition::{Failed, NotModified, Proceed};
        let inm = NotModified(Reason::IfNoneMatch);
        let ims = NotModified(Reason::IfModifiedSince);
        let tag = [("ETag", "\"a\"")];
        let weak = [("ETag", "W/\"a\"")];
        let lm = [("Last-Modified", T1)];
        for (req, stored, expected) in [
            (&[][..], &tag[..], Proceed),
            (&[("If-None-Match", "\"a\"")], &tag, inm),
            (&[("If-None-Match", "\"1\", \"a\", \"2\"")], &tag, inm),
            (&[("If-None-Match", "\"1\""), ("If-None-Match", "\"a\"")], &tag, inm),
            (&[("If-None-Match", "W/\"a\"")], &tag, inm),
            (&[("If-None-Match", "W/\"a\"")], &weak, inm),
            (&[("If-None-Match", "*")], &lm, inm),
            (&[("If-None-Match", "\"b\"")], &tag, Proceed),
            (&[("If-None-Match", "\"a\"")], &lm, Proceed),
            (&[("If-None-Match", "\"b\""), ("If-Modified-Since", T2)], &[tag[0], lm[0]], Proceed),
            (&[("If-None-Match", "\"a\""), ("If-Modified-Since", "x")], &[tag[0], lm[0]], inm),
            (&[("If-Modified-Since", T1)], &lm, ims),
            (&[("If-Modified-Since", T1_850)], &lm, ims),
            (&[("If-Modified-Since", T2)], &lm, ims),
            (&[("If-Modified-Since", T1)], &[("Last-Modified", T2)], Proceed),
            (&[("If-Modified-Since", T1)], &[("Date", T1)], ims),
            (&[("If-Modified-Since", T1)], &[("Date", T2)], Proceed),
            (&[("If-Modified-Since", T1)], &[], Proceed),
            (&[("If-Modified-Since", "yesterday")], &lm, Proceed),
            (&[("If-Modified-Since", T1), ("If-Modified-Since", T1)], &lm, Proceed),
            (&[("If-Match", "\"a\"")], &tag, Proceed),
            (&[("If-Match", "*")], &lm, Proceed),
            (&[("If-Match", "W/\"a\"")], &weak, Failed(Reason::IfMatch)),
            (&[("If-Match", "\"b\""), ("If-None-Match", "\"a\"")], &tag, Failed(Reason::IfMatch)),
            (&[("If-Match", "\"a\""), ("If-None-Match", "\"a\"")], &tag, inm),
            (&[("If-Unmodified-Since", T1)], &[("Last-Modified", T2)], Failed(Reason::IfUnmodifiedSince)),
            (&[("If-Unmodified-Since", T1)], &lm, Proceed),
            (&[("If-Match", "\"a\""), ("If-Unmodified-Since", T1)], &[tag[0], ("Last-Modified", T2)], Proceed),
        ] {
            assert_eq!(eval(Method::GET, req, stored), expected, "{req:?} {stored:?}");
        }
        assert_eq!(eval(Method::PUT, &[("If-None-Match", "*")], &tag), Failed(Reason::IfNoneMatch));
        assert_eq!(eval(Method::PUT, &[("If-Modified-Since", T1)], &lm), Proceed);
        assert_eq!(eval(Method::HEAD, &[("If-None-Match", "\"a\"")], &tag), inm);
    }

    #[test]
    fn only_a_success_can_be_not_modified() {
        let req = RequestHead::get("/", [("If-None-Match", "\"a\"")]);
        let stored = ResponseHead::new(404, [("ETag", "\"a\"")]);
        assert_eq!(evaluate(&req, 404, &stored, NOW), Precondition::Proceed);
    }

    #[test]
    fn a_range_is_applied_only_to_the_very_representation_the_client_has() {
        let fails = IfRange::Fails(Reason::IfRange);
        for (if_range, stored, expected) in [
            ("\"a\"", &[("ETag", "\"a\"")][..], IfRange::Holds),
            ("\"b\"", &[("ETag", "\"a\"")], fails),
            ("W/\"a\"", &[("ETag", "W/\"a\"")], fails),
            ("\"a\"", &[], fails),
            (T1, &[("Last-Modified", T1), ("Date", T2)], IfRange::Holds),
            (T1, &[("Last-Modified", T1), ("Date", T1)], fails),
            (T1, &[("Last-Modified", T1)], fails),
            (T2, &[("Last-Modified", T1), ("Date", T2)], fails),
        ] {
            let req = RequestHead::get("/", [("If-Range", if_range)]);
            assert_eq!(if_range_holds(&req, &ResponseHead::new(200, stored.iter().copied())), expected, "{if_range}");
        }
        assert_eq!(if_range_holds(&RequestHead::get("/", []), &ResponseHead::default()), IfRange::Holds);
    }

    #[test]
    fn a_304_keeps_what_guides_caches_and_drops_what_describes_the_content() {
        let full = [
            ("Date", T1),
            ("ETag", "\"a\""),
            ("Last-Modified", T1),
            ("Content-Type", "t"),
            ("Content-Length", "3"),
            ("Content-Location", "/x"),
            ("Vary", "v"),
            ("Cache-Control", "max-age=1"),
            ("Expires", T2),
        ];
        let head = not_modified_head(&ResponseHead::new(200, full));
        assert_eq!(head.status, 304);
        let left: Vec<_> = head.headers.iter().map(|(n, _)| n).collect();
        assert_eq!(left, ["Date", "ETag", "Content-Location", "Vary", "Cache-Control", "Expires"]);
        let head = not_modified_head(&ResponseHead::new(200, [("Last-Modified", T1)]));
        assert!(head.headers.contains("last-modified"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_evaluated_without_panic(v in "[ -~]{0,30}", w in "[W/\"a,* ]{0,12}") {
            let req = RequestHead::get("/", [("If-None-Match", w.as_str()), ("If-Match", &w), ("If-Range", &v), ("If-Modified-Since", &v)]);
            let resp = ResponseHead::new(200, [("ETag", w.as_str()), ("Last-Modified", &v)]);
            let _any = (evaluate(&req, 200, &resp, NOW), if_range_holds(&req, &resp));
        }
    }
}
