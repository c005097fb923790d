//! Tests of the proxy fixture, with a shell script in the role of copal.

use super::*;

/// `sh serve …` runs the file "serve" in the directory of the test.
fn script(body: &str) -> Builder {
    let builder = Proxy::builder("sh");
    builder.dir.write("serve", body);
    builder
}

#[test]
fn the_address_is_read_from_the_line_that_names_it() {
    let addr = |text: &str| Some(text.parse::<SocketAddr>().unwrap());
    assert_eq!(listening_on("copal: listening on http://127.0.0.1:6081"), addr("127.0.0.1:6081"));
    assert_eq!(listening_on("copal: listening on https://[::1]:443/ (TLS)"), addr("[::1]:443"));
    assert_eq!(listening_on("copal: metrics on http://127.0.0.1:9090/metrics"), None);
    assert_eq!(listening_on("copal: listening on unix:/run/copal.sock"), None);
    assert_eq!(listening_on("copal: stopping"), None);
}

#[test]
fn a_proxy_gets_its_files_and_flags_and_ends_on_sigterm() {
    let builder = script(
        "echo \"args $*\"; cat copal.toml policy.rhai; echo 'copal: listening on http://127.0.0.1:4242' >&2\n\
         trap 'exit 7' TERM; while :; do sleep 0.01; done",
    );
    let origin = "127.0.0.1:9".parse().unwrap();
    let mut proxy = builder.config("# in {dir}\n").policy("// rules\n").to(origin).start();
    assert_eq!(proxy.addr().port(), 4242);
    let args = proxy.wait_log("args ");
    assert!(args.contains("args --config ") && args.contains("--listen 127.0.0.1:0 --admin unix:/"), "{args}");
    assert!(args.ends_with("policy.rhai --to 127.0.0.1:9"), "{args}");
    proxy.wait_log(&format!("# in {}", proxy.dir().path().display()));
    proxy.wait_log("// rules");
    assert!(proxy.rss_kib() > 0);
    assert_eq!(proxy.stop(PATIENCE).code(), Some(7));
}

#[test]
fn a_configuration_with_listeners_keeps_them() {
    let exited =
        script("echo \"$*\" >&2; exit 1").config("[[listen]]\naddress = \"127.0.0.1:0\"").try_start().unwrap_err();
    assert!(!exited.stderr.contains("--listen"), "{}", exited.stderr);
}

#[test]
fn a_proxy_that_ends_instead_of_listening_is_reported_with_what_it_said() {
    let exited = script("echo 'copal.toml:1:1: unknown key' >&2; exit 1").try_start().unwrap_err();
    assert_eq!(exited.status.and_then(|status| status.code()), Some(1));
    assert_eq!(exited.stderr, "copal.toml:1:1: unknown key");
}
