//! 37-signed-urls: downloads for those to whom the application gave a link.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "37-signed-urls";

// Made as the README shows, good until 2100, until 2001, and with another parameter.
const GOOD: &str = "/download/film.mp4?expires=4102444800&signature=O0RNCv6jISH5SU3wVs67h0kfu-nz-KyClQ93AImAt4s";
const OLD: &str = "/download/film.mp4?expires=1000000000&signature=3Upw4RJ1wd354XrcKBh-IMG7gGkU4CdMPAZoUiJddAM";
const HD: &str = "/download/film.mp4?q=hd&expires=4102444800&signature=Hx4XC1BqY5H4UnpPbY6vd6TclNTNdE4NtID35pXWE-M";

#[test]
fn only_links_of_the_application_open_and_all_lead_to_one_copy() {
    let origin = Origin::start(|seen| Reply::ok(seen.path.clone()).header("Cache-Control", "max-age=60"));
    let proxy = start(NAME, &origin);
    for path in [
        "/download/film.mp4",
        OLD,
        &GOOD.replace("film", "book"),
        &GOOD.replace("4102444800", "4102444801"),
        &format!("{GOOD}x"),
        &HD.replace("hd", "uhd"),
        &GOOD[..GOOD.len() - 1],
    ] {
        assert_eq!(client::get(proxy.addr(), path, &[]).status, 403, "{path}");
    }
    assert_eq!(origin.count(), 0);
    let file = client::get(proxy.addr(), GOOD, &[]);
    assert_eq!((file.status, file.text().as_str()), (200, "/download/film.mp4"));
    assert!(is_hit(&client::get(proxy.addr(), GOOD, &[])));
    assert_eq!(client::get(proxy.addr(), HD, &[]).text(), "/download/film.mp4?q=hd");
}
