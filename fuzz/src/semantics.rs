//! The caching rules' parsers: what they print they read back, and no input makes them wrong about what must hold.

use copal_semantics::cache_control::{RequestDirectives, ResponseDirectives, surrogate, targeted};
use copal_semantics::negotiation::{best_encoding, best_language};
use copal_semantics::partial::Extents;
use copal_semantics::range::{ContentRange, RangeOutcome, content_range, parse_specs, resolve, resolve_specs};
use copal_semantics::reuse::{Reuse, StoredTimes, reuse};
use copal_semantics::storability::{Storability, storability, strip_unstorable};
use copal_semantics::vary::Vary;
use copal_semantics::{
    Headers, RequestHead, ResponseHead, Rules, Span, Time, conditional, date as http_date, etag as tags, freshness,
    hop_by_hop, invalidation, key as keys, packed as block, query, validation,
};

/// Each line of the input as a field of that name; what cannot be a field value is left out.
fn fields(name: &str, data: &[u8]) -> Headers {
    let mut headers = Headers::new();
    for line in data.split(|&b| b == b'\n') {
        let _refused = headers.append(name, line);
    }
    headers
}

/// Each line `name: value` of the input as a field.
fn any_fields(data: &[u8]) -> Headers {
    let mut headers = Headers::new();
    for line in data.split(|&b| b == b'\n') {
        if let Some(colon) = line.iter().position(|&b| b == b':')
            && let Ok(name) = std::str::from_utf8(&line[..colon])
        {
            let _refused = headers.append(name, &line[colon + 1..]);
        }
    }
    headers
}

/// The input up to a NUL, and after it.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|&b| b == 0).unwrap_or(data.len());
    (&data[..at], data.get(at + 1..).unwrap_or(b""))
}

pub(crate) fn cache_control(data: &[u8]) {
    let mut headers = fields("Cache-Control", data);
    let before = ResponseDirectives::parse(&headers);
    for span in [before.max_age, before.s_maxage, before.stale_while_revalidate, before.stale_if_error] {
        assert!(span.is_none_or(|s| !s.is_negative()));
    }
    // A directive that stands alone between commas of a line without quotes counts, whatever its neighbours are.
    let plain = |word: &[u8]| {
        headers
            .get_all("cache-control")
            .filter(|line| !line.contains(&b'"'))
            .any(|line| line.split(|&b| b == b',').any(|member| member.trim_ascii().eq_ignore_ascii_case(word)))
    };
    assert!(before.no_store || !plain(b"no-store"));
    assert!(before.no_cache || !plain(b"no-cache"));
    assert!(before.private || !plain(b"private"));
    let _any = (RequestDirectives::parse(&headers), surrogate(&fields("Surrogate-Control", data)));
    let target = ["CDN-Cache-Control".to_owned()];
    if let Some((i, d)) = targeted(&fields(&target[0], data), &target) {
        assert!(i == 0 && d.max_age.is_none_or(|s| !s.is_negative()));
    }
    // More directives never allow more.
    headers.append("Cache-Control", "max-age=5, no-store").expect("valid");
    let after = ResponseDirectives::parse(&headers);
    assert!(after.no_store && after.max_age <= Some(Span::from_secs(5)) && after.max_age.is_some());
    assert_eq!(after.private, before.private);
}

pub(crate) fn date(data: &[u8]) {
    let Some(at) = http_date::parse(data) else { return };
    assert!((24..=40).contains(&data.trim_ascii().len()), "no date is that long");
    // The leap second after the last year of four digits is the first of a year that cannot be written.
    if (0..253_402_300_800).contains(&at.as_secs()) {
        let written = http_date::to_imf_fixdate(at);
        assert_eq!(http_date::parse(&written), Some(at), "{:?}", String::from_utf8_lossy(&written));
    }
}

pub(crate) fn etag(data: &[u8]) {
    let well_formed = |opaque: &[u8]| matches!(opaque, [b'"', inner @ .., b'"'] if !inner.contains(&b'"'));
    let all: Vec<_> = tags::list(data).collect();
    let mut printed = Vec::new();
    let kept: Vec<_> = all.into_iter().filter(|t| well_formed(t.opaque)).collect();
    for tag in &kept {
        assert!(tag.weak_eq(*tag) && tag.strong_eq(*tag) != tag.weak);
        printed.extend_from_slice(if tag.weak { b"W/" } else { b"" });
        printed.extend_from_slice(tag.opaque);
        printed.extend_from_slice(b", ");
    }
    assert_eq!(tags::list(&printed).collect::<Vec<_>>(), kept);
    for pair in kept.windows(2) {
        assert!(!pair[0].strong_eq(pair[1]) || pair[0].weak_eq(pair[1]));
    }
    let (asked, own) = halves(data);
    let mut req = RequestHead::get("/", []);
    for name in ["If-None-Match", "If-Match", "If-Range", "If-Modified-Since"] {
        let _refused = req.headers.append(name, asked);
    }
    let resp = ResponseHead { headers: fields("ETag", own), ..ResponseHead::default() };
    let _any = (conditional::evaluate(&req, 200, &resp, Time::EPOCH), conditional::if_range_holds(&req, &resp));
}

