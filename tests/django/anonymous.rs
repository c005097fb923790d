//! Pages for everyone: made once, then served from memory.

use super::site::Site;
use super::{assert_hit, builder, cache_status, front, made};
use copal_testkit::get;

#[test]
fn an_anonymous_page_is_made_once_and_then_served_from_memory() {
    let site = Site::start();
    let proxy = front(&site);
    let first = get(proxy.addr(), "/", &[]);
    assert_eq!(first.header("x-cache"), Some("MISS"));
    assert!(cache_status(&first).starts_with("copal; fwd=uri-miss; "), "{}", cache_status(&first));
    assert!(cache_status(&first).contains("; stored"), "{}", cache_status(&first));
    for n in 1..=3 {
        let hit = get(proxy.addr(), "/", &[]);
        assert_eq!((hit.header("x-cache"), made(&hit)), (Some("HIT"), made(&first)));
        assert_hit(&hit, 600);
        assert_eq!((proxy.stat("hits_fresh"), proxy.stat("misses"), proxy.stat("fetches")), (n, 1, 1));
    }
    assert_eq!(site.runs("front"), 1);
}

#[test]
fn cookies_of_analytics_and_campaign_parameters_do_not_split_the_cache() {
    let site = Site::start();
    let proxy = front(&site);
    let first = get(proxy.addr(), "/news/today/?max-age=600", &[("Cookie", "_ga=GA1.2; csrftoken=abc")]);
    for (path, cookie) in [
        ("/news/today/?max-age=600&utm_source=mail&gclid=1", "_ga=GA1.3"),
        ("/news/today/?fbclid=2&max-age=600", "csrftoken=def"),
    ] {
        let hit = get(proxy.addr(), path, &[("Cookie", cookie)]);
        assert_eq!((hit.header("x-cache"), made(&hit)), (Some("HIT"), made(&first)));
    }
    assert_eq!(site.runs("news"), 1);
}

#[test]
fn a_page_that_varies_on_cookies_is_one_page_to_visitors_without_a_session() {
    let site = Site::start();
    let proxy = front(&site);
    for cookie in ["", "_ga=1", "theme=dark"] {
        assert!(get(proxy.addr(), "/greeting/", &[("Cookie", cookie)]).text().contains("Hello, stranger."));
    }
    assert_eq!((site.runs("greeting"), proxy.stat("hits_fresh")), (1, 2));
}

#[test]
fn a_page_that_varies_on_a_cookie_that_the_policy_keeps_has_a_variant_for_each() {
    let site = Site::start();
    let policy = r#"fn recv(req) { req.cookie.keep(["theme"]); }"#;
    let proxy = builder(&site, "").policy(policy).start();
    let theme = |cookie: &str| get(proxy.addr(), "/theme/", &[("Cookie", cookie)]).text();
    for _ in 0..2 {
        assert_eq!(theme("_ga=1; theme=dark"), "The theme is dark.");
        assert_eq!(theme("theme=light; _ga=2"), "The theme is light.");
        assert_eq!(theme("_ga=3"), "The theme is plain.");
    }
    assert_eq!((site.runs("theme"), proxy.stat("hits_fresh")), (3, 3));
}

#[test]
fn static_files_are_cached_as_the_policy_says_and_revalidated_by_browsers_without_the_application() {
    let site = Site::start();
    let proxy = front(&site);
    let first = get(proxy.addr(), "/static/shop.css", &[("Cookie", "sessionless=1")]);
    assert_eq!((first.status, first.header("Content-Type")), (200, Some("text/css")));
    assert_eq!(first.text(), include_str!("app/shop/static/shop.css"));
    let hit = get(proxy.addr(), "/static/shop.css", &[]);
    assert_eq!((hit.header("x-cache"), &hit.body), (Some("HIT"), &first.body));
    assert_hit(&hit, 86_400);
    let modified = first.header("Last-Modified").expect("Django says when a file was modified");
    let again = get(proxy.addr(), "/static/shop.css", &[("If-Modified-Since", modified)]);
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(get(proxy.addr(), "/static/none.css", &[]).status, 404);
    assert_eq!((proxy.stat("hits_fresh"), proxy.stat("misses")), (2, 2));
}

#[test]
fn head_is_answered_from_the_page_that_get_has_brought() {
    let site = Site::start();
    let proxy = front(&site);
    let page = get(proxy.addr(), "/", &[]);
    let mut client = proxy.client();
    let head = client.request("HEAD", "/", &[], b"");
    assert_eq!((head.header("x-cache"), head.body.len()), (Some("HIT"), 0));
    assert_eq!(head.header("Content-Length"), Some(page.body.len().to_string().as_str()));
    assert_eq!(made(&client.get("/", &[])), made(&page), "the connection is in step");
    assert_eq!(site.runs("front"), 1);
}
