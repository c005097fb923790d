//! RFC 9111 §5.2: Cache-Control of requests and responses; RFC 9213: its targeted forms; Pragma (RFC 9111 §5.4).
//!
//! Lenient in what is recognised, safe in what is concluded: a directive that restricts counts however it is written, a
//! number that cannot be read is 0 ("encouraged to consider responses that have invalid freshness information […] to be
//! stale", §4.2.1), and of several values the smallest counts (the same section allows the first or stale).

use crate::age::delta_seconds;
use crate::headers::{Headers, is_token, trim_ows};
use crate::time::Span;
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// What a response asks of caches (§5.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// Not to be stored (§5.2.2.5).
    pub no_store: bool,
    /// Not to be used without revalidation (§5.2.2.4); the form without field names.
    pub no_cache: bool,
    /// Not to be stored by a shared cache (§5.2.2.7); the form without field names.
    pub private: bool,
    /// May be stored and shared even where that is usually forbidden (§5.2.2.9).
    pub public: bool,
    /// Not to be served stale (§5.2.2.2).
    pub must_revalidate: bool,
    /// Not to be served stale by a shared cache (§5.2.2.8).
    pub proxy_revalidate: bool,
    /// To be stored only by who knows the status code; `no_store` is for the others (§5.2.2.3).
    pub must_understand: bool,
    /// The content is not to be transformed (§5.2.2.6).
    pub no_transform: bool,
    /// Does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// Fields named by `no-cache="…"`: not to be reused without revalidation. Lower case.
    pub no_cache_fields: Vec<String>,
    /// Fields named by `private="…"`: not to be stored by a shared cache. Lower case.
    pub private_fields: Vec<String>,
    /// Lifetime in any cache (§5.2.2.1).
    pub max_age: Option<Span>,
    /// Lifetime in shared caches (§5.2.2.10).
    pub s_maxage: Option<Span>,
    /// How long it may be served stale while it is renewed (RFC 5861 §3).
    pub stale_while_revalidate: Option<Span>,
    /// How long it may be served stale when the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Span>,
}

/// How stale a response a client accepts (§5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    /// However stale.
    Any,
    /// Up to this long past its lifetime.
    For(Span),
}

/// Which directives of a request a cache obeys. §5.2.1 defines them as advice: "not required to be honored by caches".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Obeyed {
    /// None.
    Nothing,
    /// Those that can only spare the origin a request: only-if-cached, max-stale, stale-if-error. The default: whoever is
    /// let to send no-cache or max-age=0 can have every request forwarded, as often as they like.
    #[default]
    Sparing,
    /// All of them, and Pragma.
    All,
}

/// What a request asks of caches (§5.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// Nothing stored without revalidation.
    pub no_cache: bool,
    /// The response is not to be stored.
    pub no_store: bool,
    /// A stored response or none: 504 instead of a fetch.
    pub only_if_cached: bool,
    /// No older than this.
    pub max_age: Option<Span>,
    /// Fresh for at least this long.
    pub min_fresh: Option<Span>,
    /// Stale is fine.
    pub max_stale: Option<MaxStale>,
    /// Stale is fine when the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Span>,
}

/// A directive's argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arg<'a> {
    Absent,
    Token(&'a [u8]),
    Quoted(&'a [u8]),
    Malformed,
}

impl Arg<'_> {
    fn delta(self) -> Span {
        match self {
            Arg::Token(v) | Arg::Quoted(v) => delta_seconds(v).unwrap_or(Span::ZERO),
            Arg::Absent | Arg::Malformed => Span::ZERO,
        }
    }
}

/// Calls `each(name, argument)` for every directive of one field line. Allocates nothing.
fn for_each_directive<'a>(line: &'a [u8], mut each: impl FnMut(&'a [u8], Arg<'a>)) {
    let mut rest = line;
    // After a quote that never closes, commas part directives again and no number is believed.
    let mut broken = false;
    while !rest.is_empty() {
        let end = member_end(rest, &mut broken);
        let member = trim_ows(&rest[..end]);
        rest = rest.get(end + 1..).unwrap_or(b"");
        if member.is_empty() {
            continue;
        }
        let Some(eq) = memchr::memchr(b'=', member) else {
            each(member, Arg::Absent);
            continue;
        };
        let (name, value) = (trim_ows(&member[..eq]), &member[eq + 1..]);
        let arg = match value {
            _ if broken || name.len() != eq => Arg::Malformed,
            [b'"', inner @ .., b'"'] => Arg::Quoted(inner),
            _ if is_token(value) => Arg::Token(value),
            _ => Arg::Malformed,
        };
        each(name, arg);
    }
}

/// Where the first member of a list ends: its comma outside quotes, or the end of the line.
fn member_end(line: &[u8], broken: &mut bool) -> usize {
    let mut i = 0;
    while i < line.len() {
        match line[i] {
            b',' => return i,
            b'"' if !*broken => match closing_quote(&line[i + 1..]) {
                Some(len) => i += len + 1,
                None => *broken = true,
            },
            _ => {}
        }
        i += 1;
    }
    line.len()
}

