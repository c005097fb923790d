//! The functions of the VMODs, one by one, and what to write instead. The guide says the same: a test compares.

use std::borrow::Cow;

/// Name and what to write, as in the table of the guide.
#[rustfmt::skip]
pub(super) const VMODS: [(&str, &str); 182] = [
    ("std.random", "`let n = std::random(1, 10); std::log(n);`"),
    ("std.round", "`let n = (1.5).round(); std::log(n);`"),
    ("std.collect", "`let line = req.http.collect(\"accept\"); let other = req.http.collect(\"x-a\", \"; \");`"),
    ("std.querysort", "`req.url = query::sort(req.url);`"),
    ("std.toupper", "`req.http.x_a = std::toupper(req.http.x_a ?? \"\");`"),
    ("std.tolower", "`req.http.host = std::tolower(req.http.host ?? \"\");`"),
    ("std.strstr", "`if req.url.contains(\"/x/\") { std::log(req.url.sub_string(req.url.index_of(\"/x/\"))); }`"),
    ("std.fnmatch", "`if std::fnmatch(\"/*/*.css\", req.url) { return lookup(); }`; `pathname` is `true` unless said otherwise; `noescape` and `period` are not there"),
    ("std.fileread", "`std::file(\"lists/bots.txt\")`: beside the policy, read when it is loaded"),
    ("std.blobread", "`std::file(\"lists/bots.txt\")`: texts only"),
    ("std.file_exists", "`if std::file_exists(\"lists/maintenance.txt\") { return synth(503); }`: as it was when the policy was loaded"),
    ("std.healthy", "`if !std::healthy(\"app\") { req.grace = duration(\"1d\"); }`"),
    ("std.port", "`if client.port < 1024 { return fail(); }`"),
    ("std.duration", "`req.grace = duration(req.http.x_grace, duration(\"10s\"));`"),
    ("std.bytes", "`if bytes(req.http.x_size, 0) > 1000 { return pass(); }`"),
    ("std.integer", "`if std::integer(req.http.x_n, 0) > 5 { return pass(); }`"),
    ("std.ip", "`if std::ip(req.http.x_real_ip, client.ip).within(\"purgers\") { return purge(); }`; names are not looked up, a port is left out"),
    ("std.real", "`if std::real(req.http.x_n, 0.0) > 0.5 { return pass(); }`"),
    ("std.time", "`if std::time(req.http.x_until, now) < now { return synth(410); }`: dates of HTTP, `1994-11-06T08:49:37` and seconds"),
    ("std.real2integer", "`let n = (1.7).to_int(); std::log(n);`"),
    ("std.real2time", "`std::log(std::time(\"784111777.5\", now));`"),
    ("std.time2integer", "`let n = now.unix().to_int(); std::log(n);`; so `std.integer(time = now)`"),
    ("std.time2real", "`std::log(now.unix());`; so `std.real(time = now)`; of a length `duration(\"1m\").seconds()`"),
    ("std.strftime", "`req.http.x_day = std::strftime(now, \"%F\");`"),
    ("std.log", "`std::log(\"x: \" + req.url);`"),
    ("std.syslog", "`std::log(\"x: \" + req.url);`: the access log has it, in its JSON format; a hook writes to no other place"),
    ("std.timestamp", "``std::log(`at ${now.unix()}`);``"),
    ("std.syntax", "nothing: there is one syntax"),
    ("std.getenv", "`req.http.x_a = std::getenv(\"X\");`"),
    ("std.cache_req_body", "`if !std::cache_req_body(\"64KiB\") { return synth(413); }`"),
    ("std.late_100_continue", "nothing: the 100 is sent when the body is first read, by a fetch or by `std::cache_req_body`"),
    ("std.set_ip_tos", "nothing: a socket option of a connection that other requests share; the network can mark by port"),
    ("std.rollback", "`std::rollback();` in the hooks of the client; `bereq` cannot be rolled back"),
    ("std.ban", "`if !ban(\"obj.http.x-type == html\") { return synth(400, ban_error()); }`"),
    ("std.ban_error", "`if !ban(req.http.x_ban ?? \"\") { std::log(ban_error()); }`"),
    ("std.now", "`req.vars[\"start\"] = now;`: the time is the same within one hook"),
    ("std.timed_call", "nothing: `copal explain` times what a request does"),
    ("std.rfc_ttl", "nothing: `beresp.ttl` has what the rules say before `backend_response` runs"),
    ("cookie.parse", "nothing: `req.cookie` is a view of the header"),
    ("cookie.get_string", "nothing: the header follows"),
    ("cookie.clean", "`req.http.remove(\"cookie\");`"),
    ("cookie.delete", "`req.cookie.remove(\"a\");`"),
    ("cookie.filter", "`req.cookie.remove(\"a\"); req.cookie.remove(\"b\");`"),
    ("cookie.filter_re", "`req.cookie.remove_matching(\"^_\");`"),
    ("cookie.keep", "`req.cookie.keep([\"a\", \"b\"]);`"),
    ("cookie.keep_re", "`req.cookie.keep_matching(\"^s\");`"),
    ("cookie.format_date", "`resp.http.expires = now + duration(\"1d\");`"),
    ("cookie.get", "`req.http.x_a = req.cookie.get(\"a\");`"),
    ("cookie.get_re", "`let all = (req.http.cookie ?? \"\").captures(\"s_[a-z]+=([^;]*)\"); if all != () { std::log(all[1]); }`"),
    ("cookie.isset", "`if req.cookie.has(\"a\") { return pass(); }`"),
    ("cookie.set", "`req.cookie.set(\"a\", \"1\");`"),
    ("header.append", "`resp.http.append(\"x-a\", \"b\");`"),
    ("header.copy", "`for line in req.http.all(\"x-a\") { req.http.append(\"x-b\", line); }`"),
    ("header.get", "`std::log(resp.http.find(\"set-cookie\", \"^a=\") ?? \"none\");`"),
    ("header.remove", "`beresp.http.remove_lines(\"set-cookie\", \"^a=\");`"),
    ("header.regsub", "`req.http.x_a = (req.http.x_a ?? \"\").replace_re(\"a\", \"b\");`, for each field that is meant"),
    ("header.dyn", "`let name = \"x-a\"; req.http[name] = \"1\";`"),
    ("var.set", "`req.vars[\"a\"] = \"1\";`; also with numbers, durations, times, addresses and backends"),
    ("var.get", "`std::log(req.vars[\"a\"]);`"),
    ("var.set_string", "`req.vars[\"a\"] = \"1\";`"),
    ("var.get_string", "`std::log(req.vars[\"a\"]);`"),
    ("var.set_int", "`req.vars[\"a\"] = 1;`"),
    ("var.get_int", "`if req.vars[\"a\"] == 1 { return pass(); }`"),
    ("var.set_real", "`req.vars[\"a\"] = 1.5;`"),
    ("var.get_real", "`if req.vars[\"a\"] == 1.5 { return pass(); }`"),
    ("var.set_duration", "`req.vars[\"a\"] = duration(\"1m\");`"),
    ("var.get_duration", "`req.grace = req.vars[\"a\"];`"),
    ("var.set_ip", "`req.vars[\"a\"] = client.ip;`"),
    ("var.get_ip", "`if req.vars[\"a\"] == client.ip { return pass(); }`"),
    ("var.set_backend", "`req.vars[\"a\"] = backend(\"app1\");`"),
    ("var.get_backend", "`req.backend = req.vars[\"a\"];`"),
    ("var.clear", "`req.vars.clear();`; the hooks of the backend have no variables of their own: a field of `bereq` carries"),
    ("var.global_set", "nothing: requests share the cache and the counts of `throttle::`, nothing else"),
    ("var.global_get", "nothing: see above; `std::file` and `std::getenv` have what is the same for all"),
    ("str.count", "`if req.url.len() > 100 { return synth(414); }`"),
    ("str.startswith", "`if req.url.starts_with(\"/a\") { return pass(); }`"),
    ("str.endswith", "`if req.url.ends_with(\".css\") { return lookup(); }`"),
    ("str.contains", "`if req.url.contains(\"a\") { return pass(); }`"),
    ("str.take", "`req.http.x_a = req.url.sub_string(0, 3); req.http.x_b = req.url.sub_string(-3, 2);`"),
    ("str.reverse", "`let r = \"\"; for c in req.url { r = c + r; } std::log(r);`"),
    ("str.split", "`let parts = req.url.split(\"/\"); if parts.len() > 2 { std::log(parts[2]); }`: from 0, with empty parts"),
    ("str.token_intersect", "`for name in (req.http.x_a ?? \"\").split(\",\") { if [\"a\", \"b\"].contains(name) { return pass(); } }`"),
    ("vsthrottle.is_denied", "`if !throttle::allowed(client.identity, \"15/10s\", 15, duration(\"30s\")) { return synth(429); }`; `block` can be left out"),
    ("vsthrottle.return_token", "`throttle::give_back(client.identity, \"15/10s\", 15);`"),
    ("vsthrottle.remaining", "`std::log(throttle::remaining(client.identity, \"15/10s\", 15));`"),
    ("vsthrottle.blocked", "`std::log(throttle::wait(client.identity, \"15/10s\", 15, duration(\"30s\")));`; `block` can be left out"),
    ("vsthrottle.remove_bucket", "`throttle::forget(client.identity, \"15/10s\", 15);`"),
    ("bodyaccess.rematch_req_body", "`if std::cache_req_body(\"64KiB\") && req.body_matches(\"(?i)<script\") { return synth(403); }`: true or false, and false when it is not kept"),
    ("bodyaccess.hash_req_body", "`key.add_body();`; without a `hash` hook that returns `lookup()` a kept body is in the key already"),
    ("bodyaccess.len_req_body", "`if std::cache_req_body(\"64KiB\") && req.body_size > 100 { return pass(); }`"),
    ("bodyaccess.log_req_body", "`if std::cache_req_body(\"4KiB\") { std::log(req.body); }`"),
    ("digest.hash_sha1", "`req.http.x_d = std::digest(\"sha1\", req.url);`"),
    ("digest.hash_sha256", "`req.http.x_d = std::digest(\"sha256\", req.url);`"),
    ("digest.hash_sha512", "`req.http.x_d = std::digest(\"sha512\", req.url);`"),
    ("digest.hash_sha384", "`req.http.x_d = std::digest(\"sha384\", req.url);`"),
    ("digest.hash_sha224", "nothing: `sha256` takes its place"),
    ("digest.hash_crc32", "nothing: to spread requests, `std::bucket(key, buckets)`"),
    ("digest.hash_crc32b", "nothing: to spread requests, `std::bucket(key, buckets)`"),
    ("digest.hash_adler32", "nothing: to spread requests, `std::bucket(key, buckets)`"),
    ("digest.hash_gost", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_md2", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_md4", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_haval128", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_haval160", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_haval192", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_haval224", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_haval256", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_ripemd128", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_ripemd160", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_ripemd256", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_ripemd320", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_tiger", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_tiger128", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_tiger160", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_snefru128", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_snefru256", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_whirlpool", "nothing: nobody signs with it any more; `std::digest(\"sha256\", s)`"),
    ("digest.hash_md5", "nothing: what it signs can be forged"),
    ("digest.hmac_sha1", "`req.http.x_h = std::hmac(\"sha1\", \"key\", req.url);`: without the `0x` that the VMOD writes before it"),
    ("digest.hmac_sha256", "`req.http.x_h = std::hmac(\"sha256\", \"key\", req.url);`; `sha384` and `sha512` are there, too"),
    ("digest.hmac_md5", "nothing: as `hash_md5`"),
    ("digest.base64", "`req.http.x_b = std::base64(req.url);`"),
    ("digest.base64url", "`req.http.x_b = std::base64url(req.url);`: without padding"),
    ("digest.base64url_nopad", "`req.http.x_b = std::base64url(req.url);`"),
    ("digest.base64_hex", "`req.http.x_s = std::base64_hex(std::hmac(\"sha1\", \"key\", req.url));`"),
    ("digest.base64url_hex", "`let s = std::base64_hex(\"fbff\"); s.replace(\"+\", \"-\"); s.replace(\"/\", \"_\"); std::log(s);`"),
    ("digest.base64url_nopad_hex", "`let s = std::base64_hex(\"fbff\"); s.replace(\"+\", \"-\"); s.replace(\"/\", \"_\"); s.replace(\"=\", \"\"); std::log(s);`"),
    ("digest.base64url_nopad_decode", "`std::log(std::from_base64(\"YQ\") ?? \"no text\");`"),
    ("digest.version", "nothing: `copal --version`"),
    ("digest.base64_decode", "`std::log(std::from_base64(\"YQ==\") ?? \"no text\");`"),
    ("digest.base64url_decode", "`std::log(std::from_base64(\"YQ\") ?? \"no text\");`"),
    ("purge.hard", "`std::log(purge::hard());`"),
    ("purge.soft", "`std::log(purge::soft(duration(\"10s\")));`: the ttl is shortened; grace and keep count from its end"),
    ("xkey.purge", "`std::log(tags::purge(\"a b\"));`"),
    ("xkey.softpurge", "`std::log(tags::soft_purge(\"a b\"));`"),
    ("blob.blob", "`const SECRET = \"…\";` at the top, outside of functions: texts only"),
    ("blob.decode", "`std::log(std::from_base64(\"YQ==\") ?? \"no text\"); std::log(url::decode(\"a%20b\"));`"),
    ("blob.encode", "`req.http.x_b = std::base64(req.url); req.http.x_u = url::encode(req.url);`"),
    ("blob.transcode", "`req.http.x_b = std::base64_hex(\"666f6f\"); req.http.x_u = url::encode(std::from_base64(\"YSBi\") ?? \"\");`"),
    ("blob.same", "nothing: texts are compared by what they say"),
    ("blob.equal", "`if std::from_base64(\"YQ==\") == \"a\" { return pass(); }`; of secrets `std::same_secret(a, b)`"),
    ("blob.length", "`std::log(req.url.len());`: characters"),
    ("blob.sub", "`std::log(req.url.sub_string(0, 3));`"),
    ("directors.round_robin", "`[director.app] kind = \"round_robin\"` in copal.toml"),
    ("directors.fallback", "`[director.app] kind = \"fallback\", sticky = true` in copal.toml"),
    ("directors.random", "`[director.app] kind = \"random\"` in copal.toml"),
    ("directors.hash", "`[director.app] kind = \"hash\", by = \"header:X-Key\"` in copal.toml"),
    ("directors.shard", "`[director.app] kind = \"shard\"` in copal.toml"),
    ("directors.shard_param", "nothing: each director has its own keys in copal.toml"),
    ("directors.lookup", "`let name = \"app\"; req.backend = director(name);`"),
    ("saintmode.saintmode", "nothing: each backend has a list; that one fails as a whole is what `eject` and probes find out"),
    ("saintmode.denylist", "`std::denylist(duration(\"20s\"));`: another backend is asked while there is one"),
    ("saintmode.blacklist", "`std::denylist(duration(\"20s\"));`"),
    ("saintmode.status", "nothing in a policy: `copal backend list`"),
    ("saintmode.denylist_count", "nothing in a policy: the metric `backend_saint_objects`"),
    ("saintmode.blacklist_count", "as `saintmode.denylist_count`"),
    ("saintmode.is_healthy", "`if !std::healthy(\"app1\") { req.grace = duration(\"1d\"); }`"),
    ("tcp.congestion_algorithm", "nothing: the system's setting counts"),
    ("tcp.dump_info", "nothing: `ss -ti` on the machine"),
    ("tcp.get_estimated_rtt", "nothing: `ss -ti` on the machine"),
    ("tcp.set_socket_pace", "nothing: shaping is the system's and the network's affair"),
    ("h2.is", "`if req.proto == \"HTTP/2.0\" { return pass(); }`: clients speak HTTP/1.1 in this version"),
    ("h2.rapid_reset", "nothing: clients speak HTTP/1.1 in this version"),
    ("h2.rapid_reset_limit", "nothing: clients speak HTTP/1.1 in this version"),
    ("h2.rapid_reset_period", "nothing: clients speak HTTP/1.1 in this version"),
    ("h2.rapid_reset_budget", "nothing: clients speak HTTP/1.1 in this version"),
    ("accept.rule", "`req.http.accept_language = std::accept(req.http.accept_language, [\"en\", \"de\"]);`"),
    ("proxy.alpn", "`req.http.x_alpn = proxy::alpn();`"),
    ("proxy.authority", "`req.http.x_sni = proxy::authority();`"),
    ("proxy.is_ssl", "`if !proxy::is_ssl() { return synth(403); }`"),
    ("proxy.client_has_cert_sess", "`if !proxy::client_has_cert_sess() { return synth(403); }`"),
    ("proxy.client_has_cert_conn", "`if !proxy::client_has_cert_conn() { return synth(403); }`"),
    ("proxy.ssl_verify_result", "`if proxy::ssl_verify_result() != 0 { return synth(403); }`: `()` without a certificate, where VCL has 0"),
    ("proxy.ssl_version", "`req.http.x_tls = proxy::ssl_version();`"),
    ("proxy.client_cert_cn", "`req.http.x_client = proxy::client_cert_cn();`"),
    ("proxy.ssl_cipher", "`req.http.x_cipher = proxy::ssl_cipher();`"),
    ("proxy.cert_sign", "`std::log(proxy::cert_sign() ?? \"none\");`"),
    ("proxy.cert_key", "`std::log(proxy::cert_key() ?? \"none\");`"),
    ("unix.user", "`if unix::user() != \"haproxy\" { return synth(403); }`"),
    ("unix.group", "`if unix::group() != \"www-data\" { return synth(403); }`"),
    ("unix.uid", "`if unix::uid() != 110 { return synth(403); }`: `()` over TCP, where VCL has -1"),
    ("unix.gid", "`if unix::gid() != 33 { return synth(403); }`: as `unix::uid()`"),
];

/// Those of VCL itself that stand behind no module.
const OTHERS: [(&str, &str); 2] = [
    ("hit_for_pass", "`return (pass(120s));` is `return pass(duration(\"120s\"));` in `backend_response`"),
    ("hash", "`return (hash);` is `return lookup();`"),
];

/// What to write instead of `module.name`.
pub(super) fn instead(module: &str, name: &str) -> Option<String> {
    let found = VMODS.iter().find(|(f, _)| f.split_once('.') == Some((module, name)));
    found.map(|(f, text)| format!("for `{f}`: {text}"))
}

/// What to write instead of `name(…)`.
pub(super) fn other(name: &str) -> Option<&'static str> {
    OTHERS.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// Is there a module of that name in VCL?
pub(super) fn is_module(name: &str) -> bool {
    VMODS.iter().any(|(f, _)| f.split_once('.').is_some_and(|(module, _)| module == name))
}

/// Where one of them is called in a line of VCL, and what to write.
pub(super) fn called(code: &str) -> Vec<(usize, Cow<'static, str>)> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let mut all = Vec::new();
    for (at, _) in code.match_indices('(') {
        let name = code[..at].trim_end();
        let start = name.trim_end_matches(word).len();
        let Some((module, function)) = name[start..].split_once('.') else { continue };
        if let Some(text) = instead(module, function) {
            all.push((start, text.into()));
        } else if is_module(module) && !code.starts_with("new ") {
            all.push((start, "modules are written with `::`, as in `std::log(\"x\")`".into()));
        }
    }
    all
}
