//! What came of it: stored now, stored before, not stored and why, failed. Read from `Cache-Status` (RFC 9211).

use super::count;
use super::target::Line;
use copal_semantics::reason::REASONS;
use serde_json::json;
use sfv::{BareItem, List, ListEntry, Parser};
use std::collections::BTreeMap;
use std::time::Duration;

/// URLs shown under each reason, unless all are wanted.
const EXAMPLES: usize = 5;

/// What a request came to.
#[derive(Debug)]
pub(super) enum Answer {
    /// A whole response; the joined `Cache-Status`.
    Whole { status: u16, cache_status: String, bytes: u64 },
    /// None, or not whole.
    Failed(String),
}

/// How a response stands with the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stand {
    /// It has been stored by this request, or by one that it waited for.
    Stored,
    /// It was there.
    Already,
    Not,
    Failed,
}

impl Stand {
    fn word(self) -> &'static str {
        match self {
            Stand::Stored => "stored",
            Stand::Already => "already",
            Stand::Not => "not_stored",
            Stand::Failed => "failed",
        }
    }
}

/// One request.
#[derive(Debug)]
struct Row {
    /// In the order of the source.
    number: usize,
    url: String,
    variant: String,
    stand: Stand,
    status: Option<u16>,
    /// The code of the reason, as in `Cache-Status`, where there is one.
    code: Option<String>,
    /// In words.
    why: String,
    bytes: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Report {
    urls: usize,
    wanted: usize,
    rows: Vec<Row>,
    took: Duration,
}

impl Report {
    pub(super) fn new(urls: usize, wanted: usize) -> Report {
        Report { urls, wanted, rows: Vec::new(), took: Duration::ZERO }
    }

    /// All have been taken in.
    pub(super) fn done(&mut self, took: Duration) {
        self.took = took;
        self.rows.sort_by_key(|row| row.number);
    }

    /// Takes in what request `number` came to, in any order.
    pub(super) fn add(&mut self, number: usize, url: &str, variant: &[Line], answer: Answer) {
        let variant = variant.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ");
        let url = url.to_owned();
        self.rows.push(match answer {
            Answer::Failed(why) => {
                Row { number, url, variant, stand: Stand::Failed, status: None, code: None, why, bytes: 0 }
            }
            Answer::Whole { status, cache_status, bytes } => {
                let (stand, code, why) = judge(status, &cache_status);
                Row { number, url, variant, stand, status: Some(status), code, why, bytes }
            }
        });
    }

    pub(super) fn requests(&self) -> usize {
        self.wanted
    }

    fn of(&self, stand: Stand) -> usize {
        self.rows.iter().filter(|row| row.stand == stand).count()
    }

    pub(super) fn failed(&self) -> usize {
        self.of(Stand::Failed)
    }

    fn bytes(&self) -> u64 {
        self.rows.iter().map(|row| row.bytes).sum()
    }