pub(crate) fn range(data: &[u8]) {
    let (field, rest) = halves(data);
    let mut len = [0u8; 8];
    let n = rest.len().min(8);
    len[..n].copy_from_slice(&rest[..n]);
    let len = u64::from_le_bytes(len);
    if let Some(specs) = parse_specs(field, 16) {
        assert!(!specs.is_empty() && specs.len() <= 16);
        let printed: Vec<String> = specs.iter().map(|s| s.to_field().replacen("bytes=", "", 1)).collect();
        let printed = format!("bytes={}", printed.join(", "));
        assert_eq!(parse_specs(printed.as_bytes(), 16), Some(specs.clone()), "{printed}");
        let mut extents = Extents::new(Some(len));
        let parts = match resolve_specs(&specs, len) {
            RangeOutcome::One(first, last) => vec![(first, last)],
            RangeOutcome::Many(parts) => parts.to_vec(),
            RangeOutcome::Whole | RangeOutcome::Unsatisfiable => Vec::new(),
        };
        for &(first, last) in &parts {
            assert!(first <= last && last < len);
            let told = ContentRange { first, last, complete: Some(len) };
            assert_eq!(ContentRange::parse(&content_range(first, last, Some(len))), (last < u64::MAX).then_some(told));
            extents.insert((first, last));
            assert!(extents.covers((first, last)));
        }
        let mut sorted = parts;
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|w| w[0].1 + 1 < w[1].0), "parts meet: {sorted:?}");
        assert_eq!(extents.parts(), sorted);
    }
    let _any = resolve(field, len, 2);
    if let Some(told) = ContentRange::parse(field) {
        assert!(told.first <= told.last && told.complete.is_none_or(|c| c > told.last) && told.len() > 0);
        let printed = content_range(told.first, told.last, told.complete);
        assert_eq!(ContentRange::parse(&printed), Some(told));
        let _any = copal_semantics::partial::place(told, len);
    }
}

pub(crate) fn vary(data: &[u8]) {
    let (names, rest) = halves(data);
    let (a, b) = halves(rest);
    let (a, b) = (any_fields(a), any_fields(b));
    let _any = (best_encoding(&a, &["br", "gzip", "identity"]), best_language(&a, &["en", "de-AT"]));
    let Vary::Fields(vary) = Vary::parse(&fields("Vary", names)) else { return };
    assert!(vary.matches(&a, &a) && vary.matches(&b, &b));
    assert_eq!(vary.matches(&a, &b), vary.matches(&b, &a));
    for name in vary.names() {
        // One that has the field and one that does not are never the same.
        assert!(!vary.matches(&a, &b) || a.contains(name) == b.contains(name), "{name}");
        let (x, y) = (a.get_all(name).count(), b.get_all(name).count());
        let normalised = ["accept-encoding", "accept-language"].contains(&name);
        if !normalised && x == 1 && y == 1 && vary.matches(&a, &b) {
            let squeeze = |h: &Headers| -> Vec<u8> {
                h.get(name).unwrap_or(b"").iter().copied().filter(|b| !matches!(b, b' ' | b'\t')).collect()
            };
            assert_eq!(squeeze(&a), squeeze(&b), "{name}: more than white space was taken as no difference");
        }
    }
}

pub(crate) fn key(data: &[u8]) {
    let (base, rest) = halves(data);
    let (host, reference) = halves(rest);
    let once = keys::normalise_host(host).into_owned();
    assert!(once.len() <= host.len() && !once.iter().any(u8::is_ascii_uppercase));
    let base = String::from_utf8_lossy(base);
    let mut req = RequestHead::get(&format!("/{base}"), []);
    let _refused = req.headers.append("Host", host);
    if let Some(target) = keys::same_origin_target(&req, reference) {
        assert!(target.starts_with('/'), "{target:?}");
        assert!(!reference.is_empty() && reference[0] == b'#' || !target.contains('#') || base.contains('#'));
    }
    let resp = ResponseHead { status: 201, headers: fields("Location", reference), ..ResponseHead::default() };
    req.method = http::Method::POST;
    assert_eq!(invalidation::targets(&req, &resp).first(), Some(&req.url));
    let url = &*base;
    let sorted = query::sort(url);
    assert_eq!(query::sort(&sorted), sorted);
    let name = String::from_utf8_lossy(reference);
    let kept = query::keep(url, &[&*name]);
    assert_eq!(query::keep(&kept, &[&*name]), kept);
    let removed = query::remove(url, &[&*name]);
    assert!(removed.len() <= url.len());
    assert_eq!(query::remove(&removed, &[&*name]), removed);
    assert!(query::matches(&name, &name.replace('*', "x")) && query::matches("*", &name));
    if !name.contains(['&', '=', '?', '#']) {
        assert_eq!(query::get(&query::set(url, &name, "v"), &name), Some("v"), "{url:?} {name:?}");
    }
}

