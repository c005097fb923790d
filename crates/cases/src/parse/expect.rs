//! `expect` blocks: one expectation a line.

use super::source::{At, Source};
use super::words::{Line, Word, split_first};
use crate::case::{Comparison, Ending, Expect, Expectation, Subject, Test};
use copal_observe::access_log::{BAD_REQUEST, Outcome};
use copal_observe::counters::{COUNTERS, Counter};
use copal_pipeline::step::{CLIENT_EDGES, ClientStep, Edge, FETCH_EDGES, FetchStep};
use copal_policy::{HOOKS, Hook};
use copal_semantics::headers::is_token;
use copal_semantics::reason::REASONS;
use regex::Regex;

/// The words that a line may begin with; any other line is `name: value`.
pub const SUBJECTS: [(&str, &str); 27] = [
    ("status", "the status"),
    ("reason", "the reason phrase"),
    ("header", "a field: `header age >= 60`"),
    ("body", "the body as text"),
    ("body-bytes", "the length of the body"),
    ("interim", "a status of an interim response before it"),
    ("complete", "the response ended as its framing says"),
    ("cut", "the response was cut off"),
    ("no", "before `response`, `edge`, `hook`: there was none"),
    ("took", "how long it took, in virtual time"),
    ("outcome", "what became of the request, as in the access log"),
    ("why", "the reason, as in the access log"),
    ("backend", "the backend that served it"),
    ("error", "the fault, as in the access log"),
    ("log", "a line that the policy logged"),
    ("steps", "the whole path of the client machine"),
    ("fetch-steps", "the whole path of the fetch machine"),
    ("edge", "an edge that either machine took"),
    ("hook", "a hook of the policy that ran"),
    ("fetches", "requests that reached origins: all, or `fetches NAME`"),
    ("asked", "the target of the last of them: `asked /path`, `asked POST /path`"),
    ("asked-header", "a field of it"),
    ("asked-body", "its body"),
    ("counter", "growth of a counter, or the value of a level: `counter hits_grace 1`"),
    ("purged", "objects purged"),
    ("healthy", "that backend is healthy"),
    ("sick", "that backend is sick"),
];

const CLIENT_STEPS: [ClientStep; 12] = [
    ClientStep::Recv,
    ClientStep::Hash,
    ClientStep::Lookup,
    ClientStep::Hit,
    ClientStep::Miss,
    ClientStep::Pass,
    ClientStep::Pipe,
    ClientStep::Purge,
    ClientStep::Synth,
    ClientStep::Deliver,
    ClientStep::Restart,
    ClientStep::Done,
];

const FETCH_STEPS: [FetchStep; 8] = [
    FetchStep::BackendFetch,
    FetchStep::Response,
    FetchStep::BackendRefresh,
    FetchStep::BackendResponse,
    FetchStep::Body,
    FetchStep::BackendError,
    FetchStep::Retry,
    FetchStep::Done,
];

pub(super) fn read(source: &mut Source<'_>, kind: &Word, info: &[Word], lines: &[Line<'_>]) -> Option<Expect> {
    if let Some(extra) = info.get(1) {
        source.wrong(extra.at, "one client is enough: name it alone", None);
    }
    let before = source.list.len();
    let mut list = Vec::new();
    for line in lines.iter().filter(|line| !line.text.trim().is_empty()) {
        let text = line.text.trim();
        let at = line.at().right(line.text.chars().count() - line.text.trim_start().chars().count());
        if let Some(subject) = subject(source, text, at) {
            list.push(Expectation { line: at.line, text: text.to_owned(), subject });
        }
    }
    if list.is_empty() && source.list.len() == before {
        source.wrong(kind.at, "nothing is expected here", Some("write `status 200`, for example".to_owned()));
        return None;
    }
    Some(Expect { client: info.first().map(|word| word.text.clone()), lines: list })
}

