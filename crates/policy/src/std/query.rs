//! `query::`: the parameters of a url. What is kept is kept byte for byte; empty parameters (`&&`) go.

use crate::current::Res;
use crate::fault::HostError;
use crate::library::ModuleFunction;
use crate::library::url::{decode, encode, split};
use crate::value::{type_name, with_text};
use rhai::{Array, Dynamic, Engine, ImmutableString, Module};

/// Before and after the first `at`. (Byte by byte: parameters are too short for the searcher of `str`.)
fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let i = text.bytes().position(|b| b == at)?;
    Some((&text[..i], &text[i + 1..]))
}

fn parts(query: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(query);
    std::iter::from_fn(move || {
        let text = rest?;
        let (part, tail) = cut(text, b'&').map_or((text, None), |(part, tail)| (part, Some(tail)));
        rest = tail;
        Some(part)
    })
}

fn params(query: &str) -> impl Iterator<Item = &str> {
    parts(query).filter(|p| !p.is_empty())
}

fn name_of(param: &str) -> &str {
    cut(param, b'=').map_or(param, |(n, _)| n)
}

fn join<'a>(path: &str, params: impl Iterator<Item = &'a str>, room: usize) -> String {
    let mut out = String::with_capacity(room);
    out.push_str(path);
    for (i, p) in params.enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        out.push_str(p);
    }
    out
}

/// Room for the parameters of most URLs, so that the list does not grow piece by piece.
const PARAMS_USUAL: usize = 8;

/// In order of names; parameters of one name keep their order, which often means something.
pub(crate) fn sort(url: &str) -> Option<String> {
    let (path, query) = split(url);
    let query = query?;
    if parts(query).is_sorted_by_key(name_of) && parts(query).all(|p| !p.is_empty()) {
        return None;
    }
    let mut list: Vec<&str> = Vec::with_capacity(PARAMS_USUAL);
    list.extend(params(query));
    list.sort_by_key(|p| name_of(p));
    Some(join(path, list.into_iter(), url.len()))
}

/// Only the parameters for which `keep(name)` holds.
pub(crate) fn filter(url: &str, keep: impl Fn(&str) -> bool) -> Option<String> {
    let (path, query) = split(url);
    let query = query?;
    let keeps = |p: &&str| {
        let name = name_of(p);
        if name.bytes().any(|b| b == b'%' || b == b'+') { keep(&decode(name, true)) } else { keep(name) }
    };
    if params(query).all(|p| keeps(&p)) {
        return None;
    }
    Some(join(path, params(query).filter(keeps), url.len()))
}

/// Is the name that of the entry? `*` at its end stands for any rest.
pub(crate) fn is_entry(entry: &str, name: &str) -> bool {
    entry.strip_suffix('*').map_or(entry == name, |start| name.starts_with(start))
}

/// Is the name on the list, which [`checked`] has let through?
pub(crate) fn listed(names: &Array, name: &str) -> bool {
    names.iter().any(|n| n.as_immutable_string_ref().is_ok_and(|n| is_entry(&n, name)))
}

/// An array that holds only strings.
pub(crate) fn checked(names: Array) -> Res<Array> {
    match names.iter().find(|v| !v.is_string()) {
        Some(odd) => Err(HostError::value(format!("names are strings, not {}", type_name(odd))).into()),
        None => Ok(names),
    }
}

pub(crate) fn get(url: &str, name: &str) -> Option<String> {
    let found = params(split(url).1?).find(|p| decode(name_of(p), true) == name)?;
    Some(found.split_once('=').map_or(String::new(), |(_, v)| decode(v, true)))
}

pub(crate) fn set(url: &str, name: &str, value: Option<&str>) -> String {
    let (path, query) = split(url);
    let new = value.map(|v| format!("{}={}", encode(name), encode(v)));
    let (mut list, mut new) = (Vec::new(), new.as_deref());
    for p in params(query.unwrap_or("")) {
        if decode(name_of(p), true) == name { list.extend(new.take()) } else { list.push(p) }
    }
    list.extend(new);
    join(path, list.into_iter(), url.len() + name.len() + value.map_or(0, str::len) + 2)
}

/// Gives scripts the module.
pub(crate) fn register(e: &mut Engine) {
    let mut m = Module::new();
    ModuleFunction::new("sort")
        .set_into_module(&mut m, |url: ImmutableString| sort(&url).map_or(url, ImmutableString::from));
    ModuleFunction::new("keep").set_into_module(&mut m, |url: ImmutableString, list: Array| -> Res<ImmutableString> {
        let list = checked(list)?;
        Ok(filter(&url, |n| listed(&list, n)).map_or(url, Into::into))
    });
    ModuleFunction::new("without").set_into_module(
        &mut m,
        |url: ImmutableString, list: Array| -> Res<ImmutableString> {
            if !url.contains('?') {
                return Ok(url);
            }
            let list = checked(list)?;
            Ok(filter(&url, |n| !listed(&list, n)).map_or(url, Into::into))
        },
    );
    ModuleFunction::new("get")
        .set_into_module(&mut m, |url: &str, name: &str| get(url, name).map_or(Dynamic::UNIT, Dynamic::from));
    ModuleFunction::new("set").set_into_module(
        &mut m,
        |url: &str, name: &str, value: Dynamic| -> Res<ImmutableString> {
            Ok(with_text(&value, |v| Ok(ImmutableString::from(set(url, name, v))))?)
        },
    );
    ModuleFunction::new("get").set_into_module(&mut m, |(): (), _: &str| ());
    e.register_static_module("query", m.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_keeps_the_order_of_equal_names() {
        assert_eq!(sort("/a?b=2&a=1&b=1").as_deref(), Some("/a?a=1&b=2&b=1"));
        assert_eq!(sort("/a?a=1&b=2"), None);
        assert_eq!(sort("/a"), None);
        assert_eq!(sort("/a?").as_deref(), Some("/a"));
        assert_eq!(sort("/a?&&b").as_deref(), Some("/a?b"));
    }

    #[test]
    fn tracking_parameters_go_and_the_rest_stays_as_it_was() {
        let list: Array = vec!["utm_*".into(), "gclid".into()];
        let without = |url: &str| filter(url, |n| !listed(&list, n));
        assert_eq!(without("/a?utm_source=x&q=%61&gclid=1").as_deref(), Some("/a?q=%61"));
        assert_eq!(without("/a?utm_source=x").as_deref(), Some("/a"));
        assert_eq!(without("/a?%67clid=x").as_deref(), Some("/a"));
        assert_eq!(without("/a?q=1"), None);
        assert_eq!(filter("/a?utm_x=1&q=2", |n| listed(&list, n)).as_deref(), Some("/a?utm_x=1"));
    }

    #[test]
    fn a_parameter_is_read_and_written_decoded() {
        assert_eq!(get("/a?x=a+b%21&y", "x").as_deref(), Some("a b!"));
        assert_eq!(get("/a?y", "y").as_deref(), Some(""));
        assert_eq!(get("/a", "y"), None);
        assert_eq!(set("/a", "x y", Some("1&2")), "/a?x%20y=1%262");
        assert_eq!(set("/a?x=1&y=2&x=3", "x", Some("9")), "/a?x=9&y=2");
        assert_eq!(set("/a?x=1", "x", None), "/a");
    }
}
