//! The guide "From VCL to Rhai": no variable is forgotten, what it calls the same is there, and its code compiles.

use copal_policy::functions::{FUNCTIONS, On};
use copal_policy::{Action, Environment, Hook, ObjectVars, Policy, Scene, vars};
use copal_semantics::{RequestHead, ResponseHead};
use std::sync::Arc;

const GUIDE: &str = include_str!("../../../docs/guide/from-vcl.md");

/// The names in the reference of Varnish's trunk, `vcl_var.rst`: 163 entries, of which four are given for two versions.
const VCL: &str = "\
client.identity client.ip server.hostname server.identity server.ip remote.ip local.endpoint local.ip \
local.socket req req.backend_hint req.can_gzip req.esi req.esi_level req.filters req.grace req.hash \
req.hash_always_miss req.hash_ignore_busy req.hash_ignore_vary req.http.* req.http.content-length \
req.http.transfer-encoding req.is_hitmiss req.is_hitpass req.method req.proto req.restarts req.storage \
req.time req.trace req.transport req.max_age req.ttl req.url req.xid req_top.http.* req_top.method \
req_top.proto req_top.time req_top.url bereq bereq.backend bereq.between_bytes_timeout bereq.body \
bereq.connect_timeout bereq.filters bereq.first_byte_timeout bereq.hash bereq.http.* \
bereq.http.content-length bereq.http.transfer-encoding bereq.is_bgfetch bereq.is_hitmiss bereq.is_hitpass \
bereq.method bereq.proto bereq.retries bereq.retry_connect bereq.task_deadline bereq.time bereq.trace \
bereq.uncacheable bereq.url bereq.xid beresp beresp.age beresp.backend beresp.backend.ip beresp.backend.name \
beresp.body beresp.do_esi beresp.do_gunzip beresp.do_gzip beresp.do_stream beresp.filters beresp.grace \
beresp.http.* beresp.http.content-length beresp.http.transfer-encoding beresp.keep beresp.proto \
beresp.reason beresp.status beresp.storage beresp.storage_hint beresp.time beresp.transit_buffer beresp.ttl \
beresp.uncacheable beresp.was_304 obj_stale.age obj_stale.can_esi obj_stale.grace obj_stale.hits \
obj_stale.http.* obj_stale.keep obj_stale.proto obj_stale.reason obj_stale.status obj_stale.storage \
obj_stale.time obj_stale.ttl obj_stale.uncacheable obj_stale.is_valid obj.age obj.can_esi obj.grace obj.hits \
obj.http.* obj.keep obj.proto obj.reason obj.status obj.storage obj.time obj.ttl obj.uncacheable resp \
resp.body resp.do_esi resp.filters resp.http.* resp.http.content-length resp.http.transfer-encoding \
resp.is_streaming resp.proto resp.reason resp.status resp.time now sess.idle_send_timeout sess.send_timeout \
sess.timeout_idle sess.timeout_linger sess.xid storage.<name>.free_space storage.<name>.happy \
storage.<name>.used_space param.backend_idle_timeout param.backend_wait_limit param.backend_wait_timeout \
param.between_bytes_timeout param.connect_timeout param.default_grace param.default_keep param.default_ttl \
param.first_byte_timeout param.idle_send_timeout param.max_esi_depth param.max_restarts param.max_retries \
param.pipe_task_deadline param.pipe_timeout param.send_timeout param.shortlived param.timeout_idle \
param.transit_buffer param.uncacheable_ttl";

