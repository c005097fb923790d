//! Tests of bans: judged at lookup or by the lurker, forgotten when they are done.

use super::{NOW, asks, at, find, new, plain, put_tagged, store, ttl};
use crate::{BanError, Kind, NewObject, Object, Store, StoreOptions, Times};
use bytes::Bytes;
use copal_semantics::time::{Span, Time};
use copal_semantics::{RequestHead, ResponseHead};
use std::sync::Arc;

fn ban_at(store: &Store, expression: &str, now: Time) {
    store.ban(expression.parse().expect("a valid expression"), now).expect("room for it");
}

fn ban(store: &Store, expression: &str) {
    ban_at(store, expression, NOW);
}

async fn put(store: &Arc<Store>, key: &str, fields: &[(&str, &str)]) -> Arc<Object> {
    let head = ResponseHead::new(200, fields.iter().copied()).encode();
    put_tagged(store, key, &head, &[], Times { grace: Span::from_secs(50), ..ttl(100) }).await
}

/// Works until there is nothing more to do; how many slices that took.
fn lurk(store: &Store, now: Time) -> usize {
    let mut slices = 1;
    while store.lurk(100, now) {
        slices += 1;
    }
    slices
}

fn expressions(store: &Store) -> Vec<String> {
    store.ban_list().bans.into_iter().map(|b| b.expression).collect()
}

fn ask(store: &Store, key: &str, request: &RequestHead) -> bool {
    store.lookup_for(key.as_bytes(), store.hash(key.as_bytes()), &plain, request, NOW).is_some()
}

#[tokio::test]
async fn a_ban_drops_what_was_stored_before_it_and_nothing_after() {
    let store = store(1 << 20);
    let old = put(&store, "a", &[("X-Type", "html")]).await;
    let other = put(&store, "b", &[("X-Type", "css")]).await;
    ban(&store, "obj.http.x-type == html");
    assert!(find(&store, "a", NOW).is_none() && find(&store, "b", NOW).is_some());
    assert!(old.is_purged() && !old.is_stored() && other.is_stored());
    put(&store, "a", &[("X-Type", "html")]).await;
    assert!(find(&store, "a", NOW).is_some());
    lurk(&store, NOW);
    assert!(find(&store, "a", NOW).is_some());
    assert_eq!((store.stats().banned, store.stats().bans, store.stats().bans_added), (1, 0, 1));
}

#[tokio::test]
async fn every_field_and_operator_says_what_it_says() {
    let holds = async |expression: &str| {
        let store = store(1 << 20);
        let times = Times {
            response_time: NOW,
            initial_age: Span::from_secs(3),
            grace: Span::from_secs(20),
            keep: Span::from_secs(30),
            ..ttl(100)
        };
        let fields = [("X-A", "one"), ("X-Two", "a"), ("X-Two", "b")];
        let head = ResponseHead::new(404, fields).encode();
        let object = put_tagged(&store, "k", &head, &[], times).await;
        object.record_hit(at(4));
        ban_at(&store, expression, at(10));
        let request = RequestHead::get("/news/1?x=y", [("Host", "a.example")]);
        store.lookup_for(b"k", store.hash(b"k"), &plain, &request, at(50)).is_none()
    };
    for expression in [
        "req.url == /news/1?x=y",
        "req.url != /",
        "req.url ~ ^/news/",
        "req.url !~ css",
        "req.url ~ [0-9]",
        "req.http.host == a.example",
        "req.http.HOST ~ example$",
        "req.http.x != a",
        "req.http.x !~ .*",
        "obj.http.x-a == one",
        "obj.http.x-two ~ ^a.*b$",
        "obj.http.nothing != a",
        "obj.http.nothing !~ a",
        "obj.status == 404",
        "obj.status != 200",
        "obj.status >= 404",
        "obj.status > 403",
        "obj.status <= 404",
        "obj.status < 405",
        "obj.age == 13s",
        "obj.age > 12.5s",
        "obj.age < 1m",
        "obj.ttl == 87s",
        "obj.ttl < 88000ms",
        "obj.ttl > 0s",
        "obj.grace == 20s",
        "obj.keep >= 0.5m",
        "obj.last_hit == 6s",
        "obj.last_hit < 1h",
        "req.url ~ ^/news/ && obj.status == 404 && obj.http.x-a ~ ^o",
    ] {
        assert!(holds(expression).await, "{expression}");
    }
    for expression in [
        "req.url == /news/1",
        "req.url ~ ^news",
        "req.url != /news/1?x=y",
        "req.http.x == a",
        "req.http.x ~ .*",
        "obj.http.x-a != one",
        "obj.http.nothing == a",
        "obj.http.nothing ~ .*",
        "obj.status == 200",
        "obj.status < 404",
        "obj.age > 13s",
        "obj.ttl > 1d",
        "obj.grace == 0s",
        "obj.keep > 30s",
        "obj.last_hit > 6s",
        "req.url ~ ^/news/ && obj.status == 200",
    ] {
        assert!(!holds(expression).await, "{expression}");
    }
}

