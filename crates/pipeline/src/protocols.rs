//! The ways in which purge clients ask: what a PURGE, BAN, PURGEKEYS or REFRESH and its fields mean.
//!
//! | protocol | request | does |
//! |---|---|---|
//! | `purge` | `PURGE /path`, soft with `Fastly-Soft-Purge: 1` | the URL |
//! | `xkey` | `PURGE` or `PURGEKEYS` with `xkey`, `xkey-purge`, `Surrogate-Key`; `xkey-softpurge` is soft | tags |
//! | `ban` | `BAN` with `X-Ban: EXPRESSION`; without, the URL is a pattern for this host | a ban |
//! | `foshttpcache` | `BAN` with `X-Host`, `X-Url`, `X-Content-Type`, `X-Cache-Tags`; `PURGEKEYS`; `PURGE`; `REFRESH` | a ban, or tags |
//! | `wordpress` | `PURGE` with `X-Purge-Method: regex`, `exact` or `default` | a ban, or the URL |
//! | `magento` | `PURGE` with `X-Magento-Tags-Pattern` or `X-Pool` | tags, or a ban |
//! | `drupal` | `BAN` with `Cache-Tags` | tags |
//! | `refresh` | `REFRESH /path` | fetches and replaces |
//!
//! Patterns that name whole keys, as Magento and FOSHttpCache write them, become purges of these tags: exact, at once and
//! counted. Values of clients are never pasted into an expression.

use copal_semantics::{Headers, RequestHead, cache_tags};
use copal_store::{BanError, BanExpr, PurgeMode};
use http::Method;

/// Which protocols are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the protocol of its name, in the table above")]
#[expect(clippy::struct_excessive_bools, reason = "a set")]
pub struct Protocols {
    pub purge: bool,
    pub xkey: bool,
    pub ban: bool,
    pub foshttpcache: bool,
    pub wordpress: bool,
    pub magento: bool,
    pub drupal: bool,
    pub refresh: bool,
}

impl Protocols {
    /// None at all.
    pub const NONE: Protocols = Protocols {
        purge: false,
        xkey: false,
        ban: false,
        foshttpcache: false,
        wordpress: false,
        magento: false,
        drupal: false,
        refresh: false,
    };

    /// Do any of them ban by URL and host? Then objects are stored with both (`X-Url`, `X-Host`), so that the lurker can
    /// tell what a ban is about.
    #[must_use]
    pub fn need_url(self) -> bool {
        self.ban || self.foshttpcache || self.wordpress
    }
}

impl Default for Protocols {
    fn default() -> Self {
        Protocols { purge: true, ..Protocols::NONE }
    }
}

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// This URL; first, where there is one, a ban that goes with it.
    Url(PurgeMode, Option<BanExpr>),
    Tags {
        hard: Vec<Vec<u8>>,
        soft: Vec<Vec<u8>>,
    },
    Ban(BanExpr),
    Refresh,
    /// Not understood; the text says why. 400.
    Malformed(String),
    /// The protocol is not on. 405.
    Off,
}

/// What the request asks for, if it is of a protocol that is on, or of a method that never goes to an origin.
pub(crate) fn recognise(on: Protocols, tag_fields: &[String], req: &RequestHead) -> Option<Wanted> {
    let wanted = match req.method.as_str() {
        "PURGE" => Ok(purge(on, tag_fields, req)),
        "PURGEKEYS" if on.xkey || on.foshttpcache => {
            let why = "neither xkey-purge nor xkey-softpurge is set";
            Ok(Ok(keys(&req.headers).unwrap_or_else(|| Wanted::Malformed(why.to_owned()))))
        }
        "BAN" if on.ban || on.foshttpcache || on.drupal => Ok(ban(on, tag_fields, req)),
        "REFRESH" if on.refresh || on.foshttpcache => Ok(Ok(Wanted::Refresh)),
        _ => Err(()),
    };
    Some(wanted.ok()?.unwrap_or_else(|error| Wanted::Malformed(error.to_string())))
}

/// FOSHttpCache's other way to refresh: a GET that no client of the site could send in this sense.
pub(crate) fn refreshes(on: Protocols, req: &RequestHead) -> bool {
    on.foshttpcache
        && req.method == Method::GET
        && req.headers.list("cache-control").any(|d| d.eq_ignore_ascii_case(b"no-cache"))
}

fn text<'a>(headers: &'a Headers, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    headers.get_str(name).filter(|value| !value.is_empty())
}

