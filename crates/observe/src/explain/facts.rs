//! What matters of a trace for its explanation: the last word on each question, since a restart asks all of them again. What
//! a restart ended is told when it ends.

use super::{Question, Sentence, why};
use crate::record::Outcome;
use crate::trace::{Change, Entry, Event, Field, Found, Lifetime, Machine, Standing, Storing, Use};
use copal_semantics::Span;
use copal_semantics::reason::Reason;

/// A hook that ran.
pub(super) struct Ran<'a> {
    pub(super) hook: &'static str,
    pub(super) action: Option<&'a str>,
    pub(super) place: Option<&'a str>,
    pub(super) changes: &'a [Change],
    pub(super) fault: Option<&'a str>,
}

pub(super) struct Looked<'a> {
    pub(super) found: Found,
    pub(super) stored: usize,
    pub(super) selecting: &'a [Field],
    pub(super) marker: Option<Span>,
}

#[derive(Clone, Copy)]
pub(super) struct Judged {
    pub(super) standing: Standing,
    pub(super) usage: Use,
    pub(super) reason: Reason,
}

pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) us: u64,
}

pub(super) struct Facts<'a> {
    pub(super) method: &'a str,
    pub(super) policy: &'a str,
    /// There was a response; without one, status and outcome mean nothing.
    pub(super) delivered: bool,
    pub(super) status: u16,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<Reason>,
    pub(super) error: Option<&'a str>,
    pub(super) response: &'a [Field],
    pub(super) key: &'a [String],
    pub(super) hooks: Vec<Ran<'a>>,
    /// How many of them ran before the last restart.
    before: usize,
    /// What is to be told of the ways to each restart.
    pub(super) restarts: Vec<Sentence>,
    pub(super) looked: Option<Looked<'a>>,
    pub(super) judged: Option<Judged>,
    pub(super) waited: Option<(u64, &'static str)>,
    pub(super) asked: Option<(&'a str, bool)>,
    pub(super) answered: Option<Answered>,
    pub(super) lifetime: Option<&'a Lifetime>,
    pub(super) storing: Option<&'a Storing>,
    pub(super) failed: Option<(&'static str, &'a str)>,
    /// Steps of the client machine from which it went on: the last one of each kind decided.
    pub(super) edges: Vec<(&'static str, &'static str)>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(question: &'a Question, entries: &'a [Entry]) -> Facts<'a> {
        let mut facts = Facts {
            method: &question.method,
            policy: &question.policy,
            delivered: false,
            status: 0,
            outcome: Outcome::Error,
            reason: None,
            error: None,
            response: &[],
            key: &[],
            hooks: Vec::new(),
            before: 0,
            restarts: Vec::new(),
            looked: None,
            judged: None,
            waited: None,
            asked: None,
            answered: None,
            lifetime: None,
            storing: None,
            failed: None,
            edges: Vec::new(),
        };
        for entry in entries {
            facts.take(entry);
        }
        facts
    }

    fn take(&mut self, entry: &'a Entry) {
        match &entry.event {
            Event::Edge { from: "restart", to } => self.again(to),
            Event::Edge { from, to } if entry.machine == Machine::Client => self.edges.push((from, to)),
            Event::Edge { .. }
            | Event::Forwarded { .. }
            | Event::Finished { .. }
            | Event::Routed { .. }
            | Event::Elsewhere { .. }
            | Event::NotElsewhere { .. } => {}
            Event::Hook { hook, action, place, changes, fault, lines: _, logged: _ } => self.hooks.push(Ran {
                hook,
                action: action.as_deref(),
                place: place.as_deref(),
                changes,
                fault: fault.as_deref(),
            }),
            Event::Key { parts } => self.key = parts,
            Event::Lookup { found, stored, selecting, marker } => {
                self.looked = Some(Looked { found: *found, stored: *stored, selecting, marker: *marker });
            }
            Event::Judged { standing, usage, reason } => {
                self.judged = Some(Judged { standing: *standing, usage: *usage, reason: *reason });
            }
            Event::Waited { us, result } => self.waited = Some((*us, result)),
            Event::Asked { backend, conditional, request: _ } => self.asked = Some((backend, *conditional)),
            Event::Answered { status, us, reused: _, fields: _ } => {
                self.answered = Some(Answered { status: *status, us: *us });
            }
            Event::Lifetime(lifetime) => self.lifetime = Some(lifetime),
            Event::Storing(storing) => self.storing = Some(storing),
            Event::Failed { error, text } => self.failed = Some((error, text)),
            Event::Delivered { status, outcome, reason, error, fields } => {
                self.delivered = true;
                self.status = *status;
                self.outcome = *outcome;
                self.reason = *reason;
                self.error = error.as_deref();
                self.response = fields;
            }
        }
    }

    /// A restart asks everything anew; what hooks did before it has changed the request, so that stays.
    fn again(&mut self, to: &str) {
        let told = why::restarted(self, to);
        self.restarts.extend(told);
        self.before = self.hooks.len();
        self.looked = None;
        self.judged = None;
        self.waited = None;
        self.asked = None;
        self.answered = None;
        self.lifetime = None;
        self.storing = None;
        self.failed = None;
        self.edges.clear();
    }

    /// The hook that returned an action (or failed) and so led away from the client step of that name, last time it ran.
    pub(super) fn decided(&self, step: &str) -> Option<&Ran<'a>> {
        self.hooks[self.before..]
            .iter()
            .rev()
            .find(|ran| ran.hook == step)
            .filter(|ran| ran.action.is_some() || ran.fault.is_some())
    }

    /// The step from which the client machine went to that one.
    pub(super) fn came_from(&self, to: &str) -> Option<&'static str> {
        self.edges.iter().rev().find(|edge| edge.1 == to).map(|edge| edge.0)
    }

    /// The hook that changed it last since the last restart.
    pub(super) fn changed_again(&self, what: &str) -> Option<(&Ran<'a>, &'a Change)> {
        let ran = self.hooks[self.before..].iter().rev();
        ran.filter_map(|ran| Some((ran, ran.changes.iter().find(|change| change.what == what)?))).next()
    }

    /// The hook that changed it last.
    pub(super) fn changed(&self, what: &str) -> Option<(&Ran<'a>, &'a Change)> {
        self.hooks.iter().rev().find_map(|ran| {
            let change = ran.changes.iter().find(|change| change.what == what)?;
            Some((ran, change))
        })
    }
}