    /// For people; `all` shows every URL that is not stored.
    pub(super) fn lines(&self, all: bool) -> Vec<String> {
        let mut out = vec![format!(
            "{} for {} in {:.1} s, {} bytes",
            count(self.requests(), "request"),
            count(self.urls, "URL"),
            self.took.as_secs_f64(),
            self.bytes()
        )];
        out.push(format!("{:>8}  stored now", self.of(Stand::Stored)));
        out.push(format!("{:>8}  stored already", self.of(Stand::Already)));
        out.push(format!("{:>8}  not stored", self.of(Stand::Not)));
        out.push(format!("{:>8}  failed", self.failed()));
        let mut groups: BTreeMap<(Stand, &str), Vec<&Row>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| matches!(row.stand, Stand::Not | Stand::Failed)) {
            groups.entry((row.stand, &row.why)).or_default().push(row);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|((stand, _), rows)| (*stand, std::cmp::Reverse(rows.len())));
        for ((stand, why), rows) in groups {
            let word = if stand == Stand::Failed { "failed" } else { "not stored" };
            out.push(String::new());
            out.push(format!("{} {word}: {why}", rows.len()));
            let shown = if all { rows.len() } else { rows.len().min(EXAMPLES) };
            for row in &rows[..shown] {
                let variant = if row.variant.is_empty() { String::new() } else { format!("  ({})", row.variant) };
                out.push(format!("    {}{variant}", row.url));
            }
            if shown < rows.len() {
                out.push(format!("    and {} more (--all shows them)", rows.len() - shown));
            }
        }
        out
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let row = |row: &Row| {
            json!({
                "url": row.url,
                "variant": row.variant,
                "outcome": row.stand.word(),
                "status": row.status,
                "reason": row.code,
                "why": row.why,
            })
        };
        json!({
            "urls": self.urls,
            "requests": self.requests(),
            "seconds": self.took.as_secs_f64(),
            "bytes": self.bytes(),
            "stored": self.of(Stand::Stored),
            "already": self.of(Stand::Already),
            "not_stored": self.of(Stand::Not),
            "failed": self.failed(),
            "responses": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

fn judge(status: u16, cache_status: &str) -> (Stand, Option<String>, String) {
    let Some(said) = Said::of(cache_status) else {
        let why = "the response has no Cache-Status: is there a Copal at that address?".to_owned();
        return (Stand::Failed, None, why);
    };
    let why = said.why();
    if said.hit {
        (Stand::Already, said.detail, why)
    } else if said.stored || said.collapsed {
        (Stand::Stored, said.detail, why)
    } else if status >= 500 {
        (Stand::Failed, said.detail, format!("the answer is {status}"))
    } else {
        let why = if status == 200 { why } else { format!("the answer is {status}; {why}") };
        (Stand::Not, said.detail, why)
    }
}

/// The last member of `Cache-Status`: that of the cache that was asked.
#[derive(Debug, Default)]
struct Said {
    hit: bool,
    stored: bool,
    collapsed: bool,
    fwd: Option<String>,
    detail: Option<String>,
}

impl Said {
    fn of(field: &str) -> Option<Said> {
        let list = Parser::new(field).parse::<List>().ok()?;
        let ListEntry::Item(last) = list.last()? else { return None };
        let flag = |name: &str| matches!(last.params.get(name), Some(BareItem::Boolean(true)));
        let text = |name: &str| match last.params.get(name) {
            Some(BareItem::Token(token)) => Some(token.as_str().to_owned()),
            Some(BareItem::String(string)) => Some(string.as_str().to_owned()),
            _ => None,
        };
        Some(Said {
            hit: flag("hit"),
            stored: flag("stored"),
            collapsed: flag("collapsed"),
            fwd: text("fwd"),
            detail: text("detail"),
        })
    }

    fn why(&self) -> String {
        let known = self.detail.as_ref().and_then(|code| REASONS.iter().find(|r| r.code == *code));
        match (known, &self.detail, self.fwd.as_deref()) {
            (Some(reason), ..) => reason.text.to_owned(),
            (None, Some(code), _) => code.clone(),
            (None, None, Some("bypass")) => "the policy passes it by the cache".to_owned(),
            (None, None, Some(fwd)) => format!("it was forwarded ({fwd})"),
            (None, None, None) => "no reason was given".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cache_status_says_decides() {
        for (status, field, stand, code) in [
            (200, "copal; hit; ttl=10; detail=fresh", Stand::Already, Some("fresh")),
            (200, "copal; fwd=uri-miss; stored; detail=max-age", Stand::Stored, Some("max-age")),
            (200, "copal; fwd=uri-miss; collapsed", Stand::Stored, None),
            (200, "copal; fwd=uri-miss; detail=private", Stand::Not, Some("private")),
            (404, "copal; fwd=uri-miss; stored", Stand::Stored, None),
            (302, "copal; fwd=bypass", Stand::Not, None),
            (503, "copal; fwd=uri-miss", Stand::Failed, None),
            (200, "", Stand::Failed, None),
            (200, "inner; hit, outer; fwd=miss; detail=\"two words\"", Stand::Not, Some("two words")),
        ] {
            let (found, detail, _) = judge(status, field);
            assert_eq!((found, detail.as_deref()), (stand, code), "{status} {field}");
        }
        let (_, _, why) = judge(200, "copal; fwd=uri-miss; detail=private");
        assert_eq!(why, "The response is meant for one user only (private).");
    }

    #[test]
    fn reasons_are_grouped_the_most_frequent_first() {
        let mut report = Report::new(8, 8);
        let answer = |detail: &str| Answer::Whole {
            status: 200,
            cache_status: format!("copal; fwd=uri-miss; detail={detail}"),
            bytes: 10,
        };
        for n in 0..6 {
            report.add(n, &format!("http://a/{n}"), &[("A".to_owned(), "b".to_owned())], answer("private"));
        }
        report.add(6, "http://a/6", &[], answer("no-store"));
        report.add(7, "http://a/7", &[], Answer::Failed("gone".to_owned()));
        let lines = report.lines(false);
        assert_eq!(lines[0], "8 requests for 8 URLs in 0.0 s, 70 bytes");
        assert_eq!(lines[6], "6 not stored: The response is meant for one user only (private).");
        assert_eq!(
            (lines[7].as_str(), lines[12].as_str()),
            ("    http://a/0  (A: b)", "    and 1 more (--all shows them)")
        );
        assert_eq!(lines[lines.len() - 2], "1 failed: gone");
        assert_eq!(report.lines(true).len(), lines.len());
        let json = report.json();
        assert_eq!((json["not_stored"].as_u64(), json["responses"][7]["why"].as_str()), (Some(7), Some("gone")));
    }
}
