//! RFC 3986 §3.4: the query of a URL ("/path?a=1&b=2"), for policies that normalise it.
//!
//! Parameters are parted by `&` and kept byte by byte: nothing is decoded or encoded, so what is not touched is the same
//! afterwards. A query that becomes empty loses its `?`. Names in `keep` and `remove` may hold `*` for any characters.

/// Path and query, without the `?`.
fn split(url: &str) -> (&str, Option<&str>) {
    match url.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (url, None),
    }
}

fn params(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|p| !p.is_empty())
}

fn name_of(param: &str) -> &str {
    param.split_once('=').map_or(param, |(name, _)| name)
}

fn join<'a>(path: &str, params: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::with_capacity(path.len() + 16);
    out.push_str(path);
    for (i, p) in params.into_iter().enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        out.push_str(p);
    }
    out
}

/// Does `name` match `pattern`, in which `*` stands for any characters, also none? Case counts.
///
/// ```
/// assert!(copal_semantics::query::matches("utm_*", "utm_source"));
/// ```
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (p, n) = (pattern.as_bytes(), name.as_bytes());
    let (mut pi, mut ni) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while ni < n.len() {
        if p.get(pi) == Some(&b'*') {
            star = Some((pi, ni));
            pi += 1;
        } else if p.get(pi) == Some(&n[ni]) {
            pi += 1;
            ni += 1;
        } else if let Some((at, from)) = star {
            // The last star takes one byte more.
            star = Some((at, from + 1));
            (pi, ni) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    p[pi..].iter().all(|&b| b == b'*')
}

/// Sorts the parameters by name; those of the same name stay in their order, since that may matter to the application.
///
/// ```
/// assert_eq!(copal_semantics::query::sort("/p?b=2&a=1&b=1"), "/p?a=1&b=2&b=1");
/// ```
#[must_use]
pub fn sort(url: &str) -> String {
    let (path, query) = split(url);
    let mut all: Vec<&str> = query.map(params).into_iter().flatten().collect();
    all.sort_by_key(|p| name_of(p));
    join(path, all)
}

/// Keeps only the parameters whose name matches one of `names`.
#[must_use]
pub fn keep<S: AsRef<str>>(url: &str, names: &[S]) -> String {
    filter(url, |name| names.iter().any(|n| matches(n.as_ref(), name)))
}

/// Removes the parameters whose name matches one of `names`.
///
/// ```
/// assert_eq!(copal_semantics::query::remove("/p?utm_a=1&b=2", &["utm_*"]), "/p?b=2");
/// ```
#[must_use]
pub fn remove<S: AsRef<str>>(url: &str, names: &[S]) -> String {
    filter(url, |name| !names.iter().any(|n| matches(n.as_ref(), name)))
}

fn filter(url: &str, test: impl Fn(&str) -> bool) -> String {
    let (path, query) = split(url);
    join(path, query.map(params).into_iter().flatten().filter(|p| test(name_of(p))))
}

/// The value of the first parameter of that name, as it stands in the URL; empty when it has no `=`.
#[must_use]
pub fn get<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = split(url);
    params(query?).find(|p| name_of(p) == name).map(|p| p.split_once('=').map_or("", |(_, v)| v))
}

/// Replaces the first parameter of that name and drops the others; appends it when there is none. Name and value are taken
/// as they are: the caller encodes.
#[must_use]
pub fn set(url: &str, name: &str, value: &str) -> String {
    let (path, query) = split(url);
    let new = format!("{name}={value}");
    let mut all: Vec<&str> = Vec::new();
    let mut placed = false;
    for p in query.map(params).into_iter().flatten() {
        if name_of(p) != name {
            all.push(p);
        } else if !placed {
            placed = true;
            all.push(&new);
        }
    }
    if !placed {
        all.push(&new);
    }
    join(path, all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameters_are_filtered_by_name_with_stars() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("utm_*", "utm_", true),
            ("utm_*", "xutm_a", false),
            ("*id", "fbclid", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1c", false),
            ("", "", true),
            ("A", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert_eq!(keep("/p?a=1&b=2&a&c=%20", &["a", "c"]), "/p?a=1&a&c=%20");
        assert_eq!(remove("/p?a=1", &["*"]), "/p");
        assert_eq!(remove::<&str>("/p?&&a=1&", &[]), "/p?a=1");
        assert_eq!(remove("/p?", &["a"]), "/p");
        assert_eq!(remove("/p", &["a"]), "/p");
    }

    #[test]
    fn values_are_read_and_set_without_recoding() {
        assert_eq!(get("/p?a=1&b=x=y&a=2", "a"), Some("1"));
        assert_eq!(get("/p?b=x=y", "b"), Some("x=y"));
        assert_eq!((get("/p?b", "b"), get("/p", "b"), get("/p?bb=1", "b")), (Some(""), None, None));
        assert_eq!(set("/p?a=1&b=2&a=3", "a", "9"), "/p?a=9&b=2");
        assert_eq!(set("/p", "a", "%20"), "/p?a=%20");
    }

    proptest! {
        #[test]
        fn sorting_twice_is_sorting_once_and_nothing_gets_lost(url in "/[a-c?&=*%]{0,30}") {
            let sorted = sort(&url);
            prop_assert_eq!(sort(&sorted), sorted.clone());
            let count = |u: &str| split(u).1.map_or(0, |q| params(q).count());
            prop_assert_eq!(count(&url), count(&sorted));
            let _any = (keep(&url, &["*a*", "b"]), remove(&url, &[&url]), get(&url, "a"), matches(&url, &sorted));
        }
    }
}
