//! Picks over whole configurations, at times and with chance that the test decides.

use super::*;
use crate::ask::{By, tests_ask};
use crate::outlier::{EjectOptions, News};
use crate::probe::ProbeOptions;
use crate::slots::Class;
use copal_semantics::RequestHead;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

fn origin(name: &str) -> OriginOptions {
    OriginOptions::new(name, "127.0.0.1:1".parse().expect("valid"))
}

fn origins(names: &[&str]) -> Vec<OriginOptions> {
    names.iter().map(|name| origin(name)).collect()
}

fn director(name: &str, kind: DirectorKind, members: &[&str]) -> DirectorOptions {
    DirectorOptions::new(name, kind, members.iter().map(|m| MemberOptions::new(*m, 1)).collect())
}

fn app(members: &[(&str, u32)]) -> DirectorOptions {
    let members = members.iter().map(|(n, w)| MemberOptions::new(*n, *w)).collect();
    DirectorOptions::new("app", DirectorKind::RoundRobin, members)
}

fn build(origins: Vec<OriginOptions>, directors: Vec<DirectorOptions>) -> Arc<Backends> {
    Backends::with_chance(origins, directors, &Chance::seeded(1)).expect("valid")
}

fn names_at(b: &Backends, name: Option<&str>, n: usize, now: Instant) -> String {
    (0..n)
        .map(|_| b.pick_at(name, &tests_ask(), now, false).map_or("-".into(), |p| p.origin.name().to_owned()))
        .collect()
}

fn names(b: &Backends, name: Option<&str>, n: usize) -> String {
    names_at(b, name, n, Instant::now())
}

fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_first_origin_serves_unless_a_default_is_named() {
    let b = build(origins(&["a", "b"]), vec![app(&[("a", 2), ("b", 1)])]);
    assert_eq!((b.default_name(), names(&b, None, 2).as_str()), ("a", "aa"));
    assert_eq!(names(&b, Some("app"), 6), "abaaba");
    let b = b.with_default("app").expect("known");
    assert_eq!((b.default_name(), names(&b, None, 3).as_str()), ("app", "aba"));
    assert_eq!(b.with_default("x").err(), Some(BackendsError::Unknown("x".into())));
}

#[test]
fn sick_origins_are_left_out_and_all_sick_is_a_fault() {
    let b = build(origins(&["a", "b"]), vec![app(&[("a", 1), ("b", 1)])]);
    b.set_admin("a", Admin::Sick).expect("known");
    assert_eq!(names(&b, Some("app"), 3), "bbb");
    assert!(b.is_healthy(Some("app")) && !b.is_healthy(Some("a")) && !b.is_healthy(None));
    let fault = b.pick(Some("a"), &tests_ask()).expect_err("sick");
    assert_eq!((fault.kind, fault.status()), (FaultKind::NoHealthyBackend, 503));
    b.set_admin("app", Admin::Sick).expect("known");
    assert_eq!(b.pick(Some("app"), &tests_ask()).expect_err("all sick").kind, FaultKind::NoHealthyBackend);
    assert_eq!(b.pick(Some("nope"), &tests_ask()).expect_err("unknown").kind, FaultKind::UnknownBackend);
    assert!(!b.is_healthy(Some("nope")));
}

#[test]
fn wrong_configurations_are_refused_with_the_names() {
    let new = |o: &[&str], d| Backends::new(origins(o), d).err();
    assert_eq!(new(&[], vec![]), Some(BackendsError::NoOrigin));
    assert_eq!(new(&["a", "a"], vec![]), Some(BackendsError::DuplicateName("a".into())));
    assert_eq!(new(&["app"], vec![app(&[("app", 1)])]), Some(BackendsError::DuplicateName("app".into())));
    assert_eq!(new(&["a"], vec![app(&[])]), Some(BackendsError::NoMembers("app".into())));
    let unknown = BackendsError::UnknownMember { director: "app".into(), member: "b".into() };
    assert_eq!(new(&["a"], vec![app(&[("b", 1)])]), Some(unknown));
    let zero = BackendsError::ZeroWeight { director: "app".into(), member: "a".into() };
    assert_eq!(new(&["a"], vec![app(&[("a", 0)])]), Some(zero));
    assert_eq!(new(&["a"], vec![app(&[("app", 1)])]), Some(BackendsError::Cycle("app".into())));
    let (x, y) = (director("x", DirectorKind::Random, &["a", "y"]), director("y", DirectorKind::Random, &["x"]));
    assert_eq!(new(&["a"], vec![x, y]), Some(BackendsError::Cycle("x".into())));
}

