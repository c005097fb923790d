//! An example for every function and method: shown in the reference, and run by a test.

use crate::functions::{Function, On};

/// What an example shows.
#[derive(Debug)]
pub struct Example {
    /// The function: "pass", "std::log", "Headers.has".
    pub of: &'static str,
    /// Statements; the last one is an expression, or an action that is returned.
    pub code: &'static str,
    /// The text of its value; empty for an action.
    pub gives: &'static str,
}

pub(crate) const fn ex(of: &'static str, code: &'static str, gives: &'static str) -> Example {
    Example { of, code, gives }
}
const fn act(of: &'static str, code: &'static str) -> Example {
    Example { of, code, gives: "" }
}

/// What the examples find: shown above them in the reference.
pub const SCENE: &str = "The examples run with the request `GET /shop?b=2&a=1` for `shop.example` from 192.0.2.7, with `Cookie: sessionid=42; \
_ga=7`, `Accept-Language: de-CH, en;q=0.8`, `Authorization: Basic YW5uYTpzZWNyZXQ=` and the User-Agent of a telephone, with the body `name=anna`, which has been read; a \
response `200` with `Server: app`, two fields `Set-Cookie: a=1` and `Set-Cookie: b=2`; the backend `app1`, the director \
`app`, the access list `purgers` with 10.0.0.0/8, a file `lists/bots.txt` with the text `bad bot`, a GeoIP database in \
which 192.0.2.0/24 is in Switzerland; a PROXY header that tells of TLS and the certificate of `anna`, from a process of the user `haproxy` (110) and the \
group `www-data` (33); a stored object of 20 seconds with 60 to go, 10 of grace and 3 hits; at Sun, 06 Nov 1994 08:49:37 GMT.";

