//! 50-production-site: a VCL of two hundred lines, ported.

use super::{copal, is_hit};
use copal_testkit::{Client, Origin, Proxy, Reply, client, wait};
use std::net::Ipv4Addr;
use std::time::Duration;

const NAME: &str = "50-production-site";

fn server(name: &'static str) -> Origin {
    Origin::start(move |seen| match seen.path.as_str() {
        "/healthz" => Reply::ok("well"),
        "/broken" if name == "web1" => Reply::status(503, "broken"),
        _ => Reply::ok(format!("{name} {}", seen.header("X-Device").unwrap_or("-"))).header("Set-Cookie2", "x"),
    })
}

struct Site {
    web1: Origin,
    web2: Origin,
    media: Origin,
    proxy: Proxy,
}

fn site() -> Site {
    let (web1, web2, media) = (server("web1"), server("web2"), server("media"));
    let mut builder = copal(NAME);
    for (name, origin) in [("WEB1", &web1), ("WEB2", &web2), ("MEDIA", &media)] {
        builder = builder.env(name, origin.addr().to_string());
    }
    let proxy = builder.start();
    // A server with a probe serves from its first good answer on.
    wait::until(Duration::from_secs(20), "both servers to be up", || {
        [&web1, &web2].iter().all(|web| web.count_of("/healthz") > 0)
            && client::get(proxy.addr(), "/lb-check", &[]).status == 200
    });
    Site { web1, web2, media, proxy }
}

#[test]
fn pages_by_device_files_from_their_server_and_redirects() {
    let site = site();
    let get = |path: &str, fields: &[(&str, &str)]| client::get(site.proxy.addr(), path, fields);
    let first = get("/page?utm_source=x", &[("Cookie", "_ga=1")]);
    assert!(first.text().ends_with(" desktop") && !is_hit(&first));
    assert_eq!(get("/page", &[]).header("X-Cache"), Some("HIT 1"));
    assert!(get("/page", &[("User-Agent", "an iPhone")]).text().ends_with(" mobile"));
    assert_eq!(get("/static/a.css", &[]).text(), "media desktop");
    let moved = get("/store/7", &[]);
    assert_eq!((moved.status, moved.header("Location")), (301, Some("/shop/7")));
    let moved = get("/a", &[("Host", "www.Shop.example:80")]);
    assert_eq!(moved.header("Location"), Some("https://shop.example/a"));
    assert_eq!(get("/lb-check", &[]).text(), "up\n");
    assert_eq!(get("/broken", &[]).text(), "web2 desktop", "asked once more, of the next one");
    assert!(site.web1.count() > 0 && site.web2.count() > 0 && site.media.count() == 1);
}

#[test]
fn bans_and_purges_are_for_those_on_the_list() {
    let site = site();
    let get = |path: &str| client::get(site.proxy.addr(), path, &[]);
    assert!(!is_hit(&get("/a")) && !is_hit(&get("/b")));
    let ban = |from: [u8; 4]| {
        let mut client = Client::connect_from(Ipv4Addr::from(from), site.proxy.addr());
        client.request("BAN", "/", &[("X-Ban", "^/a")], b"")
    };
    assert_eq!(ban([127, 0, 0, 2]).status, 403);
    assert!(is_hit(&get("/a")));
    assert_eq!(ban([127, 0, 0, 1]).text(), "Banned ^/a\n");
    assert!(!is_hit(&get("/a")) && is_hit(&get("/b")));
    assert_eq!(client::request(site.proxy.addr(), "PURGE", "/b", &[], b"").status, 200);
    assert!(!is_hit(&get("/b")));
}
