//! The guide "From VCL to Rhai": nothing is forgotten, what it calls the same is there, and its code runs.

mod variables;

use copal_policy::{Action, Environment, Hook, ObjectVars, Policy, Scene};
use copal_semantics::{RequestHead, ResponseHead};
use std::sync::Arc;

const GUIDE: &str = include_str!("../../../../docs/guide/from-vcl.md");

/// Every function of the VMODs that people port from: std, cookie, header, var, str, vsthrottle, bodyaccess, digest, blob, purge,
/// xkey, directors, saintmode, accept, proxy, unix, tcp, h2.
const VMODS: &str = "\
accept.rule blob.blob blob.decode blob.encode blob.equal blob.length blob.same blob.sub blob.transcode \
bodyaccess.hash_req_body bodyaccess.len_req_body bodyaccess.log_req_body bodyaccess.rematch_req_body \
cookie.clean cookie.delete cookie.filter cookie.filter_re cookie.format_date cookie.get cookie.get_re \
cookie.get_string cookie.isset cookie.keep cookie.keep_re cookie.parse cookie.set digest.base64 \
digest.base64_decode digest.base64_hex digest.base64url digest.base64url_decode digest.base64url_hex \
digest.base64url_nopad digest.base64url_nopad_decode digest.base64url_nopad_hex digest.hash_adler32 \
digest.hash_crc32 digest.hash_crc32b digest.hash_gost digest.hash_haval128 digest.hash_haval160 \
digest.hash_haval192 digest.hash_haval224 digest.hash_haval256 digest.hash_md2 digest.hash_md4 \
digest.hash_md5 digest.hash_ripemd128 digest.hash_ripemd160 digest.hash_ripemd256 digest.hash_ripemd320 \
digest.hash_sha1 digest.hash_sha224 digest.hash_sha256 digest.hash_sha384 digest.hash_sha512 \
digest.hash_snefru128 digest.hash_snefru256 digest.hash_tiger digest.hash_tiger128 digest.hash_tiger160 \
digest.hash_whirlpool digest.hmac_md5 digest.hmac_sha1 digest.hmac_sha256 digest.version directors.fallback \
directors.hash directors.lookup directors.random directors.round_robin directors.shard directors.shard_param \
h2.is h2.rapid_reset h2.rapid_reset_budget h2.rapid_reset_limit h2.rapid_reset_period header.append \
header.copy header.dyn header.get header.regsub header.remove proxy.alpn proxy.authority proxy.cert_key \
proxy.cert_sign proxy.client_cert_cn proxy.client_has_cert_conn proxy.client_has_cert_sess proxy.is_ssl \
proxy.ssl_cipher proxy.ssl_verify_result proxy.ssl_version purge.hard purge.soft saintmode.blacklist \
saintmode.blacklist_count saintmode.denylist saintmode.denylist_count saintmode.is_healthy \
saintmode.saintmode saintmode.status std.ban std.ban_error std.blobread std.bytes std.cache_req_body \
std.collect std.duration std.file_exists std.fileread std.fnmatch std.getenv std.healthy std.integer std.ip \
std.late_100_continue std.log std.now std.port std.querysort std.random std.real std.real2integer \
std.real2time std.rfc_ttl std.rollback std.round std.set_ip_tos std.strftime std.strstr std.syntax \
std.syslog std.time std.time2integer std.time2real std.timed_call std.timestamp std.tolower std.toupper \
str.contains str.count str.endswith str.reverse str.split str.startswith str.take str.token_intersect \
tcp.congestion_algorithm tcp.dump_info tcp.get_estimated_rtt tcp.set_socket_pace unix.gid unix.group \
unix.uid unix.user var.clear var.get var.get_backend var.get_duration var.get_int var.get_ip var.get_real \
var.get_string var.global_get var.global_set var.set var.set_backend var.set_duration var.set_int var.set_ip \
var.set_real var.set_string vsthrottle.blocked vsthrottle.is_denied vsthrottle.remaining \
vsthrottle.remove_bucket vsthrottle.return_token xkey.purge xkey.softpurge";