#[test]
fn directors_stack_in_any_order_of_declaration() {
    let fallback = DirectorKind::Fallback { sticky: false };
    let b = build(
        origins(&["a", "b", "c"]),
        vec![director("all", fallback, &["pair", "c"]), director("pair", DirectorKind::RoundRobin, &["a", "b"])],
    );
    assert_eq!(names(&b, Some("all"), 4), "abab");
    b.set_admin("a", Admin::Sick).expect("known");
    assert_eq!(names(&b, Some("all"), 2), "bb");
    b.set_admin("pair", Admin::Sick).expect("known");
    assert_eq!(names(&b, Some("all"), 2), "cc");
    assert!(b.is_healthy(Some("all")) && !b.is_healthy(Some("pair")));
    let rows = b.director_rows();
    assert_eq!((rows[0].kind, rows[0].members.join(" ").as_str(), rows[1].healthy), ("fallback", "pair c", false));
}

#[test]
fn an_origin_that_comes_back_takes_its_share_of_a_round_robin_over_its_ramp() {
    let probe = Some(ProbeOptions { window: 1, threshold: 1, initial: 1, ..ProbeOptions::default() });
    let ramped = OriginOptions { probe, slow_start: s(30), ..origin("a") };
    let b = build(vec![ramped, origin("b"), origin("c")], vec![app(&[("a", 1), ("b", 1), ("c", 1)])]);
    let start = Instant::now();
    b.origins()[0].record_probe_at(Err("down".into()), start + s(10));
    assert_eq!(names_at(&b, Some("app"), 4, start + s(10)).matches('a').count(), 0);
    b.origins()[0].record_probe_at(Ok(()), start + s(20));
    let shares = [20, 26, 35, 44, 50].map(|at| names_at(&b, Some("app"), 2100, start + s(at)).matches('a').count());
    assert_eq!(shares, [100, 191, 420, 600, 700].map(|n| n), "0.1, 0.2, 0.5, 0.8 and all of its share against two");
}

fn eject(faults: u32) -> Option<EjectOptions> {
    Some(EjectOptions { faults, ..EjectOptions::default() })
}

