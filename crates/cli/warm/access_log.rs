//! Access logs in the common and combined formats (Apache, nginx, varnishncsa, Copal's own `ncsa`): what was asked for with
//! success, the most frequent first.

use regex::Regex;
use std::collections::HashMap;

/// A line of either format: who, when, "the request", the status.
const LINE: &str = r#"^\S+ \S+ .*? \[[^\]]*\] "([A-Z]+) (\S+)(?: HTTP/[0-9.]+)?" ([0-9]{3}) (?:[0-9]+|-)"#;

/// Reads the lines; counts of URLs by number of requests.
pub(super) struct AccessLog {
    line: Regex,
    /// How often, and which came first.
    urls: HashMap<String, (u64, usize)>,
    /// Different URLs kept in mind.
    limit: usize,
    pub(super) lines: usize,
    /// Lines that are of neither format.
    pub(super) wrong: usize,
}

impl AccessLog {
    pub(super) fn new(limit: usize) -> AccessLog {
        AccessLog {
            line: Regex::new(LINE).expect("the pattern is a constant"),
            urls: HashMap::new(),
            limit,
            lines: 0,
            wrong: 0,
        }
    }

    /// Is that a line of an access log?
    pub(super) fn is_line(line: &str) -> bool {
        Regex::new(LINE).expect("the pattern is a constant").is_match(line)
    }

    pub(super) fn add(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        self.lines += 1;
        let Some(found) = self.line.captures(line) else {
            self.wrong += 1;
            return;
        };
        let part = |n: usize| found.get(n).map_or("", |m| m.as_str());
        // What went wrong, went elsewhere or was no GET is nothing to ask for again.
        if part(1) != "GET" || !matches!(part(3), "200" | "203" | "206" | "304") {
            return;
        }
        let first = self.urls.len();
        if let Some((count, _)) = self.urls.get_mut(part(2)) {
            *count += 1;
        } else if first < self.limit {
            self.urls.insert(part(2).to_owned(), (1, first));
        }
    }

    /// The URLs, the most frequent first, of equals the one seen first.
    pub(super) fn urls(self) -> Vec<String> {
        let mut all: Vec<_> = self.urls.into_iter().collect();
        all.sort_by_key(|(_, (count, first))| (std::cmp::Reverse(*count), *first));
        all.into_iter().map(|(url, _)| url).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_with_success_comes_by_frequency() {
        let mut log = AccessLog::new(3);
        for line in [
            r#"127.0.0.1 - - [10/Oct/2026:13:55:36 -0700] "GET /once HTTP/1.1" 200 2326"#,
            r#"::1 - frank [10/Oct/2026:13:55:36 -0700] "GET /often HTTP/1.0" 200 2326 "http://r/" "Agent [x] \"y\"""#,
            r#"10.0.0.1 - - [10/Oct/2026:13:55:36 -0700] "GET /often HTTP/2.0" 304 -"#,
            r#"10.0.0.1 - - [10/Oct/2026:13:55:36 -0700] "GET http://a.example/abs HTTP/1.1" 200 1 "-" "-""#,
            r#"10.0.0.1 - - [10/Oct/2026:13:55:36 -0700] "POST /form HTTP/1.1" 200 1"#,
            r#"10.0.0.1 - - [10/Oct/2026:13:55:36 -0700] "GET /missing HTTP/1.1" 404 1"#,
            r#"10.0.0.1 - - [10/Oct/2026:13:55:36 -0700] "GET /fourth HTTP/1.1" 200 1"#,
            r#"10.0.0.1 - - [10/Oct/2026:13:55:36 -0700] "\x16\x03\x01" 400 150"#,
            "",
        ] {
            log.add(line);
        }
        assert_eq!((log.lines, log.wrong), (8, 1));
        assert_eq!(log.urls(), ["/often", "/once", "http://a.example/abs"]);
    }

    #[test]
    fn a_list_of_urls_is_no_log() {
        assert!(!AccessLog::is_line("http://a.example/x"));
        assert!(!AccessLog::is_line(""));
        assert!(AccessLog::is_line(r#"1.2.3.4 - - [x] "GET / HTTP/1.1" 200 1"#));
    }
}
