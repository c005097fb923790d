//! Differential oracle: `http-cache-semantics` judges the same exchanges, and may differ only as `known` lists.

use crate::exchange::{ARRIVED, Exchange, exchange};
use crate::known::{self, Difference, KNOWN};
use crate::reuse::Ours;
use copal_semantics::reuse::Reuse;
use copal_semantics::storability::Storability;
use copal_semantics::{Headers, Time};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_cache_semantics::{CacheOptions, CachePolicy};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use std::time::{Duration, SystemTime};

fn map(headers: &Headers) -> HeaderMap {
    let field = |(n, v): (&str, &[u8])| (HeaderName::try_from(n).unwrap(), HeaderValue::from_bytes(v).unwrap());
    headers.iter().map(field).collect()
}

fn request(method: &Method, headers: &Headers) -> Request<()> {
    let mut req = Request::builder().method(method).uri("http://a.example/a").body(()).unwrap();
    *req.headers_mut() = map(headers);
    req
}

fn system(at: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.as_secs()).unwrap())
}

/// Where the two differ on this exchange.
fn differences(x: &Exchange, ours: &Ours) -> Vec<Difference> {
    let (first, second) = (x.first.head(), x.second.head());
    let mut resp = Response::builder().status(x.answer.status).body(()).unwrap();
    *resp.headers_mut() = map(&x.answer.head().headers);
    let first = request(&first.method, &first.headers);
    let policy = CachePolicy::new_options(&first, &resp, system(ARRIVED), CacheOptions::default());
    let stored = matches!(ours.stored, Storability::Store(_));
    if stored != policy.is_storable() {
        return vec![Difference::Stored { ours: ours.stored, theirs: policy.is_storable() }];
    }
    if !stored {
        return Vec::new();
    }
    let mut found = Vec::new();
    let (a, b) = (ours.times.age(x.now()).as_secs(), i64::try_from(policy.age(system(x.now())).as_secs()).unwrap());
    if a != b {
        found.push(Difference::Age { ours: a, theirs: b });
    }
    let decision = ours.reuse(x, x.now(), true, true);
    let used = ours.selected && matches!(decision, Reuse::Fresh(_) | Reuse::Grace(_));
    let second = request(&second.method, &second.headers);
    let theirs = policy.before_request(&second, system(x.now())).satisfies_without_revalidation();
    if used != theirs {
        found.push(Difference::Used { ours: decision, theirs });
    }
    found
}

proptest! {
    #![proptest_config(crate::cases(30_000))]

    #[test]
    fn the_other_implementation_differs_only_as_listed(x in exchange()) {
        let ours = Ours::of(&x);
        for difference in differences(&x, &ours) {
            let listed = KNOWN.iter().any(|k| (k.explains)(&x, &ours, difference));
            prop_assert!(listed, "an unlisted difference: {:?}", difference);
        }
    }
}

#[test]
fn every_listed_difference_is_met_and_most_cases_agree() {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRunner::deterministic().rng().clone());
    let (mut met, mut agreed, mut same_use) = (vec![0; KNOWN.len()], 0, 0);
    let total = 40_000;
    for _ in 0..total {
        let x = exchange().new_tree(&mut runner).unwrap().current();
        let ours = Ours::of(&x);
        let found = differences(&x, &ours);
        agreed += usize::from(found.is_empty());
        let fresh = ours.selected && matches!(ours.reuse(&x, x.now(), true, true), Reuse::Fresh(_));
        same_use += usize::from(found.is_empty() && matches!(ours.stored, Storability::Store(_)) && fresh);
        for difference in found {
            // Alone: a class that only ever explains together with another one is not needed.
            let mut who = KNOWN.iter().enumerate().filter(|(_, k)| (k.explains)(&x, &ours, difference));
            if let (Some((i, _)), None) = (who.next(), who.next()) {
                met[i] += 1;
            }
        }
    }
    for (k, n) in KNOWN.iter().zip(&met) {
        assert!(*n > 0, "never met alone in {total} cases: {}", k.what);
    }
    assert!(agreed > total / 2, "only {agreed} of {total} cases agree");
    assert!(same_use > total / 20, "only {same_use} of {total} are answered from the cache by both");
}

#[test]
fn the_documentation_has_the_table_of_differences() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
    let table = known::markdown();
    assert!(std::fs::read_to_string(path).unwrap().contains(&table), "docs/conformance.md should have:\n\n{table}");
}
