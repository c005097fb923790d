//! Warm restart: what is stored goes through a file from one process to the next, and a file that is not whole, or not ours,
//! leaves a cold proxy that says why.

use super::{COPAL, SOON};
use copal_testkit::{Origin, Proxy, Reply, Signal, TempDir, get, request, wait};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

/// An origin whose pages name themselves, carry a tag, and number the requests for them.
fn site() -> Origin {
    Origin::start(|seen| {
        let lang = seen.header("Accept-Language").unwrap_or("none").to_owned();
        let reply = Reply::ok(format!("{} for {lang}", seen.path)).header("Cache-Control", "max-age=600");
        let reply = reply.header("Cache-Tag", if seen.path.starts_with("/news") { "news" } else { "other" });
        match seen.path.as_str() {
            "/never" => Reply::ok("own").header("Cache-Control", "private"),
            "/short" => Reply::ok("short").header("Cache-Control", "max-age=5"),
            path if path.starts_with("/lang") => reply.header("Vary", "Accept-Language"),
            _ => reply,
        }
    })
}

/// Where the file is that outlives the processes.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(TempDir::new())
    }

    fn file(&self, end: &str) -> PathBuf {
        self.0.join(&format!("store{end}"))
    }

    fn start(&self, origin: &Origin) -> Proxy {
        self.start_with(origin, "")
    }

    fn start_with(&self, origin: &Origin, more: &str) -> Proxy {
        let toml = format!(
            "[cache]\nstale_if_error = \"0s\"\nkeep = \"0s\"\n[acl]\nall = [\"127.0.0.0/8\"]\n[purge]\nacl = \"all\"\nprotocols = [\"purge\", \"ban\", \"xkey\"]\n\
             [backend.app]\naddress = \"{}\"\n[snapshot]\nfile = \"{}\"\n{more}",
            origin.addr(),
            self.file("").display()
        );
        Proxy::builder(COPAL).config(&toml).start()
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn loaded(proxy: &Proxy) {
    proxy.wait_stat("snapshot_loading", |n| n == 0, SOON);
}

fn is_hit(proxy: &Proxy, path: &str, headers: &[(&str, &str)]) -> bool {
    get(proxy.addr(), path, headers).header("Cache-Status").unwrap().contains("copal; hit")
}

fn copal(proxy: &Proxy, args: &[&str]) -> Output {
    Command::new(COPAL).args(args).arg("--admin").arg(format!("unix:{}", proxy.admin().display())).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_restart_keeps_objects_variants_tags_bans_and_their_ages() {
    let (origin, place) = (site(), Place::new());
    let mut proxy = place.start(&origin);
    for path in ["/page", "/news/1", "/news/2", "/never", "/gone"] {
        let _page = get(proxy.addr(), path, &[]);
    }
    for lang in ["de", "en"] {
        let _page = get(proxy.addr(), "/lang", &[("Accept-Language", lang)]);
    }
    copal(&proxy, &["ban", "req.url == /gone"]);
    let _page = get(proxy.addr(), "/short", &[]);
    let before = origin.count();
    assert!(proxy.stop(SOON).success());
    proxy.wait_log("snapshot written: 7 objects");
    assert_eq!(place.files(), ["store"]);
    assert_eq!(
        fs::metadata(place.file("")).unwrap().permissions().mode() & 0o777,
        0o600,
        "it holds what visitors were sent"
    );
    // Ages count the time while nothing ran, and what lived for five seconds is dead.
    std::thread::sleep(Duration::from_millis(5_100));

    let proxy = place.start(&origin);
    proxy.wait_log("snapshot of ");
    loaded(&proxy);
    assert_eq!((proxy.stat("snapshot_objects_loaded"), proxy.stat("snapshot_objects_left_out")), (6, 1));
    assert!(place.files().is_empty(), "a snapshot is used once");
    let page = get(proxy.addr(), "/page", &[]);
    assert_eq!(page.text(), "/page for none");
    let age: u32 = page.header("Age").unwrap().parse().unwrap();
    assert!((5..60).contains(&age), "{age}");
    assert!(is_hit(&proxy, "/lang", &[("Accept-Language", "de")]));
    assert_eq!(get(proxy.addr(), "/lang", &[("Accept-Language", "en")]).text(), "/lang for en");
    assert_eq!(origin.count(), before, "nothing was fetched again");
    assert!(!is_hit(&proxy, "/gone", &[]), "banned before the restart");
    assert!(!is_hit(&proxy, "/lang", &[("Accept-Language", "fr")]));
    assert!(!is_hit(&proxy, "/short", &[]));
    assert_eq!(text(&copal(&proxy, &["tag", "purge", "news"]).stdout), "2 objects purged\n");
    assert!(!is_hit(&proxy, "/news/1", &[]));
}

#[test]
fn requests_are_served_while_it_is_loaded_and_purges_reach_what_is_still_to_come() {
    let place = Place::new();
    let body = "x".repeat(40_000);
    let origin = Origin::start(move |seen| {
        let reply = Reply::ok(body.clone()).header("Cache-Control", "max-age=600");
        if seen.path.ends_with('7') { reply.header("Cache-Tag", "seven") } else { reply }
    });
    let mut proxy = place.start(&origin);
    let mut client = proxy.client();
    for n in 0..60 {
        client.get(&format!("/{n}"), &[]);
    }
    proxy.stop(SOON);
    // 2.4 MB twice, for the check and for the load, at 1 MB a second.
    let proxy = place.start_with(&origin, "rate = \"1MB\"");
    assert_eq!(proxy.stat("snapshot_loading"), 1);
    assert_eq!(get(proxy.addr(), "/served", &[]).status, 200);
    let purged = request(proxy.addr(), "PURGE", "/3", &[], b"");
    assert_eq!(purged.status, 200);
    copal(&proxy, &["tag", "purge", "seven"]);
    copal(&proxy, &["ban", "req.url == /5"]);
    let refused = copal(&proxy, &["snapshot"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("is still being loaded"), "{}", text(&refused.stderr));
    assert_eq!(proxy.stat("snapshot_loading"), 1, "all of this was done while it was loading");
    loaded(&proxy);
    let left = proxy.stat("snapshot_objects_left_out");
    assert_eq!((proxy.stat("snapshot_objects_loaded"), left), (53, 7));
    for (path, there) in [("/3", false), ("/5", false), ("/7", false), ("/57", false), ("/4", true), ("/56", true)] {
        assert_eq!(is_hit(&proxy, path, &[]), there, "{path}");
    }
}

#[test]
fn on_command_it_is_written_and_goes_on_to_be_valid_through_purges_and_a_crash() {
    let (origin, place) = (site(), Place::new());
    let mut proxy = place.start(&origin);
    for path in ["/page", "/purged", "/news/1", "/banned"] {
        let _page = get(proxy.addr(), path, &[]);
    }
    let said = copal(&proxy, &["snapshot", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((report["objects"].as_u64(), said.status.code()), (Some(4), Some(0)));
    assert_eq!(report["bytes"].as_u64(), Some(fs::metadata(place.file("")).unwrap().len()));
    let journal = place.file(".since");
    let begun = fs::metadata(&journal).unwrap().len();
    let _purged = request(proxy.addr(), "PURGE", "/purged", &[], b"");
    copal(&proxy, &["tag", "purge", "news"]);
    copal(&proxy, &["ban", "req.url == /banned"]);
    // Records of 40, 25 and 32 bytes or so.
    let three = wait::poll(SOON, || (fs::metadata(&journal).unwrap().len() > begun + 80).then_some(()));
    assert!(three.is_some(), "the journal has the three: {}, {begun} before", fs::metadata(&journal).unwrap().len());
    proxy.signal(Signal::Kill);
    proxy.wait_exit(SOON);

    let proxy = place.start(&origin);
    proxy.wait_log("snapshot of ");
    loaded(&proxy);
    for (path, there) in [("/page", true), ("/purged", false), ("/news/1", false), ("/banned", false)] {
        assert_eq!(is_hit(&proxy, path, &[]), there, "{path}");
    }
    // Killed again: what was loaded has been purged in part since, so the old file must not be found.
    drop(proxy);
    let proxy = place.start(&origin);
    assert!(!is_hit(&proxy, "/page", &[]));
}

#[test]
fn what_is_not_whole_or_not_ours_leaves_a_cold_proxy_that_says_why() {
    let (origin, place) = (site(), Place::new());
    let mut proxy = place.start(&origin);
    let _page = get(proxy.addr(), "/page", &[]);
    let _page = get(proxy.addr(), "/lang", &[("Accept-Language", "de")]);
    proxy.stop(SOON);
    let whole = fs::read(place.file("")).unwrap();
    let cold = |bytes: &[u8], why: &str| {
        fs::write(place.file(""), bytes).unwrap();
        let proxy = place.start(&origin);
        loaded(&proxy);
        let line = proxy.wait_log("starting cold");
        assert!(line.contains(why), "{why}: {line}");
        assert_eq!((proxy.stat("snapshot_objects_loaded"), proxy.stat("snapshots_refused")), (0, 1), "{why}");
        assert!(!is_hit(&proxy, "/page", &[]), "{why}");
        assert_eq!(get(proxy.addr(), "/page", &[]).text(), "/page for none");
        assert_eq!(fs::read(place.file(".refused")).unwrap(), bytes, "{why}: it is kept to be looked at");
        assert_eq!(place.files(), ["store.refused"]);
    };
    for end in [0, 5, 11, 12, 40, whole.len() / 2, whole.len() - 1] {
        cold(&whole[..end], &format!("cut off after {end} bytes"));
    }
    for at in [14, 30, whole.len() / 2, whole.len() - 2] {
        let mut harmed = whole.clone();
        harmed[at] ^= 4;
        cold(&harmed, "it ");
    }
    let mut other = whole.clone();
    other[8] = 9;
    cold(&other, "it has format 9, and this version of Copal reads format");
    cold(b"#!/bin/sh\necho hello, I am somebody else\n", "it is no snapshot of Copal");
    cold(&[&whole[..], b"more"].concat(), "something follows the end");
    // And the whole one is still good.
    fs::write(place.file(""), &whole).unwrap();
    let proxy = place.start(&origin);
    proxy.wait_log("snapshot of ");
    assert!(is_hit(&proxy, "/page", &[]));
}

#[test]
fn without_the_whole_of_its_journal_a_snapshot_is_not_used() {
    let (origin, place) = (site(), Place::new());
    let mut proxy = place.start(&origin);
    for path in ["/page", "/purged"] {
        let _page = get(proxy.addr(), path, &[]);
    }
    copal(&proxy, &["snapshot"]);
    let journal = place.file(".since");
    let begun = fs::metadata(&journal).unwrap().len();
    let _purged = request(proxy.addr(), "PURGE", "/purged", &[], b"");
    let written = wait::poll(SOON, || (fs::metadata(&journal).unwrap().len() > begun).then_some(()));
    assert!(written.is_some(), "the purge is in the journal");
    proxy.signal(Signal::Kill);
    proxy.wait_exit(SOON);
    let (whole, since) = (fs::read(place.file("")).unwrap(), fs::read(&journal).unwrap());
    let refused = |journal: Option<&[u8]>, why: &str| {
        fs::write(place.file(""), &whole).unwrap();
        match journal {
            Some(bytes) => fs::write(place.file(".since"), bytes).unwrap(),
            None => fs::remove_file(place.file(".since")).unwrap(),
        }
        let proxy = place.start(&origin);
        let line = proxy.wait_log("starting cold");
        assert!(line.contains(why), "{why}: {line}");
        loaded(&proxy);
        assert_eq!((proxy.stat("snapshot_objects_loaded"), proxy.stat("snapshots_refused")), (0, 1), "{why}");
        assert!(!is_hit(&proxy, "/purged", &[]) && !is_hit(&proxy, "/page", &[]), "{why}");
        assert_eq!(place.files(), ["store.refused"], "{why}");
    };
    refused(None, "No such file");
    refused(Some(&since[..5]), "cut off");
    refused(Some(&since[..since.len() - 1]), "cut off");
    refused(Some(&whole), "the journal holds what is no purge");
    refused(Some(b"#!/bin/sh\necho hello\n"), "it is no snapshot of Copal");
    let mut harmed = since.clone();
    *harmed.last_mut().unwrap() ^= 1;
    refused(Some(&harmed), "it ");
    // And the whole one is still good.
    fs::write(place.file(""), &whole).unwrap();
    fs::write(&journal, &since).unwrap();
    let proxy = place.start(&origin);
    proxy.wait_log("snapshot of ");
    loaded(&proxy);
    assert!(is_hit(&proxy, "/page", &[]) && !is_hit(&proxy, "/purged", &[]));
}

#[test]
fn killed_while_it_writes_another_it_does_not_go_back_to_the_one_before() {
    let place = Place::new();
    let body = "x".repeat(100_000);
    let origin = Origin::start(move |_| Reply::ok(body.clone()).header("Cache-Control", "max-age=600"));
    let mut proxy = place.start_with(&origin, "rate = \"1MB\"");
    let mut client = proxy.client();
    for n in 0..20 {
        client.get(&format!("/{n}"), &[]);
    }
    copal(&proxy, &["snapshot"]);
    assert_eq!(place.files(), ["store", "store.since"]);
    let admin = format!("unix:{}", proxy.admin().display());
    let mut command = Command::new(COPAL).args(["snapshot", "--admin", &admin]).spawn().unwrap();
    writing(&place);
    let _purged = request(proxy.addr(), "PURGE", "/3", &[], b"");
    proxy.signal(Signal::Kill);
    proxy.wait_exit(SOON);
    command.wait().unwrap();
    assert_eq!(place.files(), ["store.new"], "the one before lacks the purge, and has no journal that would have it");
    let proxy = place.start(&origin);
    assert!(proxy.wait_log("starting cold").contains("was never finished"));
    assert_eq!(proxy.stat("objects"), 0);
    assert!(!is_hit(&proxy, "/3", &[]) && !is_hit(&proxy, "/4", &[]));
}

#[test]
fn other_settings_of_variants_make_it_another_ones() {
    let (origin, place) = (site(), Place::new());
    let mut proxy = place.start(&origin);
    let _page = get(proxy.addr(), "/lang", &[("Accept-Language", "de, en")]);
    proxy.stop(SOON);
    let toml = format!(
        "[cache]\nvary_language = \"set\"\n[backend.app]\naddress = \"{}\"\n[snapshot]\nfile = \"{}\"\n",
        origin.addr(),
        place.file("").display()
    );
    let proxy = Proxy::builder(COPAL).config(&toml).start();
    let line = proxy.wait_log("starting cold");
    assert!(
        line.contains("it was written with vary_language = \"ordered\", and now there is vary_language = \"set\""),
        "{line}"
    );
}

#[test]
fn killed_while_it_writes_it_starts_cold_and_says_why() {
    let place = Place::new();
    let body = "x".repeat(100_000);
    let origin = Origin::start(move |_| Reply::ok(body.clone()).header("Cache-Control", "max-age=600"));
    let mut proxy = place.start_with(&origin, "rate = \"1MB\"");
    let mut client = proxy.client();
    for n in 0..40 {
        client.get(&format!("/{n}"), &[]);
    }
    // On command, and at the end of the process: 4 MB at 1 MB a second.
    for by_signal in [false, true] {
        if by_signal {
            proxy.signal(Signal::Term);
        } else {
            let admin = format!("unix:{}", proxy.admin().display());
            let mut command = Command::new(COPAL).args(["snapshot", "--admin", &admin]).spawn().unwrap();
            writing(&place);
            let busy = copal(&proxy, &["snapshot"]);
            assert!(text(&busy.stderr).contains("a snapshot is being written already"), "{}", text(&busy.stderr));
            assert_eq!(get(proxy.addr(), "/0", &[]).status, 200, "and requests are served");
            proxy.signal(Signal::Kill);
            command.wait().unwrap();
        }
        writing(&place);
        proxy.signal(Signal::Kill);
        proxy.wait_exit(SOON);
        assert_eq!(place.files(), ["store.new"], "nothing stands under the name that is whole");
        proxy = place.start_with(&origin, "rate = \"1MB\"");
        let line = proxy.wait_log("starting cold");
        assert!(line.contains("was never finished"), "{line}");
        assert_eq!((proxy.stat("objects"), proxy.stat("snapshots_refused")), (0, 1));
        assert!(place.files().is_empty());
        let mut client = proxy.client();
        for n in 0..40 {
            client.get(&format!("/{n}"), &[]);
        }
    }
}

fn writing(place: &Place) {
    let some = wait::poll(SOON, || fs::metadata(place.file(".new")).ok().filter(|m| m.len() > 500_000));
    assert!(some.is_some(), "it is being written: {:?}", place.files());
}

#[test]
fn killed_while_it_loads_it_starts_cold() {
    let place = Place::new();
    let body = "x".repeat(100_000);
    let origin = Origin::start(move |_| Reply::ok(body.clone()).header("Cache-Control", "max-age=600"));
    let mut proxy = place.start(&origin);
    let mut client = proxy.client();
    for n in 0..40 {
        client.get(&format!("/{n}"), &[]);
    }
    proxy.stop(SOON);
    let mut proxy = place.start_with(&origin, "rate = \"1MB\"");
    assert_eq!(proxy.stat("snapshot_loading"), 1);
    assert_eq!(place.files(), ["store.loading"]);
    proxy.signal(Signal::Kill);
    proxy.wait_exit(SOON);
    let mut proxy = place.start(&origin);
    let line = proxy.wait_log("starting cold");
    assert!(line.contains("was in use when the process ended"), "{line}");
    assert_eq!(proxy.stat("objects"), 0);
    // Told to end in order while it loads: it does not wait for that.
    proxy.stop(SOON);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_said_and_harms_nobody() {
    let (origin, place) = (site(), Place::new());
    let mut proxy = place.start(&origin);
    let _page = get(proxy.addr(), "/page", &[]);
    // Root writes to everything: a folder in the way stops also root.
    fs::create_dir(place.file(".new")).unwrap();
    let said = copal(&proxy, &["snapshot"]);
    assert!(text(&said.stderr).contains("cannot write the snapshot"), "{}", text(&said.stderr));
    assert_eq!(proxy.stat("snapshots_failed"), 1);
    assert!(is_hit(&proxy, "/page", &[]));
    fs::remove_dir(place.file(".new")).unwrap();
    assert!(proxy.stop(SOON).success());
    assert_eq!(place.files(), ["store"]);
}

#[test]
fn without_a_file_the_command_says_what_to_configure() {
    let proxy = super::front(&site());
    let said = copal(&proxy, &["snapshot"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(
        text(&said.stderr).contains("add `[snapshot] file = \"PATH\"` to the configuration"),
        "{}",
        text(&said.stderr)
    );
}

#[test]
fn with_on_drain_off_nothing_is_written_at_the_end_and_what_was_written_on_command_stays_valid() {
    let (origin, place) = (site(), Place::new());
    let mut proxy = place.start_with(&origin, "on_drain = false");
    let _page = get(proxy.addr(), "/page", &[]);
    let _page = get(proxy.addr(), "/late", &[]);
    copal(&proxy, &["snapshot"]);
    let _purged = request(proxy.addr(), "PURGE", "/late", &[], b"");
    proxy.stop(SOON);
    assert_eq!(place.files(), ["store", "store.since"]);
    let mut proxy = place.start_with(&origin, "on_drain = false");
    proxy.wait_log("snapshot of ");
    assert!(is_hit(&proxy, "/page", &[]));
    assert!(!is_hit(&proxy, "/late", &[]));
    proxy.stop(SOON);
    assert!(place.files().is_empty());
}
