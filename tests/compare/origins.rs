//! Real origins that answer what the `origin` blocks of a page say.

use copal_cases::case::{Answer, Fault, Framing, Route, Script, State};
use copal_semantics::Span;
use copal_testkit::{Origin, Reply, Seen};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// Lines with the same method and path: answered one after the other, the last one stays.
struct Group {
    origin: Option<String>,
    method: Option<String>,
    pattern: String,
    answers: VecDeque<Answer>,
}

#[derive(Default)]
struct Shared {
    groups: Vec<Group>,
    /// Origin and request, in order.
    seen: Vec<(String, Seen)>,
}

/// The origins of a page.
pub(super) struct Origins {
    all: Vec<(String, Origin)>,
    shared: Arc<Mutex<Shared>>,
}

impl Origins {
    pub(super) fn start(names: impl Iterator<Item = String>) -> Origins {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let start = |name: String| {
            let (own, at) = (Arc::clone(&shared), name.clone());
            (name, Origin::start(move |seen| own.lock().unwrap().answer(&at, seen)))
        };
        Origins { all: names.map(start).collect(), shared: Arc::clone(&shared) }
    }

    pub(super) fn addr(&self, name: &str) -> SocketAddr {
        self.all.iter().find(|(own, _)| own == name).unwrap().1.addr()
    }

    /// Puts a script in force; what was said before of the same method and path is forgotten.
    pub(super) fn take(&self, script: &Script) {
        let mut shared = self.shared.lock().unwrap();
        let same = |group: &Group, route: &Route| {
            (&group.origin, &group.method, &group.pattern) == (&script.name, &route.method, &route.pattern)
        };
        shared.groups.retain(|group| !script.routes.iter().any(|route| same(group, route)));
        for route in &script.routes {
            match shared.groups.iter_mut().find(|group| same(group, route)) {
                Some(group) => group.answers.push_back(route.answer.clone()),
                None => shared.groups.push(Group {
                    origin: script.name.clone(),
                    method: route.method.clone(),
                    pattern: route.pattern.clone(),
                    answers: VecDeque::from([route.answer.clone()]),
                }),
            }
        }
    }

    /// Takes connections no more, or again.
    pub(super) fn set(&mut self, name: &str, state: State) {
        let origin = &mut self.all.iter_mut().find(|(own, _)| own == name).unwrap().1;
        match state {
            State::Down => origin.stop(),
            State::Up => origin.restart(),
            State::Sick | State::Healthy | State::Auto => panic!("not of an origin: {state:?}"),
        }
    }

    /// All that they got so far, in order.
    pub(super) fn seen(&self) -> Vec<(String, Seen)> {
        self.shared.lock().unwrap().seen.clone()
    }
}

impl Shared {
    fn answer(&mut self, name: &str, seen: &Seen) -> Reply {
        self.seen.push((name.to_owned(), seen.clone()));
        let number = self.seen.iter().filter(|(own, _)| own == name).count();
        let fitting = |own: bool, exact: bool| {
            move |group: &Group| {
                group.origin.as_deref() == own.then_some(name)
                    && (!exact || !group.pattern.contains('*'))
                    && fits(group, seen)
            }
        };
        let order = [(true, true), (true, false), (false, true), (false, false)];
        let at = order.into_iter().find_map(|(own, exact)| self.groups.iter().position(fitting(own, exact)));
        let Some(group) = at.map(|at| &mut self.groups[at]) else { return Reply::status(501, "not scripted") };
        let answer = if group.answers.len() > 1 { group.answers.pop_front() } else { group.answers.front().cloned() };
        reply(&answer.unwrap(), seen, number)
    }
}

/// A line for GET is also good for HEAD.
fn fits(group: &Group, seen: &Seen) -> bool {
    let method = group.method.as_deref();
    let same = method.is_none_or(|m| seen.method == m || (m == "GET" && seen.method == "HEAD"));
    let path = seen.path.split('?').next().unwrap_or_default();
    same && glob(&group.pattern, if group.pattern.contains('?') { &seen.path } else { path })
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|tail| (0..=tail.len()).filter_map(|at| tail.get(at..)).any(|tail| glob(rest, tail))),
    }
}

fn reply(answer: &Answer, seen: &Seen, number: usize) -> Reply {
    match answer.fault {
        Some(Fault::Reset) => return Reply::raw("").reset(),
        Some(Fault::Close) => return Reply::hang_up(),
        Some(Fault::Hang) => return Reply::silence(),
        Some(Fault::Garbage) => return Reply::garbage(),
        Some(Fault::Refuse | Fault::Unreachable) => panic!("use ```backend NAME down"),
        None => {}
    }
    let plain = answer.broken.is_none() && answer.early_hints.is_none() && answer.delay == Span::ZERO;
    assert!(plain, "not played here");
    let own = |name: &str| answer.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
    let unchanged = answer.status == 200
        && match seen.header("if-none-match") {
            Some(tags) => own("etag").is_some_and(|etag| tags.contains(etag)),
            None => own("last-modified").is_some() && seen.header("if-modified-since") == own("last-modified"),
        };
    let status = if unchanged { 304 } else { answer.status };
    let body = match answer.size {
        Some(size) => "x".repeat(size),
        None => answer.body.replace("{n}", &number.to_string()).replace("{url}", &seen.path),
    };
    let reply = match answer.framing {
        _ if status == 304 || status == 204 => Reply::status(status, ""),
        Framing::Length => Reply::status(status, body),
        Framing::Chunked => Reply::head(status).header("Transfer-Encoding", "chunked").chunk(body).end_chunks(),
        Framing::Close => Reply::head(status).header("Connection", "close").send(body).close(),
    };
    answer.fields.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}
