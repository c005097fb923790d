//! 39-maintenance-page: everyone but the staff sees a page until work is done.

use super::{COPAL, copal, folder, start};
use copal_testkit::{Origin, Proxy, Reply, Signal, client};
use std::fs;
use std::time::Duration;

const NAME: &str = "39-maintenance-page";

#[test]
fn visitors_see_the_page_and_the_style_sheet() {
    let origin = Origin::start(|_| Reply::ok("site"));
    let proxy = start(NAME, &origin);
    let page = client::get(proxy.addr(), "/", &[]);
    assert_eq!((page.status, page.header("Retry-After")), (503, Some("600")));
    assert_eq!(page.text(), fs::read_to_string(folder(NAME).join("maintenance.html")).unwrap());
    assert_eq!(client::get(proxy.addr(), "/static/app.css", &[]).text(), "site");
    assert_eq!(origin.count(), 1);
}

#[test]
fn the_staff_see_the_site() {
    let origin = Origin::start(|_| Reply::ok("site"));
    let proxy = copal(NAME).env("APP", origin.addr().to_string()).env("COPAL_ACL_STAFF", "127.0.0.0/8").start();
    assert_eq!(client::get(proxy.addr(), "/", &[]).text(), "site");
}

#[test]
fn it_is_switched_off_by_a_file_and_a_reload() {
    let origin = Origin::start(|_| Reply::ok("site"));
    let builder = Proxy::builder(COPAL).env("APP", origin.addr().to_string());
    let copy = builder.dir().to_owned();
    for entry in fs::read_dir(folder(NAME)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let proxy = builder.arg("--config").arg(copy.join("copal.toml")).start();
    assert_eq!(client::get(proxy.addr(), "/", &[]).status, 503);
    fs::write(copy.join("maintenance.txt"), "off\n").unwrap();
    assert_eq!(client::get(proxy.addr(), "/", &[]).status, 503, "no file is read while requests run");
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reloads", |n| n == 1, Duration::from_secs(10));
    assert_eq!(client::get(proxy.addr(), "/", &[]).text(), "site");
}