/// All examples, one for each row of the table of functions.
#[rustfmt::skip]
pub const EXAMPLES: &[Example] = &[
    act("lookup", "return lookup();"),
    act("pass", "if req.cookie.has(\"sessionid\") { return pass(); }"),
    act("pipe", "if req.http.upgrade == () { return pipe(); }"),
    act("purge", "return purge();"),
    act("synth", "return synth(404, \"Not Here\");"),
    act("redirect", "return redirect(301, \"https://\" + req.http.host + req.url);"),
    act("restart", "if req.restarts == 0 { return restart(); }"),
    act("fail", "return fail(\"no such shop\");"),
    act("deliver", "return deliver();"),
    act("miss", "return miss();"),
    act("fetch", "return fetch();"),
    act("abandon", "return abandon();"),
    act("error", "return error(502, \"Broken Answer\");"),
    act("retry", "if bereq.retries == 0 { return retry(); }"),
    act("merge", "return merge();"),
    act("keep_stale", "return keep_stale();"),
    act("use_new", "return use_new();"),
    ex("ban", "ban(\"obj.http.x-type == html && req.url ~ ^/news/\")", "true"),
    ex("ban_error", "ban(\"req.url ~ ^/news/\"); ban_error().len()", "0"),
    ex("purge::hard", "purge::hard()", "0"),
    ex("purge::soft", "purge::soft(duration(\"1m\"))", "0"),
    ex("tags::purge", "tags::purge(\"article-7 author-3\")", "0"),
    ex("tags::soft_purge", "tags::soft_purge([\"article-7\", \"author-3\"])", "0"),
    act("policy", "return policy(\"shop\");"),

    ex("duration", "duration(\"1h30m\") - duration(\"bad\", duration(\"90s\"))", "5310.000"),
    ex("bytes", "bytes(\"10KiB\") + bytes(\"bad\", 1)", "10241"),
    ex("backend", "req.backend = backend(\"app1\"); req.backend == \"app1\"", "true"),
    ex("director", "req.backend = director(\"app\"); req.backend == \"app\"", "true"),

    ex("std::log", "std::log(\"seen: \" + req.url)", "()"),
    ex("std::cache_req_body", "std::cache_req_body(\"64KiB\") && req.body == \"name=anna\"", "true"),
    ex("std::rollback", "req.url = \"/other\"; std::rollback(); req.url", "/shop?b=2&a=1"),
    ex("std::getenv", "std::getenv(\"SHOP_LANGUAGE\") ?? \"de\"", "de"),
    ex("std::file_exists", "std::file_exists(\"lists/bots.txt\") && !std::file_exists(\"lists/none.txt\")", "true"),
    ex("std::healthy", "std::healthy(\"app1\")", "true"),
    ex("std::random", "let n = std::random(1, 6); n >= 1 && n <= 6", "true"),
    ex("std::ip", "std::ip(\"10.1.2.3\").within(\"purgers\")", "true"),
    ex("std::tolower", "std::tolower(\"Shop.Example\")", "shop.example"),
    ex("std::toupper", "std::toupper(\"de\")", "DE"),
    ex("std::strftime", "std::strftime(now, \"%F %T\")", "1994-11-06 08:49:37"),
    ex("std::escape_html", "std::escape_html(\"<b>\")", "&lt;b&gt;"),
    ex("std::fnmatch", "std::fnmatch(\"/*/*.css\", \"/a/b.css\") && !std::fnmatch(\"/*.css\", \"/a/b.css\")", "true"),
    ex("std::integer", "std::integer(query::get(req.url, \"b\"), 0) + std::integer(\"x\", 40)", "42"),
    ex("std::real", "std::real(\"2.5\", 0.0)", "2.5"),
    ex("std::time", "std::time(\"1994-11-06T08:49:07\", now) == now - duration(\"30s\")", "true"),
    ex("std::accept", "std::accept(req.http.accept_language, [\"en\", \"de\", \"fr\"])", "de"),
    ex("std::bucket", "std::bucket(\"visitor-1\", 100)", "38"),
    ex("std::file", "std::file(\"lists/bots.txt\").contains(\"bad bot\")", "true"),
    ex("std::digest", "std::digest(\"sha256\", \"abc\").sub_string(0, 16)", "ba7816bf8f01cfea"),
    ex("std::hmac", "std::hmac(\"sha256\", \"key\", req.url).len()", "64"),
    ex("std::base64", "std::base64(\"anna:secret\")", "YW5uYTpzZWNyZXQ="),
    ex("std::base64url", "std::base64url(\"<<??>>\")", "PDw_Pz4-"),
    ex("std::denylist", "std::denylist(duration(\"20s\")); beresp.status", "200"),
    ex("std::base64_hex", "std::base64_hex(\"666f6f\")", "Zm9v"),
    ex("std::from_base64", "std::from_base64(\"PDw_Pz4-\")", "<<??>>"),
    ex("std::same_secret", "std::same_secret(req.http[\"x-token\"], \"s3cret\")", "false"),
    ex("std::basic_auth", "std::basic_auth(req.http.authorization, \"anna:secret\\nbert:other\")", "anna"),

    ex("throttle::allowed", "throttle::allowed(client.identity, \"1/m\", 1) && !throttle::allowed(client.identity, \"1/m\", 1)", "true"),
    ex("throttle::remaining", "throttle::remaining(\"login \" + client.identity, \"10/m\", 5)", "5"),
    ex("throttle::wait", "throttle::allowed(\"x\", \"1/m\", 1); throttle::wait(\"x\", \"1/m\", 1)", "60.000"),
    ex("throttle::give_back", "throttle::allowed(\"y\", \"1/m\", 1); throttle::give_back(\"y\", \"1/m\", 1); throttle::remaining(\"y\", \"1/m\", 1)", "1"),
    ex("throttle::forget", "throttle::allowed(\"z\", \"1/m\", 1); throttle::forget(\"z\", \"1/m\", 1); throttle::remaining(\"z\", \"1/m\", 1)", "1"),
    ex("json::parse", "json::parse(`{\"tags\": [\"a\", \"b\"]}`).tags.len()", "2"),
    ex("json::get", "json::get(`{\"user\": {\"id\": 7}}`, \"/user/id\")", "7"),
    ex("json::quote", "json::quote(\"say \\\"hi\\\"\")", "\"say \\\"hi\\\"\""),
    ex("jwt::verify", "jwt::verify(req.http.authorization, \"HS256\", \"secret\")", "()"),
    ex("geo::country", "geo::country(client.ip)", "CH"),
    ex("geo::lookup", "geo::lookup(client.ip, \"country/names/en\")", "Switzerland"),

    ex("proxy::alpn", "proxy::alpn()", "h2"),
    ex("proxy::authority", "proxy::authority()", "shop.example"),
    ex("proxy::is_ssl", "proxy::is_ssl()", "true"),
    ex("proxy::client_has_cert_conn", "proxy::client_has_cert_conn()", "true"),
    ex("proxy::client_has_cert_sess", "proxy::client_has_cert_sess()", "true"),
    ex("proxy::ssl_verify_result", "proxy::client_has_cert_sess() && proxy::ssl_verify_result() == 0", "true"),
    ex("proxy::ssl_version", "proxy::ssl_version()", "TLSv1.3"),
    ex("proxy::client_cert_cn", "proxy::client_cert_cn()", "anna"),
    ex("proxy::ssl_cipher", "proxy::ssl_cipher()", "TLS_AES_256_GCM_SHA384"),
    ex("proxy::cert_sign", "proxy::cert_sign()", "RSA-SHA256"),
    ex("proxy::cert_key", "proxy::cert_key()", "RSA2048"),
    ex("unix::user", "unix::user()", "haproxy"),
    ex("unix::group", "unix::group()", "www-data"),
    ex("unix::uid", "unix::uid()", "110"),
    ex("unix::gid", "unix::gid() == 33", "true"),
    ex("query::sort", "query::sort(\"/shop?b=2&a=1\")", "/shop?a=1&b=2"),
    ex("query::keep", "query::keep(req.url, [\"a\"])", "/shop?a=1"),
    ex("query::without", "query::without(\"/?q=1&utm_source=x\", [\"utm_*\"])", "/?q=1"),
    ex("query::get", "query::get(req.url, \"b\")", "2"),
    ex("query::set", "query::set(req.url, \"a\", \"x y\")", "/shop?b=2&a=x%20y"),
    ex("url::path", "url::path(req.url)", "/shop"),
    ex("url::query", "url::query(req.url)", "b=2&a=1"),
    ex("url::extension", "url::extension(\"/a/b.CSS?x\")", "css"),
    ex("url::decode", "url::decode(\"a%20b\")", "a b"),
    ex("url::encode", "url::encode(\"a b/c\")", "a%20b%2Fc"),
    ex("url::sign", "url::sign(\"/film.mp4\", \"key\", duration(\"1h\")).sub_string(0, 40)", "/film.mp4?expires=784115377&signature=0p"),
    ex("url::is_signed", "url::is_signed(req.url, \"key\") || url::is_signed(url::sign(req.url, \"key\", duration(\"1h\")), \"key\")", "true"),

    ex("Request.is_get_or_head", "req.is_get_or_head()", "true"),
    ex("BackendRequest.is_get_or_head", "bereq.is_get_or_head()", "true"),
    ex("Request.is_preflight", "req.is_preflight()", "false"),
    ex("Request.device", "req.device()", "mobile"),
    ex("BackendRequest.device", "bereq.device()", "desktop"),
    ex("Response.harden", "resp.harden(); resp.http.x_content_type_options", "nosniff"),
    ex("Response.cors", "resp.cors([\"https://app.example\"], \"GET, POST\", duration(\"1h\")); resp.http.vary", "Origin"),
    ex("Request.body_matches", "req.body_matches(\"^name=\") && req.body_size == 9 && req.body == \"name=anna\"", "true"),
    ex("Key.add_body", "key.add_body()", "()"),
    ex("Key.add", "key.add(req.device())", "()"),
    ex("Headers.has", "req.http.has(\"Cookie\")", "true"),
    ex("Headers.remove", "req.http.remove(\"cookie\"); req.http.cookie", "()"),
    ex("Headers.remove_matching", "req.http.remove_matching(\"accept-*\"); req.http.accept_language", "()"),
    ex("Headers.remove_lines", "resp.http.remove_lines(\"set-cookie\", \"^a=\"); resp.http.set_cookie", "b=2"),
    ex("Headers.append", "resp.http.append(\"set-cookie\", \"c=3\"); resp.http.all(\"set-cookie\").len()", "3"),
    ex("Headers.all", "resp.http.all(\"set-cookie\")[1]", "b=2"),
    ex("Headers.find", "resp.http.find(\"set-cookie\", \"^b=\")", "b=2"),
    ex("Headers.collect", "req.http.append(\"x-a\", 1); req.http.append(\"x-a\", 2); req.http.collect(\"x-a\", \" / \")", "1 / 2"),
    ex("Cookies.has", "req.cookie.has(\"sessionid\")", "true"),
    ex("Cookies.get", "req.cookie.get(\"sessionid\")", "42"),
    ex("Cookies.set", "req.cookie.set(\"lang\", \"de\"); req.http.cookie", "sessionid=42; _ga=7; lang=de"),
    ex("Cookies.remove", "req.cookie.remove(\"_ga*\"); req.http.cookie", "sessionid=42"),
    ex("Cookies.keep", "req.cookie.keep([\"sessionid\", \"lang\"]); req.http.cookie", "sessionid=42"),
    ex("Cookies.keep_matching", "req.cookie.keep_matching(\"^_\"); req.http.cookie", "_ga=7"),
    ex("Cookies.remove_matching", "req.cookie.remove_matching(\"^_\"); req.http.cookie", "sessionid=42"),
    ex("Vars.has", "req.vars[\"lang\"] = \"de\"; req.vars.has(\"lang\")", "true"),
    ex("Vars.clear", "req.vars[\"lang\"] = \"de\"; req.vars.clear(); req.vars.has(\"lang\")", "false"),
    ex("Vars.remove", "req.vars[\"lang\"] = \"de\"; req.vars.remove(\"lang\"); req.vars[\"lang\"]", "()"),
    ex("string.matches", "req.url.matches(\"^/shop(\\\\?|$)\")", "true"),
    ex("string.replace_re", "\"/de/a\".replace_re(\"^/(..)/(.*)\", \"/$2?lang=$1\")", "/a?lang=de"),
    ex("string.replace_all_re", "\"/a//b///c\".replace_all_re(\"/+\", \"/\")", "/a/b/c"),
    ex("string.captures", "req.url.captures(\"b=([0-9]+)\")[1]", "2"),
    ex("Address.within", "client.ip.within(\"purgers\")", "false"),
    ex("Address.is_ipv6", "client.ip.is_ipv6()", "false"),
    ex("Duration.seconds", "duration(\"1m\").seconds()", "60.0"),
    ex("Time.unix", "now.unix() > 784111776.0", "true"),
    ex("Backend.healthy", "director(\"app\").healthy()", "true"),
];

/// The example of a function; a test sees to it that there is one.
#[must_use]
pub fn of(f: &Function) -> Option<&'static Example> {
    let name = full_name(f);
    EXAMPLES.iter().find(|e| e.of == name)
}

/// "pass", "std::log", "Headers.has".
#[must_use]
pub fn full_name(f: &Function) -> String {
    match f.on {
        On::Free => f.name.to_owned(),
        On::Module(m) => format!("{m}::{}", f.name),
        On::Type(t) => format!("{}.{}", t.name(), f.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::FUNCTIONS;

    #[test]
    fn every_function_has_one_example_that_calls_it() {
        for f in FUNCTIONS {
            let example = of(f).unwrap_or_else(|| panic!("{} has no example: add one to EXAMPLES", full_name(f)));
            assert!(example.code.contains(&format!("{}(", f.name)), "{}", example.of);
        }
        for e in EXAMPLES {
            assert_eq!(EXAMPLES.iter().filter(|o| o.of == e.of).count(), 1, "{}", e.of);
            assert!(FUNCTIONS.iter().any(|f| full_name(f) == e.of), "{} is no function", e.of);
        }
    }
}