/// Every function of the VMODs that people port from: std, cookie, header, var, str, vsthrottle, bodyaccess, digest, purge,
/// xkey, directors.lookup, saintmode, accept, proxy, unix.
const VMODS: &str = "\
accept.rule bodyaccess.hash_req_body bodyaccess.len_req_body bodyaccess.log_req_body \
bodyaccess.rematch_req_body cookie.clean cookie.delete cookie.filter cookie.filter_re cookie.format_date \
cookie.get cookie.get_re cookie.get_string cookie.isset cookie.keep cookie.keep_re cookie.parse cookie.set \
digest.base64 digest.base64_decode digest.base64url digest.base64url_decode digest.base64url_nopad \
digest.hash_md5 digest.hash_sha1 digest.hash_sha256 digest.hash_sha512 digest.hmac_md5 digest.hmac_sha1 \
digest.hmac_sha256 directors.lookup header.append header.copy header.dyn header.get header.regsub \
header.remove proxy.alpn proxy.authority proxy.cert_key proxy.cert_sign proxy.client_cert_cn \
proxy.client_has_cert_conn proxy.client_has_cert_sess proxy.is_ssl proxy.ssl_cipher proxy.ssl_verify_result \
proxy.ssl_version purge.hard purge.soft saintmode.denylist saintmode.is_healthy saintmode.status std.ban \
std.ban_error std.blobread std.bytes std.cache_req_body std.collect std.duration std.file_exists std.fileread \
std.fnmatch std.getenv std.healthy std.integer std.ip std.late_100_continue std.log std.now std.port \
std.querysort std.random std.real std.rfc_ttl std.rollback std.round std.set_ip_tos std.strftime std.strstr \
std.syntax std.syslog std.time std.timed_call std.timestamp std.tolower std.toupper str.contains str.count \
str.endswith str.reverse str.split str.startswith str.take str.token_intersect unix.gid unix.group unix.uid \
unix.user var.clear var.get var.get_backend var.get_duration var.get_int var.get_ip var.get_real \
var.get_string var.global_get var.global_set var.set var.set_backend var.set_duration var.set_int var.set_ip \
var.set_real var.set_string vsthrottle.blocked vsthrottle.is_denied vsthrottle.remaining \
vsthrottle.remove_bucket vsthrottle.return_token xkey.purge xkey.softpurge";

/// The cells of the rows of a section.
fn rows(section: &str) -> Vec<Vec<String>> {
    let text = GUIDE.split(&format!("\n## {section}\n")).nth(1).expect("the guide has the section");
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

fn is_there(name: &str) -> bool {
    let (object, rest) = name.split_once('.').unwrap_or((name, ""));
    if rest.is_empty() {
        return vars::GLOBALS.iter().any(|g| g.0 == object) || vars::param_type(object) != vars::Type::Any;
    }
    let object = if object == "stale" { "obj" } else { object };
    let member = rest.split(['.', '[', ' ', '(']).next().unwrap_or(rest);
    vars::find(object, member).is_some()
}

fn is_method(name: &str) -> bool {
    let member = name.split_once('.').map_or(name, |(_, m)| m).split('(').next().unwrap_or(name);
    FUNCTIONS.iter().any(|f| matches!(f.on, On::Type(_)) && f.name == member)
}

#[test]
fn every_variable_of_vcl_is_there_or_the_guide_says_what_to_write() {
    let rows = rows("Every variable of VCL");
    let listed: Vec<&str> = rows.iter().map(|r| r[0].trim_matches('`')).collect();
    let wanted: Vec<&str> = VCL.split_whitespace().collect();
    assert_eq!((listed.len(), wanted.len()), (159, 159));
    for name in wanted {
        let row = rows.iter().find(|r| r[0] == format!("`{name}`")).unwrap_or_else(|| panic!("{name} is forgotten"));
        assert!(row[1].len() > 3, "{name}");
        if row[1].starts_with("the same") {
            assert!(is_there(name), "{name} is not there");
        } else {
            assert!(
                name.contains('<') || !is_there(name) || name.starts_with("beresp.backend."),
                "{name} is there: say so"
            );
        }
        for code in spans(&row[1]) {
            let object = code.split('.').next().unwrap_or(code);
            if code.contains('.') && (is_there(object) || object == "stale") {
                let last = code.split(" - ").last().unwrap_or(code);
                assert!(is_there(last) || is_method(last), "{name}: {code} is not there");
            }
        }
    }
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
    let run = ["The language", "Construct by construct"].into_iter().flat_map(rows).map(|row| (row, true));
    // What the functions of the VMODs are given is not in every request.
    let compiled = rows("Every function of the VMODs").into_iter().map(|row| (row, false));
    for (row, runs) in run.chain(compiled) {
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
            if runs {
                policy.call(hook, scene()).1.unwrap_or_else(|e| panic!("{code}\n{e}"));
            }
            here += 1;
        }
        assert!(here > 0, "no code for {hook:?}: {row:?}");
        ran += here;
    }
    assert!(ran > 90, "{ran}");
}

#[test]
fn the_keys_that_the_guide_names_for_backends_are_there() {
    let reference = include_str!("../../../docs/reference/config.md");
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
