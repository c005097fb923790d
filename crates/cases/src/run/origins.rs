//! The scripted origins: the far ends of the connections that the fetches open.

use crate::case::{Answer, Broken, Fault, Framing, Route, Script};
use bytes::BytesMut;
use copal_backend::{Dial, Dialling, OriginEnd, Wire};
use copal_semantics::{RequestHead, ResponseHead, Span};
use copal_wire::{BodyFraming, Chunked, HeadScan, Piece, WireError, WireLimits, parse_request, request_framing};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A request head that reaches an origin: what Copal may send is bounded by what it takes.
const HEADS: WireLimits = WireLimits { head_bytes: 1 << 20, url_bytes: 1 << 20, header_count: 10_000 };

/// A request that reached an origin.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) origin: String,
    pub(super) head: RequestHead,
    pub(super) body: Vec<u8>,
}

/// Lines with the same method and path: answered one after the other, the last one stays.
struct Group {
    method: Option<String>,
    pattern: String,
    answers: VecDeque<Answer>,
}

#[derive(Default)]
struct State {
    /// By origin; without a name for all that have no line of their own.
    groups: HashMap<Option<String>, Vec<Group>>,
    down: BTreeSet<String>,
    seen: Vec<Seen>,
    unscripted: Vec<String>,
    unreadable: Vec<String>,
}

/// All origins of one case.
#[derive(Default)]
pub(super) struct Origins(Mutex<State>);

impl Origins {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a script in force. What was said before of the same method and path is forgotten.
    pub(super) fn take(&self, script: &Script) {
        let mut state = self.state();
        let groups = state.groups.entry(script.name.clone()).or_default();
        let same = |group: &Group, route: &Route| group.method == route.method && group.pattern == route.pattern;
        groups.retain(|group| !script.routes.iter().any(|route| same(group, route)));
        for route in &script.routes {
            match groups.iter_mut().find(|group| same(group, route)) {
                Some(group) => group.answers.push_back(route.answer.clone()),
                None => groups.push(Group {
                    method: route.method.clone(),
                    pattern: route.pattern.clone(),
                    answers: VecDeque::from([route.answer.clone()]),
                }),
            }
        }
    }

    pub(super) fn set_down(&self, name: &str, down: bool) {
        let mut state = self.state();
        if down {
            state.down.insert(name.to_owned())
        } else {
            state.down.remove(name)
        };
    }

    /// Has a probe to go through to this origin, to find out how it is? Otherwise nothing says that it is not well.
    pub(super) fn is_telling(&self, name: &str, path: &str) -> bool {
        let state = self.state();
        let refuses = |group: &Group| group.answers.front().is_some_and(|a| refused(a).is_some());
        state.down.contains(name) || state.of(name).any(|group| group.pattern == path || refuses(group))
    }

    /// Would its next answer to a probe be a good one, or does it say nothing of its health?
    pub(super) fn starts_well(&self, name: &str, path: &str, expected: &RangeInclusive<u16>) -> bool {
        if !self.is_telling(name, path) {
            return true;
        }
        let state = self.state();
        let mut answers = state.of(name).filter(|group| group.pattern == path).filter_map(|g| g.answers.front());
        let good = |a: &Answer| a.fault.is_none() && a.delay == Span::ZERO && expected.contains(&a.status);
        !state.down.contains(name) && answers.next().is_some_and(good)
    }

    /// How many requests have come so far.
    pub(super) fn count(&self) -> usize {
        self.state().seen.len()
    }

    /// Those after the first `n`.
    pub(super) fn seen_after(&self, n: usize) -> Vec<Seen> {
        self.state().seen.get(n..).unwrap_or_default().to_vec()
    }

    /// Requests for which no origin had a line, since this was asked last.
    pub(super) fn take_unscripted(&self) -> Vec<String> {
        std::mem::take(&mut self.state().unscripted)
    }
}

impl Origins {
    /// What was sent to an origin that is no request, since this was asked last.
    pub(super) fn take_unreadable(&self) -> Vec<String> {
        std::mem::take(&mut self.state().unreadable)
    }
}

impl State {
    fn of(&self, name: &str) -> impl Iterator<Item = &Group> {
        let own = self.groups.get(&Some(name.to_owned()));
        own.into_iter().chain(self.groups.get(&None)).flatten()
    }

    /// The answer to a request, taken off its group unless it is the last one.
    fn answer(&mut self, name: &str, head: &RequestHead) -> Option<Answer> {
        for key in [Some(name.to_owned()), None] {
            let Some(groups) = self.groups.get_mut(&key) else { continue };
            let exact = groups.iter().position(|group| !group.pattern.contains('*') && fits(group, head));
            let Some(at) = exact.or_else(|| groups.iter().position(|group| fits(group, head))) else { continue };
            return next(&mut groups[at]);
        }
        None
    }

