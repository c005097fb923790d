//! `client` blocks: requests as HTTP writes them, or raw bytes.

use super::source::{At, Source};
use super::words::{Line, Word, duration, words};
use crate::case::{Client, Pace, Sent};
use copal_semantics::headers::{is_field_value, is_token};
use std::net::{IpAddr, SocketAddr};

/// Host of a request that names none.
const HOST: &str = "example.com";

const OPTIONS: [&str; 5] = ["from", "meanwhile", "leaves", "raw", "times"];

/// How often a block can be sent: enough to use up what a rate allows; beyond, a case would be a load test.
const TIMES_MAX: usize = 1000;

pub(super) fn read(source: &mut Source<'_>, kind: &Word, info: &[Word], lines: &[Line<'_>]) -> Option<Client> {
    let mut client =
        Client { name: None, from: None, ends: None, connection: None, pace: Pace::Waits, sends: Vec::new() };
    let (mut raw, mut times) = (false, 1);
    let mut rest = info.iter();
    while let Some(word) = rest.next() {
        match word.text.as_str() {
            "raw" => raw = true,
            "meanwhile" => client.pace = Pace::Meanwhile,
            "from" => {
                client.from = rest.next().and_then(|next| address(source, next)).or_else(|| missing(source, word))
            }
            "times" => match rest.next().and_then(|next| next.text.parse().ok()) {
                Some(n @ 1..=TIMES_MAX) => times = n,
                _ => source.wrong(word.at, "how often?", Some(format!("write `times 5`; at most {TIMES_MAX}"))),
            },
            "leaves" => {
                let after = rest.next().filter(|next| next.text == "after").and_then(|_| rest.next());
                match after {
                    Some(next) => client.pace = Pace::Leaves(duration(source, next).unwrap_or_default()),
                    None => source.wrong(word.at, "when does it leave?", Some("write `leaves after 1s`".to_owned())),
                }
            }
            name if client.name.is_none() && is_name(name) && word.at == info[0].at => {
                client.name = Some(name.to_owned())
            }
            _ => {
                source.unknown(word.at, "word for a client", &word.text, OPTIONS);
                break;
            }
        }
    }
    let lines = super::connection::read(source, lines, &mut client);
    let sends = if raw { vec![raw_bytes(source, lines)] } else { requests(source, lines) };
    client.sends = std::iter::repeat_n(sends, times).flatten().collect();
    if client.sends.iter().all(|sent| sent.bytes.is_empty()) {
        source.wrong(kind.at, "this client sends nothing", Some("write `GET /path` below".to_owned()));
        return None;
    }
    Some(client)
}

fn missing(source: &mut Source<'_>, word: &Word) -> Option<SocketAddr> {
    if source.list.is_empty() {
        source.wrong(word.at, "from which address?", Some("write `from 192.0.2.7`".to_owned()));
    }
    None
}

fn address(source: &mut Source<'_>, word: &Word) -> Option<SocketAddr> {
    let ip = word.text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    match ip.or_else(|_| word.text.parse::<SocketAddr>()) {
        Ok(address) => Some(address),
        Err(_) => {
            source.wrong(word.at, format!("`{}` is not an address", word.text), Some("write `192.0.2.7`".to_owned()));
            None
        }
    }
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A request under construction.
struct Draft {
    method: String,
    target: String,
    version: &'static str,
    fields: Vec<(String, String)>,
    body: Option<String>,
}

fn requests(source: &mut Source<'_>, lines: &[Line<'_>]) -> Vec<Sent> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut in_body = false;
    let mut fresh = true;
    for line in lines {
        let text = line.text;
        let begins = request_line(text);
        if text.trim_end() == "---" {
            (fresh, in_body) = (true, false);
        } else if in_body && (drafts.last().is_some_and(|d| d.body.is_some()) || !(begins || text.trim().is_empty())) {
            if let Some(draft) = drafts.last_mut() {
                let body = draft.body.get_or_insert_default();
                if !body.is_empty() {
                    body.push('\n');
                }
                body.push_str(text);
            }
        } else if text.trim().is_empty() {
            in_body = !fresh;
        } else if begins {
            drafts.extend(draft(source, text, line.at()));
            (fresh, in_body) = (false, false);
        } else if fresh {
            let help = Some("a request begins with `METHOD /path`".to_owned());
            source.wrong(line.at(), "this is not a request", help);
            return Vec::new();
        } else {
            match field(source, text, line.at()) {
                Some(field) => drafts.last_mut().into_iter().for_each(|draft| draft.fields.push(field.clone())),
                None => return Vec::new(),
            }
        }
    }
    drafts.into_iter().map(Draft::sent).collect()
}