fn subject(source: &mut Source<'_>, text: &str, at: At) -> Option<Subject> {
    let (word, rest, rest_at) = split_first(text, at);
    if let Some((name, value)) =
        text.split_once(':').filter(|(name, _)| word.contains(':') && is_token(name.as_bytes()))
    {
        return Some(Subject::Header(name.to_owned(), Test::Is(value.trim().to_owned())));
    }
    let test = |source: &mut Source<'_>| test(source, rest, rest_at);
    Some(match word {
        "status" => Subject::Status(numeric(source, rest, rest_at)?),
        "reason" => Subject::Reason(test(source)?),
        "header" => {
            let (name, rest, at) = field_name(source, rest, rest_at)?;
            Subject::Header(name, self::test(source, rest, at)?)
        }
        "body" => Subject::Body(test(source)?),
        "body-bytes" => Subject::BodyBytes(numeric(source, rest, rest_at)?),
        "interim" => Subject::Interim(numeric(source, rest, rest_at)?),
        "complete" => alone(source, rest, rest_at, Subject::Ending(Ending::Complete))?,
        "cut" => alone(source, rest, rest_at, Subject::Ending(Ending::Cut))?,
        "took" => Subject::Took(numeric(source, rest, rest_at)?),
        "outcome" => Subject::Outcome(one_of(source, rest, rest_at, "outcome", &Outcome::ALL.map(Outcome::as_str))?),
        "why" => {
            let codes: Vec<&str> = REASONS.iter().map(|row| row.code).chain([BAD_REQUEST]).collect();
            Subject::Why(one_of(source, rest, rest_at, "reason", &codes)?)
        }
        "backend" => Subject::Backend(test(source)?),
        "error" => Subject::Error(test(source)?),
        "log" => Subject::Log(test(source)?),
        "steps" => Subject::Steps(path(source, rest, rest_at, &CLIENT_STEPS, CLIENT_EDGES, ClientStep::name)?),
        "fetch-steps" => Subject::FetchSteps(path(source, rest, rest_at, &FETCH_STEPS, FETCH_EDGES, FetchStep::name)?),
        "edge" => edge(source, rest, rest_at, true)?,
        "hook" => hook(source, rest, rest_at, true)?,
        "no" => {
            let (what, rest, after) = split_first(rest, rest_at);
            match what {
                "response" => alone(source, rest, after, Subject::Ending(Ending::None))?,
                "edge" => edge(source, rest, after, false)?,
                "hook" => hook(source, rest, after, false)?,
                _ => {
                    source.unknown(rest_at, "word after `no`", what, ["response", "edge", "hook"]);
                    return None;
                }
            }
        }
        "fetches" => {
            let (origin, rest, at) = origin(rest, rest_at, |first| first.parse::<f64>().is_ok());
            Subject::Fetches(origin, count(source, rest, at)?)
        }
        "asked" => {
            let own = |first: &str| first.starts_with('/') || first.bytes().all(|b| b.is_ascii_uppercase());
            let (origin, rest, at) = origin(rest, rest_at, own);
            Subject::Asked(origin, self::test(source, rest, at)?)
        }
        "asked-header" => {
            // With an origin before it when two words come before the test.
            let (first, tail, tail_at) = split_first(rest, rest_at);
            let (second, ..) = split_first(tail, tail_at);
            let named = !is_operator(second) && tail.split_whitespace().nth(1).is_some_and(is_operator);
            let (origin, rest, at) =
                if named { (Some(first.to_owned()), tail, tail_at) } else { (None, rest, rest_at) };
            let (name, rest, at) = field_name(source, rest, at)?;
            Subject::AskedHeader(origin, name, self::test(source, rest, at)?)
        }
        "asked-body" => Subject::AskedBody(None, test(source)?),
        "counter" => {
            let (name, rest, after) = split_first(rest, rest_at);
            let Some(counter) = Counter::named(name) else {
                let names: Vec<&str> = COUNTERS.iter().map(|row| row.name).collect();
                let near = copal_policy::diagnostic::nearest(name, names.iter().copied());
                let help = near.map_or_else(
                    || "docs/reference/counters.md lists them".to_owned(),
                    |meant| format!("did you mean `{meant}`?"),
                );
                source.wrong(rest_at, format!("there is no counter `{name}`"), Some(help));
                return None;
            };
            Subject::Counter(counter, count(source, rest, after)?)
        }
        "purged" => Subject::Purged(count(source, rest, rest_at)?),
        "healthy" | "sick" => {
            if rest.is_empty() || rest.contains(char::is_whitespace) {
                source.wrong(rest_at, "the name of one backend or director is wanted", None);
                return None;
            }
            Subject::Health(rest.to_owned(), word == "healthy")
        }
        _ => {
            let words: Vec<&str> = SUBJECTS.iter().map(|(word, _)| *word).collect();
            match copal_policy::diagnostic::nearest(word, words.iter().copied()) {
                Some(_) => source.unknown_of(at, "expectation", word, &words),
                None => {
                    let help = "header fields are written `name: value`, or `header name contains text`";
                    source.wrong(at, format!("there is no expectation `{word}`"), Some(help.to_owned()));
                }
            }
            return None;
        }
    })
}

