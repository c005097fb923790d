//! Copal in front of a real Django application under gunicorn (the folder `app`), with a policy as sites have it.

mod anonymous;
mod browser;
mod grace;
mod outage;
mod purge;
mod reload;
mod sessions;
mod shutdown;
mod site;
mod slow_page;
mod streams;
mod uploads;

use copal_testkit::{Proxy, Response, proxy};
use site::Site;

/// As in the guide: anonymous pages are shared, logged-in users go straight to the application.
const POLICY: &str = r#"
fn recv(req) {
    if !req.is_get_or_head() || req.cookie.has("sessionid") { return pass(); }
    req.http.remove("cookie");
    req.url = query::sort(query::without(req.url, ["utm_*", "gclid", "fbclid"]));
}

fn backend_response(bereq, beresp) {
    if bereq.is_bgfetch && beresp.status >= 500 { return abandon(); }
    beresp.grace = duration("6h");
    if bereq.url.starts_with("/static/") {
        beresp.ttl = duration("1d");
        beresp.http.remove("set-cookie");
    }
}

fn deliver(req, resp) {
    resp.http["x-cache"] = if resp.hits > 0 { "HIT" } else { "MISS" };
}
"#;

/// Copal in front of the application, about to start. `toml` goes on within `[backend.app]`; sections may follow.
fn builder(site: &Site, toml: &str) -> proxy::Builder {
    let config = format!("[backend.app]\naddress = \"{}\"\n{toml}\n", site.addr());
    Proxy::builder(env!("CARGO_BIN_EXE_copal")).config(&config)
}

/// Copal in front of the application, with the policy.
#[track_caller]
fn front(site: &Site) -> Proxy {
    front_with(site, "")
}

/// The same with more configuration.
#[track_caller]
fn front_with(site: &Site, toml: &str) -> Proxy {
    builder(site, toml).policy(POLICY).start()
}

fn cache_status(response: &Response) -> &str {
    response.header("Cache-Status").unwrap_or_else(|| panic!("no Cache-Status in {response:?}"))
}

/// The `Age` of a response, in seconds.
fn age(response: &Response) -> u64 {
    let age = response.header("Age").unwrap_or_else(|| panic!("no Age in {response:?}"));
    age.parse().unwrap_or_else(|_| panic!("no number of seconds: {age:?}"))
}

/// It is a hit, with an `Age` and a `Cache-Status` that agree on a page that is fresh for `lifetime` seconds.
#[track_caller]
fn assert_hit(response: &Response, lifetime: i64) {
    let status = cache_status(response);
    let ttl = status.strip_prefix("copal; hit; ttl=").and_then(|rest| rest.split(';').next()?.parse::<i64>().ok());
    let ttl = ttl.unwrap_or_else(|| panic!("no hit: {status}"));
    let age = i64::try_from(age(response)).expect("an age is small");
    // Each is rounded to whole seconds.
    assert!((lifetime - 1..=lifetime).contains(&(age + ttl)), "Age {age}, but {status}");
}

/// What a page says of its making: another one each time that Django has rendered it.
fn made(response: &Response) -> String {
    assert_eq!(response.status, 200, "{response:?}");
    let text = response.text();
    let (_, rest) = text.split_once("Made: ").unwrap_or_else(|| panic!("no page of the shop: {text}"));
    rest.chars().take(16).collect()
}

/// Numbered lines of 16 bytes, as the application streams them: what is lost, doubled or out of order shows.
fn numbered_lines(mebibytes: usize) -> Vec<u8> {
    (0..mebibytes << 16).flat_map(|n| format!("{n:015}\n").into_bytes()).collect()
}