fn is_soft(headers: &Headers) -> bool {
    headers.get("fastly-soft-purge").is_some_and(|v| v == b"1" || v.eq_ignore_ascii_case(b"true"))
}

/// The keys that a purge names, in any of the fields for it.
fn keys(headers: &Headers) -> Option<Wanted> {
    let of = |name: &str| headers.get_all(name).flat_map(cache_tags::split).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let named = ["xkey", "xkey-purge", "xkey-softpurge", "surrogate-key"];
    if !named.iter().any(|name| headers.contains(name)) {
        return None;
    }
    let (mut hard, mut soft) = ([of("xkey"), of("xkey-purge"), of("surrogate-key")].concat(), of("xkey-softpurge"));
    if is_soft(headers) {
        soft.append(&mut hard);
    }
    Some(Wanted::Tags { hard, soft })
}

fn purge(on: Protocols, tag_fields: &[String], req: &RequestHead) -> Result<Wanted, BanError> {
    let headers = &req.headers;
    if (on.xkey || on.foshttpcache)
        && let Some(wanted) = keys(headers)
    {
        return Ok(wanted);
    }
    if on.magento {
        if let Some(pattern) = text(headers, "x-magento-tags-pattern") {
            return by_pattern("x-magento-tags", &pattern, tag_fields, &[]);
        }
        if let Some(pattern) = text(headers, "x-pool") {
            return Ok(Wanted::Ban(BanExpr::all(&[("obj.http.x-pool", "~", &pattern)])?));
        }
    }
    if on.wordpress
        && let Some(how) = text(headers, "x-purge-method")
    {
        let host = host(req);
        if how.eq_ignore_ascii_case("regex") {
            return Ok(Wanted::Ban(by_url(&host, &req.url)?));
        }
        if how.eq_ignore_ascii_case("exact") {
            return Ok(Wanted::Url(PurgeMode::Hard, None));
        }
        // The page, whatever its query.
        let path = req.url.split('?').next().unwrap_or_default();
        let with_query = by_url(&host, &format!("^{}\\?", escaped(path)))?;
        return Ok(Wanted::Url(PurgeMode::Hard, Some(with_query)));
    }
    if !on.purge && !on.foshttpcache && !on.wordpress && !on.magento {
        return Ok(Wanted::Off);
    }
    Ok(Wanted::Url(if is_soft(headers) { PurgeMode::Soft } else { PurgeMode::Hard }, None))
}

fn ban(on: Protocols, tag_fields: &[String], req: &RequestHead) -> Result<Wanted, BanError> {
    let headers = &req.headers;
    if on.drupal && headers.contains("cache-tags") {
        let hard = headers.get_all("cache-tags").flat_map(cache_tags::split).map(<[u8]>::to_vec).collect();
        return Ok(Wanted::Tags { hard, soft: Vec::new() });
    }
    if on.foshttpcache {
        let fields =
            [("x-host", "obj.http.x-host"), ("x-url", "obj.http.x-url"), ("x-content-type", "obj.http.content-type")];
        let given: Vec<_> = fields.iter().filter_map(|(from, of)| Some((*of, text(headers, from)?))).collect();
        // The client sends `.*` for what it does not care about.
        let tests: Vec<_> = given.iter().filter(|(_, p)| p != ".*").map(|(of, p)| (*of, "~", &**p)).collect();
        if let Some(pattern) = text(headers, "x-cache-tags") {
            return by_pattern("x-cache-tags", &pattern, tag_fields, &tests);
        }
        if !given.is_empty() {
            let all = [("obj.http.x-host", "~", ".*")];
            return Ok(Wanted::Ban(BanExpr::all(if tests.is_empty() { &all } else { &tests })?));
        }
    }
    if on.ban {
        let expression = match text(headers, "x-ban") {
            Some(expression) => expression.parse()?,
            None => by_url(&host(req), &req.url)?,
        };
        return Ok(Wanted::Ban(expression));
    }
    Ok(Wanted::Malformed("BAN needs a field that says what: Cache-Tags, X-Host, X-Url or X-Content-Type".to_owned()))
}

/// A pattern for a field of keys between commas: a purge of tags where it names whole keys of a field that is indexed and
/// nothing else is asked, a ban otherwise.
fn by_pattern(
    field: &str,
    pattern: &str,
    tag_fields: &[String],
    others: &[(&str, &str, &str)],
) -> Result<Wanted, BanError> {
    if others.is_empty()
        && tag_fields.iter().any(|name| name.eq_ignore_ascii_case(field))
        && let Some(hard) = whole_keys(pattern)
    {
        return Ok(Wanted::Tags { hard, soft: Vec::new() });
    }
    let of = format!("obj.http.{field}");
    let mut tests = others.to_vec();
    tests.push((&of, "~", pattern));
    Ok(Wanted::Ban(BanExpr::all(&tests)?))
}