fn request_line(text: &str) -> bool {
    let mut parts = text.split_whitespace();
    let method = parts.next().is_some_and(|m| m.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'));
    method && parts.next().is_some_and(|target| target.starts_with('/') || target == "*" || target.contains("://"))
}

fn draft(source: &mut Source<'_>, text: &str, at: At) -> Option<Draft> {
    let list = words(source, text, at);
    let (method, target) = (list.first()?, list.get(1)?);
    let version = match list.get(2).map(|word| word.text.as_str()) {
        None | Some("HTTP/1.1") => "HTTP/1.1",
        Some("HTTP/1.0") => "HTTP/1.0",
        Some(other) => {
            let help = Some("write `HTTP/1.1`, `HTTP/1.0` or nothing; other bytes go out with `client raw`".to_owned());
            source.wrong(list[2].at, format!("`{other}` is not a version"), help);
            return None;
        }
    };
    let (method, target) = (method.text.clone(), target.text.clone());
    Some(Draft { method, target, version, fields: Vec::new(), body: None })
}

fn field(source: &mut Source<'_>, text: &str, at: At) -> Option<(String, String)> {
    let help = Some("write `name: value`; other bytes go out with `client raw`".to_owned());
    let Some((name, value)) = text.split_once(':') else {
        source.wrong(at, "this is neither a request nor a header field", help);
        return None;
    };
    if !is_token(name.as_bytes()) || !is_field_value(value.trim().as_bytes()) {
        source.wrong(at, "this is not a header field", help);
        return None;
    }
    Some((name.to_owned(), value.trim().to_owned()))
}

impl Draft {
    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name))
    }

    fn sent(self) -> Sent {
        let body = self.body.clone().unwrap_or_default();
        let body = body.trim_end_matches('\n');
        let chunked = self.fields.iter().any(|(n, v)| n.eq_ignore_ascii_case("transfer-encoding") && v == "chunked");
        let mut out = format!("{} {} {}\r\n", self.method, self.target, self.version);
        if !self.has("host") {
            out += &format!("Host: {HOST}\r\n");
        }
        for (name, value) in &self.fields {
            out += &format!("{name}: {value}\r\n");
        }
        let anticipates = matches!(self.method.as_str(), "POST" | "PUT" | "PATCH");
        if !self.has("content-length") && !self.has("transfer-encoding") && (anticipates || !body.is_empty()) {
            out += &format!("Content-Length: {}\r\n", body.len());
        }
        out += "\r\n";
        if chunked && !body.is_empty() {
            out += &format!("{:x}\r\n{body}\r\n", body.len());
        } else if !chunked {
            out += body;
        }
        if chunked {
            out += "0\r\n\r\n";
        }
        let title = format!("{} {}", self.method, self.target);
        Sent { title, bytes: out.into_bytes(), head: self.method == "HEAD", raw: false }
    }
}

/// Bytes by their escapes; the line ends of the block itself do not count.
fn raw_bytes(source: &mut Source<'_>, lines: &[Line<'_>]) -> Sent {
    let mut bytes = Vec::new();
    for line in lines {
        let mut chars = line.text.chars().enumerate();
        while let Some((i, c)) = chars.next() {
            if c != '\\' {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            let escape = chars.next().map(|(_, c)| c);
            match escape {
                Some('r') => bytes.push(b'\r'),
                Some('n') => bytes.push(b'\n'),
                Some('t') => bytes.push(b'\t'),
                Some('0') => bytes.push(0),
                Some('\\') => bytes.push(b'\\'),
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                    match u8::from_str_radix(&digits, 16) {
                        Ok(byte) if digits.len() == 2 => bytes.push(byte),
                        _ => source.wrong(line.at().right(i), "`\\x` wants two hexadecimal digits", None),
                    }
                }
                _ => {
                    let help = Some("there are \\r, \\n, \\t, \\0, \\xHH and \\\\".to_owned());
                    source.wrong(line.at().right(i), "there is no such escape", help);
                }
            }
        }
    }
    let title = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().escape_debug().to_string();
    Sent { title, head: bytes.starts_with(b"HEAD "), bytes, raw: true }
}
