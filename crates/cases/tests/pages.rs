//! Every page that holds cases: those of the examples and the guide hold, those here that must not hold do not, and those
//! that are wrong are told so. What is told is compared with files; COPAL_BLESS=1 writes these anew.

#![expect(clippy::unwrap_used, reason = "a test that unwraps what is not there fails, as it should")]
use copal_cases::run::Wanted;
use copal_cases::{File, Suite, find, report, run};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Pages by their names relative to this crate, so that messages are the same on every machine.
fn pages(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("the folder is there");
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<PathBuf> =
        names.filter(|name| name.ends_with(".md")).map(|name| Path::new(folder).join(name)).collect();
    pages.sort();
    assert!(!pages.is_empty());
    pages
}

fn read(paths: &[PathBuf]) -> Vec<File> {
    find(paths).unwrap_or_else(|wrong| panic!("{}", wrong.iter().map(ToString::to_string).collect::<String>()))
}

/// What was said, but for how long it took.
fn told(suite: &Suite) -> String {
    let text = report::text(suite, false);
    let (before, last) = text.trim_end().rsplit_once('\n').expect("several lines");
    format!("{before}\n{}\n", last.split(" in ").next().unwrap_or_default())
}

fn compare(page: &Path, got: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(page).with_extension("out");
    if std::env::var_os("COPAL_BLESS").is_some() {
        fs::write(&file, got).expect("it can be written");
    }
    let wanted = fs::read_to_string(&file).unwrap_or_default();
    assert!(got == wanted, "{} is not what is told now:\n{got}", file.display());
}

#[test]
fn every_page_of_the_examples_and_the_guide_holds() {
    let files = read(&[root().join("vcl-examples"), root().join("docs/guide")]);
    let suite = run::run(&files, Wanted::default());
    assert!(suite.holds(), "{}", report::text(&suite, false));
    assert!(suite.outcomes.len() >= 172, "only {} cases were found", suite.outcomes.len());
    for entry in fs::read_dir(root().join("vcl-examples")).unwrap() {
        let folder = entry.unwrap().path();
        let has = files.iter().any(|file| file.path.parent() == Some(&folder));
        assert!(has || !folder.is_dir(), "{} has no cases", folder.display());
    }
}

#[test]
fn every_page_of_what_policies_see_holds() {
    let suite = run::run(&read(&pages("tests/holding")), Wanted::default());
    assert!(suite.holds(), "{}", report::text(&suite, false));
}

#[test]
fn the_examples_cases_run_every_statement_and_hook_of_their_policies() {
    let suite = run::run(&read(&[root().join("vcl-examples")]), Wanted { coverage: true, trace: false });
    let covered = report::coverage::covered(&suite);
    let policies: Vec<_> = covered.iter().filter(|policy| policy.file.ends_with("policy.rhai")).collect();
    let folders =
        fs::read_dir(root().join("vcl-examples")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(policies.len(), folders.count(), "each folder has its own policy, and it runs");
    for policy in policies {
        let whole = policy.missed.is_empty() && policy.partly.is_empty() && policy.hooks_missed.is_empty();
        assert!(policy.lines > 0 && whole, "{policy:?}");
    }
}

#[test]
fn a_case_does_the_same_each_time() {
    let files = read(&[root().join("docs/guide/policy-cases.md")]);
    let stories = || -> Vec<String> {
        run::run(&files, Wanted::default()).outcomes.into_iter().map(|outcome| outcome.story).collect()
    };
    assert_eq!(stories(), stories());
}

#[test]
fn cases_that_must_not_hold_do_not_and_say_why() {
    for page in pages("tests/failing") {
        let suite = run::run(&read(std::slice::from_ref(&page)), Wanted::default());
        for outcome in &suite.outcomes {
            assert!(!outcome.holds(), "{}:{} holds", outcome.file, outcome.line);
        }
        compare(&page, &told(&suite));
    }
}

#[test]
fn a_trace_tells_what_each_hook_read_wrote_and_returned_with_the_line() {
    for page in pages("tests/traced") {
        let suite = run::run(&read(std::slice::from_ref(&page)), Wanted { coverage: false, trace: true });
        assert!(suite.holds(), "{}", report::text(&suite, false));
        let story: String = suite.outcomes.into_iter().map(|outcome| outcome.story).collect();
        compare(&page, &story);
        let plain = run::run(&read(std::slice::from_ref(&page)), Wanted::default());
        let quiet: String = plain.outcomes.into_iter().map(|outcome| outcome.story).collect();
        assert!(!quiet.contains(" reads "), "nobody asked for it:\n{quiet}");
    }
}

#[test]
fn every_kind_of_expectation_can_fail() {
    let files = read(&[PathBuf::from("tests/failing/values.md")]);
    let suite = run::run(&files, Wanted::default());
    let text = &files[0].text;
    let (_, block) = text.split_once("```expect\n").expect("an expect block");
    let wanted: Vec<&str> = block.lines().take_while(|line| *line != "```").collect();
    let failed: Vec<&str> = suite.outcomes[0].failures.iter().map(|failure| failure.what.as_str()).collect();
    assert_eq!(failed, wanted);
    for (word, _) in copal_cases::parse::SUBJECTS {
        let rest = ["complete"].contains(&word);
        assert!(rest || wanted.iter().any(|line| line.split(' ').next() == Some(word)), "`{word}` is not among them");
    }
}

#[test]
fn pages_that_are_wrong_are_told_where_and_what_would_be_right() {
    for page in pages("tests/wrong") {
        let wrong = find(std::slice::from_ref(&page)).expect_err("it is wrong");
        let text: String = wrong.iter().map(|found| format!("{found}\n\n")).collect();
        assert!(wrong.iter().all(|found| found.line > 0 && found.column > 0), "{text}");
        compare(&page, &text);
    }
}

#[test]
fn a_page_that_is_named_must_hold_a_case() {
    let wrong = find(&[root().join("README.md"), root().join("crates/cases/src")]).expect_err("there are none");
    let told: Vec<&str> = wrong.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(told, ["there is no case in this file", "there is no case below this folder"]);
    assert!(find(&[PathBuf::from("tests/no-such.md")]).is_err());
}
