//! `origin` blocks: `METHOD PATH -> STATUS field:value … body:text`, with more fields on indented lines below.

use super::source::{At, Source};
use super::words::{Line, Word, words};
use crate::case::{Answer, Broken, Fault, Framing, Route, Script};
use copal_semantics::headers::{is_field_value, is_token};

const FAULTS: [(&str, Fault); 6] = [
    ("refuse", Fault::Refuse),
    ("unreachable", Fault::Unreachable),
    ("reset", Fault::Reset),
    ("close", Fault::Close),
    ("hang", Fault::Hang),
    ("garbage", Fault::Garbage),
];

/// Words in an answer that are no fields.
const FLAGS: [&str; 5] = ["chunked", "until-close", "short", "cut", "stall"];

/// Largest body that `size:` makes: beyond, a case would be a load test.
const SIZE_MAX: u64 = 256 << 20;

pub(super) fn read(source: &mut Source<'_>, info: &[Word], lines: &[Line<'_>]) -> Option<Script> {
    if let Some(extra) = info.get(1) {
        source.wrong(extra.at, "an origin has one name", None);
    }
    let mut routes: Vec<Route> = Vec::new();
    for line in lines.iter().filter(|line| !line.text.trim().is_empty()) {
        let indented = line.text.starts_with([' ', '\t']);
        match routes.last_mut() {
            Some(route) if indented => more(source, &mut route.answer, line),
            _ => routes.extend(route(source, line)),
        }
    }
    Some(Script { name: info.first().map(|word| word.text.clone()), routes })
}

fn route(source: &mut Source<'_>, line: &Line<'_>) -> Option<Route> {
    let at = line.at();
    let Some((head, tail)) = line.text.split_once("->") else {
        let help = Some("write `GET /path -> 200 cache-control:max-age=60 body:hello`".to_owned());
        source.wrong(at, "this line has no `->`", help);
        return None;
    };
    let head_words = words(source, head, at);
    let [method, pattern] = head_words.as_slice() else {
        source.wrong(at, "before the `->` stand a method and a path", Some("write `GET /path`, or `ANY *`".to_owned()));
        return None;
    };
    if !method.text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') {
        source.wrong(
            method.at,
            format!("`{}` is not a method", method.text),
            Some("methods are in capitals; `ANY` is any".to_owned()),
        );
        return None;
    }
    if !pattern.text.starts_with(['/', '*']) {
        source.wrong(pattern.at, format!("the path `{}` does not begin with `/`", pattern.text), None);
        return None;
    }
    let tail_at = at.right(head.chars().count() + 2);
    let answer = answer(source, tail, tail_at)?;
    let method = (method.text != "ANY").then(|| method.text.clone());
    let connects = matches!(answer.fault, Some(Fault::Refuse | Fault::Unreachable));
    if connects && (method.is_some() || pattern.text != "*") {
        let help = Some("write `ANY * -> refuse`, or `close` for one path".to_owned());
        source.wrong(pattern.at, "a connection is refused before its request is known", help);
    }
    Some(Route { line: at.line, method, pattern: pattern.text.clone(), answer })
}

fn answer(source: &mut Source<'_>, tail: &str, at: At) -> Option<Answer> {
    let mut answer = Answer::default();
    // `body:` takes the rest of the line.
    let (plain, body) = match tail.find(" body:") {
        Some(byte) => (&tail[..byte], Some(&tail[byte + 6..])),
        None => (tail, None),
    };
    if let Some(body) = body {
        answer.body = unquoted(body);
    }
    let list = words(source, plain, at);
    let Some((first, rest)) = list.split_first() else {
        let faults = FAULTS.map(|(word, _)| word).join(", ");
        source.wrong(at, "what does it answer?", Some(format!("a status, or one of {faults}")));
        return None;
    };
    match (first.text.parse::<u16>(), FAULTS.iter().find(|(word, _)| *word == first.text)) {
        (Ok(status @ 200..=999), _) => answer.status = status,
        (Err(_), Some((_, fault))) => answer.fault = Some(*fault),
        (Ok(_), _) => {
            source.wrong(first.at, format!("`{}` is not a status of a final response", first.text), None);
            return None;
        }
        (Err(_), None) => {
            source.unknown(first.at, "fault or status", &first.text, FAULTS.map(|(word, _)| word));
            return None;
        }
    }
    for word in rest {
        part(source, &mut answer, word);
    }
    Some(answer)
}

/// A line that belongs to the one above: `name: value`, to the end of the line.
fn more(source: &mut Source<'_>, answer: &mut Answer, line: &Line<'_>) {
    let start = line.text.trim_start();
    let at = line.at().right(line.text.chars().count() - start.chars().count());
    match start.split_once(':') {
        Some((name, value)) => {
            let text = format!("{}:{}", name.trim_end(), unquoted(value.trim()));
            part(source, answer, &Word { text, at });
        }
        None => part(source, answer, &Word { text: start.trim_end().to_owned(), at }),
    }
}

fn part(source: &mut Source<'_>, answer: &mut Answer, word: &Word) {
    let Some((name, value)) = word.text.split_once(':') else {
        match word.text.as_str() {
            "chunked" => answer.framing = Framing::Chunked,
            "until-close" => answer.framing = Framing::Close,
            "short" => answer.broken = Some(Broken::Short),
            "cut" => answer.broken = Some(Broken::Reset),
            "stall" => answer.broken = Some(Broken::Stall),
            _ => source.unknown(word.at, "word in an answer", &word.text, FLAGS),
        }
        return;
    };
    let value_word = Word { text: value.to_owned(), at: word.at.right(name.chars().count() + 1) };
    match name {
        "body" => value.clone_into(&mut answer.body),
        "delay" => answer.delay = super::words::duration(source, &value_word).unwrap_or_default(),
        "body-delay" => answer.body_delay = super::words::duration(source, &value_word).unwrap_or_default(),
        "size" => {
            match value.parse().ok().or_else(|| copal_config::read_size(value)).filter(|size| *size <= SIZE_MAX) {
                Some(size) => answer.size = usize::try_from(size).ok(),
                None => {
                    let help = Some("write `size:10KiB`; at most 256MiB".to_owned());
                    source.wrong(value_word.at, format!("`{value}` is not a size"), help);
                }
            }
        }
        _ if !is_token(name.as_bytes()) => {
            source.wrong(word.at, format!("`{name}` is not the name of a header field"), None);
        }
        _ if !is_field_value(value.as_bytes()) => {
            source.wrong(value_word.at, "this value would break the head", None);
        }
        "early-hints" => answer.early_hints = Some(value.to_owned()),
        "content-length" | "transfer-encoding" => {
            let help = Some("write `size:`, `chunked`, `until-close` or `short`".to_owned());
            source.wrong(word.at, format!("the origin writes `{name}` by itself"), help);
        }
        _ => answer.fields.push((name.to_owned(), value.to_owned())),
    }
}

/// Text as it stands, or with escapes between double quotes.
fn unquoted(text: &str) -> String {
    let text = text.trim_end();
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\"),
        None => text.to_owned(),
    }
}
