//! What a hook, or Copal itself, has changed: two scenes compared, named as a policy names things.

use super::Tracer;
use copal_observe::trace::{Change, Event, ScriptLine, Touched};
use copal_policy::{Action, Did, Fault, Hook, Note, Policy, RequestBody, Scene, ScriptValue, Traced};
use copal_semantics::{Headers, RequestHead, ResponseHead, Span};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Runs a hook and notes what it did.
pub(crate) fn called(
    tracer: &Tracer,
    policy: &Arc<Policy>,
    hook: Hook,
    scene: Box<Scene>,
) -> (Box<Scene>, Result<Action, Box<Fault>>) {
    let before = scene.clone();
    let Traced { scene: after, result, place, notes } = if tracer.wants_lines() {
        policy.call_traced(hook, scene)
    } else {
        let (scene, result) = policy.call(hook, scene);
        Traced { scene, result, place: None, notes: Vec::new() }
    };
    if matches!(after.req_body, RequestBody::Wanted(_)) {
        // It waits for the body of the request, and will run again: then it is told.
        return (after, result);
    }
    tracer.note(|| Event::Hook {
        hook: hook.name(),
        action: result.as_ref().ok().and_then(written),
        place,
        changes: scenes(&before, &after),
        lines: script_lines(policy, notes),
        logged: after.log.get(before.log.len()..).unwrap_or_default().to_vec(),
        fault: result.as_ref().err().map(ToString::to_string),
    });
    (after, result)
}

/// What was noted, by lines of the policy.
fn script_lines(policy: &Policy, notes: Vec<Note>) -> Vec<ScriptLine> {
    let mut lines: Vec<ScriptLine> = Vec::new();
    for Note { file, line, did, what, value } in notes {
        let place = format!("{file}:{line}");
        if lines.last().is_none_or(|last| last.place != place) {
            lines.push(ScriptLine { text: policy.line(&file, line).to_owned(), place, touched: Vec::new() });
        }
        if let Some(last) = lines.last_mut() {
            last.touched.push(Touched { wrote: did == Did::Wrote, what, value });
        }
    }
    lines
}

/// The action as a script has it, with what it carries.
fn written(action: &Action) -> Option<String> {
    Some(match action {
        Action::Default => return None,
        Action::PassFor(span) => format!("pass({span} s)"),
        Action::Synth { status, reason } => with_text("synth", *status, reason),
        Action::Error { status, reason } => with_text("error", *status, reason),
        Action::Redirect { status, location } => with_text("redirect", *status, location),
        Action::Fail { reason } if !reason.is_empty() => format!("fail({reason:?})"),
        Action::Policy(name) => format!("policy({name:?})"),
        Action::Lookup
        | Action::Pass
        | Action::Pipe
        | Action::Purge
        | Action::Restart
        | Action::Fail { .. }
        | Action::Deliver
        | Action::Miss
        | Action::Fetch
        | Action::Abandon
        | Action::Retry
        | Action::Merge
        | Action::KeepStale
        | Action::UseNew => format!("{}()", action.kind()?.written().split('(').next().unwrap_or_default()),
    })
}

fn with_text(name: &str, status: u16, text: &str) -> String {
    if text.is_empty() { format!("{name}({status})") } else { format!("{name}({status}, {text:?})") }
}

/// What the request to the origin has that the client's has not, and the other way round.
pub(crate) fn forwarded(scene: &Scene) -> Event {
    let mut list = List::default();
    list.request("bereq", &scene.req, &scene.bereq);
    Event::Forwarded { changes: list.0 }
}

fn scenes(a: &Scene, b: &Scene) -> Vec<Change> {
    let mut list = List::default();
    list.request("req", &a.req, &b.req);
    let (x, y) = (&a.req_vars, &b.req_vars);
    list.put("req.backend", x.backend.clone(), y.backend.clone());
    list.put("req.grace", x.grace.map(span), y.grace.map(span));
    list.put("req.max_age", x.max_age.map(span), y.max_age.map(span));
    list.put("req.hash_always_miss", on(x.hash_always_miss), on(y.hash_always_miss));
    list.put("req.hash_ignore_busy", on(x.hash_ignore_busy), on(y.hash_ignore_busy));
    for name in x.vars.keys().chain(y.vars.keys()).collect::<BTreeSet<_>>() {
        let value = |vars: &std::collections::BTreeMap<String, ScriptValue>| vars.get(name).map(script_value);
        list.put(&format!("req.vars.{name}"), value(&x.vars), value(&y.vars));
    }
    list.response("resp", &a.resp, &b.resp);
    list.body("resp.body", a.resp_vars.body.as_deref(), b.resp_vars.body.as_deref());
    list.request("bereq", &a.bereq, &b.bereq);
    let (x, y) = (&a.bereq_vars, &b.bereq_vars);
    list.put("bereq.backend", x.backend.clone(), y.backend.clone());
    list.put("bereq.shadow", x.shadow.clone(), y.shadow.clone());
    list.put("bereq.connect_timeout", x.connect_timeout.map(span), y.connect_timeout.map(span));
    list.put("bereq.first_byte_timeout", x.first_byte_timeout.map(span), y.first_byte_timeout.map(span));
    list.put("bereq.between_bytes_timeout", x.between_bytes_timeout.map(span), y.between_bytes_timeout.map(span));
    list.put("bereq.total_timeout", x.total_timeout.map(span), y.total_timeout.map(span));
    list.put("bereq.task_deadline", x.task_deadline.map(span), y.task_deadline.map(span));
    list.put("bereq.body", None, y.no_body.then(|| "()".to_owned()).filter(|_| !x.no_body));
    list.response("beresp", &a.beresp, &b.beresp);
    let (x, y) = (&a.beresp_vars, &b.beresp_vars);
    for (name, x, y) in [
        ("beresp.ttl", x.ttl, y.ttl),
        ("beresp.grace", x.grace, y.grace),
        ("beresp.keep", x.keep, y.keep),
        ("beresp.stale_if_error", x.stale_if_error, y.stale_if_error),
    ] {
        list.put(name, Some(span(x)), Some(span(y)));
    }
    list.put("beresp.storage", x.storage.clone(), y.storage.clone());
    list.put("beresp.uncacheable", on(x.uncacheable), on(y.uncacheable));
    list.body("beresp.body", x.body.as_deref(), y.body.as_deref());
    list.put("client.identity", a.client.identity.clone(), b.client.identity.clone());
    for part in b.key.parts().skip(a.key.parts().count()) {
        list.put("key", None, Some(String::from_utf8_lossy(part).into_owned()));
    }
    list.0
}

