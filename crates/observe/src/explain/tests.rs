//! Golden tests of the sentences: traces made by hand, and every word that they are told in.

use super::*;
use crate::record::Outcome;
use crate::trace::{Change, Event, Found, Lifetime, Machine, Standing, Storing, Use};
use copal_semantics::Span;
use copal_semantics::reason::{REASONS, Reason};

fn question() -> Question {
    Question {
        method: "GET".into(),
        url: "http://shop.example/news".into(),
        listener: "127.0.0.1:6081".into(),
        policy: "site.rhai".into(),
    }
}

/// One entry each millisecond; the fetch machine's are marked.
fn trace(events: impl IntoIterator<Item = Event>) -> Vec<Entry> {
    let fetches = |event: &Event| {
        matches!(
            event,
            Event::Asked { .. }
                | Event::Answered { .. }
                | Event::Lifetime(_)
                | Event::Storing(_)
                | Event::Failed { .. }
        )
    };
    let entry = |(at, event): (usize, Event)| Entry {
        at_us: at as u64 * 1000,
        machine: if fetches(&event) { Machine::Fetch } else { Machine::Client },
        event,
    };
    events.into_iter().enumerate().map(entry).collect()
}

fn edge(from: &'static str, to: &'static str) -> Event {
    Event::Edge { from, to }
}

fn key() -> Event {
    Event::Key { parts: vec!["/news".into(), "shop.example".into()] }
}

fn lookup(found: Found, stored: usize) -> Event {
    Event::Lookup { found, stored, selecting: Vec::new(), marker: None }
}

fn judged(age: i64, lifetime: i64, usage: Use, reason: Reason) -> Event {
    let standing = Standing {
        age: Span::from_secs(age),
        lifetime: Span::from_secs(lifetime),
        left: Span::from_secs(lifetime - age),
        grace: Span::from_secs(10),
        stale_if_error: Span::from_secs(3600),
    };
    Event::Judged { standing, usage, reason }
}

fn hook(hook: &'static str, action: Option<&str>, place: Option<&str>, changes: Vec<Change>) -> Event {
    let (action, place) = (action.map(str::to_owned), place.map(str::to_owned));
    Event::Hook { hook, action, place, changes, lines: Vec::new(), logged: Vec::new(), fault: None }
}

fn answered(status: u16) -> Event {
    Event::Answered { status, us: 12_300, reused: false, fields: Vec::new() }
}

fn storing(stored: bool, reason: Reason, ttl: i64) -> Event {
    let marker = (!stored).then_some(Span::from_secs(120));
    Event::Storing(Storing { stored, reason, ttl: Span::from_secs(ttl), ttl_by_policy: false, marker })
}

fn asked() -> Event {
    Event::Asked { backend: "app".into(), request: "GET /news".into(), conditional: false }
}

fn delivered(status: u16, outcome: Outcome, reason: Option<Reason>) -> Event {
    Event::Delivered { status, outcome, reason, error: None, fields: Vec::new() }
}

/// The answer: what comes before the record.
fn answer(events: Vec<Event>) -> String {
    let text = explain(&question(), &trace(events), None).render_text();
    text.split("\nSteps\n").next().unwrap().to_owned()
}

