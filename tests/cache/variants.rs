//! One URL, several answers: variants by Vary.

use super::{SOON, builder, crowd, front, front_with};
use copal_testkit::{Origin, Reply};

fn languages() -> Origin {
    Origin::start(|seen| {
        let language = seen.header("Accept-Language").unwrap_or("none").to_owned();
        Reply::ok(language).header("Vary", "Accept-Language").header("Cache-Control", "max-age=60")
    })
}

#[test]
fn each_variant_is_fetched_once_and_given_to_its_own() {
    let origin = languages();
    let proxy = front(&origin);
    let mut client = proxy.client();
    for _ in 0..3 {
        for language in ["de", "en", "fr"] {
            assert_eq!(client.get("/", &[("Accept-Language", language)]).text(), language);
        }
        assert_eq!(client.get("/", &[]).text(), "none");
    }
    assert_eq!((origin.count(), proxy.stat("objects"), proxy.stat("hits_fresh")), (4, 4, 8));
}

#[test]
fn those_who_wait_for_another_variant_get_their_own() {
    let origin = languages();
    let held = origin.hold("/");
    let proxy = front(&origin);
    let mut clients = crowd(&proxy, 1, "/");
    origin.wait_for(1, SOON);
    let languages = ["de", "en", "de", "en", "de"];
    for language in languages {
        let mut client = proxy.client();
        client.send("GET", "/", &[("Accept-Language", language)], b"");
        clients.push(client);
    }
    proxy.wait_stat("coalesce_waits", |n| n >= 5, SOON);
    held.release();
    let bodies: Vec<String> = clients.iter_mut().map(|client| client.read_response().text()).collect();
    assert_eq!(bodies, ["none", "de", "en", "de", "en", "de"]);
}

#[test]
fn vary_matches_the_request_as_the_policy_left_it() {
    let origin = languages();
    let policy = "fn recv(req) { req.http[\"accept-language\"] = if req.http[\"accept-language\"] == \"de-AT\" { \"de\" } else { \"en\" }; }";
    let proxy = builder(&origin, "").policy(policy).start();
    let mut client = proxy.client();
    for (sent, got) in [("de-AT", "de"), ("en-GB", "en"), ("fr", "en"), ("de-AT", "de")] {
        assert_eq!(client.get("/", &[("Accept-Language", sent)]).text(), got);
    }
    assert_eq!(origin.count(), 2);
}

#[test]
fn the_number_of_variants_is_bounded() {
    let origin = languages();
    let proxy = super::front_with(&origin, "[limits]\nvariants = 4");
    let mut client = proxy.client();
    for i in 0..20 {
        assert_eq!(client.get("/", &[("Accept-Language", &format!("l{i}"))]).text(), format!("l{i}"));
    }
    assert!(proxy.stat("objects") <= 4, "{}", proxy.stat("objects"));
}

#[test]
fn preferences_are_reduced_to_what_the_application_offers() {
    let origin = Origin::start(|seen| {
        let [coding, language] = ["Accept-Encoding", "Accept-Language"].map(|name| seen.header(name).unwrap_or("none"));
        Reply::ok(format!("{coding} {language}"))
            .header("Vary", "Accept-Encoding, Accept-Language")
            .header("Cache-Control", "max-age=60")
    });
    let proxy = front_with(&origin, "[cache]\nencodings = [\"br\", \"gzip\"]\nlanguages = [\"en\", \"de\"]");
    let mut client = proxy.client();
    for (coding, language, expected) in [
        ("gzip, deflate, br, zstd", "de-AT, de;q=0.9, en;q=0.5", "br de"),
        ("br", "DE", "br de"),
        ("x-gzip;q=0.5", "en-GB, de;q=0.3", "gzip en"),
        ("zstd", "fr", "identity none"),
        ("br;q=0, *;q=0", "en;q=0", "identity none"),
    ] {
        let response = client.get("/", &[("Accept-Encoding", coding), ("Accept-Language", language)]);
        assert_eq!(response.text(), expected, "{coding} | {language}");
    }
    assert_eq!(client.get("/", &[]).text(), "identity none");
    assert_eq!((origin.count(), proxy.stat("objects")), (3, 3));
}

#[test]
fn the_order_of_languages_counts_unless_the_owner_says_that_it_does_not() {
    for (toml, fetches) in [("", 2), ("[cache]\nvary_language = \"set\"", 1)] {
        let origin = Origin::start(|seen| {
            let language = seen.header("Accept-Language").unwrap_or("-").to_owned();
            Reply::ok(language).header("Cache-Control", "max-age=60").header("Vary", "Accept-Language")
        });
        let proxy = front_with(&origin, toml);
        for language in ["en, de", "de, en", "EN,de;q=1", "De;q=1.0,en"] {
            let page = copal_testkit::get(proxy.addr(), "/page", &[("Accept-Language", language)]);
            assert_eq!(page.status, 200);
        }
        assert_eq!(origin.count(), fetches, "{toml}");
    }
}