fn span(span: Span) -> String {
    format!("{span} s")
}

fn on(flag: bool) -> Option<String> {
    Some(flag.to_string())
}

fn bytes(body: &[u8]) -> String {
    format!("{} bytes", body.len())
}

fn script_value(value: &ScriptValue) -> String {
    match value {
        ScriptValue::Unit => "()".to_owned(),
        ScriptValue::Bool(v) => v.to_string(),
        ScriptValue::Int(v) => v.to_string(),
        ScriptValue::Float(v) => v.to_string(),
        ScriptValue::Text(v) | ScriptValue::Backend(v) => v.clone(),
        ScriptValue::Span(v) => span(*v),
        ScriptValue::Time(v) => copal_semantics::date::http_date(*v),
        ScriptValue::Address(v) => v.to_string(),
    }
}

#[derive(Default)]
struct List(Vec<Change>);

impl List {
    /// Another body may be as long as the one before.
    fn body(&mut self, what: &str, from: Option<&[u8]>, to: Option<&[u8]>) {
        if from != to {
            self.0.push(Change { what: what.to_owned(), from: from.map(bytes), to: to.map(bytes) });
        }
    }

    fn put(&mut self, what: &str, from: Option<String>, to: Option<String>) {
        if from != to {
            self.0.push(Change { what: what.to_owned(), from, to });
        }
    }

    fn request(&mut self, name: &str, a: &RequestHead, b: &RequestHead) {
        self.put(&format!("{name}.method"), Some(a.method.to_string()), Some(b.method.to_string()));
        self.put(&format!("{name}.url"), Some(a.url.clone()), Some(b.url.clone()));
        self.headers(name, &a.headers, &b.headers);
    }

    fn response(&mut self, name: &str, a: &ResponseHead, b: &ResponseHead) {
        self.put(&format!("{name}.status"), Some(a.status.to_string()), Some(b.status.to_string()));
        self.put(&format!("{name}.reason"), Some(a.reason.clone()), Some(b.reason.clone()));
        self.headers(name, &a.headers, &b.headers);
    }

    fn headers(&mut self, owner: &str, a: &Headers, b: &Headers) {
        let names: BTreeSet<String> = a.iter().chain(b.iter()).map(|(name, _)| name.to_ascii_lowercase()).collect();
        for name in names {
            self.put(&format!("{owner}.http.{name}"), lines(a, &name), lines(b, &name));
        }
    }
}

/// All lines of a field, as one text.
fn lines(headers: &Headers, name: &str) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).map(String::from_utf8_lossy).collect();
    (!lines.is_empty()).then(|| lines.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_as_a_policy_writes_it_and_nothing_else() {
        let mut a = Scene::default();
        a.req.url = "/a?utm_source=x".into();
        a.req.headers = [("Cookie", "a=1"), ("X", "same")].into_iter().collect();
        let mut b = a.clone();
        b.req.url = "/a".into();
        b.req.headers.remove("cookie");
        b.beresp_vars.ttl = Span::from_secs(60);
        b.req_vars.vars.insert("n".into(), ScriptValue::Int(3));
        b.key.add(b"de");
        (a.resp_vars.body, b.resp_vars.body) = (Some("old".into()), Some("new".into()));
        let told: Vec<String> = scenes(&a, &b)
            .into_iter()
            .map(|c| format!("{}: {} -> {}", c.what, c.from.unwrap_or("-".into()), c.to.unwrap_or("-".into())))
            .collect();
        assert_eq!(
            told,
            [
                "req.url: /a?utm_source=x -> /a",
                "req.http.cookie: a=1 -> -",
                "req.vars.n: - -> 3",
                "resp.body: 3 bytes -> 3 bytes",
                "beresp.ttl: 0.000 s -> 60.000 s",
                "key: - -> de",
            ]
        );
    }
}
