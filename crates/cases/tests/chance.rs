//! Chance in a case comes from its seed: what directors, lifetimes, shadows, policies and request ids draw is the same in each run.

use copal_cases::{find, run};
use std::path::PathBuf;

#[test]
fn a_case_with_every_kind_of_chance_comes_out_the_same_fifty_times() {
    let files = find(&[PathBuf::from("tests/holding/chance.md")]).expect("the page is read");
    let (file, case) = (&files[0], &files[0].cases[0]);
    let first = run::one(file, case, None, false);
    assert!(first.holds(), "{:#?}", first.failures);
    assert!(first.story.contains("asked a") && first.story.contains("asked b"), "{}", first.story);
    for run in 2..=50 {
        let again = run::one(file, case, None, false);
        assert_eq!(again.failures, first.failures, "run {run}");
        assert!(again.story == first.story, "run {run}:\n{}\nbut first\n{}", again.story, first.story);
    }
}
