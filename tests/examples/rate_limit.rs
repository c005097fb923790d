//! 35-rate-limit: five log-ins a minute, and who asks too often waits.

use super::start;
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "35-rate-limit";

#[test]
fn the_sixth_log_in_of_a_minute_waits_and_pages_do_not() {
    let origin = Origin::start(|_| Reply::ok("page"));
    let proxy = start(NAME, &origin);
    let login = || client::request(proxy.addr(), "POST", "/login/?next=/", &[], b"user=me");
    for n in 0..5 {
        assert_eq!(login().status, 200, "{n}");
    }
    let refused = login();
    assert_eq!(refused.status, 429);
    let wait: u32 = refused.header("Retry-After").and_then(|w| w.parse().ok()).expect("how long");
    assert!((1..=12).contains(&wait), "{wait}");
    assert_eq!(origin.count(), 5, "the application is not asked");
    for _ in 0..10 {
        assert_eq!(client::get(proxy.addr(), "/login/", &[]).status, 200);
    }
}

#[test]
fn a_reload_forgets_nothing() {
    let origin = Origin::start(|_| Reply::ok("page"));
    let proxy = start(NAME, &origin);
    let login = || client::request(proxy.addr(), "POST", "/login/", &[], b"user=me").status;
    let before: Vec<u16> = (0..6).map(|_| login()).collect();
    assert_eq!(before, [200, 200, 200, 200, 200, 429]);
    proxy.signal(copal_testkit::Signal::Hup);
    proxy.wait_stat("policy_reloads", |n| n == 1, std::time::Duration::from_secs(10));
    assert_eq!(login(), 429);
}