/// The cells of the rows of a section.
fn rows(section: &str) -> Vec<Vec<String>> {
    let text = GUIDE.split(&format!("# {section}\n")).nth(1).expect("the guide has the section");
    let text = text.split("\n## ").next().unwrap_or(text);
    let text = text.split("\n### ").next().unwrap_or(text);
    let cells = |line: &str| {
        let line = line.replace("\\|", "\u{1}");
        line.trim_matches('|').split('|').map(|c| c.trim().replace('\u{1}', "|")).collect::<Vec<_>>()
    };
    text.lines().filter(|l| l.starts_with("| ")).skip(1).map(cells).collect()
}

/// The code spans of a cell, of one or two backquotes.
fn spans(cell: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), cell);
    while let Some(start) = rest.find('`') {
        let ticks = if rest[start..].starts_with("``") { "``" } else { "`" };
        let code = &rest[start + ticks.len()..];
        let end = code.find(ticks).unwrap_or_else(|| panic!("a span that does not end: {cell}"));
        found.push(code[..end].trim());
        rest = &code[end + ticks.len()..];
    }
    found
}

/// What a hook of the guide may find.
fn scene() -> Box<Scene> {
    let mut s = Box::<Scene>::default();
    let fields = [("Host", "shop.example"), ("X-A", "1"), ("X-B", "2"), ("Cookie", "a=1"), ("Accept", "*/*")];
    s.req = RequestHead::get("/a/b?c=d", fields);
    s.bereq = s.req.clone();
    s.beresp = ResponseHead::new(200, [("X-Ttl", "60s"), ("Set-Cookie", "a=1")]);
    s.resp = s.beresp.clone();
    s.obj = Some(ObjectVars::default());
    s
}

#[test]
fn every_function_of_the_vmods_has_a_row() {
    let rows = rows("Every function of the VMODs");
    let name = |cell: &str| cell.trim_matches('`').split('(').next().unwrap_or_default().to_owned();
    let listed: Vec<String> = rows.iter().map(|row| name(&row[0])).collect();
    let wanted: Vec<&str> = VMODS.split_whitespace().collect();
    for one in &wanted {
        assert_eq!(listed.iter().filter(|l| l == one).count(), 1, "{one}");
    }
    assert_eq!(listed.len(), wanted.len());
    assert!(rows.iter().all(|row| row[1].len() > 3 && (row[1].starts_with("nothing: ") || row[1].contains('`'))));
}

#[test]
fn the_code_of_the_guide_runs() {
    let env = Arc::new(Environment {
        acls: [("purgers".to_owned(), copal_policy::Acl::default())].into(),
        backends: vec!["app1".into()],
        directors: vec!["app".into()],
        policies: vec!["shop".into()],
        ..Environment::default()
    });
    let mut ran = 0;
    let sections =
        ["The language", "The built-in subroutines", "Construct by construct", "Every function of the VMODs"];
    for row in sections.into_iter().flat_map(rows) {
        let [_, code, hook] = row.as_slice() else { panic!("{row:?}") };
        let Some(hook) = Hook::by_name(hook) else {
            assert_eq!(hook, "–", "{row:?}");
            continue;
        };
        let mut here = 0;
        // Words and bare names stand in code spans, too; statements end in `;` or `}`.
        for code in spans(code).into_iter().filter(|c| c.ends_with([';', '}'])) {
            let text = format!("fn {}({}) {{\n{code}\n}}", hook.name(), hook.row().params.join(", "));
            let policy = Policy::compile("guide.rhai", &text, Arc::clone(&env)).unwrap_or_else(|e| panic!("{e}"));
            policy.call(hook, scene()).1.unwrap_or_else(|e| panic!("{code}\n{e}"));
            here += 1;
        }
        assert!(here > 0, "no code for {hook:?}: {row:?}");
        ran += here;
    }
    assert!(ran > 90, "{ran}");
}

/// What each subroutine of VCL may return, as `vcl_step.rst` of Varnish's trunk lists it.
const STEPS: [(&str, &str); 13] = [
    ("recv", "fail synth restart pass pipe hash purge vcl"),
    ("pipe", "fail synth pipe"),
    ("pass", "fail synth restart fetch"),
    ("hash", "fail lookup"),
    ("purge", "fail synth restart"),
    ("miss", "fail synth restart pass fetch"),
    ("hit", "fail synth restart pass deliver"),
    ("deliver", "fail synth restart deliver"),
    ("synth", "fail restart deliver"),
    ("backend_fetch", "fail abandon fetch error"),
    ("backend_refresh", "merge obj_stale beresp fail abandon retry error"),
    ("backend_response", "fail abandon deliver retry pass(duration) error"),
    ("backend_error", "fail abandon deliver retry"),
];