/// The keys of `((^|,)a(,|$))|((^|,)b(,|$))` (Magento) and of `(^|,)(a|b)(,|$)` (FOSHttpCache).
fn whole_keys(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let between = |text: &str, open: &str, close: &str| {
        text.strip_prefix(open).and_then(|t| t.strip_suffix(close)).map(str::to_owned)
    };
    let keys: Vec<String> = if let Some(all) = between(pattern, "((^|,)", "(,|$))") {
        all.split("(,|$))|((^|,)").map(str::to_owned).collect()
    } else {
        between(pattern, "(^|,)(", ")(,|$)")?.split('|').map(str::to_owned).collect()
    };
    keys.iter().map(|key| literal(key)).collect()
}

/// What an escaped pattern stands for, if it is one key without any wildcard.
fn literal(pattern: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(pattern.len());
    let mut bytes = pattern.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => out.push(bytes.next().filter(u8::is_ascii_punctuation)?),
            b'.' | b'[' | b']' | b'(' | b')' | b'{' | b'}' | b'*' | b'+' | b'?' | b'|' | b'^' | b'$' | b',' | b' ' => {
                return None;
            }
            byte => out.push(byte),
        }
    }
    (!out.is_empty()).then_some(out)
}

fn by_url(host: &str, pattern: &str) -> Result<BanExpr, BanError> {
    BanExpr::all(&[("obj.http.x-host", "==", host), ("obj.http.x-url", "~", pattern)])
}

/// The host as objects are stored with it.
pub(crate) fn host(req: &RequestHead) -> String {
    text(&req.headers, "host").map(|host| host.to_ascii_lowercase()).unwrap_or_default()
}

