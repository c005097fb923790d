//! The functions and methods that Copal gives to scripts. One table; checks, definitions and reference pages come from it.

use crate::vars::Type::{self, *};

/// What a function belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Nothing: `pass()`.
    Free,
    /// A module: `query::sort(url)`.
    Module(&'static str),
    /// A type: `req.http.has("x")`.
    Type(Type),
}

/// What an argument is, for checks before the hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal {
    /// Nothing to check.
    No,
    /// The argument of that index is a regular expression.
    Regex(usize),
    /// The first argument names an ACL.
    Acl,
    /// The first argument names a backend.
    Backend,
    /// The first argument names a director.
    Director,
    /// The first argument names a backend or director.
    Either,
    /// The first argument names a policy.
    Policy,
    /// The first argument is a duration; only when it stands alone, as a second one catches what is none.
    Duration,
    /// The first argument is a size.
    Size,
    /// The first argument is an address.
    Address,
    /// The first argument names a digest.
    Digest,
    /// The second argument names an algorithm of tokens.
    Token,
    /// The second argument is a rate.
    Rate,
    /// The first argument is the path of a text beside the policy, and written out, as it is read at load.
    File,
    /// The first argument is a ban expression.
    Ban,
    /// The first argument is the path of a text that may be beside the policy; it is read at load.
    MayBeFile,
    /// Nothing to check but that the configuration has a GeoIP database.
    Geo,
}

/// One line of the table of functions.
#[derive(Debug)]
pub struct Function {
    /// What it belongs to.
    pub on: On,
    /// Its name.
    pub name: &'static str,
    /// Its parameters, as "name: type".
    pub params: &'static [&'static str],
    /// How many of them, at the end, can be left out.
    pub optional: usize,
    /// What it gives.
    pub returns: Type,
    /// What to check before it runs.
    pub literal: Literal,
    /// What it does.
    pub doc: &'static str,
}

impl Function {
    /// Does it take that many arguments?
    #[must_use]
    pub const fn takes(&self, args: usize) -> bool {
        args <= self.params.len() && args + self.optional >= self.params.len()
    }
}

type Params = &'static [&'static str];

const fn free(
    name: &'static str,
    params: Params,
    optional: usize,
    returns: Type,
    literal: Literal,
    doc: &'static str,
) -> Function {
    Function { on: On::Free, name, params, optional, returns, literal, doc }
}
const fn act(name: &'static str, params: Params, optional: usize, doc: &'static str) -> Function {
    free(name, params, optional, Action, Literal::No, doc)
}
const fn module(
    module: &'static str,
    name: &'static str,
    params: Params,
    returns: Type,
    doc: &'static str,
) -> Function {
    Function { on: On::Module(module), name, params, optional: 0, returns, literal: Literal::No, doc }
}
const fn lit(literal: Literal, f: Function) -> Function {
    Function { literal, ..f }
}
const fn method(on: Type, name: &'static str, params: Params, returns: Type, doc: &'static str) -> Function {
    Function { on: On::Type(on), name, params, optional: 0, returns, literal: Literal::No, doc }
}

