//! 31-cookie-allow-list: only the cookies that the application reads get through.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "31-cookie-allow-list";

fn app() -> Origin {
    Origin::start(|seen| {
        let reply = Reply::ok(seen.header("Cookie").unwrap_or("none").to_owned()).header("Cache-Control", "max-age=60");
        let reply = reply.header("Set-Cookie", "_tracking=1");
        if seen.path == "/login/" { reply.header("Set-Cookie", "csrftoken=7") } else { reply }
    })
}

#[test]
fn the_application_sees_the_cookies_on_the_list() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let page = client::get(proxy.addr(), "/", &[("Cookie", "_ga=1; sessionid=me; theme=dark; csrftoken=7")]);
    assert_eq!((page.text().as_str(), is_hit(&page)), ("sessionid=me; csrftoken=7", false));
    for n in 0..3 {
        let cookie = format!("_ga={n}; csrftoken=7");
        let page = client::get(proxy.addr(), "/", &[("Cookie", &cookie)]);
        assert_eq!((page.text().as_str(), is_hit(&page)), ("none", n > 0));
        assert_eq!(page.header("Set-Cookie"), None);
    }
    assert_eq!(
        client::request(proxy.addr(), "POST", "/", &[("Cookie", "a=1; csrftoken=7")], b"x").text(),
        "csrftoken=7"
    );
}

#[test]
fn a_page_that_sets_a_cookie_of_its_own_is_not_shared() {
    let origin = app();
    let proxy = start(NAME, &origin);
    for _ in 0..2 {
        let page = client::get(proxy.addr(), "/login/", &[]);
        assert_eq!((page.all("Set-Cookie"), is_hit(&page)), (vec!["csrftoken=7"], false));
    }
    assert_eq!(origin.count(), 2);
}
