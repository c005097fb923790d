//! 06-error-page: whatever goes wrong, visitors see a page of ours.

use super::start;
use copal_testkit::{Origin, Reply, Response, client};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const NAME: &str = "06-error-page";

fn assert_our_page(response: &Response, status: u16, title: &str) {
    assert_eq!(response.status, status);
    assert_eq!(response.header("Content-Type"), Some("text/html; charset=utf-8"));
    let (text, id) = (response.text(), response.header("X-Request-Id").unwrap());
    assert!(text.contains(&format!("<h1>{title}</h1>")), "{text}");
    assert!(text.contains(&format!("<small>{id}</small>")), "the id under which it is found: {text}");
    assert_eq!(response.header("Content-Length"), Some(text.len().to_string().as_str()));
}

#[test]
fn the_applications_own_error_page_is_never_shown() {
    let origin = Origin::start(|_| Reply::status(500, "Traceback: a secret"));
    let proxy = start(NAME, &origin);
    let page = client::get(proxy.addr(), "/broken", &[]);
    assert_our_page(&page, 500, "Back soon");
    assert!(!page.text().contains("secret"));
    assert_eq!(page.header("Cache-Control"), Some("no-store"));
    assert_eq!(page.header("Retry-After"), Some("30"));
    assert_eq!(origin.count(), 2, "one more try");
    let _again = client::get(proxy.addr(), "/broken", &[]);
    assert_eq!(origin.count(), 4, "and nothing is stored");
    let posted = client::request(proxy.addr(), "POST", "/broken", &[], b"x=1");
    assert_our_page(&posted, 500, "Back soon");
    assert_eq!(origin.count(), 5, "what may have been done is not done again");
}

#[test]
fn programs_get_json() {
    let origin = Origin::start(|_| Reply::status(502, "no JSON"));
    let proxy = start(NAME, &origin);
    let answer = client::get(proxy.addr(), "/api", &[("Accept", "application/json"), ("X-Request-Id", "order-42")]);
    assert_eq!((answer.status, answer.header("Content-Type")), (502, Some("application/json")));
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((json["error"].as_str(), json["request"].as_str()), (Some("unavailable"), Some("order-42")));
}

#[test]
fn a_passing_fault_is_not_seen_at_all() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::hang_up(),
        _ => Reply::ok("well again"),
    });
    let proxy = start(NAME, &origin);
    let page = client::get(proxy.addr(), "/", &[]);
    assert_eq!((page.status, page.text().as_str()), (200, "well again"));
    assert_eq!(proxy.stat("fetch_retries"), 1);
}

#[test]
fn an_application_that_is_gone_gets_our_page_and_502() {
    let mut origin = Origin::start(|_| Reply::ok("never"));
    let proxy = start(NAME, &origin);
    origin.stop();
    assert_our_page(&client::get(proxy.addr(), "/nothing", &[]), 502, "Back soon");
}

#[test]
fn the_policys_own_answers_have_our_page() {
    let origin = Origin::start(|_| Reply::ok("never"));
    let proxy = start(NAME, &origin);
    let page = client::get(proxy.addr(), "/internal/admin", &[]);
    assert_our_page(&page, 403, "Forbidden");
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_fault_shows_the_older_copy_whether_the_application_is_gone_or_answers_500() {
    let phase = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&phase);
    let origin = Origin::start(move |_| match now.load(Ordering::SeqCst) {
        0 => Reply::ok("older copy").header("Cache-Control", "max-age=60").header("Age", 65),
        1 => Reply::hang_up(),
        _ => Reply::status(500, "Traceback"),
    });
    let proxy = start(NAME, &origin);
    assert_eq!(client::get(proxy.addr(), "/", &[]).text(), "older copy");
    phase.store(1, Ordering::SeqCst);
    let covered = client::get(proxy.addr(), "/", &[]);
    assert_eq!((covered.status, covered.text().as_str()), (200, "older copy"));
    phase.store(2, Ordering::SeqCst);
    let covered = client::get(proxy.addr(), "/", &[]);
    assert_eq!((covered.status, covered.text().as_str()), (200, "older copy"));
    assert_our_page(&client::get(proxy.addr(), "/never-seen", &[]), 500, "Back soon");
}
