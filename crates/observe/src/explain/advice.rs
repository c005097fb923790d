//! What would make it a hit: the change, where it is to be made, in the words of headers, policy and configuration.

use super::facts::{Facts, Judged};
use super::freshness::secs;
use super::why::place;
use crate::record::Outcome;
use crate::trace::{Found, Storing, Use};
use copal_semantics::Span;
use copal_semantics::reason::Reason;

pub(super) fn sentences(facts: &Facts<'_>) -> Vec<String> {
    if !facts.delivered {
        return vec![
            "Let the origin answer sooner, or lower `first_byte_timeout`: there was no response to judge.".to_owned(),
        ];
    }
    match facts.outcome {
        Outcome::Hit | Outcome::HitGrace | Outcome::Coalesced => Vec::new(),
        Outcome::Pass => vec![past_the_cache(facts)],
        Outcome::Synth | Outcome::Purge | Outcome::Pipe => {
            vec!["Nothing: such an answer does not come from the cache.".to_owned()]
        }
        Outcome::HitStaleError | Outcome::Error => {
            let mut out = vec!["Mend the origin, or the way to it: the fetch failed.".to_owned()];
            if facts.failed.is_none() {
                out = vec!["Mend what failed: the request never came as far as a usable response.".to_owned()];
            }
            out
        }
        Outcome::HitForPass => vec![format!(
            "Let `backend_response` not return `pass(duration)` for this response (see {}), then `copal purge` the URL: the \
             marker goes with it.",
            facts.policy
        )],
        Outcome::Miss | Outcome::HitForMiss => missed(facts),
    }
}

fn past_the_cache(facts: &Facts<'_>) -> String {
    let from = facts.came_from("pass").unwrap_or("recv");
    match facts.decided(from).filter(|ran| ran.action == Some("pass()")) {
        Some(ran) => format!("Let `{from}` not return `pass()` for this request: see {}.", place(facts, ran)),
        None => "Ask with GET or HEAD: no other method is answered from the cache.".to_owned(),
    }
}

fn missed(facts: &Facts<'_>) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(looked) = &facts.looked {
        match looked.found {
            Found::Nothing if looked.stored > 0 => {
                let names: Vec<&str> = looked.selecting.iter().map(|field| field.name.as_str()).collect();
                let first = names.first().copied().unwrap_or("accept-language");
                out.push(format!(
                    "Let fewer values of {} reach the lookup: normalise them in `recv` (`req.http[\"{first}\"] = …`), or take \
                     the name out of the response's Vary if its content does not depend on it.",
                    names.join(", ")
                ));
            }
            Found::NotAsked => out.push("Do not set `req.hash_always_miss` for this request.".to_owned()),
            Found::Parts => {
                out.push("Ask once for the whole: what is missing of the parts is fetched then.".to_owned())
            }
            Found::Nothing | Found::Response | Found::HitForMiss | Found::HitForPass => {}
        }
    }
    if let Some(judged) = &facts.judged {
        out.extend(for_stored(judged));
    }
    if let Some(ran) = facts.decided("hit") {
        out.push(format!("Let `hit` return nothing for this request: see {}.", place(facts, ran)));
    }
    if let Some(storing) = facts.storing {
        out.extend(for_arrived(facts, storing));
    }
    out
}

fn for_stored(judged: &Judged) -> Option<String> {
    let age = judged.standing.age;
    Some(match judged.reason {
        Reason::RequestNoCache | Reason::RequestMaxAge | Reason::RequestMinFresh => {
            "Ask without that Cache-Control (or Pragma), or set `request_directives = \"sparing\"` on the listener."
                .to_owned()
        }
        Reason::Policy => "Let the policy set a larger `req.max_age`, or none.".to_owned(),
        Reason::NoCache => {
            "Let the application send a lifetime (`Cache-Control: max-age=60`) instead of `no-cache`.".to_owned()
        }
        Reason::MustRevalidate => format!(
            "A lifetime above {} would do; so would `max-age` with `stale-while-revalidate` instead of `must-revalidate`, \
             `proxy-revalidate` or `s-maxage`, which forbid serving it stale.",
            secs(age)
        ),
        _ if judged.usage == Use::Fresh => return None,
        _ => format!(
            "A lifetime above {} would do (`Cache-Control: max-age`); or some grace, so that it is served while one fetch \
             renews it (`stale-while-revalidate`, `beresp.grace`, `[cache] grace`).",
            secs(age)
        ),
    })
}

fn for_arrived(facts: &Facts<'_>, storing: &Storing) -> Option<String> {
    if storing.stored {
        return Some(if storing.ttl > Span::ZERO {
            format!("Ask again: the response is stored now, and fresh for {}.", secs(storing.ttl))
        } else if let Some(l) = facts.lifetime.filter(|l| l.lifetime > Span::ZERO && !storing.ttl_by_policy) {
            format!(
                "The response was {} old when it came: a lifetime above that would do, or an origin that is quicker or sends \
                 less Age.",
                secs(l.initial_age)
            )
        } else {
            "Give the response a lifetime (`Cache-Control: max-age=60`, `beresp.ttl`, `[cache] ttl`): without one it is only \
             kept to be revalidated."
                .to_owned()
        });
    }
    let by_policy =
        "or, if you know better than the application: set `beresp.ttl` and return `deliver()` in `backend_response`";
    Some(match storing.reason {
        Reason::NoStore => {
            format!("Let the application send a lifetime (`Cache-Control: max-age=60`) instead of `no-store`; {by_policy}.")
        }
        Reason::Private => {
            format!("If everybody may see this page, let the application leave out `private`; {by_policy}.")
        }
        Reason::SetCookie => "Let the application set no cookie on a page that all share, or say `public`; or take the cookie \
                              out: `beresp.http.remove(\"set-cookie\")` in `backend_response`, `[cache] set_cookie = \"strip\"`."
            .to_owned(),
        Reason::Authorization => "If everybody may see this page, let the application say `public`; or remove Authorization \
                                  from the request in `recv`."
            .to_owned(),
        Reason::VaryStar => "Let the application name the fields in Vary on which the response depends.".to_owned(),
        Reason::NoCacheNoValidator => {
            "Let the application send an ETag or Last-Modified, so that the response can be revalidated; or a lifetime \
             instead of `no-cache`."
                .to_owned()
        }
        Reason::NoFreshness | Reason::NoUse | Reason::StatusNotCacheable => {
            "Give the response a lifetime: `Cache-Control: max-age=60` from the application, `beresp.ttl = duration(\"60s\")` in \
             `backend_response`, or `[cache] ttl` for all."
                .to_owned()
        }
        Reason::StatusNotUnderstood => "Leave out `must-understand`: its status is not one that Copal knows.".to_owned(),
        Reason::RequestNoStore => "Ask without `Cache-Control: no-store`.".to_owned(),
        Reason::TooLarge => "Raise `[cache] object_size`, or let the response be smaller.".to_owned(),
        Reason::Policy | Reason::Uncacheable | Reason::PolicyTtl => {
            let ran = facts.decided("backend_response").or(facts.changed("beresp.uncacheable").map(|(ran, _)| ran));
            match ran {
                Some(ran) => format!("Change what `backend_response` decides for this response: see {}.", place(facts, ran)),
                None => format!("Change what `backend_response` decides for this response: see {}.", facts.policy),
            }
        }
        other => format!("As long as this holds it is not stored: {}", other.text()),
    })
}