pub(crate) fn packed(data: &[u8]) {
    // As a block: unpacking never panics, and what it gives is a head.
    let mut head = ResponseHead::default();
    block::unpack(data, &mut head);
    // As lines: what is packed comes back to the byte.
    let Some((&status, lines)) = data.split_first() else { return };
    let (reason, lines) = halves(lines);
    let mut head = ResponseHead { status: 100 + u16::from(status) * 5, ..ResponseHead::default() };
    head.reason = String::from_utf8_lossy(reason).into_owned();
    head.headers = any_fields(lines);
    let mut back = ResponseHead::default();
    back.decode(&head.encode());
    let wire = |h: &ResponseHead| {
        let mut out = Vec::new();
        h.headers.write_wire(&mut out);
        out
    };
    assert_eq!((back.status, back.reason_phrase()), (head.status, head.reason_phrase()));
    assert_eq!(wire(&back), wire(&head));
}

/// A response's whole life: stored or not, fresh or not, reused, revalidated, answered from. Nothing panics, no age is
/// negative, and no directive is forgotten on the way.
pub(crate) fn lifecycle(data: &[u8]) {
    let Some((&[status, minutes, hours], rest)) = data.split_first_chunk::<3>() else { return };
    let (asked, rest) = halves(rest);
    let (answer, update) = halves(rest);
    let req = RequestHead { headers: any_fields(asked), ..RequestHead::get("/a", []) };
    let resp = ResponseHead { status: 200 + u16::from(status), headers: any_fields(answer), ..ResponseHead::default() };
    let rules = Rules::default();
    let then = Time::from_secs(1_700_000_000);
    let arrived = then + Span::from_secs(i64::from(minutes) * 60);
    let now = arrived + Span::from_secs(i64::from(hours) * 3600);
    let fresh = freshness::freshness(&req, &resp, &rules, then, arrived);
    assert!(!fresh.lifetime.is_negative() && !fresh.initial_age.is_negative());
    let times = StoredTimes::new(arrived, &fresh);
    assert!(times.age(now) >= times.age(arrived) && times.ttl_left(now) <= times.ttl_left(arrived));
    let stored = storability(&req, &resp, &rules);
    let effective = rules.directives(&resp);
    if let Storability::Store(_) = stored {
        assert!(
            !effective.directives.private && (!effective.directives.no_store || effective.directives.must_understand)
        );
        let wishes = RequestDirectives::parse(&req.headers);
        for healthy in [true, false] {
            match reuse(&times, now, Some(&wishes), None, healthy) {
                Reuse::Fresh(_) | Reuse::Grace(_) => {
                    assert!(!effective.directives.no_cache);
                    assert!(times.ttl_left(now) > Span::ZERO || !effective.directives.must_revalidate);
                }
                Reuse::OnError(_) => assert!(!effective.directives.no_cache && !effective.directives.must_revalidate),
                Reuse::Revalidate(_) | Reuse::Unusable(_) => {}
            }
        }
    }
    let mut copy = resp.clone();
    strip_unstorable(&mut copy.headers, &effective, &rules);
    for name in ["connection", "transfer-encoding", "proxy-authenticate", "keep-alive", "te", "upgrade"] {
        assert!(!copy.headers.contains(name), "{name} is stored");
    }
    let second = ResponseHead { status: 304, headers: any_fields(update), ..ResponseHead::default() };
    let merged = validation::merge_304(&copy, &second);
    assert_eq!(merged.headers.get("content-length"), copy.headers.get("content-length"));
    assert!(!merged.headers.contains("connection"));
    let mut out = req.headers.clone();
    validation::conditional_headers(&copy, &mut out);
    hop_by_hop::strip_request(&mut out);
    let _any = (
        validation::freshens(&copy, &second),
        validation::head_update(&copy, &ResponseHead { status: 200, ..second }),
        conditional::not_modified_head(&copy),
    );
}
