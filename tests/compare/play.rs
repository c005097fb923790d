//! Plays one case through a proxy and tells in a line what it did.

use super::cases::{Answer, CASES, Case};
use copal_semantics::Span;
use copal_testkit::{Origin, Reply, client};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// What varnishd and Copal may still do after the answer: a renewal in the background.
const BACKGROUND: Duration = Duration::from_millis(150);

/// The URL of a case's step. Every case has its own, so none sees what another has stored.
fn path(case: usize) -> String {
    format!("/case/{case}")
}

/// An origin that answers each URL with its case's answers, the last one again and again. Each answer has its number in
/// `X-Answer` and in the body.
pub(super) fn origin() -> Origin {
    let counts = Mutex::new(HashMap::<String, usize>::new());
    Origin::start(move |seen| {
        let n = {
            let mut counts = counts.lock().unwrap();
            let n = counts.entry(seen.path.clone()).or_default();
            *n += 1;
            *n
        };
        let case = seen.path.rsplit('/').next().and_then(|i| i.parse::<usize>().ok()).and_then(|i| CASES.get(i));
        let answers = case.map_or(&[][..], |c| c.answers);
        let Some(Answer { status, fields }) = answers.get((n - 1).min(answers.len().saturating_sub(1))) else {
            return Reply::status(404, "no such case");
        };
        let etag = fields.iter().find(|(name, _)| *name == "ETag").map(|(_, v)| *v);
        let unchanged = etag.is_some() && seen.header("If-None-Match") == etag;
        let reply = if unchanged { Reply::status(304, "") } else { Reply::status(*status, format!("answer {n}")) };
        let reply = reply.header("X-Answer", n);
        fields.iter().fold(reply, |reply, (name, value)| reply.header(name, expand(value)))
    })
}

/// `{now-60}` in a value becomes the HTTP date of a minute ago, `{850-60}` the same in the format of RFC 850.
fn expand(value: &str) -> String {
    let Some((before, rest)) = value.split_once('{') else { return value.to_owned() };
    let (what, after) = rest.split_once('}').unwrap();
    let offset: i64 = what[3..].parse().unwrap();
    let date = copal_semantics::date::http_date(copal_observe::clock::now() + Span::from_secs(offset));
    let date = if what.starts_with("850") { rfc850(&date) } else { date };
    format!("{before}{date}{after}")
}

/// "Sun, 06 Nov 1994 08:49:37 GMT" as "Sunday, 06-Nov-94 08:49:37 GMT".
fn rfc850(date: &str) -> String {
    let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let day = days.iter().find(|d| d.starts_with(&date[..3])).unwrap();
    format!("{day}, {}-{}-{} {}", &date[5..7], &date[8..11], &date[14..16], &date[17..])
}

/// Sends the case's requests one after the other and tells what came back.
pub(super) fn play(case: &Case, index: usize, origin: &Origin, proxy: SocketAddr) -> String {
    let path = path(index);
    let mut told = Vec::new();
    for step in case.steps {
        thread::sleep(Duration::from_millis(step.pause_millis));
        let before = origin.count_of(&path);
        let fields: Vec<(&str, String)> = step.fields.iter().map(|(n, v)| (*n, expand(v))).collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let body: &[u8] = if step.method == "POST" { b"x" } else { b"" };
        let response = client::request(proxy, step.method, &path, &fields, body);
        if step.pause_millis > 0 {
            thread::sleep(BACKGROUND);
        }
        let said = response.header("X-Answer").and_then(|n| n.parse::<usize>().ok());
        let held = response.text().strip_prefix("answer ").and_then(|n| n.parse::<usize>().ok());
        let from = match (said, held) {
            (Some(n), None) if n > before => format!("origin {n}"),
            (Some(n), Some(m)) if n > before && n == m => format!("origin {n}"),
            (Some(n), Some(m)) if n > before => format!("validated {m}"),
            (Some(n), _) => format!("cache {n}"),
            (None, Some(m)) => format!("cache {m}"),
            (None, None) => "proxy".to_owned(),
        };
        let mut line = format!("{} {from}", response.status);
        for name in case.watched {
            let value = response.all(name).join(", ");
            // A second may pass on the way.
            let value = if *name == "Age" {
                value.parse::<i64>().map_or(value, |n| (n / 10 * 10).to_string() + "s")
            } else {
                value
            };
            line.push_str(&format!(", `{name}: {value}`"));
        }
        told.push(line);
    }
    told.join("; ")
}