    /// What becomes of a connection before any request is known.
    fn on_connect(&mut self, name: &str) -> Option<Fault> {
        if self.down.contains(name) {
            return Some(Fault::Refuse);
        }
        for key in [Some(name.to_owned()), None] {
            let groups = self.groups.get_mut(&key).map(Vec::as_mut_slice).unwrap_or_default();
            for group in groups {
                if let Some(fault) = group.answers.front().and_then(refused) {
                    let _the_same = next(group);
                    return Some(fault);
                }
            }
        }
        None
    }
}

fn refused(answer: &Answer) -> Option<Fault> {
    answer.fault.filter(|fault| matches!(fault, Fault::Refuse | Fault::Unreachable))
}

fn next(group: &mut Group) -> Option<Answer> {
    if group.answers.len() > 1 { group.answers.pop_front() } else { group.answers.front().cloned() }
}

/// A line for GET is also good for HEAD.
fn fits(group: &Group, head: &RequestHead) -> bool {
    let method = group.method.as_deref();
    let same = method.is_none_or(|m| head.method.as_str() == m || (m == "GET" && head.method == http::Method::HEAD));
    let path = head.url.split('?').next().unwrap_or_default();
    same && glob(&group.pattern, if group.pattern.contains('?') { &head.url } else { path })
}

/// `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => match text.strip_prefix(start) {
            None => false,
            Some(tail) => {
                let mut ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
                ends.any(|at| glob(rest, &tail[at..]))
            }
        },
    }
}

/// Who has opened a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    Fetch,
    /// Answered like any other, but no fetch, however its request is written.
    Probe,
}

/// Opens connections to the origins.
pub(super) struct Dialler(pub(super) Arc<Origins>, pub(super) Asker);

impl Dial for Dialler {
    fn dial<'a>(&'a self, origin: &'a str) -> Dialling<'a> {
        Box::pin(async move {
            let fault = self.0.state().on_connect(origin);
            match fault {
                None => {}
                Some(Fault::Unreachable) => return std::future::pending().await,
                Some(_) => return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused")),
            }
            let (ours, theirs) = Wire::pair();
            tokio::spawn(serve(Arc::clone(&self.0), origin.to_owned(), self.1, theirs));
            Ok(ours)
        })
    }
}

/// Reads one request and answers it. What goes wrong on the way is Copal hanging up, which is its good right.
async fn serve(origins: Arc<Origins>, name: String, asker: Asker, mut end: OriginEnd) {
    let (head, body) = match read(&mut end).await {
        Ok(request) => request,
        Err(Unread::Gone) => return,
        Err(Unread::Wrong(why)) => return origins.state().unreadable.push(format!("`{name}`: {why}")),
    };
    let answer = {
        let mut state = origins.state();
        let answer = state.answer(&name, &head);
        if asker == Asker::Fetch {
            if answer.is_none() {
                state.unscripted.push(format!("`{name}` was asked for `{} {}`", head.method, head.url));
            }
            state.seen.push(Seen { origin: name.clone(), head: head.clone(), body });
        }
        let number = state.seen.iter().filter(|seen| seen.origin == name).count();
        answer.map(|answer| (answer, number))
    };
    match answer {
        Some((answer, number)) => reply(end, &head, &answer, number).await,
        None => {
            let _gone = end.stream.write_all(b"HTTP/1.1 501 Not scripted\r\nContent-Length: 0\r\n\r\n").await;
        }
    }
}

/// Why there is no request.
enum Unread {
    /// Copal has hung up.
    Gone,
    /// It is none, for people.
    Wrong(String),
}

/// Longest beginning of such a request that is shown, in bytes.
const SHOWN_MAX: usize = 200;

impl Unread {
    fn of(why: WireError, sent: &[u8]) -> Unread {
        let shown = sent[..sent.len().min(SHOWN_MAX)].escape_ascii();
        Unread::Wrong(format!("{why}, in \"{shown}{}\"", if sent.len() > SHOWN_MAX { "…" } else { "" }))
    }
}

async fn more(end: &mut OriginEnd, buf: &mut BytesMut) -> Result<(), Unread> {
    match end.stream.read_buf(buf).await {
        Ok(0) | Err(_) => Err(Unread::Gone),
        Ok(_) => Ok(()),
    }
}