fn closing_quote(v: &[u8]) -> Option<usize> {
    let mut i = 0;
    while i < v.len() {
        match v[i] {
            b'"' => return Some(i),
            b'\\' => i += 1,
            _ => {}
        }
        i += 1;
    }
    None
}

fn least(slot: &mut Option<Span>, v: Span) {
    *slot = Some(slot.map_or(v, |old| old.min(v)));
}

/// Field names of a qualified no-cache or private. Empty when any is not a name: then the whole response is meant.
fn field_names(list: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for name in list.split(|&b| b == b',').map(trim_ows).filter(|n| !n.is_empty()) {
        if !is_token(name) {
            return Vec::new();
        }
        names.push(String::from_utf8_lossy(name).to_ascii_lowercase());
    }
    names
}

fn qualified(flag: &mut bool, fields: &mut Vec<String>, list: Option<&[u8]>) {
    let names = list.map(field_names).unwrap_or_default();
    if names.is_empty() {
        *flag = true;
    } else {
        fields.extend(names);
    }
}

impl ResponseDirectives {
    /// Reads all Cache-Control lines of a response.
    ///
    /// ```
    /// use copal_semantics::{Headers, Span, cache_control::ResponseDirectives};
    /// let h: Headers = [("Cache-Control", "Private=\"Set-Cookie\", MAX-AGE=60")].into_iter().collect();
    /// let d = ResponseDirectives::parse(&h);
    /// assert_eq!(d.max_age, Some(Span::from_secs(60)));
    /// assert!(!d.private && d.private_fields == ["set-cookie"]);
    /// ```
    #[must_use]
    pub fn parse(headers: &Headers) -> Self {
        let mut d = ResponseDirectives::default();
        for line in headers.get_all("cache-control") {
            for_each_directive(line, |name, arg| d.add(name, arg));
        }
        d
    }

    fn add(&mut self, name: &[u8], arg: Arg<'_>) {
        let list = match arg {
            Arg::Token(v) | Arg::Quoted(v) => Some(v),
            Arg::Absent | Arg::Malformed => None,
        };
        let mut lower = [0u8; 24];
        let Some(buf) = lower.get_mut(..name.len()) else { return };
        buf.copy_from_slice(name);
        buf.make_ascii_lowercase();
        match &*buf {
            b"no-store" => self.no_store = true,
            b"no-cache" => qualified(&mut self.no_cache, &mut self.no_cache_fields, list),
            b"private" => qualified(&mut self.private, &mut self.private_fields, list),
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"no-transform" => self.no_transform = true,
            // These two widen what may be done, so they count only as the RFC writes them: without an argument.
            b"public" => self.public |= arg == Arg::Absent,
            b"immutable" => self.immutable |= arg == Arg::Absent,
            b"max-age" => least(&mut self.max_age, arg.delta()),
            b"s-maxage" => least(&mut self.s_maxage, arg.delta()),
            b"stale-while-revalidate" => least(&mut self.stale_while_revalidate, arg.delta()),
            b"stale-if-error" => least(&mut self.stale_if_error, arg.delta()),
            // "A cache MUST ignore unrecognized cache directives" (§5.2.3).
            _ => {}
        }
    }

    /// From a structured dictionary (RFC 9213 §2.1); a member of the wrong type is invalid, not absent.
    fn from_dictionary(dict: &Dictionary) -> Self {
        let mut d = ResponseDirectives::default();
        for (key, entry) in dict {
            let name = key.as_str().as_bytes();
            let ListEntry::Item(item) = entry else {
                d.add(name, Arg::Malformed);
                continue;
            };
            match &item.bare_item {
                BareItem::Boolean(false) => {}
                BareItem::Boolean(true) => d.add(name, Arg::Absent),
                BareItem::Integer(n) => {
                    let mut digits = itoa::Buffer::new();
                    d.add(name, Arg::Token(digits.format(i64::from(*n)).as_bytes()));
                }
                // Only the lists of field names are strings; a number in quotes has the wrong type.
                BareItem::String(s) if matches!(name, b"no-cache" | b"private") => {
                    d.add(name, Arg::Quoted(s.as_str().as_bytes()));
                }
                BareItem::Token(t) if matches!(name, b"no-cache" | b"private") => {
                    d.add(name, Arg::Token(t.as_str().as_bytes()));
                }
                BareItem::String(_)
                | BareItem::Token(_)
                | BareItem::Decimal(_)
                | BareItem::ByteSequence(_)
                | BareItem::Date(_)
                | BareItem::DisplayString(_) => d.add(name, Arg::Malformed),
            }
        }
        d
    }
}

