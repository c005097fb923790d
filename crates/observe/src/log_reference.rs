//! What the access log says, as a page: the fields of a line, the outcomes and the reasons, from the tables in the code.

use crate::record::{BAD_REQUEST, Outcome};
use copal_semantics::reason::REASONS;
use std::fmt::Write;

/// A field of a JSON line.
struct Field {
    name: &'static str,
    kind: &'static str,
    /// Empty where each line has it.
    when: &'static str,
    text: &'static str,
}

const fn field(name: &'static str, kind: &'static str, when: &'static str, text: &'static str) -> Field {
    Field { name, kind, when, text }
}

/// In the order in which a line has them.
const FIELDS: [Field; 22] = [
    field("time", "text, RFC 3339 in UTC with microseconds", "", "When the request's head had been received."),
    field(
        "client",
        "text, `ADDRESS:PORT`",
        "not on a Unix socket",
        "Who is at the other end of the connection, after the PROXY protocol. Behind a load balancer that does not speak it: the balancer.",
    ),
    field("method", "text", "", "The method, as received."),
    field("url", "text", "", "Path and query, as received: what a policy writes to `req.url` does not show."),
    field("host", "text", "", "The Host, as the policy has left it."),
    field("protocol", "text", "", "What was spoken with the client, as `HTTP/1.1`."),
    field("status", "number", "", "The status that was sent; 0 when none was."),
    field("body_bytes", "number, bytes", "", "What was sent of the body; of a tunnel, what it carried to the client."),
    field("pipe_bytes_in", "number, bytes", "for tunnels", "What a tunnel carried from the client."),
    field("duration_us", "number, microseconds", "", "From the head received to the last byte sent."),
    field("ttfb_us", "number, microseconds", "", "From the head received to the first byte sent."),
    field("outcome", "text", "", "What became of it: one of the outcomes below."),
    field("reason", "text", "", "Why: one of the reasons below; empty where nothing had to be decided."),
    field("backend", "text", "when one was asked", "The backend that served it."),
    field("request_id", "text", "", "Its `X-Request-Id`, the client's or a new one."),
    field("referer", "text", "when sent", "The Referer, as the policy has left it."),
    field("user_agent", "text", "when sent", "The User-Agent, as the policy has left it."),
    field(
        "headers",
        "object of texts",
        "when one was sent",
        "The request fields of `[log] access = { headers = [\"X-Real-IP\"] }` as the policy has left them, under these names in small letters; lines of one field are joined by `, `.",
    ),
    field("log", "list of texts", "when a policy logged", "What the policy said with `std::log`, a line each."),
    field("retries", "number", "when not 0", "How often it was sent to an origin again, by Copal or the policy."),
    field("error", "text", "when something failed", "The fault, in words."),
    field(
        "fault",
        "object",
        "when a fetch failed",
        "The fault for machines: `phase` (`pool`, `resolve`, `connect`, `tls`, `send`, `head`, `body`, `policy`), `error` (an error type of RFC 9209 §2.3, as in `Proxy-Status`), `by` (whose fault: `origin`, `client`, `owner`, `copal`), `retry_safe` (true or false).",
    ),
];

/// The page.
#[must_use]
pub fn log_reference_markdown() -> String {
    let mut page = String::from(
        "# What the access log says

Generated from `crates/observe/src/log_reference.rs`, `crates/observe/src/record.rs` and `crates/semantics/src/reason.rs`; do not edit.

`[log] access = { format = \"json\", path = \"FILE\" }` writes a line for each request when it is over; `path = \"-\"` is standard output. Only
`outcome` and `reason` have words of Copal's own; `copal test` expects the same ones with `outcome` and `why`, and `detail` of `Cache-Status`
is a reason, too.

## Fields of a JSON line

| field | is | when | |
|---|---|---|---|
",
    );
    for Field { name, kind, when, text } in &FIELDS {
        let when = if when.is_empty() { "always" } else { when };
        let _infallible = writeln!(page, "| `{name}` | {kind} | {when} | {text} |");
    }
    page.push_str(
        "
What else a line should have, `headers` names where it is a field of the request; other things a policy says: `std::log(\"group=\" + (req.vars[\"group\"] ?? \"-\"));` stands in `log`.

## A line in NCSA combined

`format = \"ncsa\"` writes what Apache and nginx call combined, for programs that read that:

```text
192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b=1 HTTP/1.1\" 200 5 \"https://example.org/\" \"curl/8\"
```

That is the client's address, two dashes, `time` by the second, method, URL and protocol, `status`, `body_bytes`, Referer and User-Agent.
All else is in the JSON format only: host, outcome, reason, backend, durations, faults and what a policy logs with `std::log`.

## Outcomes

| outcome | |
|---|---|
",
    );
    for outcome in Outcome::ALL {
        let _infallible = writeln!(page, "| `{}` | {} |", outcome.as_str(), outcome.text());
    }
    page.push_str(
        "
## Reasons

The last decision that settled the request gives it its reason: a hit has `fresh`, a page that was fetched and stored
what gave it its lifetime (`max-age`, `policy-ttl`), one that was fetched and not stored why not (`no-store`, `set-cookie`), what `recv`
passes `pass`, what the policy has decided otherwise `policy`; where nobody was asked (`synth`) it is empty.

| reason | | by |
|---|---|---|
",
    );
    let _infallible =
        writeln!(page, "| `{BAD_REQUEST}` | The request was malformed, and refused before anything else. | RFC 9112 |");
    for info in REASONS {
        let _infallible = writeln!(page, "| `{}` | {} | {} |", info.code, info.text, info.section);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{FaultWords, Format, Record};

    #[test]
    fn the_page_has_each_field_that_a_line_can_have_in_their_order() {
        let fault = FaultWords { phase: "head", error: "connection_timeout", by: "origin", retry_safe: true };
        let text = || Some("x".to_owned());
        let mut line = Vec::new();
        let full = Record {
            client: Some("192.0.2.1:1".parse().unwrap()),
            outcome: Outcome::Pipe,
            backend: text(),
            referer: text(),
            user_agent: text(),
            headers: vec![("x".into(), "y".into())],
            log_lines: vec!["x".into()],
            retries: 1,
            error: text(),
            fault: Some(fault),
            ..Record::default()
        };
        full.write(Format::Json, &mut line);
        let line = String::from_utf8(line).unwrap();
        let has = |name: &str| line.find(&format!("\"{name}\":"));
        let places: Vec<_> = FIELDS.iter().map(|field| has(field.name).expect(field.name)).collect();
        assert!(places.is_sorted(), "{line}");
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json.as_object().unwrap().len(), FIELDS.len(), "{line}");
        for field in json["fault"].as_object().unwrap().keys() {
            assert!(FIELDS[FIELDS.len() - 1].text.contains(&format!("`{field}`")), "{field}");
        }

        let mut least = Vec::new();
        Record::default().write(Format::Json, &mut least);
        let least: serde_json::Value = serde_json::from_slice(&least).unwrap();
        for field in &FIELDS {
            assert_eq!(least.get(field.name).is_some(), field.when.is_empty(), "{}", field.name);
        }
    }

    #[test]
    fn every_outcome_is_listed_once() {
        for (i, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, i);
        }
        assert_eq!(Outcome::ALL.last(), Some(&Outcome::Error), "the last one of the enum");
    }
}
