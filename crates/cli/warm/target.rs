//! What is asked for: host and path, and the header lines that make variants.

use crate::Failed;
use std::collections::HashSet;

/// Combinations of `--variant`: more are a mistake, as each multiplies the requests.
const VARIANTS_MAX: usize = 64;

/// One URL, as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) host: String,
    /// Path and query.
    pub(super) path: String,
}

impl Target {
    /// `http://host/path`, `https://host/path`, or a path when `host` says whose.
    pub(super) fn of(url: &str, host: Option<&str>) -> Result<Target, String> {
        if let Some(bad) = url.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!("`{url}` is no URL: there is {bad:?} in it"));
        }
        // What begins with # is never sent.
        let url = url.split('#').next().unwrap_or_default();
        let rest = ["http://", "https://"].iter().find_map(|scheme| {
            url.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|_| &url[scheme.len()..])
        });
        let (own, path) = match rest {
            Some(rest) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
            None if url.starts_with('/') => {
                let host = host.ok_or_else(|| format!("`{url}` names no host: say whose it is with --host NAME"))?;
                (host, url)
            }
            None => return Err(format!("`{url}` is no URL: use http://host/path, or /path with --host NAME")),
        };
        if own.is_empty() || own.contains('@') {
            return Err(format!("`{url}` names no host: use http://host/path"));
        }
        // The host of --host replaces that of the URLs: a copy of a site is warmed under its own name.
        let host = host.unwrap_or(own).to_ascii_lowercase();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Target { host, path: ascii(&path) })
    }
}