/// The first of `targets` that is present, not empty and a valid structured field, with its index (RFC 9213 §2.2).
///
/// What it says replaces Cache-Control and Expires. A field with a syntax error is ignored as a whole.
#[must_use]
pub fn targeted(headers: &Headers, targets: &[String]) -> Option<(usize, ResponseDirectives)> {
    targets.iter().enumerate().find_map(|(i, name)| {
        let value = headers.combined(name)?;
        let dict: Dictionary = Parser::new(&*value).parse().ok()?;
        (!dict.is_empty()).then(|| (i, ResponseDirectives::from_dictionary(&dict)))
    })
}

/// Surrogate-Control (Edge Architecture 1.0 §2.3): `max-age=60+30` is a lifetime and a time to serve stale.
/// Directives for another surrogate (`max-age=60;name`) are left out. `None` when nothing in it is about caching.
#[must_use]
pub fn surrogate(headers: &Headers) -> Option<ResponseDirectives> {
    let mut d = ResponseDirectives::default();
    let mut known = false;
    for line in headers.get_all("surrogate-control") {
        for_each_directive(line, |name, arg| {
            if name.eq_ignore_ascii_case(b"no-store") {
                known = true;
                d.no_store = true;
            } else if name.eq_ignore_ascii_case(b"max-age") {
                let value = match arg {
                    Arg::Token(v) => v,
                    Arg::Malformed => return,
                    Arg::Absent | Arg::Quoted(_) => b"",
                };
                known = true;
                let mut parts = value.splitn(2, |&b| b == b'+');
                let part = |v: &[u8]| delta_seconds(v).unwrap_or(Span::ZERO);
                least(&mut d.max_age, parts.next().map_or(Span::ZERO, part));
                if let Some(stale) = parts.next() {
                    least(&mut d.stale_while_revalidate, part(stale));
                }
            }
        });
    }
    known.then_some(d)
}

impl RequestDirectives {
    /// Reads Cache-Control of a request, and `Pragma: no-cache` when there is no Cache-Control (§5.4). Allocates nothing.
    #[must_use]
    pub fn parse(headers: &Headers) -> Self {
        let mut d = RequestDirectives::default();
        let mut present = false;
        for line in headers.get_all("cache-control") {
            present = true;
            for_each_directive(line, |name, arg| d.add(name, arg));
        }
        if !present {
            d.no_cache = headers.list("pragma").any(|m| m.eq_ignore_ascii_case(b"no-cache"));
        }
        d
    }

    /// What is left of them on a listener that obeys these.
    ///
    /// ```
    /// use copal_semantics::{Headers, cache_control::*};
    /// let headers: Headers = [("Cache-Control", "no-cache, only-if-cached")].into_iter().collect();
    /// let left = RequestDirectives::parse(&headers).obeyed(Obeyed::Sparing);
    /// assert!(left.only_if_cached && !left.no_cache);
    /// ```
    #[must_use]
    pub fn obeyed(self, obeyed: Obeyed) -> Self {
        match obeyed {
            Obeyed::Nothing => RequestDirectives::default(),
            Obeyed::Sparing => {
                // Who asks for something newer in the same breath does not mean that stale is fine.
                let asks_for_newer = self.no_cache || self.max_age.is_some() || self.min_fresh.is_some();
                RequestDirectives {
                    only_if_cached: self.only_if_cached,
                    max_stale: self.max_stale.filter(|_| !asks_for_newer),
                    stale_if_error: self.stale_if_error,
                    ..RequestDirectives::default()
                }
            }
            Obeyed::All => self,
        }
    }

    fn add(&mut self, name: &[u8], arg: Arg<'_>) {
        let is = |what: &[u8]| name.eq_ignore_ascii_case(what);
        if is(b"no-cache") {
            self.no_cache = true;
        } else if is(b"no-store") {
            self.no_store = true;
        } else if is(b"only-if-cached") {
            self.only_if_cached = true;
        } else if is(b"max-age") {
            least(&mut self.max_age, arg.delta());
        } else if is(b"min-fresh") {
            // The strictest of several is the largest here.
            self.min_fresh = Some(self.min_fresh.map_or(arg.delta(), |old| old.max(arg.delta())));
        } else if is(b"max-stale") {
            let new = if arg == Arg::Absent { MaxStale::Any } else { MaxStale::For(arg.delta()) };
            self.max_stale = Some(match (self.max_stale, new) {
                (None | Some(MaxStale::Any), new) => new,
                (Some(MaxStale::For(a)), MaxStale::For(b)) => MaxStale::For(a.min(b)),
                (Some(old @ MaxStale::For(_)), MaxStale::Any) => old,
            });
        } else if is(b"stale-if-error") {
            least(&mut self.stale_if_error, arg.delta());
        }
    }

    /// Does the request ask for anything at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == RequestDirectives::default()
    }
}

#[cfg(test)]
#[path = "cache_control_tests.rs"]
mod tests;
