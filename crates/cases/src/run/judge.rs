//! Whether what happened is as expected.

use super::Failure;
use super::clients::Response;
use super::origins::Seen;
use super::witness::Told;
use crate::case::{Comparison, Ending, Expectation, Subject, Test};
use crate::parse::number;
use copal_backend::Backends;
use copal_observe::access_log::Record;
use copal_observe::counters::Counter;
use copal_pipeline::step::{ClientStep, FetchStep};
use copal_semantics::{Headers, Span};

/// Longest value shown in a failure, in characters.
const SHOWN_MAX: usize = 300;

/// What an `expect` is held against.
pub(super) struct Facts<'a> {
    /// The request that it speaks of.
    pub(super) title: Option<&'a str>,
    pub(super) response: Option<&'a Response>,
    pub(super) took: Option<Span>,
    pub(super) told: Option<&'a Told>,
    /// What origins got since the last `expect`.
    pub(super) seen: Vec<Seen>,
    pub(super) backends: &'a Backends,
    pub(super) counter: &'a dyn Fn(Counter) -> i64,
}

/// The failure of one expectation; none when it holds.
pub(super) fn judge(expectation: &Expectation, facts: &Facts<'_>) -> Option<Failure> {
    let (expected, got) = held_against(&expectation.subject, facts)?;
    let of = facts.title.unwrap_or_default().to_owned();
    Some(Failure { line: expectation.line, what: expectation.text.clone(), expected, got, of })
}

/// Expected and got, where they differ.
fn held_against(subject: &Subject, facts: &Facts<'_>) -> Option<(String, String)> {
    let head = facts.response.and_then(|response| response.head.as_ref());
    let whole_response = facts.response.filter(|response| response.head.is_some());
    let record = facts.told.and_then(|told| told.record.as_ref());
    let of_record = |test: &Test, value: fn(&Record) -> String| {
        let values = record.map(|record| Some(value(record)).filter(|text| !text.is_empty()).into_iter().collect());
        of(test, values, NO_REQUEST)
    };
    match subject {
        Subject::Status(test) => of_response(test, head.map(|head| vec![head.status.to_string()])),
        Subject::Reason(test) => of_response(test, head.map(|head| vec![head.reason_phrase().to_owned()])),
        Subject::Header(name, test) => of_response(test, head.map(|head| values(&head.headers, name))),
        Subject::Body(test) => of_response(test, whole_response.map(|r| vec![lossy(&r.body)])),
        Subject::BodyBytes(test) => of_response(test, whole_response.map(|r| vec![r.body.len().to_string()])),
        Subject::Interim(test) => {
            let all = |r: &Response| r.interim.iter().map(ToString::to_string).collect();
            of_response(test, facts.response.filter(|r| r.head.is_some() || !r.interim.is_empty()).map(all))
        }
        Subject::Ending(wanted) => {
            let got = facts.response.map_or(Ending::None, |response| response.ending);
            (got != *wanted).then(|| (ending(*wanted).to_owned(), ending(got).to_owned()))
        }
        Subject::Took(test) => of(test, facts.took.map(|took| vec![format!("{}s", took.as_secs_f64())]), NO_REQUEST),
        Subject::Outcome(test) => of_record(test, |record| record.outcome.as_str().to_owned()),
        Subject::Why(test) => of_record(test, |record| record.reason.to_owned()),
        Subject::Backend(test) => of_record(test, |record| record.backend.clone().unwrap_or_default()),
        Subject::Error(test) => of_record(test, |record| record.error.clone().unwrap_or_default()),
        Subject::Log(test) => of(test, facts.told.map(|told| told.log.clone()), NO_REQUEST),
        Subject::Steps(wanted) => {
            let got = facts.told.map(|told| told.steps.as_slice()).unwrap_or_default();
            differ(whole(wanted, ClientStep::Done, ClientStep::name), got)
        }
        Subject::FetchSteps(wanted) => {
            let got = facts.told.map(|told| told.fetch.as_slice()).unwrap_or_default();
            differ(whole(wanted, FetchStep::Done, FetchStep::name), got)
        }
        Subject::Edge(..) | Subject::Hook(..) if facts.title.is_none() => {
            Some(("a request that did or did not".to_owned(), NO_REQUEST.to_owned()))
        }
        Subject::Edge(from, to, wanted) => {
            let taken = facts.told.is_some_and(|told| told.edges.contains(&(*from, *to)));
            let word = |is| if is { "taken" } else { "not taken" };
            (taken != *wanted).then(|| (word(*wanted).to_owned(), word(taken).to_owned()))
        }
        Subject::Hook(hook, wanted) => {
            let ran = facts.told.is_some_and(|told| told.hooks.contains(hook));
            let word = |is| if is { "it ran" } else { "it did not run" };
            (ran != *wanted).then(|| (word(*wanted).to_owned(), word(ran).to_owned()))
        }
        Subject::Fetches(origin, test) => {
            let all: Vec<String> = asked(facts, origin.as_deref())
                .map(|seen| format!("{} {} at {}", seen.head.method, seen.head.url, seen.origin))
                .collect();
            let (expected, mut got) = text(test, vec![all.len().to_string()])?;
            if !all.is_empty() {
                got = format!("{got}: {}", all.join(", "));
            }
            Some((expected, got))
        }
        Subject::Asked(origin, test) => {
            let with_method = matches!(test, Test::Is(wanted) | Test::IsNot(wanted) if wanted.contains(' '));
            let target = |seen: &Seen| {
                if with_method { format!("{} {}", seen.head.method, seen.head.url) } else { seen.head.url.clone() }
            };
            let last = asked(facts, origin.as_deref()).last().map(|seen| vec![target(seen)]);
            // Nothing was asked: that is what `absent` says here.
            if matches!(test, Test::Absent) { text(test, last.unwrap_or_default()) } else { of(test, last, NOT_ASKED) }
        }
        Subject::AskedHeader(origin, name, test) => {
            let last = asked(facts, origin.as_deref()).last();
            of(test, last.map(|seen| values(&seen.head.headers, name)), NOT_ASKED)
        }
        Subject::AskedBody(origin, test) => {
            let last = asked(facts, origin.as_deref()).last();
            of(test, last.map(|seen| vec![lossy(&seen.body)]), NOT_ASKED)
        }
        Subject::Counter(counter, test) => text(test, vec![(facts.counter)(*counter).to_string()]),
        Subject::Purged(test) => text(test, vec![(facts.counter)(Counter::PurgedObjects).to_string()]),
        Subject::Health(name, wanted) => {
            let word = |is| if is { "healthy" } else { "sick" };
            if !facts.backends.contains(name) {
                return Some((word(*wanted).to_owned(), format!("there is no backend or director `{name}`")));
            }
            let is = facts.backends.is_healthy(Some(name));
            (is != *wanted).then(|| (word(*wanted).to_owned(), word(is).to_owned()))
        }
    }
}

