//! The last line: with all backends sick a page is served stale within grace, then within stale-if-error, then the policy
//! makes a page, and at last there is a plain 503.

use super::SOON;
use super::directors::before;
use copal_testkit::{Origin, Reply, get, wait};

#[test]
fn with_all_backends_sick_grace_then_stale_if_error_then_the_policys_page_then_a_plain_one() {
    let page = |_: &copal_testkit::origin::Seen| {
        Reply::ok("page").header("Cache-Control", "max-age=1, stale-while-revalidate=2, stale-if-error=4")
    };
    let (mut a, mut b) = (Origin::start(page), Origin::start(page));
    let probe = "probe = { path = \"/healthz\", interval = \"50ms\", window = 2, threshold = 1, initial = 1 }";
    let policy = "fn backend_error(bereq, beresp) { if bereq.url == \"/page\" { beresp.body = \"back soon\"; } }";
    let app = "[director.app]\nbackends = [\"a\", \"b\"]\n";
    let proxy = before(&[("a", &a), ("b", &b)], probe, app).policy(policy).start();
    assert_eq!(get(proxy.addr(), "/page", &[]).text(), "page");
    a.stop();
    b.stop();
    wait::until(SOON, "both are sick", || {
        let stats = proxy.stats();
        stats["backends"].as_array().unwrap().iter().all(|row| row["state"] == "sick")
    });
    // How old the page was each time that it was served stale.
    let mut ages = Vec::new();
    let last = wait::poll(SOON, || {
        let answer = get(proxy.addr(), "/page", &[]);
        if answer.status != 200 {
            return Some(answer);
        }
        assert_eq!(answer.text(), "page");
        let status = answer.header("Cache-Status").unwrap();
        if status.contains("detail=origin-sick") {
            assert!(status.starts_with("copal; hit; "), "nobody is asked: {status}");
            ages.push(answer.header("Age").unwrap().parse::<u64>().unwrap());
        }
        None
    });
    assert!(ages.iter().any(|age| (1..3).contains(age)), "within grace: {ages:?}");
    assert!(ages.iter().any(|age| (3..5).contains(age)), "within stale-if-error: {ages:?}");
    assert!(ages.iter().all(|age| *age < 5 + 1), "and not beyond: {ages:?}");
    let own = last.expect("an end comes to it");
    let told = Some("copal; error=destination_unavailable");
    assert_eq!((own.status, own.text().as_str(), own.header("Proxy-Status")), (503, "back soon", told));
    let plain = get(proxy.addr(), "/other", &[]);
    assert_eq!((plain.status, plain.header("Retry-After"), plain.header("Proxy-Status")), (503, Some("5"), told));
    assert!(plain.text().contains("503"), "{}", plain.text());
    assert!(proxy.stat("hits_stale_error") > 0 && proxy.stat("fetch_failed_no_backend") >= 2);
}