#[test]
fn a_private_miss_from_the_first_word_to_the_last() {
    let control = Field { name: "Cache-Control".into(), value: "private, max-age=60".into() };
    let lifetime = Lifetime {
        lifetime: Span::from_secs(60),
        initial_age: Span::from_millis(1500),
        ttl: Span::from_millis(58_500),
        source: Reason::MaxAge,
        by: Some(control.clone()),
    };
    let removed = Change { what: "req.http.cookie".into(), from: Some("a=1".into()), to: None };
    let entries = trace([
        hook("recv", None, None, vec![removed]),
        edge("recv", "hash"),
        key(),
        edge("hash", "lookup"),
        lookup(Found::Nothing, 0),
        edge("lookup", "miss"),
        asked(),
        Event::Answered { status: 200, us: 12_300, reused: true, fields: vec![control] },
        Event::Lifetime(lifetime),
        storing(false, Reason::Private, 58),
        edge("miss", "deliver"),
        Event::Delivered {
            status: 200,
            outcome: Outcome::Miss,
            reason: Some(Reason::Private),
            error: None,
            fields: vec![Field { name: "X".into(), value: "a\u{1b}[2J".into() }],
        },
        edge("deliver", "done"),
    ]);
    let text = explain(&question(), &entries, Some("the end is missing".into())).render_text();
    let wanted = "\
GET http://shop.example/news at 127.0.0.1:6081: 200, miss
  Nothing was stored under this key.  [RFC 9211 §2.2]
  Backend `app` answered 200 after 12.3 ms.
  The response is not stored: the response is meant for one user only (private).  [RFC 9111 §5.2.2.7]

To make it a hit
  If everybody may see this page, let the application leave out `private`; or, if you know better than the application: set `beresp.ttl` and return `deliver()` in `backend_response`.

Key
  \"/news\" + \"shop.example\"

Freshness
  new response: lifetime 60 s (max-age, Cache-Control: private, max-age=60)
  lifetime 60 s - age on arrival 1.5 s = 58.5 s

Steps
       0.0 ms  client  hook recv returned nothing; req.http.cookie removed
       1.0 ms  client  recv -> hash
       2.0 ms  client  key \"/news\" + \"shop.example\"
       3.0 ms  client  hash -> lookup
       4.0 ms  client  found nothing; responses under this key: 0
       5.0 ms  client  lookup -> miss
       6.0 ms  fetch   asked app: GET /news
       7.0 ms  fetch   200 after 12.3 ms over a connection used before; Cache-Control: private, max-age=60
       8.0 ms  fetch   lifetime 60 s (max-age) - age 1.5 s = 58.5 s (RFC 9111 §5.2.2.1)
       9.0 ms  fetch   not stored: private (RFC 9111 §5.2.2.7); marked for 120 s
      10.0 ms  client  miss -> deliver
      11.0 ms  client  sent 200: miss, private
      12.0 ms  client  deliver -> done

Response
  200
  X: a\\u{1b}[2J

Incomplete: the end is missing
";
    assert_eq!(text, wanted);
}

#[test]
fn a_hit_shows_its_sum_and_wants_nothing_changed() {
    let text = answer(vec![
        key(),
        lookup(Found::Response, 1),
        judged(12, 60, Use::Fresh, Reason::Fresh),
        edge("lookup", "hit"),
        delivered(200, Outcome::Hit, Some(Reason::Fresh)),
    ]);
    let wanted = "\
GET http://shop.example/news at 127.0.0.1:6081: 200, hit
  The stored response is within its lifetime. It is served.  [RFC 9111 §4.2]

Key
  \"/news\" + \"shop.example\"

Freshness
  stored response: lifetime 60 s - age 12 s = 48 s: fresh
";
    assert_eq!(text, wanted);
}

#[test]
fn a_stale_one_shows_its_windows_and_names_two_ways_out() {
    let text = answer(vec![
        key(),
        lookup(Found::Response, 1),
        judged(75, 60, Use::OnError, Reason::StaleIfError),
        edge("lookup", "miss"),
        Event::Asked { backend: "app".into(), request: "GET /news".into(), conditional: true },
        answered(304),
        storing(true, Reason::MaxAge, 60),
        delivered(200, Outcome::Miss, Some(Reason::MaxAge)),
    ]);
    let wanted = "\
GET http://shop.example/news at 127.0.0.1:6081: 200, miss
  The stored response may be served stale if the origin fails. So the origin is asked first.  [RFC 5861 §4]
  Backend `app` answered 304 after 12.3 ms: what is stored is still good.
  The response is stored: the response names its lifetime with max-age.  [RFC 9111 §5.2.2.1]

To make it a hit
  A lifetime above 75 s would do (`Cache-Control: max-age`); or some grace, so that it is served while one fetch renews it (`stale-while-revalidate`, `beresp.grace`, `[cache] grace`).
  Ask again: the response is stored now, and fresh for 60 s.

Key
  \"/news\" + \"shop.example\"

Freshness
  stored response: lifetime 60 s - age 75 s = -15 s: stale
  grace 10 s: it may no longer be served while a fetch renews it
  stale-if-error 3600 s: it may be served if the origin fails, for another 3585 s
";
    assert_eq!(text, wanted);
}

/// The sentences of the answer, each with its rule.
fn why(events: Vec<Event>) -> (Vec<String>, Vec<String>) {
    let found = explain(&question(), &trace(events), None);
    let line = |s: Sentence| s.rule.map_or(s.text.clone(), |rule| format!("{} [{rule}]", s.text));
    (found.why.into_iter().map(line).collect(), found.advice)
}

#[test]
fn each_way_to_a_restart_is_told_and_after_it_only_what_came_last_counts() {
    let (why, advice) = why(vec![
        edge("recv", "hash"),
        lookup(Found::Nothing, 0),
        edge("lookup", "miss"),
        hook("miss", Some("restart()"), Some("site.rhai:9:5"), Vec::new()),
        edge("miss", "restart"),
        edge("restart", "recv"),
        hook("recv", Some("pass()"), Some("site.rhai:3:47"), Vec::new()),
        edge("recv", "pass"),
        delivered(200, Outcome::Pass, Some(Reason::Pass)),
    ]);
    assert_eq!(
        why,
        [
            "Nothing was stored under this key. [RFC 9211 §2.2]",
            "The policy's hook `miss` returned `restart()`: the request began again at `recv`. [site.rhai:9:5]",
            "The policy's hook `recv` returned `pass()`: the request went past the cache. [site.rhai:3:47]",
        ]
    );
    assert_eq!(advice, ["Let `recv` not return `pass()` for this request: see site.rhai:3:47."]);
}

#[test]
fn an_error_page_that_a_restart_has_fetched_is_not_told_as_the_page_that_was_asked_for() {
    let url = Change { what: "req.url".into(), from: Some("/news".into()), to: Some("/503.html".into()) };
    let (why, _) = why(vec![
        edge("recv", "hash"),
        lookup(Found::Nothing, 0),
        edge("lookup", "miss"),
        Event::Failed { error: "destination_unavailable", text: "no healthy backend".into() },
        edge("miss", "deliver"),
        hook("deliver", Some("restart()"), Some("site.rhai:168:9"), Vec::new()),
        edge("deliver", "restart"),
        edge("restart", "recv"),
        hook("recv", None, Some("site.rhai:8:5"), vec![url]),
        edge("recv", "hash"),
        lookup(Found::Response, 1),
        judged(3, 60, Use::Fresh, Reason::Fresh),
        edge("lookup", "hit"),
        edge("hit", "deliver"),
        delivered(503, Outcome::Hit, Some(Reason::Fresh)),
    ]);
    assert_eq!(
        why,
        [
            "Nothing was stored under this key. [RFC 9211 §2.2]",
            "The fetch failed: no healthy backend. [RFC 9209 §2.3: destination_unavailable]",
            "The policy's hook `deliver` returned `restart()`: the request began again at `recv`. [site.rhai:168:9]",
            "The stored response is within its lifetime. It is served. [RFC 9111 §4.2]",
            "So this is an error page of the policy's making (503), not the page that was asked for. The policy's hook `recv` \
             set `req.url` to /503.html. [site.rhai:8:5]",
        ]
    );
}

#[test]
fn a_restart_too_many_and_one_from_synth_or_hit_are_told_once() {
    let (why, _) = why(vec![
        edge("recv", "hash"),
        lookup(Found::Response, 1),
        judged(3, 60, Use::Fresh, Reason::Fresh),
        edge("lookup", "hit"),
        hook("hit", Some("restart()"), Some("site.rhai:5:5"), Vec::new()),
        edge("hit", "restart"),
        edge("restart", "recv"),
        hook("recv", Some("synth(503)"), Some("site.rhai:2:5"), Vec::new()),
        edge("recv", "synth"),
        hook("synth", Some("restart()"), Some("site.rhai:9:5"), Vec::new()),
        edge("synth", "restart"),
        edge("restart", "synth"),
        delivered(503, Outcome::Error, None),
    ]);
    assert_eq!(
        why,
        [
            "The stored response is within its lifetime. [RFC 9111 §4.2]",
            "The policy's hook `hit` returned `restart()`: the request began again at `recv`. [site.rhai:5:5]",
            "The policy's hook `recv` returned `synth(503)`: Copal answered by itself. [site.rhai:2:5]",
            "The policy's hook `synth` returned `restart()`: that was one restart too many. [site.rhai:9:5]",
            "Copal answered by itself.",
        ]
    );
}

#[test]
fn what_the_policy_sets_is_told_with_the_hook_that_sets_it() {
    let always = Change { what: "req.hash_always_miss".into(), from: Some("false".into()), to: Some("true".into()) };
    let ttl = Change { what: "beresp.ttl".into(), from: Some("60.000 s".into()), to: Some("0.000 s".into()) };
    let (why, advice) = why(vec![
        hook("recv", None, None, vec![always]),
        edge("recv", "hash"),
        lookup(Found::NotAsked, 1),
        edge("lookup", "miss"),
        hook("backend_response", Some("deliver()"), Some("site.rhai:20:5"), vec![ttl]),
        storing(false, Reason::Policy, 0),
        delivered(200, Outcome::Miss, Some(Reason::Policy)),
    ]);
    assert_eq!(
        why,
        [
            "The policy set `req.hash_always_miss`: the store was not asked. [site.rhai]",
            "The response is not stored: the policy's hook `backend_response` decided so. [site.rhai:20:5]",
        ]
    );
    assert_eq!(
        advice,
        [
            "Do not set `req.hash_always_miss` for this request.",
            "Change what `backend_response` decides for this response: see site.rhai:20:5.",
        ]
    );
}

#[test]
fn every_reason_not_to_store_has_an_advice_and_a_sentence_that_ends() {
    for row in REASONS {
        let (why, advice) = why(vec![
            lookup(Found::Nothing, 0),
            edge("lookup", "miss"),
            storing(false, row.reason, 0),
            delivered(200, Outcome::Miss, Some(row.reason)),
        ]);
        assert_eq!((why.len(), advice.len()), (2, 1), "{}", row.code);
        assert!(why[1].starts_with("The response is not stored: ") && why[1].contains(". ["), "{}", why[1]);
        assert!(advice[0].ends_with('.') && !advice[0].contains("  "), "{}", advice[0]);
    }
}

#[test]
fn every_way_in_which_a_stored_response_is_not_enough_has_an_advice() {
    for reason in [
        Reason::RequestNoCache,
        Reason::RequestMaxAge,
        Reason::RequestMinFresh,
        Reason::Policy,
        Reason::NoCache,
        Reason::MustRevalidate,
        Reason::Stale,
        Reason::Expired,
    ] {
        let (why, advice) = why(vec![
            lookup(Found::Response, 1),
            judged(75, 60, Use::Revalidate, reason),
            edge("lookup", "miss"),
            delivered(200, Outcome::Miss, Some(reason)),
        ]);
        assert_eq!((why.len(), advice.len()), (1, 1), "{reason:?}: {why:?} {advice:?}");
    }
}

#[test]
fn a_request_that_was_given_up_says_how_far_it_came() {
    let events = vec![hook("recv", Some("pass()"), Some("site.rhai:2:45"), Vec::new()), edge("recv", "pass"), asked()];
    let found = explain(&question(), &trace(events.clone()), None);
    assert_eq!((found.outcome.as_str(), found.status, found.hit), ("unfinished", 0, false));
    let (why, advice) = why(events);
    assert_eq!(
        why,
        [
            "The policy's hook `recv` returned `pass()`: the request went past the cache. [site.rhai:2:45]",
            "Backend `app` was asked, and had not answered when the request was given up.",
        ]
    );
    assert_eq!(advice.len(), 1);
}

#[test]
fn what_came_older_than_its_lifetime_is_not_told_to_have_none() {
    let lifetime = Lifetime {
        lifetime: Span::from_secs(60),
        initial_age: Span::from_secs(90),
        ttl: Span::from_secs(-30),
        source: Reason::MaxAge,
        by: None,
    };
    let (_, advice) = why(vec![
        lookup(Found::Nothing, 0),
        edge("lookup", "miss"),
        Event::Lifetime(lifetime),
        storing(true, Reason::MaxAge, -30),
        delivered(200, Outcome::Miss, Some(Reason::MaxAge)),
    ]);
    assert_eq!(
        advice,
        [
            "The response was 90 s old when it came: a lifetime above that would do, or an origin that is quicker or sends less Age."
        ]
    );
}

#[test]
fn an_explanation_survives_its_json() {
    let before = explain(&question(), &trace([key(), delivered(200, Outcome::Hit, Some(Reason::Fresh))]), None);
    let text = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), before);
}