#[tokio::test]
async fn a_ban_on_the_request_is_judged_by_the_request_and_by_nobody_else() {
    let store = store(1 << 20);
    put(&store, "news", &[]).await;
    put(&store, "shop", &[]).await;
    ban(&store, "req.url ~ ^/news/");
    lurk(&store, NOW);
    assert_eq!(store.stats().objects, 2, "the lurker cannot tell");
    assert!(find(&store, "shop", NOW).is_none(), "who has no request is not given what is not judged");
    assert!(ask(&store, "shop", &RequestHead::get("/shop/", [])));
    assert!(find(&store, "shop", NOW).is_some(), "now it is");
    assert!(!ask(&store, "news", &RequestHead::get("/news/1", [])));
    assert_eq!((store.stats().objects, expressions(&store).len()), (1, 1));
    lurk(&store, at(60));
    assert_eq!(expressions(&store), [""; 0], "no object is older than it");
    assert_eq!(store.ban_list().completed, 1);
}

#[tokio::test]
async fn checked_bans_are_not_checked_again() {
    let store = store(1 << 20);
    put(&store, "a", &[("X-A", "1")]).await;
    for n in 0..100 {
        ban(&store, &format!("obj.http.x-a ~ no-{n}"));
    }
    for _ in 0..10 {
        assert!(find(&store, "a", NOW).is_some());
    }
    ban(&store, "obj.http.x-a ~ no-more");
    assert!(find(&store, "a", NOW).is_some());
    let tests: Vec<u64> = store.ban_list().bans.iter().map(|b| b.tests).collect();
    assert_eq!(tests, [1; 101]);
}

#[tokio::test]
async fn bans_that_cannot_be_about_an_object_are_not_tried() {
    let store = store(512 << 20);
    put(&store, "a", &[("X-A", "1"), ("X-B", "2")]).await;
    for n in 0..2000 {
        ban(&store, &format!("obj.http.x-a == no-{n}"));
        ban(&store, &format!("obj.http.x-b == 2 && obj.http.x-a == other-{n}"));
        ban(&store, &format!("req.url ~ ^/section-{n}/[0-9]+$"));
        ban(&store, &format!("req.http.host == site-{n} && req.url ~ page"));
        ban(&store, &format!("obj.status == {}", 1000 + n));
        ban(&store, &format!("req.url ~ [0-9]/{n}\\.css$"));
    }
    let request = RequestHead::get("/section-7/x", [("Host", "site-7")]);
    assert!(ask(&store, "a", &request));
    let tried: Vec<_> = store.ban_list().bans.into_iter().filter(|b| b.tests > 0).map(|b| b.expression).collect();
    assert!(tried.len() <= 3 && tried.contains(&"req.http.host == site-7 && req.url ~ page".to_owned()), "{tried:?}");
    // And those that are about it are found among them, wherever they stand.
    for (dropped_by, key) in [
        ("obj.http.x-a == 1", "b"),
        ("obj.http.x-b == 2 && obj.http.x-a ~ 1", "c"),
        ("req.url ~ ^/section-7/x", "d"),
        ("req.url ~ /[x-z]$", "e"),
        ("req.http.host != a && obj.age < 1h", "f"),
    ] {
        put(&store, key, &[("X-A", "1"), ("X-B", "2")]).await;
        assert!(ask(&store, key, &request));
        ban(&store, dropped_by);
        assert!(!ask(&store, key, &request), "{dropped_by}");
    }
    lurk(&store, at(100));
    lurk(&store, at(200));
    assert_eq!((store.stats().bans, store.stats().bytes < 1 << 20), (0, true), "{:?}", store.stats());
}

#[tokio::test]
async fn the_same_ban_again_takes_the_place_of_the_first() {
    let store = store(1 << 20);
    put(&store, "a", &[("X-A", "1")]).await;
    for _ in 0..5 {
        ban(&store, "obj.http.x-a  ==  1");
        ban(&store, "req.url == /");
    }
    assert_eq!(expressions(&store), ["obj.http.x-a == 1", "req.url == /"]);
    assert!(find(&store, "a", NOW).is_none());
    assert_eq!((store.stats().banned, store.ban_list().completed), (1, 8));
}

