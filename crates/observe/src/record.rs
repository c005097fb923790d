//! The record of one finished request, as the access log gets it, and its two formats: JSON and NCSA combined.

use crate::timestamp::{Ncsa, Rfc3339};
use copal_semantics::Time;
use http::Method;
use serde::Serialize;
use serde::ser::Serializer;
use serde_json::ser::Formatter;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// The reason of a request that was refused before anything was decided: what it was is no HTTP.
pub const BAD_REQUEST: &str = "bad-request";

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Outcome {
    /// Served from a fresh object.
    Hit,
    /// Served from a stale object within grace, while a fetch renews it.
    HitGrace,
    /// Served from a stale object because the origin is sick or failed.
    HitStaleError,
    /// Served by a fetch that another request had begun.
    Coalesced,
    /// Fetched, to be stored.
    Miss,
    /// Fetched at once, because a hit-for-miss marker said that waiting is no use.
    HitForMiss,
    /// Passed to the origin.
    Pass,
    /// Passed to the origin because of a hit-for-pass marker.
    HitForPass,
    /// Answered by Copal or the policy.
    Synth,
    /// A purge, obeyed or refused.
    Purge,
    /// The connection became a tunnel.
    Pipe,
    /// Failed: malformed, or the origin or the policy failed and nothing could be served instead.
    #[default]
    Error,
}

impl Outcome {
    /// All of them, in the order of the enum.
    pub const ALL: [Outcome; 12] = [
        Outcome::Hit,
        Outcome::HitGrace,
        Outcome::HitStaleError,
        Outcome::Coalesced,
        Outcome::Miss,
        Outcome::HitForMiss,
        Outcome::Pass,
        Outcome::HitForPass,
        Outcome::Synth,
        Outcome::Purge,
        Outcome::Pipe,
        Outcome::Error,
    ];

    /// The word that users see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::HitGrace => "hit-grace",
            Outcome::HitStaleError => "hit-stale-error",
            Outcome::Coalesced => "coalesced",
            Outcome::Miss => "miss",
            Outcome::HitForMiss => "hit-for-miss",
            Outcome::Pass => "pass",
            Outcome::HitForPass => "hit-for-pass",
            Outcome::Synth => "synth",
            Outcome::Purge => "purge",
            Outcome::Pipe => "pipe",
            Outcome::Error => "error",
        }
    }

    /// One sentence for a person.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Outcome::Hit => "Served from a fresh object.",
            Outcome::HitGrace => "Served from a stale object within grace, while a fetch renews it.",
            Outcome::HitStaleError => "Served from a stale object because the origin is sick or failed.",
            Outcome::Coalesced => "Served by a fetch that another request had begun.",
            Outcome::Miss => "Fetched, to be stored.",
            Outcome::HitForMiss => "Fetched at once, because a hit-for-miss marker said that waiting is no use.",
            Outcome::Pass => "Passed to the origin.",
            Outcome::HitForPass => "Passed to the origin because of a hit-for-pass marker.",
            Outcome::Synth => "Answered by Copal or the policy.",
            Outcome::Purge => "A purge, obeyed or refused.",
            Outcome::Pipe => "The connection became a tunnel.",
            Outcome::Error => {
                "Failed: malformed, or the origin or the policy failed and nothing could be served instead."
            }
        }
    }

    /// Served without a fetch of its own?
    #[must_use]
    pub const fn is_hit(self) -> bool {
        matches!(self, Outcome::Hit | Outcome::HitGrace | Outcome::HitStaleError | Outcome::Coalesced)
    }
}

/// One finished request.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// When its head had been received.
    pub time: Time,
    /// The client, after the PROXY protocol; `None` on a Unix socket.
    pub client: Option<SocketAddr>,
    /// The method.
    pub method: Method,
    /// Path and query as received.
    pub url: String,
    /// The Host.
    pub host: String,
    /// The protocol spoken with the client: "HTTP/1.1".
    pub protocol: &'static str,
    /// The status sent; 0 when none was.
    pub status: u16,
    /// Body bytes sent.
    pub body_bytes: u64,
    /// Bytes that a tunnel carried from the client; 0 where there was none.
    pub pipe_bytes_in: u64,
    /// From the head received to the last byte sent.
    pub duration: Duration,
    /// From the head received to the first byte sent.
    pub ttfb: Duration,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, in the words of the decision that settled it.
    pub reason: &'static str,
    /// The backend that served it.
    pub backend: Option<String>,
    /// Its X-Request-Id.
    pub request_id: String,
    /// Referer.
    pub referer: Option<String>,
    /// User-Agent.
    pub user_agent: Option<String>,
    /// The request fields that the owner wants to see, those that were sent.
    pub headers: Vec<(String, String)>,
    /// What the policy logged with std::log.
    pub log_lines: Vec<String>,
    /// How often it was sent to an origin again, by Copal or the policy.
    pub retries: u32,
    /// The fault, when it failed.
    pub error: Option<String>,
    /// The same in the words of metrics and Proxy-Status.
    pub fault: Option<FaultWords>,
}

/// A fault in the words that log, metrics and Proxy-Status share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct FaultWords {
    /// How far the fetch had come: `pool`, `resolve`, `connect`, `tls`, `send`, `head`, `body`; `policy` for what a policy
    /// wanted.
    pub phase: &'static str,
    /// The error type of RFC 9209 section 2.3.
    pub error: &'static str,
    /// Whose fault it is: `origin`, `client`, `owner`, `copal`.
    pub by: &'static str,
    /// Whether the same request could be sent again without being done twice.
    pub retry_safe: bool,
}