#[test]
fn a_hook_may_return_all_that_its_subroutine_may() {
    let mut tried = 0;
    let env = Arc::new(Environment { policies: vec!["shop".into()], ..Environment::default() });
    for (name, actions) in STEPS {
        let hook = Hook::by_name(name).expect("a hook");
        for action in actions.split(' ') {
            let code = match action {
                "hash" => "lookup()",
                "vcl" => "policy(\"shop\")",
                "synth" => "synth(404)",
                "obj_stale" => "keep_stale()",
                "beresp" => "use_new()",
                "pass(duration)" => "pass(duration(\"1m\"))",
                same => &format!("{same}()"),
            };
            let once = if name.starts_with("backend") { "bereq.retries" } else { "req.restarts" };
            let params = hook.row().params.join(", ");
            let text = format!("fn {name}({params}) {{ if {once} == 0 {{ return {code}; }} }}");
            let policy = Policy::compile("step.rhai", &text, Arc::clone(&env)).unwrap_or_else(|e| panic!("{e}"));
            assert_ne!(policy.call(hook, scene()).1, Ok(Action::Default), "{text}");
            tried += 1;
        }
    }
    assert_eq!(tried, 58);
}

#[test]
fn the_keys_that_the_guide_names_for_backends_are_there() {
    let reference = include_str!("../../../../docs/reference/config.md");
    let (_, table) = GUIDE.split_once("### Backends, probes and ACLs").expect("the guide has it");
    let mut keys = 0;
    for line in table.lines().skip_while(|l| !l.starts_with('|')).take_while(|l| l.starts_with('|')).skip(2) {
        let cell = line.trim_matches('|').split('|').nth(1).expect("two columns");
        for code in spans(cell) {
            let key = code.split([' ', '=']).next().unwrap_or(code);
            if key.starts_with(|c: char| c.is_ascii_lowercase()) && key != "return" && key != "purgers" {
                let known = [format!("backend.NAME.{key}`"), format!("backend.NAME.probe.{key}`")];
                assert!(key == "probe" || known.iter().any(|k| reference.contains(k)), "{key}");
                keys += 1;
            }
        }
    }
    assert!(keys > 8, "{keys}");
}

#[test]
fn a_subroutine_that_ends_the_request_is_written_as_the_guide_says() {
    let row = rows("The language").into_iter().find(|row| row[1].contains("fn guard(req)")).expect("the guide has it");
    let code = spans(&row[1]);
    let text = format!("{}\nfn recv(req) {{\n{}\n}}", code[0], code[1]);
    let policy = Policy::compile("guide.rhai", &text, Arc::default()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(policy.call(Hook::Recv, scene()).1, Ok(Action::Pass));
    assert_eq!(policy.call(Hook::Recv, Box::default()).1, Ok(Action::Default));
}

#[test]
fn the_check_says_of_every_function_of_the_vmods_what_the_guide_says() {
    let mut told = 0;
    for row in GUIDE[GUIDE.find("## Every function of the VMODs").expect("a section")..].lines() {
        let Some((name, rest)) = row.strip_prefix("| `").and_then(|r| r.split_once('(')) else { continue };
        let (Some((module, function)), Some(cells)) = (name.split_once('.'), rest.split_once(" | ")) else { continue };
        let text = cells.1.rsplit_once(" | ").expect("three cells").0.replace("\\|", "|");
        let source = format!("fn recv(req) {{ {module}::{function}(1); }}");
        let Err(found) = Policy::compile("p", &source, Arc::default()) else { continue };
        let Some(help) = found.list.iter().find_map(|d| {
            d.help
                .as_ref()
                .filter(|_| d.message.contains("there is no module") || d.message.contains("has no function"))
        }) else {
            continue;
        };
        assert_eq!(*help, format!("for `{name}`: {text}"));
        told += 1;
    }
    assert!(told > 70, "{told}");
}