#[tokio::test]
async fn more_bans_than_allowed_are_refused_and_bans_are_charged() {
    let store = Store::new(StoreOptions { bans_max: 3, ..StoreOptions::default() });
    let before = store.stats().bytes;
    for n in 0..3 {
        ban(&store, &format!("req.url == /{n}"));
    }
    assert!(store.stats().bytes > before + 3 * 200);
    assert_eq!(store.ban("req.url == /x".parse().expect("valid"), NOW), Err(BanError::TooMany(3)));
    ban(&store, "req.url == /1");
    lurk(&store, NOW);
    assert_eq!((store.stats().bans, store.stats().bytes), (0, before), "an empty store is soon done");
}

#[tokio::test]
async fn the_lurker_drops_what_nobody_asks_for_in_bounded_slices() {
    let store = store(64 << 20);
    for n in 0..3000 {
        put(&store, &format!("{n}"), &[("X-N", &n.to_string())]).await;
    }
    ban(&store, "obj.http.x-n ~ 7$");
    ban(&store, "obj.http.x-n ~ ^1");
    assert!(store.lurk(1000, NOW));
    let list = store.ban_list();
    assert!(list.round.is_some_and(|r| r > 0.05 && r < 0.9), "{list:?}");
    assert!(lurk(&store, NOW) > 20);
    let wanted = (0..3000).filter(|n| !n.to_string().ends_with('7') && !n.to_string().starts_with('1')).count() as u64;
    assert_eq!((store.stats().objects, store.stats().banned, store.stats().bans), (wanted, 3000 - wanted, 0));
    assert_eq!((store.ban_list().round, store.ban_list().completed), (None, 2));
    assert!(!store.lurk(1000, NOW), "without bans there is nothing to do");
}

#[tokio::test]
async fn a_ban_holds_for_markers_variants_and_renewed_objects() {
    let store = store(1 << 20);
    store.insert_marker(new(&store, b"m", ttl(10)), Kind::HitForPass);
    let names = [Box::from("lang")];
    for lang in ["de", "en"] {
        let head = ResponseHead::new(200, [("Content-Language", lang)]).encode();
        let fields = [("lang", lang)];
        let vary = asks(&fields);
        let object = NewObject { vary_names: &names, vary: &vary, head: &head, ..new(&store, b"k", ttl(100)) };
        let (_, mut writer) = store.insert_streaming(object);
        writer.push(Bytes::from_static(b"x")).await.expect("stored");
        writer.finish(None);
    }
    let old = put(&store, "r", &[("X-A", "1")]).await;
    ban(&store, "obj.http.content-language == de");
    ban(&store, "obj.http.x-a == 1");
    ban(&store, "req.url == /m");
    // The 304 that was under way when the ban came brings back the same body.
    let new = store.refresh(&old, old.head(), ttl(100), None);
    assert!(new.is_stored() && find(&store, "r", NOW).is_none() && !new.is_stored());
    let has = |lang: &str| {
        let request = RequestHead::get("/", []);
        store.lookup_for(b"k", store.hash(b"k"), &asks(&[("lang", lang)]), &request, NOW).is_some()
    };
    assert!(!has("de") && has("en"));
    assert!(!ask(&store, "m", &RequestHead::get("/m", [])));
    assert_eq!((store.stats().objects, store.stats().markers, store.stats().banned), (1, 0, 3));
}

#[tokio::test]
async fn a_round_misses_nobody_who_moves_or_is_renewed_meanwhile() {
    let store = store(256 << 20);
    let mut objects = Vec::new();
    for n in 0..4000 {
        let head = ResponseHead::new(200, [("X-A", if n % 2 == 0 { "1" } else { "2" })]).encode();
        // Deaths from seconds to years from now, so that the wheel moves them in every way.
        let secs = [200, 5000, 40_000, 400_000, 40_000_000][n % 5];
        objects.push(put_tagged(&store, &n.to_string(), &head, &[], ttl(secs)).await);
    }
    let mut now = 0;
    for round in 0..4 {
        let value = if round == 3 { "1" } else { "none" };
        ban_at(&store, &format!("obj.http.x-a == {value}"), at(now));
        let mut n = round;
        while store.lurk(150, at(now)) {
            now += [1, 64, 5000, 200_000][round];
            store.run_expiry(at(now));
            n += 97;
            let old = &objects[n % 4000];
            if old.is_stored() {
                let renewed =
                    store.refresh(old, old.head(), Times { response_time: at(now), ..ttl(100_000_000) }, None);
                objects[n % 4000] = renewed;
            }
        }
        assert_eq!(store.stats().bans, 0);
    }
    let left: Vec<_> = objects.iter().filter(|o| o.is_stored()).collect();
    assert!(left.len() > 100, "{}", left.len());
    let banned = left.iter().filter(|o| {
        ResponseHead::status_of(o.head()) == 200 && {
            let mut head = ResponseHead::default();
            head.decode(o.head());
            head.headers.get("x-a") == Some(b"1")
        }
    });
    assert_eq!(banned.count(), 0, "after the round the ban is forgotten, so none of these would ever go");
}
