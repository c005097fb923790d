//! 03-static-404: a missing file is said once by the application, a foreign one not even that.

use super::{cache_status, is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "03-static-404";

/// An application whose 404 is as bad for a cache as they come.
fn app() -> Origin {
    Origin::start(|seen| {
        if seen.path == "/static/app.css" {
            return Reply::ok("css").header("Cache-Control", "max-age=60");
        }
        Reply::status(404, "a page with a menu")
            .header("Cache-Control", "no-store")
            .header("Vary", "Cookie, Accept-Language")
            .header("Set-Cookie", "csrftoken=1")
    })
}

#[test]
fn a_missing_static_file_is_asked_for_once() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let first =
        client::get(proxy.addr(), "/static/old.js?v=1", &[("Cookie", "sessionid=1"), ("Accept-Language", "de")]);
    assert_eq!((first.status, is_hit(&first)), (404, false));
    for (path, language) in [("/static/old.js?v=2", "fr"), ("/static/old.js", "en")] {
        let next = client::get(proxy.addr(), path, &[("Cookie", "sessionid=2"), ("Accept-Language", language)]);
        assert_eq!((next.status, next.text().as_str(), is_hit(&next)), (404, "a page with a menu", true), "{path}");
        assert!(next.header("Age").is_some());
        for gone in ["Set-Cookie", "Vary"] {
            assert_eq!(next.header(gone), None, "{gone}");
        }
        assert_eq!(next.all("Cache-Control"), ["max-age=60"]);
        let ttl = cache_status(&next).split("ttl=").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
        assert!((590..=600).contains(&ttl.parse().unwrap()), "ten minutes, not {ttl}");
    }
    assert_eq!(origin.count(), 1);
    assert_eq!((origin.requests()[0].path.as_str(), origin.requests()[0].header("Cookie")), ("/static/old.js", None));
}

#[test]
fn what_this_site_never_had_is_answered_at_the_edge() {
    let origin = app();
    let proxy = start(NAME, &origin);
    for path in ["/wp-login.php", "/shop/INDEX.ASPX?x=1", "/cgi-bin/test.cgi"] {
        let answer = client::get(proxy.addr(), path, &[]);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("404 Not Found"), "{}", answer.text());
    }
    assert_eq!((origin.count(), proxy.stat("objects")), (0, 0));
}

#[test]
fn other_answers_stay_as_the_application_made_them() {
    let origin = app();
    let proxy = start(NAME, &origin);
    for _ in 0..2 {
        // Pages that are missing, and what only looks like a file, are not stored: the application says no-store.
        for path in ["/nothing", "/page?x=.css", "/page?x=a.php"] {
            let page = client::get(proxy.addr(), path, &[]);
            assert_eq!((page.status, page.header("Set-Cookie")), (404, Some("csrftoken=1")), "{path}");
        }
    }
    assert_eq!(origin.count(), 6);
    assert_eq!(client::get(proxy.addr(), "/static/app.css", &[]).header("Cache-Control"), Some("max-age=60"));
    assert!(is_hit(&client::get(proxy.addr(), "/static/app.css", &[])));
}

#[test]
fn a_purge_brings_the_file_at_once() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let _stored = client::get(proxy.addr(), "/static/old.js", &[]);
    let url = "http://test.example/static/old.js";
    let admin = format!("unix:{}", proxy.admin().display());
    let out = std::process::Command::new(super::COPAL).args(["purge", "--admin", &admin, url]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "1 object purged\n");
    assert!(!is_hit(&client::get(proxy.addr(), "/static/old.js", &[])));
}