/// All functions.
#[rustfmt::skip]
pub const FUNCTIONS: &[Function] = &[
    act("lookup", &[], 0, "Look the request up in the cache."),
    act("pass", &["time: Duration"], 1, "Ask the origin and store nothing. With a duration, in `backend_response`: let later requests pass for that long."),
    act("pipe", &[], 0, "Tunnel bytes between client and origin."),
    act("purge", &[], 0, "Remove the object and all its variants."),
    act("synth", &["status: int", "reason: string"], 1, "Answer from here."),
    act("redirect", &["status: int", "location: string"], 0, "Send the client elsewhere: 301, 302, 303, 307 or 308."),
    act("restart", &[], 0, "Begin again at `recv` with the request as it is now."),
    act("fail", &["reason: string"], 1, "Give up with 503; the reason is logged."),
    act("deliver", &[], 0, "Go on to the client."),
    act("miss", &[], 0, "Treat the object as not found."),
    act("fetch", &[], 0, "Ask the origin."),
    act("abandon", &[], 0, "Drop the fetch; a refresh in the background leaves the stale object."),
    act("error", &["status: int", "reason: string"], 2, "Treat the fetch as failed, with 503 unless a status is given."),
    act("retry", &[], 0, "Ask the origin again."),
    act("merge", &[], 0, "Merge the 304 into the stored head."),
    act("keep_stale", &[], 0, "Leave the stored head as it was."),
    act("use_new", &[], 0, "Use only the header fields of the 304."),
    free("policy", &["name: string"], 0, Action, Literal::Policy, "Go on with another policy of the configuration (`[policy.named]`): its `recv` gets the request as it came, with `req.vars` as they are. Once for a request, and not after a restart."),

    free("duration", &["text: ?", "fallback: Duration"], 1, Duration, Literal::Duration, "A duration: \"250ms\", \"90s\", \"5m\", \"6h\", \"1d\", \"2w\", \"1y\", or several as in \"1h30m\". A fallback is for text from outside."),
    free("bytes", &["text: ?", "fallback: int"], 1, Int, Literal::Size, "A size: \"512B\", \"10KiB\", \"10MiB\", \"1GiB\", \"10MB\". A fallback is for text from outside."),
    free("backend", &["name: string"], 0, Backend, Literal::Backend, "The backend of that name in the configuration."),
    free("director", &["name: string"], 0, Backend, Literal::Director, "The director of that name in the configuration."),
    free("ban", &["expression: string"], 0, Bool, Literal::Ban, "Bans what the expression is about: `obj.http.x-type == html && req.url ~ ^/news/`. False when it is refused."),
    free("ban_error", &[], 0, Text, Literal::No, "Why the last `ban(…)` was refused; `\"\"` when it was not."),

    module("tags", "purge", &["keys: ?"], Int, "Drops every object that carries any of these tags: a text with keys between spaces or commas, or an array of keys. How many there were."),
    module("tags", "soft_purge", &["keys: ?"], Int, "Makes them stale instead: grace still serves them."),

    module("purge", "hard", &[], Int, "In `hit` and `miss`: drops what is stored under the key of this request, all variants. How many objects there were."),
    Function { optional: 1, ..module("purge", "soft", &["ttl: Duration"], Int, "In `hit` and `miss`: makes it stale instead, at once or when the ttl is over. It can only shorten; grace and keep count from there.") },

    module("std", "log", &["value: ?"], Unit, "Adds a line to the log of this transaction."),
    lit(Literal::Size, module("std", "cache_req_body", &["size: ?"], Bool, "In `recv`: reads the body of the request, if it is not larger than that, and keeps it; false when it is larger, and then it streams as ever. A kept body can be looked at, is part of the key, and is sent again after a restart or a retry. The hook begins again when the body is there, so call it first.")),
    module("std", "getenv", &["name: string"], Text, "The environment variable of that name, of the process that serves; `()` when there is none."),
    lit(Literal::MayBeFile, module("std", "file_exists", &["path: string"], Bool, "Was there such a text beside the policy when it was loaded? Then `std::file` has it.")),
    module("std", "rollback", &[], Unit, "In the hooks of the client's side: `req` is again as it came: method, url and header fields."),
    lit(Literal::Either, module("std", "healthy", &["name: ?"], Bool, "Can this backend or director serve? By its name, or as `req.backend` has it, where `()` is the default.")),
    module("std", "denylist", &["time: Duration"], Unit, "In `backend_response`: the backend that answered is not asked for this URL again for that long, while another can be."),
    module("std", "random", &["from: ?", "to: ?"], Any, "A random number: of integers from..=to, of numbers from..to."),
    Function { on: On::Module("std"), name: "ip", params: &["text: ?", "fallback: Address"], optional: 1, returns: Address, literal: Literal::Address, doc: "An address, also one that stands with a port. A fallback is for text from outside." },
    module("std", "tolower", &["text: string"], Text, "In lower case (ASCII); of `()`, a field that is not there, the empty text."),
    module("std", "toupper", &["text: string"], Text, "In upper case (ASCII); of `()`, a field that is not there, the empty text."),
    module("std", "strftime", &["time: Time", "format: string"], Text, "The time in UTC, by %Y %m %d %H %M %S %j %a %A %b %B %e %y %F %T %s %Z %%."),
    module("std", "escape_html", &["text: string"], Text, "With &, <, > and quotes as entities."),

    Function { optional: 1, ..module("std", "fnmatch", &["pattern: string", "text: ?", "pathname: bool"], Bool, "Does the shell pattern match all of the text? `*` stands for anything, `?` for one character, `[a-z]` for one of a set; for a `/` none of them, unless the third argument is `false`.") },
    module("std", "integer", &["text: ?", "fallback: int"], Int, "The integer that the text is, or the fallback."),
    module("std", "real", &["text: ?", "fallback: float"], Float, "The number that the text is, or the fallback."),
    module("std", "time", &["text: ?", "fallback: Time"], Time, "The time that an HTTP date, a `1994-11-06T08:49:37` in UTC or a number of seconds since 1970 is, or the fallback."),
    module("std", "accept", &["field: ?", "offered: Array"], Text, "Which of the languages, types or codings on offer an Accept field likes best; the first one when it likes none."),
    module("std", "bucket", &["key: string", "buckets: int"], Int, "A number from 0 to buckets - 1, the same for the same key on every machine and in every version."),
    lit(Literal::File, module("std", "file", &["path: string"], Text, "The text of a file in the policy's folder, read when the policy is loaded.")),
    lit(Literal::Digest, module("std", "digest", &["algorithm: string", "text: string"], Text, "The digest in lower-case hexadecimal: \"sha256\", \"sha384\", \"sha512\", \"sha1\".")),
    lit(Literal::Digest, module("std", "hmac", &["algorithm: string", "key: string", "text: string"], Text, "The keyed digest (RFC 2104) in lower-case hexadecimal.")),
    module("std", "base64", &["text: string"], Text, "In base64, with padding."),
    module("std", "base64url", &["text: string"], Text, "In the alphabet for urls, without padding."),
    module("std", "base64_hex", &["digits: string"], Text, "The bytes that these hexadecimal digits stand for, in base64: of a digest, what others expect as a signature; `()` when they are no bytes."),
    module("std", "from_base64", &["text: string"], Text, "Decoded from either alphabet, with or without padding; `()` when it is not base64 of text."),
    module("std", "same_secret", &["a: ?", "b: string"], Bool, "Are they equal? The time it takes does not tell where they differ."),
    module("std", "basic_auth", &["field: ?", "users: string"], Text, "The name of the user that the Authorization field proves; `()` when it proves nobody. Users are lines `name:password` or `name:sha256:HEX`."),

    lit(Literal::Rate, Function { optional: 1, ..module("throttle", "allowed", &["key: string", "rate: string", "burst: int", "block: Duration"], Bool, "May it happen once more? Takes one when it may. The rate is \"10/s\", \"100/m\" or \"5/10s\"; a burst comes at once. With a block, who was refused is refused for that long. Key, rate, burst and block make the account.") }),
    lit(Literal::Rate, Function { optional: 1, ..module("throttle", "remaining", &["key: string", "rate: string", "burst: int", "block: Duration"], Int, "How often it may happen at once now. Takes none.") }),
    lit(Literal::Rate, Function { optional: 1, ..module("throttle", "wait", &["key: string", "rate: string", "burst: int", "block: Duration"], Duration, "How long until it may happen; zero when it may now.") }),
    lit(Literal::Rate, Function { optional: 1, ..module("throttle", "give_back", &["key: string", "rate: string", "burst: int", "block: Duration"], Unit, "Takes the last one of that account back, as if it had not come.") }),
    lit(Literal::Rate, Function { optional: 1, ..module("throttle", "forget", &["key: string", "rate: string", "burst: int", "block: Duration"], Unit, "Forgets what has been counted of that account.") }),
    module("json", "parse", &["text: ?"], Any, "The value of a JSON text; `()` when it is none."),
    module("json", "get", &["text: ?", "pointer: string"], Any, "What a JSON pointer such as \"/user/id\" finds; `()` when there is nothing."),
    module("json", "quote", &["text: string"], Text, "As a JSON string, with its quotes."),
    lit(Literal::Token, module("jwt", "verify", &["token: ?", "algorithm: string", "key: string"], Any, "The claims of a JSON web token as a map, `()` unless signature and times are right. HS256 takes a secret, RS256 and ES256 a public key in PEM. Audience and issuer are yours to compare.")),
    lit(Literal::Geo, module("geo", "country", &["ip: Address"], Text, "The country's two letters; `()` when it is not known.")),
    lit(Literal::Geo, module("geo", "lookup", &["ip: Address", "path: string"], Any, "What the database has under a path such as \"city/names/en\"; `()` when it has nothing.")),

    module("proxy", "alpn", &[], Text, "What the client and the proxy in front have chosen in the handshake of TLS, such as \"h2\", as its PROXY header says (version 2); `()` when it does not."),
    module("proxy", "authority", &[], Text, "The host that the client named in the handshake of TLS (SNI); `()` when the PROXY header does not say."),
    module("proxy", "is_ssl", &[], Bool, "Did the client come over TLS? False when the PROXY header does not say."),
    module("proxy", "client_has_cert_conn", &[], Bool, "Has the client shown a certificate on this connection?"),
    module("proxy", "client_has_cert_sess", &[], Bool, "Has the client shown a certificate in the session of TLS that this connection belongs to?"),
    module("proxy", "ssl_verify_result", &[], Any, "What came of verifying the client's certificate: an integer, 0 when it was verified; `()` when there was none."),
    module("proxy", "ssl_version", &[], Text, "The version of TLS, such as \"TLSv1.3\"; `()` when the PROXY header does not say."),
    module("proxy", "client_cert_cn", &[], Text, "The common name in the client's certificate, verified or not; `()` when the PROXY header does not say."),
    module("proxy", "ssl_cipher", &[], Text, "The cipher, such as \"TLS_AES_256_GCM_SHA384\"; `()` when the PROXY header does not say."),
    module("proxy", "cert_sign", &[], Text, "With what the certificate of the proxy is signed, such as \"RSA-SHA256\"; `()` when the PROXY header does not say."),
    module("proxy", "cert_key", &[], Text, "The key of the certificate of the proxy, such as \"RSA2048\"; `()` when the PROXY header does not say."),

    module("unix", "user", &[], Text, "The user as which the process at the other end of a Unix socket runs; `()` over TCP, and when the machine's user file had no name for it at the last reload."),
    module("unix", "group", &[], Text, "The group as which it runs; `()` as for the user."),
    module("unix", "uid", &[], Any, "The number of that user, an integer; `()` over TCP."),
    module("unix", "gid", &[], Any, "The number of that group, an integer; `()` over TCP."),

    module("query", "sort", &["url: string"], Text, "The url with its query parameters in order of their names."),
    module("query", "keep", &["url: string", "names: Array"], Text, "Only these parameters; `*` at the end of a name stands for any rest."),
    module("query", "without", &["url: string", "names: Array"], Text, "Without these parameters; `*` at the end of a name stands for any rest."),
    module("query", "get", &["url: string", "name: string"], Text, "The parameter's value, percent-decoded; `()` when missing."),
    module("query", "set", &["url: string", "name: string", "value: ?"], Text, "With this parameter, percent-encoded; `()` removes it."),
    module("url", "path", &["url: string"], Text, "What is before the `?`."),
    module("url", "query", &["url: string"], Text, "What is after the `?`; `\"\"` when there is none."),
    module("url", "extension", &["url: string"], Text, "The file extension of the path in lower case, without the dot; `\"\"` when there is none."),
    module("url", "decode", &["text: string"], Text, "Percent-decoded."),
    module("url", "encode", &["text: string"], Text, "Percent-encoded: all but letters, digits, `-`, `.`, `_` and `~`."),

    module("url", "sign", &["url: string", "key: string", "valid: Duration"], Text, "The url with `expires` and an HMAC-SHA256 as `signature`, good for that long."),
    module("url", "is_signed", &["url: string", "key: string"], Bool, "Was it signed with that key, unchanged since, and has it not expired?"),

    method(Req, "is_get_or_head", &[], Bool, "Is the method GET or HEAD?"),
    method(Bereq, "is_get_or_head", &[], Bool, "Is the method GET or HEAD?"),
    method(Req, "is_preflight", &[], Bool, "Does a browser ask whether it may send a request across origins (CORS)?"),
    method(Req, "device", &[], Text, "\"mobile\", \"tablet\", \"desktop\" or \"bot\", by client hint and User-Agent."),
    method(Bereq, "device", &[], Text, "\"mobile\", \"tablet\", \"desktop\" or \"bot\", by client hint and User-Agent."),
    method(Resp, "harden", &[], Unit, "Sets the security headers that fit any site, unless the application has set them, and removes Server and the like. Strict-Transport-Security and Content-Security-Policy are yours to set."),
    method(Resp, "cors", &["origins: Array", "methods: string", "max_age: Duration"], Unit, "Lets pages of these origins read the response, and answers a preflight."),
    lit(Literal::Regex(0), method(Req, "body_matches", &["re: string"], Bool, "Does the expression match somewhere in the body that `std::cache_req_body` has kept?")),
    method(Key, "add", &["part: ?"], Unit, "Adds a part to the cache key."),
    method(Key, "add_body", &[], Unit, "Adds the digest of the body that `std::cache_req_body` has kept. Without a `hash` hook that returns `lookup()`, method and body are in the key already."),
    method(Headers, "has", &["name: string"], Bool, "Is there such a field?"),
    method(Headers, "remove", &["name: string"], Unit, "Removes all fields of that name."),
    method(Headers, "remove_matching", &["pattern: string"], Unit, "Removes all fields whose name matches; `*` stands for anything."),
    lit(Literal::Regex(1), method(Headers, "remove_lines", &["name: string", "regex: string"], Unit, "Removes those fields of that name whose value matches.")),
    method(Headers, "append", &["name: string", "value: ?"], Unit, "Adds a field line, keeping those there are."),
    method(Headers, "all", &["name: string"], Array, "The values of all fields of that name."),
    lit(Literal::Regex(1), method(Headers, "find", &["name: string", "re: string"], Text, "The first line of that field which the expression matches; `()` when none does.")),
    Function { optional: 1, ..method(Headers, "collect", &["name: string", "separator: string"], Text, "Joins the fields of that name into one line, and gives it; `()` when there is none. What stands between them is `, `, and `; ` for Cookie (RFC 9113 §8.2.3), unless a separator is given. Set-Cookie is left as it is.") },
    method(Cookies, "has", &["name: string"], Bool, "Is there such a cookie?"),
    method(Cookies, "get", &["name: string"], Text, "Its value; `()` when missing."),
    method(Cookies, "set", &["name: string", "value: ?"], Unit, "Sets it in the request."),
    method(Cookies, "remove", &["name: string"], Unit, "Removes it; `*` at the end of the name stands for any rest."),
    method(Cookies, "keep", &["names: Array"], Unit, "Removes all but these; `*` at the end of a name stands for any rest."),
    lit(Literal::Regex(0), method(Cookies, "keep_matching", &["regex: string"], Unit, "Removes all whose name does not match.")),
    lit(Literal::Regex(0), method(Cookies, "remove_matching", &["regex: string"], Unit, "Removes all whose name matches.")),
    method(Vars, "has", &["name: string"], Bool, "Is it set?"),
    method(Vars, "remove", &["name: string"], Unit, "Forgets it."),
    method(Vars, "clear", &[], Unit, "Forgets all."),
    lit(Literal::Regex(0), method(Text, "matches", &["regex: string"], Bool, "Does it match anywhere?")),
    lit(Literal::Regex(0), method(Text, "replace_re", &["regex: string", "by: string"], Text, "With the first match replaced; `$1` or `\\1` stands for a group. `()` stays `()`.")),
    lit(Literal::Regex(0), method(Text, "replace_all_re", &["regex: string", "by: string"], Text, "With all matches replaced; `()` stays `()`.")),
    lit(Literal::Regex(0), method(Text, "captures", &["regex: string"], Array, "The whole match and its groups; `()` when it does not match.")),
    lit(Literal::Acl, method(Address, "within", &["acl: string"], Bool, "Is it on that list of the configuration?")),
    method(Address, "is_ipv6", &[], Bool, "Is it an IPv6 address?"),
    method(Duration, "seconds", &[], Float, "In seconds."),
    method(Time, "unix", &[], Float, "Seconds since 1970."),
    method(Backend, "healthy", &[], Bool, "Can it serve? `req.backend.healthy()` asks the default when none is set."),
];