#[test]
fn ejected_origins_are_left_out_up_to_the_cap_and_come_back_by_time() {
    let with = |name: &str| OriginOptions { eject: eject(2), ..origin(name) };
    let b = build(
        vec![with("a"), with("b"), with("c"), with("d")],
        vec![director("app", DirectorKind::RoundRobin, &["a", "b", "c", "d"])],
    );
    let start = Instant::now();
    let fail = |i: usize, at| (0..2).filter_map(|_| b.origins()[i].ejection.record(News::Fault, start + s(at))).count();
    assert_eq!([fail(0, 1), fail(1, 2), fail(2, 3)], [1, 1, 0], "two of four, and no more");
    assert_eq!(names_at(&b, Some("app"), 4, start + s(3)), "cdcd");
    assert_eq!(b.origins()[2].ejection.refused.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(names_at(&b, Some("a"), 1, start + s(3)), "a", "by its own name it is still asked");
    assert_eq!(names_at(&b, Some("app"), 3, start + s(31)).matches('a').count(), 1, "30 s are over for a");
    assert_eq!(fail(2, 31), 1, "and its place is free");
    assert!(b.origins()[2].ejection.reason(start + s(31)).expect("ejected").contains("in a row"));
    b.set_admin("d", Admin::Sick).expect("known");
    b.set_admin("a", Admin::Sick).expect("known");
    assert!(!names_at(&b, Some("app"), 2, start + s(31)).contains('-'), "ejected, but better than nothing");
}

#[test]
fn one_that_stands_alone_or_in_a_pair_by_half_is_never_the_last_to_go() {
    let with = |name: &str| OriginOptions { eject: eject(1), ..origin(name) };
    let b = build(vec![with("a"), with("b"), with("alone")], vec![app(&[("a", 1), ("b", 1)])]);
    let now = Instant::now();
    let ejected = |i: usize| b.origins()[i].ejection.record(News::Fault, now).is_some();
    assert_eq!([ejected(0), ejected(1), ejected(2)], [true, false, false]);
}

#[test]
fn what_an_origin_has_failed_it_is_not_asked_for_again_while_others_can_be() {
    let b = build(origins(&["a", "b"]), vec![app(&[("a", 1), ("b", 1)])]);
    let start = Instant::now();
    let (bad, good) = (RequestHead::get("/bad", [("Host", "x")]), RequestHead::get("/good", [("Host", "x")]));
    let asked = |head: &RequestHead, at| -> String {
        let ask = Ask { head, ..tests_ask() };
        let pick = |_| b.pick_at(Some("app"), &ask, start + s(at), false).expect("healthy").origin.name().to_owned();
        (0..4).map(pick).collect()
    };
    let fails = |i: usize, head, at| b.origins()[i].spare(head, s(10), start + s(at));
    fails(0, &bad, 1);
    assert_eq!((asked(&bad, 2).as_str(), asked(&good, 2).matches('a').count()), ("bbbb", 2));
    fails(1, &bad, 3);
    assert_eq!(asked(&bad, 4).matches('a').count(), 2, "both have failed it: no reason to prefer one");
    assert_eq!(asked(&bad, 12), "aaaa", "the first is forgiven");
    assert_eq!(asked(&bad, 20).matches('a').count(), 2);
}

#[tokio::test]
async fn a_full_origin_is_left_out_while_another_has_room() {
    let with = |name: &str| OriginOptions { max_connections: 1, ..origin(name) };
    let b = build(vec![with("a"), with("b")], vec![app(&[("a", 1), ("b", 1)])]);
    let held = b.origins()[0].permit(Class::Client).await.expect("free");
    assert_eq!(names(&b, Some("app"), 4), "bbbb");
    let _too = b.origins()[1].permit(Class::Client).await.expect("free");
    assert!(!names(&b, Some("app"), 2).contains('-'), "both full: it is for the queue to say");
    drop(held);
    assert_eq!(names(&b, Some("app"), 2), "aa");
}

#[tokio::test]
async fn least_connections_counts_the_requests_under_way() {
    let b = build(origins(&["a", "b"]), vec![director("app", DirectorKind::LeastConnections, &["a", "b"])]);
    let mut held = Vec::new();
    for _ in 0..10 {
        let picked = b.pick(Some("app"), &tests_ask()).expect("healthy");
        held.push(picked.origin.permit(Class::Client).await.expect("free"));
    }
    assert_eq!((b.origins()[0].load(Instant::now()), b.origins()[1].load(Instant::now())), (5, 5));
}

fn with_session(kind: DirectorKind) -> DirectorOptions {
    let options = SessionOptions { name: "route".into(), max_age: None, secure: false, secret: Some(b"s".to_vec()) };
    DirectorOptions { session: Some(options), ..director("app", kind, &["a", "b", "c"]) }
}

#[test]
fn a_visitor_stays_where_its_cookie_says_until_that_one_fails() {
    let b = build(origins(&["a", "b", "c"]), vec![with_session(DirectorKind::RoundRobin)]);
    let pick = |cookie: &str| {
        let picked = b.pick(Some("app"), &Ask { bound: cookie.as_bytes(), ..tests_ask() }).expect("healthy");
        (picked.origin.name().to_owned(), picked.set_cookie)
    };
    let (home, set) = pick("other=1");
    let set = set.expect("a new visitor is bound");
    let cookie = set.split(';').next().expect("a pair").to_owned();
    for _ in 0..5 {
        assert_eq!(pick(&cookie), (home.clone(), None));
    }
    b.set_admin(&home, Admin::Drain).expect("known");
    assert_eq!(pick(&cookie), (home.clone(), None), "draining keeps who is bound");
    assert!((0..6).all(|_| pick("").0 != home), "and takes nobody new");
    b.set_admin(&home, Admin::Sick).expect("known");
    let (other, set) = pick(&cookie);
    assert!(other != home && set.is_some_and(|s| !s.starts_with(&cookie)), "bound anew");
}

#[test]
fn hashing_goes_by_the_client_and_leaves_out_who_was_tried() {
    let b = build(
        origins(&["a", "b", "c"]),
        vec![director("app", DirectorKind::Hash { by: By::Client }, &["a", "b", "c"])],
    );
    let at = |client: u8, tried: &[usize]| {
        let ask = Ask { client: IpAddr::V4(Ipv4Addr::new(10, 0, 0, client)), tried, ..tests_ask() };
        b.pick(Some("app"), &ask).expect("healthy").index
    };
    for n in 0..20 {
        let first = at(n, &[]);
        let second = at(n, &[first]);
        let third = at(n, &[first, second]);
        assert_eq!([first, second, third].iter().sum::<usize>(), 3, "all three, one after the other");
        assert_eq!(at(n, &[first, second, third]), first, "and over again");
    }
    assert!((0..20).any(|n| at(n, &[]) != at(0, &[])));
}

#[test]
fn whom_a_request_was_sent_to_it_is_not_sent_to_again_while_there_are_others() {
    for kind in [
        DirectorKind::RoundRobin,
        DirectorKind::Random,
        DirectorKind::Fallback { sticky: true },
        DirectorKind::Shard { by: By::Url, replicas: 67, warmup_permille: 1000 },
        DirectorKind::LeastConnections,
        DirectorKind::PeakEwma { decay: crate::latency::DECAY },
        DirectorKind::Split { by: By::Client },
    ] {
        let b = build(origins(&["a", "b"]), vec![director("app", kind.clone(), &["a", "b"])]);
        let to = |tried: &[usize]| b.pick(Some("app"), &Ask { tried, ..tests_ask() }).expect("healthy").index;
        assert!((0..20).all(|_| to(&[0]) == 1 && to(&[1]) == 0), "{kind:?}");
        assert!(to(&[0, 1]) < 2, "{kind:?}: all were tried, so one of them again");
        let other = |tried: &[usize]| b.pick_other(Some("app"), &Ask { tried, ..tests_ask() }).map(|p| p.index);
        assert_eq!((other(&[0]), other(&[0, 1])), (Some(1), None), "{kind:?}");
        b.set_admin("b", Admin::Sick).expect("known");
        assert_eq!(other(&[0]), None, "{kind:?}: nobody sick either");
    }
    let alone = build(origins(&["a"]), vec![]);
    assert!(alone.pick_other(Some("a"), &Ask { tried: &[0], ..tests_ask() }).is_none());
}

#[test]
fn a_bound_visitor_whose_backend_has_just_failed_it_is_sent_elsewhere_and_bound_anew() {
    let b = build(origins(&["a", "b", "c"]), vec![with_session(DirectorKind::RoundRobin)]);
    let first = b.pick(Some("app"), &tests_ask()).expect("healthy");
    let cookie = first.set_cookie.expect("new");
    let bound = cookie.split(';').next().expect("a pair").as_bytes();
    let tried = [first.index];
    let next = b.pick_other(Some("app"), &Ask { bound, tried: &tried, ..tests_ask() }).expect("two are left");
    assert!(next.index != first.index && next.set_cookie.is_some());
}

#[test]
fn peak_ewma_leaves_the_slow_one_alone() {
    let b = build(
        origins(&["a", "b", "c"]),
        vec![director("app", DirectorKind::PeakEwma { decay: crate::latency::DECAY }, &["a", "b", "c"])],
    );
    let head = RequestHead::get("/", []);
    for (origin, ms) in b.origins().iter().zip([1, 300, 1]) {
        let started = Instant::now().checked_sub(Duration::from_millis(ms)).expect("the machine is up for a second");
        origin.answered(&head, 200, started);
    }
    let got = names(&b, Some("app"), 300);
    assert!(!got.contains('b') && got.contains('a') && got.contains('c'), "{got}");
}