fn asked<'a>(facts: &'a Facts<'_>, origin: Option<&'a str>) -> impl DoubleEndedIterator<Item = &'a Seen> {
    facts.seen.iter().filter(move |seen| origin.is_none_or(|name| seen.origin == name))
}

fn values(headers: &Headers, name: &str) -> Vec<String> {
    headers.get_all(name).map(lossy).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "a complete response",
        Ending::Cut => "a response that is cut off",
        Ending::None => "no response",
    }
}

/// The names of the steps with the last one, which need not be written.
fn whole<S: Copy + PartialEq>(steps: &[S], done: S, name: fn(S) -> &'static str) -> Vec<&'static str> {
    let end = (steps.last() != Some(&done)).then_some(done);
    steps.iter().copied().chain(end).map(name).collect()
}

fn differ(wanted: Vec<&'static str>, got: &[&'static str]) -> Option<(String, String)> {
    (wanted != got).then(|| (wanted.join(" "), or_none(got.join(" "))))
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

/// There is nothing of which an expectation could speak.
const NO_RESPONSE: &str = "no response";
const NO_REQUEST: &str = "no request";
const NOT_ASKED: &str = "no request reached an origin";

/// Holds what may have no place to be in against a test. A line about what must not be would hold of a response that never
/// came, and so could not fail: it does not hold.
fn of(test: &Test, got: Option<Vec<String>>, missing: &str) -> Option<(String, String)> {
    match got {
        Some(got) => text(test, got),
        None => Some((described(test), missing.to_owned())),
    }
}

fn of_response(test: &Test, got: Option<Vec<String>>) -> Option<(String, String)> {
    of(test, got, NO_RESPONSE)
}

/// Holds values against a test. Of several, one that fits is enough; what must not be, must not be in any.
fn text(test: &Test, got: Vec<String>) -> Option<(String, String)> {
    let holds = match test {
        Test::Absent => got.is_empty(),
        Test::Present => !got.is_empty(),
        Test::IsNot(_) | Test::FitsNot(_) | Test::Lacks(_) | Test::Compares(Comparison::Differs, _) => {
            got.iter().all(|value| fits(test, value))
        }
        Test::Is(_) | Test::Fits(_) | Test::Contains(_) | Test::Compares(..) => {
            got.iter().any(|value| fits(test, value))
        }
    };
    if holds {
        return None;
    }
    let shown = if got.is_empty() { "absent".to_owned() } else { shown(&got.join(" | ")) };
    Some((described(test), shown))
}

fn fits(test: &Test, value: &str) -> bool {
    // A last line end counts for nothing.
    let same = |wanted: &str| value.trim_end_matches('\n') == wanted.trim_end_matches('\n');
    match test {
        Test::Is(wanted) => same(wanted),
        Test::IsNot(wanted) => !same(wanted),
        Test::Fits(regex) => regex.is_match(value),
        Test::FitsNot(regex) => !regex.is_match(value),
        Test::Contains(wanted) => value.contains(wanted),
        Test::Lacks(wanted) => !value.contains(wanted),
        Test::Compares(how, wanted) => number(value).is_some_and(|value| match how {
            Comparison::Equal => value.total_cmp(wanted).is_eq(),
            Comparison::Differs => value.total_cmp(wanted).is_ne(),
            Comparison::Less => value < *wanted,
            Comparison::AtMost => value <= *wanted,
            Comparison::More => value > *wanted,
            Comparison::AtLeast => value >= *wanted,
        }),
        Test::Absent => false,
        Test::Present => true,
    }
}

fn described(test: &Test) -> String {
    match test {
        Test::Is(wanted) => shown(wanted),
        Test::IsNot(wanted) => format!("not {}", shown(wanted)),
        Test::Fits(regex) => format!("what fits {regex}"),
        Test::FitsNot(regex) => format!("what does not fit {regex}"),
        Test::Contains(wanted) => format!("what contains {}", shown(wanted)),
        Test::Lacks(wanted) => format!("what lacks {}", shown(wanted)),
        Test::Compares(how, number) => {
            let sign = match how {
                Comparison::Equal => return number.to_string(),
                Comparison::Differs => "not",
                Comparison::Less => "<",
                Comparison::AtMost => "<=",
                Comparison::More => ">",
                Comparison::AtLeast => ">=",
            };
            format!("{sign} {number}")
        }
        Test::Absent => "absent".to_owned(),
        Test::Present => "present".to_owned(),
    }
}

/// A value on one line, not too long.
fn shown(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let line: String =
        text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect();
    match line.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}… ({} bytes)", &line[..at], text.len()),
        None => line,
    }
}
