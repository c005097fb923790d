//! Three origins, each a process, and a constant load of cacheable and uncacheable requests: one is killed, stopped, made
//! slow, refuses, answers 503, breaks off bodies. What clients see of it, and how soon it serves again.

mod origin;

use crate::wire::COPAL;
use copal_testkit::{Client, Proxy, wait};
use origin::{Mode, Process};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(20);
/// Of the probes.
const INTERVAL: Duration = Duration::from_secs(1);
const CLIENTS: usize = 4;
/// Requests that are answered before, and while, one of the origins is down.
const ENOUGH: usize = 300;

struct Site {
    origins: Vec<Process>,
    proxy: Proxy,
}

/// Three origins behind a proxy. A request is sent to each of them once at most.
fn site(more: &str) -> Site {
    let origins: Vec<Process> = (0..3).map(|_| Process::start()).collect();
    let mut toml = "threads = 2\n".to_owned();
    for (name, origin) in ["a", "b", "c"].iter().zip(&origins) {
        toml += &format!(
            "[backend.{name}]\naddress = \"{}\"\nfirst_byte_timeout = \"300ms\"\neject = {{ time = \"1s\", max_time = \"1s\" }}\n\
             probe = {{ path = \"/healthz\", interval = \"1s\", timeout = \"500ms\", window = 2, threshold = 1, initial = 1 }}\n",
            origin.addr()
        );
    }
    toml += &format!(
        "[director.app]\nbackends = [\"a\", \"b\", \"c\"]\n[retry]\nattempts = 2\nstatuses = [503]\n{more}\n\
         [log]\naccess = {{ path = \"{{dir}}/access.log\" }}\n"
    );
    Site { origins, proxy: Proxy::builder(COPAL).config(&toml).start() }
}

/// Clients that ask one request after the other until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(proxy: &Proxy) -> Load {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..CLIENTS).map(|number| {
            let (stop, answered, addr) = (Arc::clone(&stop), Arc::clone(&answered), proxy.addr());
            std::thread::spawn(move || ask_on(addr, number, &stop, &answered))
        });
        let clients = clients.collect();
        Load { stop, answered, clients }
    }

    /// Waits for so many more answers.
    fn go_on(&self, n: usize) {
        let until = self.answered.load(Ordering::SeqCst) + n;
        wait::until(SOON, "the load goes on", || self.answered.load(Ordering::SeqCst) >= until);
    }

    /// What clients saw that was not the page they had asked for.
    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    }
}

fn ask_on(addr: std::net::SocketAddr, number: usize, stop: &AtomicBool, answered: &AtomicUsize) -> Vec<String> {
    let mut client = Client::connect(addr);
    let mut wrong = Vec::new();
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        // Pages that many ask for, pages that nobody else does, and writes that may be repeated.
        let (method, path, body) = match n % 4 {
            0 => ("GET", format!("/page/{}", n % 20), ""),
            1 | 2 => ("GET", format!("/item/{number}/{n}"), ""),
            _ => ("PUT", format!("/item/{number}/{n}"), "content"),
        };
        client.send(method, &path, &[], body.as_bytes());
        match client.try_read_response() {
            Some(answer) if answer.status == 200 && answer.text() == format!("{path} {body}") => {}
            Some(answer) => {
                wrong.push(format!("{method} {path}: {} {:?}", answer.status, answer.header("Proxy-Status")))
            }
            None => wrong.push(format!("{method} {path}: cut off")),
        }
        if wrong.last().is_some_and(|last| last.contains("cut off")) {
            client = Client::connect(addr);
        }
        answered.fetch_add(1, Ordering::SeqCst);
        // Some hundred requests a second of each client: a load, not a benchmark.
        std::thread::sleep(Duration::from_millis(2));
    }
    wrong
}