fn field_name<'t>(source: &mut Source<'_>, rest: &'t str, at: At) -> Option<(String, &'t str, At)> {
    let (name, rest, after) = split_first(rest, at);
    let name = name.trim_end_matches(':');
    if name.is_empty() {
        source.wrong(at, "of which header field?", Some("write `header age >= 60`".to_owned()));
        return None;
    }
    if !is_token(name.as_bytes()) {
        source.wrong(at, format!("`{name}` is not the name of a header field"), None);
        return None;
    }
    Some((name.to_owned(), rest, after))
}

/// An origin's name before the test, when the first word is not the test itself.
fn origin(rest: &str, at: At, own: impl Fn(&str) -> bool) -> (Option<String>, &str, At) {
    let (first, tail, tail_at) = split_first(rest, at);
    if first.is_empty() || is_operator(first) || own(first) || tail.is_empty() {
        return (None, rest, at);
    }
    (Some(first.to_owned()), tail, tail_at)
}

fn alone(source: &mut Source<'_>, rest: &str, at: At, subject: Subject) -> Option<Subject> {
    if rest.is_empty() {
        return Some(subject);
    }
    source.wrong(at, "nothing follows this", None);
    None
}

const OPERATORS: [&str; 12] = ["=", "!=", "~", "!~", "<", "<=", ">", ">=", "contains", "lacks", "absent", "present"];

fn is_operator(word: &str) -> bool {
    OPERATORS.contains(&word)
}

/// What stands behind the subject: an operator and a value, or the value that it must be.
fn test(source: &mut Source<'_>, rest: &str, at: At) -> Option<Test> {
    let (first, value, value_at) = split_first(rest, at);
    if first.is_empty() {
        source.wrong(at, "what must it be?", Some(format!("a value, or one of {}", OPERATORS.join(", "))));
        return None;
    }
    if !is_operator(first) {
        return Some(Test::Is(text(rest)));
    }
    if value.is_empty() && !matches!(first, "absent" | "present") {
        source.wrong(value_at, format!("`{first}` wants a value"), None);
        return None;
    }
    Some(match first {
        "=" => Test::Is(text(value)),
        "!=" => Test::IsNot(text(value)),
        "contains" => Test::Contains(text(value)),
        "lacks" => Test::Lacks(text(value)),
        "absent" => Test::Absent,
        "present" => Test::Present,
        "~" | "!~" => match Regex::new(value) {
            Ok(regex) if first == "~" => Test::Fits(regex),
            Ok(regex) => Test::FitsNot(regex),
            Err(why) => {
                let why = why.to_string();
                let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                source.wrong(value_at, format!("this is not a regular expression: {last}"), None);
                return None;
            }
        },
        _ => {
            let Some(number) = number(value) else {
                source.wrong(value_at, format!("`{value}` is not a number"), None);
                return None;
            };
            let how = match first {
                "<" => Comparison::Less,
                "<=" => Comparison::AtMost,
                ">" => Comparison::More,
                _ => Comparison::AtLeast,
            };
            Test::Compares(how, number)
        }
    })
}

/// A number, a duration in seconds, or a size in bytes.
#[expect(clippy::cast_precision_loss, reason = "sizes in tests are far below 2^53")]
pub(crate) fn number(text: &str) -> Option<f64> {
    let plain = text.parse().ok();
    plain
        .or_else(|| copal_config::read_duration(text).map(copal_semantics::Span::as_secs_f64))
        .or_else(|| copal_config::read_size(text).map(|bytes| bytes as f64))
}

/// Numbers are compared as numbers: `5s` is 5, `1KiB` is 1024.
fn numeric(source: &mut Source<'_>, rest: &str, at: At) -> Option<Test> {
    let (how, text) = match test(source, rest, at)? {
        Test::Is(text) => (Comparison::Equal, text),
        Test::IsNot(text) => (Comparison::Differs, text),
        other => return Some(other),
    };
    let number = number(&text);
    if number.is_none() {
        source.wrong(at, format!("`{text}` is not a number"), None);
    }
    number.map(|number| Test::Compares(how, number))
}