/// How records are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// One JSON object per line, with everything that is known.
    #[default]
    Json,
    /// NCSA combined, as Apache and nginx write it.
    Ncsa,
}

impl Record {
    /// Appends this record as one line. No field can end the line, or a quoted string in it.
    pub fn write(&self, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Json => self.write_json(out),
            Format::Ncsa => self.write_ncsa(out),
        }
        out.push(b'\n');
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        let line = JsonLine {
            time: Rfc3339(self.time),
            client: self.client,
            method: self.method.as_str(),
            url: &self.url,
            host: &self.host,
            protocol: self.protocol,
            status: self.status,
            body_bytes: self.body_bytes,
            pipe_bytes_in: (self.outcome == Outcome::Pipe).then_some(self.pipe_bytes_in),
            duration_us: self.duration.as_micros(),
            ttfb_us: self.ttfb.as_micros(),
            outcome: self.outcome.as_str(),
            reason: self.reason,
            backend: self.backend.as_deref(),
            request_id: &self.request_id,
            referer: self.referer.as_deref(),
            user_agent: self.user_agent.as_deref(),
            headers: &self.headers,
            log: &self.log_lines,
            retries: self.retries,
            error: self.error.as_deref(),
            fault: self.fault,
        };
        let mut serializer = serde_json::Serializer::with_formatter(out, OneSafeLine);
        line.serialize(&mut serializer).expect("strings and numbers serialize, and a Vec takes every write");
    }

    fn write_ncsa(&self, out: &mut Vec<u8>) {
        let client = self.client.map_or_else(|| "-".to_owned(), |peer| peer.ip().to_string());
        push(out, format_args!("{client} - - [{}] \"", Ncsa(self.time)));
        push_escaped(out, self.method.as_str());
        out.push(b' ');
        push_escaped(out, &self.url);
        push(out, format_args!(" {}\" {} {} \"", self.protocol, self.status, self.body_bytes));
        push_escaped(out, self.referer.as_deref().unwrap_or("-"));
        out.extend_from_slice(b"\" \"");
        push_escaped(out, self.user_agent.as_deref().unwrap_or("-"));
        out.push(b'"');
    }
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every write");
}

/// Quotes, backslashes, control characters and what is not ASCII as `\xHH`, which is what Apache and nginx do.
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => push(out, format_args!("\\x{byte:02X}")),
            0x20..=0x7e => out.push(byte),
        }
    }
}

#[derive(Serialize)]
struct JsonLine<'a> {
    #[serde(serialize_with = "as_text")]
    time: Rfc3339,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<SocketAddr>,
    method: &'a str,
    url: &'a str,
    host: &'a str,
    protocol: &'a str,
    status: u16,
    body_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipe_bytes_in: Option<u64>,
    duration_us: u128,
    ttfb_us: u128,
    outcome: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'a str>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "as_map")]
    headers: &'a [(String, String)],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    log: &'a [String],
    #[serde(skip_serializing_if = "is_zero")]
    retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultWords>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn as_map<S: Serializer>(fields: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

fn as_text<S: Serializer>(value: &Rfc3339, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// JSON that also escapes what its grammar allows but a terminal or a line reader takes for a command: DEL, the C1
/// control characters (U+009B begins an escape sequence), and the line ends U+2028 and U+2029.
struct OneSafeLine;

impl Formatter for OneSafeLine {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let unsafe_char = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| unsafe_char(*c)) {
            write!(writer, "{}\\u{:04x}", &rest[..at], u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(record: &Record, format: Format) -> String {
        let mut out = Vec::new();
        record.write(format, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn request(url: &str, user_agent: &str) -> Record {
        Record {
            time: Time::from_secs(784_111_777),
            client: Some("192.0.2.1:1234".parse().unwrap()),
            url: url.into(),
            host: "example.org".into(),
            protocol: "HTTP/1.1",
            status: 200,
            body_bytes: 5,
            duration: Duration::from_micros(1500),
            outcome: Outcome::Hit,
            reason: "fresh",
            user_agent: Some(user_agent.into()),
            ..Record::default()
        }
    }

    #[test]
    fn an_ncsa_line_is_the_combined_format() {
        assert_eq!(
            line(&request("/a?b=1", "curl/8"), Format::Ncsa),
            "192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b=1 HTTP/1.1\" 200 5 \"-\" \"curl/8\"\n"
        );
    }

    #[test]
    fn a_json_line_holds_every_known_field_and_leaves_out_the_others() {
        let text = line(&request("/a", "curl/8"), Format::Json);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["time"], "1994-11-06T08:49:37.000000Z");
        assert_eq!(json["client"], "192.0.2.1:1234");
        assert_eq!(json["duration_us"], 1500);
        assert_eq!(json["outcome"], "hit");
        assert!(json.get("referer").is_none() && json.get("log").is_none() && json.get("error").is_none());
    }

    #[test]
    fn no_field_can_forge_a_line_or_command_a_terminal() {
        let evil = "a\"\\ \r\n1.2.3.4 - - \u{1b}[2J\u{7f}\u{9b}2J\u{2028}é";
        for format in [Format::Json, Format::Ncsa] {
            let text = line(&request(evil, evil), format);
            let inner = text.strip_suffix('\n').unwrap();
            assert!(!inner.contains(|c: char| c.is_control() || c == '\u{2028}'), "{inner:?}");
        }
        let json: serde_json::Value = serde_json::from_str(&line(&request(evil, evil), Format::Json)).unwrap();
        assert_eq!(json["url"], evil, "escaping loses nothing");
        assert_eq!(line(&request("/", evil), Format::Ncsa).matches('"').count(), 6);
    }
}
