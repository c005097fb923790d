//! Users: what is made for one of them reaches no one else and is never stored.

use super::browser::Browser;
use super::site::Site;
use super::{builder, cache_status, front};
use copal_testkit::get;

#[test]
fn pages_of_a_logged_in_user_are_never_stored_and_never_shown_to_others() {
    let site = Site::with_users();
    let proxy = front(&site);
    let mut alice = Browser::logged_in(proxy.addr(), "alice");
    for path in ["/account/", "/greeting/"] {
        for _ in 0..2 {
            let page = alice.get(path);
            assert!(page.text().contains("alice"), "{}", page.text());
            assert_eq!((page.header("x-cache"), page.header("Age")), (Some("MISS"), None));
            assert!(cache_status(&page).starts_with("copal; fwd=bypass"), "{}", cache_status(&page));
        }
        let anonymous = get(proxy.addr(), path, &[]);
        assert!(!anonymous.text().contains("alice"), "{}", anonymous.text());
    }
    let account = get(proxy.addr(), "/account/", &[]);
    assert_eq!((account.status, account.header("Location")), (302, Some("/login/?next=/account/")));
    assert_eq!(proxy.stat("stores"), 1, "the anonymous greeting may be stored, and nothing else");
}

#[test]
fn two_users_and_a_stranger_each_see_their_own_page() {
    let site = Site::with_users();
    let proxy = front(&site);
    assert_own_greetings(&site, proxy.addr());
    assert_eq!(site.runs("greeting"), 5, "the users' twice each, the stranger's once");
}

#[test]
fn without_a_policy_vary_keeps_users_apart_too() {
    let site = Site::with_users();
    let proxy = builder(&site, "").start();
    assert_own_greetings(&site, proxy.addr());
    assert_eq!(site.runs("greeting"), 3, "a variant for each");
}

/// A page that names its user and says `max-age` and `Vary: Cookie`, but not `private`.
#[track_caller]
fn assert_own_greetings(site: &Site, addr: std::net::SocketAddr) {
    let mut alice = Browser::logged_in(addr, "alice");
    let mut bob = Browser::logged_in(addr, "bob");
    assert_eq!(site.runs("greeting"), 0);
    for _ in 0..2 {
        assert!(alice.get("/greeting/").text().contains("Hello, alice."));
        assert!(bob.get("/greeting/").text().contains("Hello, bob."));
        assert!(get(addr, "/greeting/", &[]).text().contains("Hello, stranger."));
    }
}

#[test]
fn a_session_that_a_shared_page_begins_is_given_to_one_visitor_only() {
    let site = Site::with_users();
    let proxy = front(&site);
    let (mut one, mut other) = (Browser::at(proxy.addr()), Browser::at(proxy.addr()));
    let (to_one, to_other) = (one.get("/welcome/"), other.get("/welcome/"));
    assert_ne!(to_one.text(), to_other.text());
    assert_ne!(one.cookies["sessionid"], other.cookies["sessionid"]);
    assert_eq!(one.get("/welcome/").text(), to_one.text());
    assert_eq!(other.get("/welcome/").text(), to_other.text());
    assert_eq!(proxy.stat("hits_fresh") + proxy.stat("hits_coalesced"), 0);
}

#[test]
fn forms_work_with_their_csrf_token_and_not_without() {
    let site = Site::with_users();
    let proxy = front(&site);
    let mut bob = Browser::logged_in(proxy.addr(), "bob");
    assert_eq!(bob.post("/order/", &[("item", "tea")]).status, 403);
    assert_eq!(bob.submit("/order/", &[("item", "tea")]).text(), "bob ordered tea");
    let mut stranger = Browser::at(proxy.addr());
    assert_eq!(
        stranger.submit("/login/", &[("username", "bob"), ("password", "guessed")]).status,
        200,
        "the form again"
    );
    assert!(!stranger.cookies.contains_key("sessionid"));
}

#[test]
fn each_visitor_gets_a_login_form_with_a_token_of_their_own() {
    let site = Site::start();
    let proxy = front(&site);
    let (mut one, mut other) = (Browser::at(proxy.addr()), Browser::at(proxy.addr()));
    assert_ne!(one.get("/login/").body, other.get("/login/").body);
    assert_ne!(one.cookies["csrftoken"], other.cookies["csrftoken"]);
    assert_eq!(proxy.stat("stores"), 0);
}

#[test]
fn who_logs_out_sees_the_page_for_everyone_again() {
    let site = Site::with_users();
    let proxy = front(&site);
    let mut alice = Browser::logged_in(proxy.addr(), "alice");
    assert!(alice.get("/greeting/").text().contains("alice"));
    let account = alice.get("/account/").text();
    let (_, token) = account.split_once("csrfmiddlewaretoken\" value=\"").expect("the account has a form to log out");
    let token = token.split('"').next().unwrap_or_default();
    assert_eq!(alice.post("/logout/", &[("csrfmiddlewaretoken", token)]).status, 302);
    assert!(!alice.cookies.contains_key("sessionid"), "Django takes the cookie back");
    for _ in 0..2 {
        assert!(alice.get("/greeting/").text().contains("stranger"));
    }
    assert_eq!(proxy.stat("hits_fresh"), 1);
}