/// Text as a pattern that matches it alone.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_ascii_punctuation() && !matches!(c, '/' | '-' | '_' | '<' | '>') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(on: Protocols, method: &str, url: &str, fields: &[(&str, &str)]) -> String {
        let mut req = RequestHead::get(url, fields.iter().copied().chain([("Host", "A.example")]));
        req.method = method.parse().expect("a method");
        let fields = ["x-magento-tags".to_owned(), "X-Cache-Tags".to_owned()];
        let keys = |keys: Vec<Vec<u8>>| {
            keys.iter().map(|k| String::from_utf8_lossy(k).into_owned()).collect::<Vec<_>>().join("+")
        };
        match recognise(on, &fields, &req) {
            None => "none".to_owned(),
            Some(Wanted::Url(mode, None)) => format!("url {mode:?}"),
            Some(Wanted::Url(mode, Some(ban))) => format!("url {mode:?}, {}", ban.as_str()),
            Some(Wanted::Tags { hard, soft }) => format!("hard {} soft {}", keys(hard), keys(soft)),
            Some(Wanted::Ban(ban)) => ban.as_str().to_owned(),
            Some(Wanted::Refresh) => "refresh".to_owned(),
            Some(Wanted::Malformed(why)) => format!("malformed: {why}"),
            Some(Wanted::Off) => "off".to_owned(),
        }
    }

    const XKEY: Protocols = Protocols { xkey: true, ..Protocols::NONE };
    const FOS: Protocols = Protocols { foshttpcache: true, ..Protocols::NONE };
    const MAGENTO: Protocols = Protocols { magento: true, ..Protocols::NONE };
    const WORDPRESS: Protocols = Protocols { wordpress: true, ..Protocols::NONE };
    const DRUPAL: Protocols = Protocols { drupal: true, ..Protocols::NONE };
    const BAN: Protocols = Protocols { ban: true, ..Protocols::NONE };

    #[test]
    fn what_is_not_on_is_not_known_but_a_purge_never_passes() {
        for method in ["BAN", "PURGEKEYS", "REFRESH", "GET", "POST"] {
            assert_eq!(
                ask(Protocols::default(), method, "/", &[("xkey", "a"), ("Cache-Tags", "a")]),
                "none",
                "{method}"
            );
        }
        assert_eq!(ask(Protocols::default(), "PURGE", "/", &[("xkey", "a")]), "url Hard");
        assert_eq!(ask(Protocols::default(), "PURGE", "/", &[("Fastly-Soft-Purge", "1")]), "url Soft");
        assert_eq!(ask(XKEY, "PURGE", "/", &[]), "off");
    }

    #[test]
    fn keys_come_in_many_fields() {
        let fields = [("xkey", "a b"), ("xkey-purge", "c"), ("Surrogate-Key", "d,e"), ("xkey-softpurge", "f")];
        assert_eq!(ask(XKEY, "PURGE", "/", &fields), "hard a+b+c+d+e soft f");
        let soft = [("Surrogate-Key", "a"), ("Fastly-Soft-Purge", "1")];
        assert_eq!(ask(XKEY, "PURGE", "/", &soft), "hard  soft a");
        assert_eq!(ask(FOS, "PURGEKEYS", "/", &[("xkey-softpurge", "a b")]), "hard  soft a+b");
        assert!(ask(FOS, "PURGEKEYS", "/", &[]).starts_with("malformed"));
        assert_eq!(
            ask(DRUPAL, "BAN", "/", &[("Cache-Tags", "node:1|node_list user:2")]),
            "hard node:1+node_list+user:2 soft "
        );
        assert!(ask(DRUPAL, "BAN", "/", &[]).starts_with("malformed"));
    }

    #[test]
    fn patterns_of_whole_keys_become_tags_and_others_bans() {
        let magento = |pattern| ask(MAGENTO, "PURGE", "/", &[("X-Magento-Tags-Pattern", pattern)]);
        assert_eq!(magento("((^|,)cat_p_1(,|$))|((^|,)cat_c_2(,|$))"), "hard cat_p_1+cat_c_2 soft ");
        assert_eq!(magento("((^|,)cat_p_1(,|$))"), "hard cat_p_1 soft ");
        assert_eq!(magento(".*"), "obj.http.x-magento-tags ~ .*");
        assert_eq!(magento("((^|,)cat_p.*(,|$))"), "obj.http.x-magento-tags ~ ((^|,)cat_p.*(,|$))");
        assert!(magento("(((").starts_with("malformed: not a valid regular expression"));
        assert_eq!(ask(MAGENTO, "PURGE", "/", &[("X-Pool", "a")]), "obj.http.x-pool ~ a");
        assert_eq!(ask(MAGENTO, "PURGE", "/a", &[]), "url Hard");
        let fos = |more: &[(&str, &str)]| {
            let mut all = vec![("X-Host", ".*"), ("X-Url", ".*"), ("X-Content-Type", ".*")];
            all.retain(|(n, _)| !more.iter().any(|(m, _)| n == m));
            all.extend_from_slice(more);
            ask(FOS, "BAN", "/", &all)
        };
        assert_eq!(fos(&[("X-Cache-Tags", "(^|,)(post\\-1|posts)(,|$)")]), "hard post-1+posts soft ");
        assert_eq!(
            fos(&[("X-Cache-Tags", "a"), ("X-Url", "^/b")]),
            "obj.http.x-url ~ ^/b && obj.http.x-cache-tags ~ a"
        );
        assert_eq!(fos(&[("X-Url", "^/a")]), "obj.http.x-url ~ ^/a");
        assert_eq!(
            fos(&[("X-Host", "b"), ("X-Content-Type", "html")]),
            "obj.http.x-host ~ b && obj.http.content-type ~ html"
        );
        assert_eq!(fos(&[]), "obj.http.x-host ~ .*");
        assert_eq!(ask(FOS, "REFRESH", "/", &[]), "refresh");
    }

    #[test]
    fn urls_are_patterns_for_their_own_host_only() {
        let wordpress = |url, how| ask(WORDPRESS, "PURGE", url, &[("X-Purge-Method", how)]);
        assert_eq!(wordpress("/.*", "regex"), "obj.http.x-host == a.example && obj.http.x-url ~ /.*");
        assert_eq!(wordpress("/a?b", "exact"), "url Hard");
        assert_eq!(
            wordpress("/a.b?c", "default"),
            "url Hard, obj.http.x-host == a.example && obj.http.x-url ~ ^/a\\.b\\?"
        );
        assert_eq!(ask(BAN, "BAN", "/news/", &[]), "obj.http.x-host == a.example && obj.http.x-url ~ /news/");
        assert_eq!(ask(BAN, "BAN", "/", &[("X-Ban", "obj.status == 404")]), "obj.status == 404");
        assert!(ask(BAN, "BAN", "/", &[("X-Ban", "obj.stat == 404")]).contains("no field `obj.stat`"));
        // What a client writes stays one value.
        let sly = ask(FOS, "BAN", "/", &[("X-Url", "a && obj.status == 200")]);
        assert_eq!(sly, "obj.http.x-url ~ \"a && obj.status == 200\"");
    }
}
