//! Every action that the table of hooks allows is carried out where it allows it: one policy for each cell, run through the
//! real machines.

use crate::edge_tests::{ask, origin, seen, worker_with};
use copal_observe::clock::Clock;
use copal_policy::ActionKind::{self, *};
use copal_policy::{Environment, HOOKS, Hook, Policy};
use copal_semantics::Time;
use std::sync::Arc;

/// What is written for an action.
fn code(action: ActionKind) -> &'static str {
    match action {
        Lookup => "lookup()",
        Pass => "pass()",
        PassFor => "pass(duration(\"60s\"))",
        Pipe => "pipe()",
        Purge => "purge()",
        Synth => "synth(404, \"Not Here\")",
        Redirect => "redirect(302, \"/elsewhere\")",
        Restart => "restart()",
        Fail => "fail(\"said so\")",
        Deliver => "deliver()",
        Miss => "miss()",
        Fetch => "fetch()",
        Abandon => "abandon()",
        Error => "error(502, \"Broken\")",
        Retry => "retry()",
        Merge => "merge()",
        KeepStale => "keep_stale()",
        UseNew => "use_new()",
        ActionKind::Policy => "policy(\"other\")",
    }
}

/// The step that an action leads to from a hook, and the status that the client gets in the end. Status 0: what a tunnel
/// carries has none here.
fn outcome(hook: Hook, action: ActionKind) -> Option<(&'static str, u16)> {
    Some(match (hook, action) {
        (Hook::Recv, Lookup | Purge) => ("hash", 200),
        (Hook::Recv, ActionKind::Policy) => ("recv", 200),
        (Hook::Recv, Pipe) => ("pipe", 0),
        (Hook::Hash, Lookup) => ("lookup", 200),
        (Hook::Recv | Hook::Hit | Hook::Miss, Pass) => ("pass", 200),
        (Hook::Recv, Redirect) => ("synth", 302),
        (Hook::Hit, Deliver) => ("deliver", 200),
        (Hook::Hit, Miss) => ("miss", 200),
        (Hook::Miss | Hook::Pass, Fetch) => ("deliver", 200),
        (Hook::Pipe, Pipe) => ("done", 0),
        (Hook::Synth, Deliver) => ("deliver", 200),
        (Hook::Synth, Fail) => ("deliver", 503),
        (Hook::Deliver, Deliver) => ("done", 200),
        (Hook::BackendFetch, Fetch) => ("response", 200),
        (Hook::BackendRefresh, Merge | KeepStale | UseNew) => ("backend_response", 200),
        (Hook::BackendResponse, Deliver | PassFor) => ("body", 200),
        (Hook::BackendError, Deliver) => ("body", 502),
        (Hook::BackendError, Retry) => ("retry", 502),
        (Hook::BackendError, Fail) => ("body", 503),
        (_, Retry) => ("retry", 200),
        (_, Abandon) => ("done", 503),
        (_, Error) => ("backend_error", 502),
        (Hook::BackendFetch | Hook::BackendRefresh | Hook::BackendResponse, Fail) => ("backend_error", 503),
        (_, Restart) => ("restart", 200),
        (_, Synth) => ("synth", 404),
        (_, Fail) => ("synth", 503),
        _ => return None,
    })
}

/// The requests that reach a hook; the last one's status counts.
fn requests(hook: Hook) -> &'static [(&'static str, &'static str)] {
    match hook {
        Hook::Hit => &[("GET", "/fresh"), ("GET", "/fresh")],
        Hook::Pass => &[("POST", "/fresh")],
        Hook::Purge => &[("PURGE", "/fresh")],
        Hook::BackendRefresh => &[("GET", "/valid"), ("GET", "/valid")],
        Hook::BackendError => &[("GET", "/dead")],
        Hook::Init
        | Hook::Recv
        | Hook::Hash
        | Hook::Miss
        | Hook::Pipe
        | Hook::BackendFetch
        | Hook::BackendResponse
        | Hook::Deliver
        | Hook::Synth => &[("GET", "/fresh")],
    }
}

/// A policy that does `action` in `hook`, the first time that it gets there, and what is needed to get there.
fn policy(hook: Hook, action: ActionKind) -> Arc<Policy> {
    let params = hook.row().params.join(", ");
    let first =
        if hook.row().params.contains(&"bereq") && hook != Hook::Pipe { "bereq.retries" } else { "req.restarts" };
    let mut text = format!("fn {}({params}) {{ if {first} == 0 {{ return {}; }} }}\n", hook.name(), code(action));
    match hook {
        Hook::Pipe => text.push_str("fn recv(req) { return pipe(); }"),
        Hook::Synth => text.push_str("fn recv(req) { if req.restarts == 0 { return synth(200, \"Made\"); } }"),
        // What was purged is asked for anew.
        Hook::Purge => text.push_str("fn recv(req) { if req.restarts > 0 { req.method = \"GET\"; return lookup(); } }"),
        // A page of the policy's is judged by its deliver hook, too; a retry is to find another origin's answer.
        Hook::BackendRefresh => {
            text.push_str("fn backend_fetch(bereq) { if bereq.retries > 0 { bereq.http.remove(\"if-none-match\"); } }");
        }
        _ => {}
    }
    let environment = Environment { policies: vec!["other".to_owned()], ..Environment::default() };
    Policy::compile("cell.rhai", &text, Arc::new(environment)).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

#[test]
fn every_action_of_the_table_is_carried_out_in_every_hook_that_may_return_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (origin, mut cells) = (origin(), 0);
    let other = Policy::compile("other.rhai", "fn recv(req) { return lookup(); }", Arc::default()).expect("valid");
    for row in &HOOKS {
        for action in row.actions {
            let Some((to, status)) = outcome(row.hook, *action) else {
                panic!("{} may return {}, and nobody says what that does", row.name, action.written())
            };
            let clock = Clock::manual(Time::from_secs(1_700_000_000));
            let worker = worker_with(origin, clock, policy(row.hook, *action), Arc::clone(&other));
            let mut got = 0;
            runtime.block_on(async {
                for (method, url) in requests(row.hook) {
                    let _before = seen();
                    got = ask(&worker, method, url, &[]).await;
                }
            });
            let edges = seen();
            let what = format!("{} returns {}: {edges:?}", row.name, action.written());
            assert_eq!(got, status, "{what}");
            assert!(edges.contains(&(row.name, to)), "no edge to {to}: {what}");
            cells += 1;
        }
    }
    assert_eq!(cells, 60);
}

#[test]
fn a_pass_with_a_duration_lets_later_requests_pass_until_it_is_over() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let clock = Clock::manual(Time::from_secs(1_700_000_000));
    let policy = policy(Hook::BackendResponse, PassFor);
    let worker = worker_with(origin(), clock.clone(), Arc::clone(&policy), policy);
    for (after, passes) in [(0, false), (1, true), (58, true), (2, false)] {
        clock.advance(copal_semantics::Span::from_secs(after));
        let _before = seen();
        assert_eq!(runtime.block_on(ask(&worker, "GET", "/fresh", &[])), 200);
        assert_eq!(seen().contains(&("lookup", "pass")), passes, "after {after} s");
    }
}