fn state(proxy: &Proxy, name: &str) -> String {
    let stats = proxy.stats();
    let row = stats["backends"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    row["state"].as_str().unwrap().to_owned()
}

/// No request was sent more often than the configuration allows, and in the same words as the counters say.
fn retries_are_as_configured(proxy: &Proxy) {
    let log = std::fs::read_to_string(proxy.dir().join("access.log")).unwrap();
    let retries =
        log.lines().filter_map(|line| line.split("\"retries\":").nth(1)?.split([',', '}']).next()?.parse().ok());
    let retries: Vec<i64> = retries.collect();
    assert!(retries.iter().all(|n| *n <= 2), "{retries:?}");
    assert_eq!(proxy.stat("fetch_retries_refused"), 0, "the budget was enough");
}

/// How long after `begin` the backend serves again.
fn back_after(proxy: &Proxy, name: &str, begin: Instant) -> Duration {
    wait::until(SOON, "it serves again", || state(proxy, name) == "healthy");
    begin.elapsed()
}

/// One origin is made to fail under load and later to work again: no client may notice.
fn nobody_notices(fail: impl FnOnce(&mut Process), mend: impl FnOnce(&mut Process), ends_as: &[&str]) {
    let mut site = site("");
    let Site { origins, proxy } = &mut site;
    wait::until(SOON, "all are probed", || ["a", "b", "c"].iter().all(|name| state(proxy, name) == "healthy"));
    let load = Load::start(proxy);
    load.go_on(ENOUGH);
    fail(&mut origins[1]);
    load.go_on(ENOUGH);
    wait::until(SOON, "it is found out", || ends_as.contains(&state(proxy, "b").as_str()));
    mend(&mut origins[1]);
    let took = back_after(proxy, "b", Instant::now());
    load.go_on(ENOUGH);
    let wrong = load.end();
    assert!(wrong.is_empty(), "{} wrong answers: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(took <= 2 * INTERVAL, "it served again after {took:?}");
    retries_are_as_configured(proxy);
}

#[test]
fn an_origin_that_is_killed_costs_no_client_an_answer() {
    nobody_notices(Process::kill, Process::run, &["sick", "ejected"]);
}

#[test]
fn an_origin_that_refuses_from_the_beginning_costs_no_client_an_answer() {
    let mut site = site("");
    let Site { origins, proxy } = &mut site;
    origins[1].kill();
    let load = Load::start(proxy);
    load.go_on(ENOUGH);
    wait::until(SOON, "it is found out", || ["sick", "ejected"].contains(&state(proxy, "b").as_str()));
    origins[1].run();
    let took = back_after(proxy, "b", Instant::now());
    load.go_on(ENOUGH);
    let wrong = load.end();
    assert!(wrong.is_empty(), "{} wrong answers: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(took <= 2 * INTERVAL, "it served after {took:?}");
    retries_are_as_configured(proxy);
}

#[test]
fn an_origin_that_is_stopped_costs_no_client_an_answer() {
    nobody_notices(|origin| origin.signal("STOP"), |origin| origin.signal("CONT"), &["sick", "ejected"]);
}

#[test]
fn an_origin_that_answers_503_costs_no_client_an_answer() {
    nobody_notices(|origin| origin.mode(Mode::Unavailable), |origin| origin.mode(Mode::Well), &["sick", "ejected"]);
}

#[test]
fn an_origin_that_is_slower_than_the_timeout_costs_no_client_an_answer() {
    // Its probes are good: it is the requests that say so.
    nobody_notices(|origin| origin.mode(Mode::Slow), |origin| origin.mode(Mode::Well), &["ejected"]);
}

#[test]
fn bodies_that_break_off_are_seen_to_and_their_origin_is_left_out() {
    let mut site = site("");
    let Site { origins, proxy } = &mut site;
    let load = Load::start(proxy);
    load.go_on(ENOUGH);
    origins[1].mode(Mode::Cut);
    wait::until(SOON, "it is found out", || state(proxy, "b") == "ejected");
    origins[1].mode(Mode::Well);
    let took = back_after(proxy, "b", Instant::now());
    load.go_on(ENOUGH);
    let wrong = load.end();
    assert!(took <= 2 * INTERVAL, "it served again after {took:?}");
    retries_are_as_configured(proxy);
    // Its head was good and had gone: no retry can help. Five faults in a row eject it; more may have been under way.
    assert!(!wrong.is_empty() && wrong.len() <= 5 + CLIENTS, "{wrong:?}");
    assert!(wrong.iter().all(|what| what.ends_with("cut off")), "never passed off as whole: {wrong:?}");
}

#[test]
fn when_all_are_down_the_budget_bounds_what_is_tried_in_vain() {
    let mut site = site("budget = \"10%\"\nper_second = 0");
    let Site { origins, proxy } = &mut site;
    let mut client = proxy.client();
    for origin in origins.iter_mut() {
        origin.kill();
    }
    for n in 0..200 {
        let answer = client.get(&format!("/item/{n}"), &[]);
        assert!([502, 503].contains(&answer.status), "{}", answer.status);
    }
    let tried = proxy.stat("fetch_retries_elsewhere");
    assert!(tried <= 20, "{tried} of 200");
}
