//! Explaining: a trace told in sentences: what decided, by which rule or script line, with the arithmetic, and what would
//! make it a hit.
//!
//! ```text
//!  Entry … ─▶ Facts (what matters of them) ─▶ why · freshness · advice      (the answer)
//!          └▶ steps: one line per entry                                     (the record)
//! ```

mod advice;
mod facts;
mod freshness;
mod steps;
mod text;
mod why;

#[cfg(test)]
mod tests;

use crate::trace::{Entry, Field};
use facts::Facts;
use serde::{Deserialize, Serialize};
pub use steps::text as in_words;

/// What was asked, and how.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The method.
    pub method: String,
    /// The URL as it was given.
    pub url: String,
    /// The listener that the request was taken to have come to.
    pub listener: String,
    /// The file of the policy, or "builtin".
    pub policy: String,
}

/// A sentence with the rule or the script line behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// The sentence.
    pub text: String,
    /// "RFC 9111 §5.2.2.7", "site.rhai:3:47", "configuration: cache.ttl".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Microseconds since the request's head was complete.
    pub at_us: u64,
    /// "client" or "fetch".
    pub machine: String,
    /// What happened, in words.
    pub text: String,
    /// The same as data.
    pub entry: serde_json::Value,
}

/// The whole answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The listener that the request was taken to have come to.
    pub listener: String,
    /// The status of the response; 0: there is none.
    pub status: u16,
    /// What became of the request: the word of the access log; "unfinished" when there was no response in time.
    pub outcome: String,
    /// Was it answered without a fetch of its own?
    pub hit: bool,
    /// The code of the reason that settled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What decided, in the order in which it came.
    pub why: Vec<Sentence>,
    /// The freshness arithmetic.
    pub freshness: Vec<String>,
    /// What would make it a hit.
    pub advice: Vec<String>,
    /// The parts of the cache key.
    pub key: Vec<String>,
    /// Everything that happened.
    pub steps: Vec<Line>,
    /// The fields of the response: "Name: value".
    pub response: Vec<String>,
    /// Is something left out, or still going on?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

/// Tells the trace of a request. `incomplete`: why the trace may lack its end.
#[must_use]
pub fn explain(question: &Question, entries: &[Entry], incomplete: Option<String>) -> Explanation {
    let facts = Facts::of(question, entries);
    Explanation {
        method: question.method.clone(),
        url: question.url.clone(),
        listener: question.listener.clone(),
        status: facts.status,
        outcome: if facts.delivered { facts.outcome.as_str() } else { "unfinished" }.to_owned(),
        hit: facts.outcome.is_hit(),
        reason: facts.reason.map(|reason| reason.code().to_owned()),
        why: why::sentences(&facts),
        freshness: freshness::arithmetic(&facts),
        advice: advice::sentences(&facts),
        key: facts.key.to_vec(),
        steps: steps::lines(entries),
        response: facts.response.iter().map(|Field { name, value }| format!("{name}: {value}")).collect(),
        incomplete,
    }
}

impl Sentence {
    fn new(text: impl Into<String>) -> Sentence {
        Sentence { text: text.into(), rule: None }
    }

    fn by(text: impl Into<String>, rule: impl Into<String>) -> Sentence {
        Sentence { text: text.into(), rule: Some(rule.into()) }
    }
}