/// Percent-encodes what a request target cannot hold.
fn ascii(path: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if (0x21..0x7f).contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// URLs in the order in which they were found, each once.
#[derive(Debug)]
pub(super) struct Targets {
    host: Option<String>,
    limit: usize,
    seen: HashSet<Target>,
    list: Vec<Target>,
    /// Lines that are no URL: how many, and the first of them.
    wrong: usize,
    first_wrong: Option<String>,
    beyond: usize,
}

impl Targets {
    pub(super) fn new(host: Option<&str>, limit: usize) -> Result<Targets, Failed> {
        if let Some(host) = host
            && (host.is_empty() || host.contains(['/', '@', ' ', '?', '#']) || !host.is_ascii())
        {
            return Err(Failed::input(format!("copal: --host `{host}` is no host: use www.example.com or host:port")));
        }
        Ok(Targets {
            host: host.map(str::to_owned),
            limit,
            seen: HashSet::new(),
            list: Vec::new(),
            wrong: 0,
            first_wrong: None,
            beyond: 0,
        })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Takes a URL in; `place` says where it stood.
    pub(super) fn add(&mut self, url: &str, place: impl FnOnce() -> String) {
        match Target::of(url, self.host.as_deref()) {
            Ok(target) if self.seen.contains(&target) => {}
            Ok(_) if self.list.len() >= self.limit => self.beyond += 1,
            Ok(target) => {
                self.seen.insert(target.clone());
                self.list.push(target);
            }
            Err(why) => {
                self.wrong += 1;
                self.first_wrong.get_or_insert_with(|| format!("{}: {why}", place()));
            }
        }
    }

    /// All of them. What is wrong is told on stderr, and is an error only where nothing else is there.
    pub(super) fn done(self) -> Result<Vec<Target>, Failed> {
        if let Some(first) = &self.first_wrong {
            let more = if self.wrong > 1 { format!(" (and {} more like it)", self.wrong - 1) } else { String::new() };
            if self.list.is_empty() {
                return Err(Failed::input(format!("copal: {first}{more}")));
            }
            eprintln!("copal: left out: {first}{more}");
        }
        if self.beyond > 0 {
            eprintln!("copal: left out: {} URLs beyond --limit {}", self.beyond, self.limit);
        }
        if self.list.is_empty() {
            return Err(Failed::input("copal: there is no URL in what was given"));
        }
        Ok(self.list)
    }
}

/// A header line in its two parts.
pub(super) type Line = (String, String);

/// The lines of `--header`.
pub(super) fn header_lines(lines: &[String]) -> Result<Vec<Line>, Failed> {
    lines.iter().map(|line| header_line(line)).collect()
}

fn header_line(line: &str) -> Result<Line, Failed> {
    let wrong = || Failed::input(format!("copal: `{}` is no header line: use 'Name: value'", line.escape_debug()));
    let (name, value) = line.split_once(':').ok_or_else(wrong)?;
    let (name, value) = (name.trim(), value.trim());
    if http::HeaderName::try_from(name).is_err() || http::HeaderValue::try_from(value).is_err() {
        return Err(wrong());
    }
    if ["host", "content-length", "transfer-encoding", "connection"].iter().any(|n| name.eq_ignore_ascii_case(n)) {
        let instead = if name.eq_ignore_ascii_case("host") { ": use --host" } else { "" };
        return Err(Failed::input(format!("copal: the header `{name}` is not for you to set here{instead}")));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The combinations of `--variant`: lines of one name are alternatives, different names multiply.
pub(super) fn variants(lines: &[String]) -> Result<Vec<Vec<Line>>, Failed> {
    let mut by_name: Vec<Vec<Line>> = Vec::new();
    for line in header_lines(lines)? {
        match by_name.iter_mut().find(|all| all[0].0.eq_ignore_ascii_case(&line.0)) {
            Some(all) => all.push(line),
            None => by_name.push(vec![line]),
        }
    }
    let mut out = vec![Vec::new()];
    for alternatives in by_name {
        out = out
            .iter()
            .flat_map(|lines: &Vec<Line>| {
                alternatives.iter().map(move |one| lines.iter().cloned().chain([one.clone()]).collect())
            })
            .collect();
        if out.len() > VARIANTS_MAX {
            return Err(Failed::input(format!(
                "copal: --variant makes more than {VARIANTS_MAX} combinations; each asks for every URL once more"
            )));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_become_targets() {
        for (url, host, wanted) in [
            ("http://a.example/x?y=1#top", None, ("a.example", "/x?y=1")),
            ("HTTPS://A.example", None, ("a.example", "/")),
            ("https://a.example:8443?q", None, ("a.example:8443", "/?q")),
            ("/x", Some("b.example"), ("b.example", "/x")),
            ("http://a.example/x", Some("b.example"), ("b.example", "/x")),
            ("http://a.example/ä", None, ("a.example", "/%C3%A4")),
        ] {
            let target = Target::of(url, host).unwrap();
            assert_eq!((target.host.as_str(), target.path.as_str()), wanted, "{url}");
        }
        for url in
            ["", "/x", "a.example/x", "ftp://a/x", "http:///x", "http://a/b c", "http://u@a/", "http://a/\r\nX: y"]
        {
            assert!(Target::of(url, None).is_err(), "{url}");
        }
    }

    #[test]
    fn each_url_counts_once_and_the_limit_holds() {
        let mut targets = Targets::new(None, 2).ok().unwrap();
        for url in ["http://a/1", "http://A/1#x", "nonsense", "http://a/2", "http://a/3"] {
            targets.add(url, || "here".to_owned());
        }
        assert_eq!((targets.wrong, targets.beyond), (1, 1));
        assert_eq!(targets.done().ok().unwrap().len(), 2);
        assert!(Targets::new(Some("a/b"), 1).is_err());
    }

    #[test]
    fn variants_of_different_names_multiply() {
        let lines = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        assert_eq!(variants(&[]).ok().unwrap(), [Vec::new()]);
        let all = variants(&lines(&["A: 1", "B: x", "a: 2", "B: y"])).ok().unwrap();
        let shown: Vec<String> =
            all.iter().map(|v| v.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(shown, ["A=1 B=x", "A=1 B=y", "a=2 B=x", "a=2 B=y"]);
        for bad in ["no colon", "A: x\r\nB: y", "Host: x", ": x"] {
            assert!(variants(&lines(&[bad])).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..65).map(|n| format!("A: {n}")).collect();
        assert!(variants(&many).is_err());
    }
}