/// A number that is always there and never below zero: a line that holds of every such number could not fail.
fn count(source: &mut Source<'_>, rest: &str, at: At) -> Option<Test> {
    let test = numeric(source, rest, at)?;
    let always = match &test {
        Test::Compares(Comparison::AtLeast, number) => *number <= 0.0,
        Test::Compares(Comparison::More | Comparison::Differs, number) => *number < 0.0,
        Test::Present | Test::Absent => true,
        _ => false,
    };
    if always {
        let message = "there is always a number, of at least 0, so this says nothing";
        source.wrong(at, message, Some("write the number, `0` or `> 0`".to_owned()));
        return None;
    }
    Some(test)
}

fn one_of(source: &mut Source<'_>, rest: &str, at: At, what: &str, right: &[&str]) -> Option<Test> {
    let test = test(source, rest, at)?;
    if let Test::Is(word) | Test::IsNot(word) = &test
        && !right.contains(&word.as_str())
    {
        source.unknown_of(at, what, word, right);
        return None;
    }
    Some(test)
}

/// Text as it stands, or with escapes between double quotes.
fn text(value: &str) -> String {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|_| value.len() > 1) {
        Some(inner) => inner.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\"),
        None => value.to_owned(),
    }
}

/// Steps with or without arrows between; each edge must be in the table. The last step, `done`, may be left out.
fn path<S: Copy + PartialEq>(
    source: &mut Source<'_>,
    rest: &str,
    at: At,
    all: &[S],
    edges: &[Edge<S>],
    name: impl Fn(S) -> &'static str + Copy,
) -> Option<Vec<S>> {
    let mut steps: Vec<S> = Vec::new();
    for (word, here) in spaced(rest, at).filter(|(word, _)| !["->", "→", ">"].contains(word)) {
        let Some(step) = all.iter().copied().find(|step| name(*step) == word) else {
            let names: Vec<&str> = all.iter().map(|step| name(*step)).collect();
            source.unknown_of(here, "step", word, &names);
            return None;
        };
        if let Some(last) = steps.last().copied()
            && !edges.iter().any(|(from, to, _)| *from == last && *to == step)
        {
            let legal: Vec<&str> =
                edges.iter().filter(|(from, ..)| *from == last).map(|(_, to, _)| name(*to)).collect();
            let help = format!("from `{}` it goes to {}", name(last), legal.join(", "));
            source.wrong(here, format!("nothing goes from `{}` to `{word}`", name(last)), Some(help));
            return None;
        }
        steps.push(step);
    }
    if steps.len() < 2 {
        source.wrong(
            at,
            "a path has at least two steps",
            Some("write `steps recv hash lookup hit deliver`".to_owned()),
        );
        return None;
    }
    Some(steps)
}

fn spaced(text: &str, at: At) -> impl Iterator<Item = (&str, At)> {
    text.split_whitespace().map(move |word| {
        let byte = word.as_ptr() as usize - text.as_ptr() as usize;
        (word, at.right(text[..byte].chars().count()))
    })
}

fn edge(source: &mut Source<'_>, rest: &str, at: At, taken: bool) -> Option<Subject> {
    let words: Vec<&str> = rest.split_whitespace().filter(|word| !["->", "→", ">"].contains(word)).collect();
    let [from, to] = words.as_slice() else {
        source.wrong(at, "an edge goes from one step to another", Some("write `edge recv -> pass`".to_owned()));
        return None;
    };
    let client = CLIENT_EDGES.iter().map(|(from, to, _)| (from.name(), to.name()));
    let fetch = FETCH_EDGES.iter().map(|(from, to, _)| (from.name(), to.name()));
    let all: Vec<(&'static str, &'static str)> = client.chain(fetch).collect();
    if let Some((from, to)) = all.iter().find(|edge| edge.0 == *from && edge.1 == *to) {
        return Some(Subject::Edge(from, to, taken));
    }
    let legal: Vec<&str> = all.iter().filter(|edge| edge.0 == *from).map(|edge| edge.1).collect();
    let mut steps: Vec<&str> = all.iter().map(|edge| edge.0).collect();
    steps.dedup();
    match legal.as_slice() {
        [] => source.unknown_of(at, "step", from, &steps),
        _ => {
            let help = format!("from `{from}` it goes to {}", legal.join(", "));
            source.wrong(at, format!("nothing goes from `{from}` to `{to}`"), Some(help));
        }
    }
    None
}

fn hook(source: &mut Source<'_>, rest: &str, at: At, ran: bool) -> Option<Subject> {
    match Hook::by_name(rest) {
        Some(hook) => Some(Subject::Hook(hook.name(), ran)),
        None => {
            let names: Vec<&str> = HOOKS.iter().map(|row| row.name).collect();
            source.unknown_of(at, "hook", rest, &names);
            None
        }
    }
}