/// The names of the modules.
pub const MODULES: [&str; 11] =
    ["std", "query", "url", "throttle", "json", "jwt", "geo", "tags", "purge", "proxy", "unix"];

/// What Rhai itself brings and Copal leaves in, for checks.
pub(crate) const RHAI: &[&str] = &[
    "print",
    "debug",
    "type_of",
    "is_def_var",
    "is_def_fn",
    "is_shared",
    "Fn",
    "call",
    "curry",
    "range",
    "to_string",
    "to_debug",
    "len",
    "is_empty",
    "contains",
    "starts_with",
    "ends_with",
    "to_upper",
    "to_lower",
    "make_upper",
    "make_lower",
    "trim",
    "index_of",
    "sub_string",
    "crop",
    "replace",
    "remove",
    "pop",
    "push",
    "append",
    "truncate",
    "clear",
    "get",
    "set",
    "pad",
    "split",
    "split_rev",
    "chars",
    "to_chars",
    "to_blob",
    "parse_int",
    "parse_float",
    "to_int",
    "to_float",
    "abs",
    "sign",
    "is_zero",
    "is_odd",
    "is_even",
    "min",
    "max",
    "floor",
    "ceiling",
    "round",
    "int",
    "fraction",
    "sqrt",
    "to_hex",
    "to_octal",
    "to_binary",
    "insert",
    "shift",
    "concat",
    "extract",
    "splice",
    "chop",
    "reverse",
    "dedup",
    "drain",
    "retain",
    "filter",
    "map",
    "for_each",
    "reduce",
    "reduce_rev",
    "some",
    "all",
    "find",
    "find_map",
    "sort",
    "sort_desc",
    "sort_by",
    "order",
    "order_desc",
    "order_by",
    "zip",
    "keys",
    "values",
    "mixin",
    "fill_with",
    "start",
    "end",
    "is_inclusive",
    "is_exclusive",
    "bits",
    "bytes",
    "add",
    "index_of_char",
];

/// The functions of that name on that thing.
pub(crate) fn find(on: On, name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.on == on && f.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_stands_once_and_is_documented() {
        for f in FUNCTIONS {
            assert_eq!(FUNCTIONS.iter().filter(|g| g.on == f.on && g.name == f.name).count(), 1, "{}", f.name);
            assert!(f.doc.ends_with(['.', '?']) && f.optional <= f.params.len(), "{}", f.name);
        }
        assert!(find(On::Free, "synth").is_some_and(|f| f.takes(1) && f.takes(2) && !f.takes(3) && !f.takes(0)));
    }
}