async fn read(end: &mut OriginEnd) -> Result<(RequestHead, Vec<u8>), Unread> {
    let (mut buf, mut scan, mut head) = (BytesMut::new(), HeadScan::default(), RequestHead::default());
    let at = loop {
        match scan.find(&buf, &HEADS) {
            Ok(Some(at)) => break at,
            Ok(None) => more(end, &mut buf).await?,
            Err(why) => return Err(Unread::of(why, &buf)),
        }
    };
    let sent = buf.split_to(at);
    parse_request(&sent, &HEADS, &mut head).map_err(|why| Unread::of(why, &sent))?;
    let mut body = Vec::new();
    match request_framing(&head).map_err(|why| Unread::of(why, &sent))? {
        BodyFraming::None | BodyFraming::Close => {}
        BodyFraming::Length(length) => {
            while (buf.len() as u64) < length {
                more(end, &mut buf).await?;
            }
            body.extend_from_slice(&buf);
        }
        BodyFraming::Chunked => {
            let mut chunks = Chunked::default();
            loop {
                match chunks.decode(&mut buf).map_err(|why| Unread::of(why, &sent))? {
                    Piece::Data(piece) => body.extend_from_slice(&piece),
                    Piece::End(_) => break,
                    Piece::More => more(end, &mut buf).await?,
                }
            }
        }
    }
    Ok((head, body))
}

async fn reply(mut end: OriginEnd, request: &RequestHead, answer: &Answer, number: usize) {
    if let Some(link) = &answer.early_hints {
        let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {link}\r\n\r\n");
        if end.stream.write_all(hint.as_bytes()).await.is_err() {
            return;
        }
    }
    tokio::time::sleep(answer.delay.to_std()).await;
    match answer.fault {
        Some(Fault::Reset) => return end.reset(),
        Some(Fault::Hang) => return until_closed(&mut end).await,
        Some(Fault::Garbage) => {
            let _gone = end.stream.write_all(b"\x00\x01garbage, not HTTP\r\n\r\n").await;
            return;
        }
        Some(Fault::Close | Fault::Refuse | Fault::Unreachable) => return,
        None => {}
    }
    let not_modified = is_unchanged(request, answer);
    let status = if not_modified { 304 } else { answer.status };
    let body = match answer.size {
        Some(size) => vec![b'x'; size],
        None => answer.body.replace("{n}", &number.to_string()).replace("{url}", &request.url).into_bytes(),
    };
    let bodiless = matches!(status, 204 | 304);
    let mut head =
        format!("HTTP/1.1 {status} {}\r\n", ResponseHead { status, ..ResponseHead::default() }.reason_phrase());
    for (name, value) in &answer.fields {
        head += &format!("{name}: {value}\r\n");
    }
    match answer.framing {
        _ if bodiless => {}
        Framing::Length => head += &format!("Content-Length: {}\r\n", body.len()),
        Framing::Chunked => head += "Transfer-Encoding: chunked\r\n",
        Framing::Close => head += "Connection: close\r\n",
    }
    head += "\r\n";
    if end.stream.write_all(head.as_bytes()).await.is_err() || bodiless || request.method == http::Method::HEAD {
        return;
    }
    tokio::time::sleep(answer.body_delay.to_std()).await;
    let sent = if answer.broken.is_some() { &body[..body.len() / 2] } else { &body[..] };
    let mut wire = Vec::with_capacity(sent.len() + 32);
    if answer.framing == Framing::Chunked {
        if !sent.is_empty() {
            copal_wire::encode::chunk_start(sent.len(), &mut wire);
            wire.extend_from_slice(sent);
            wire.extend_from_slice(b"\r\n");
        }
        if answer.broken.is_none() {
            wire.extend_from_slice(b"0\r\n\r\n");
        }
    } else {
        wire.extend_from_slice(sent);
    }
    if end.stream.write_all(&wire).await.is_err() {
        return;
    }
    match answer.broken {
        Some(Broken::Reset) => end.reset(),
        Some(Broken::Stall) => until_closed(&mut end).await,
        Some(Broken::Short) | None => {}
    }
}

/// An answer with a validator is a real one: asked whether it has changed, the origin says no (RFC 9110 §13.1).
fn is_unchanged(request: &RequestHead, answer: &Answer) -> bool {
    let own = |name: &str| answer.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_bytes());
    if answer.status != 200 || !(request.method == http::Method::GET || request.method == http::Method::HEAD) {
        return false;
    }
    if request.headers.contains("if-none-match") {
        return own("etag")
            .is_some_and(|etag| request.headers.list("if-none-match").any(|tag| tag == etag || tag == b"*"));
    }
    own("last-modified").is_some_and(|date| request.headers.get("if-modified-since") == Some(date))
}

async fn until_closed(end: &mut OriginEnd) {
    let mut scrap = [0; 1024];
    while matches!(end.stream.read(&mut scrap).await, Ok(n) if n > 0) {}
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, text, fit) in [
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("*", "/anything", true),
            ("/a/*", "/a/", true),
            ("/a/*.css", "/a/b/c.css", true),
            ("/a/*.css", "/a/b/c.js", false),
            ("/é*", "/éa", true),
            ("/*b*d", "/abcd", true),
            ("/*b*d", "/abdc", false),
        ] {
            assert_eq!(glob(pattern, text), fit, "{pattern} {text}");
        }
    }
}
