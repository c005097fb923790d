//! What is said of values: what plain ones have, what becomes of them, texts and numbers that are known at load.

use super::lines::Line;

/// One for each message about a line.
pub(super) fn lines() -> Vec<Line> {
    let recv = "recv(req)";
    let deliver = "deliver(req, resp)";
    let response = "backend_response(bereq, beresp)";
    let fetch = "backend_fetch(bereq)";
    vec![
        (
            recv,
            "if now.hour > 5 { return pass(); }",
            "2:12 a Time has no variable `hour` (write `std::strftime(now, \"%H\")`, or `.unix()` for seconds since 1970)",
        ),
        (recv, "if req.url.length > 100 { return pass(); }", "2:16 a string has no variable `length` (write `.len()`)"),
        (
            recv,
            "if req.url.path == \"/\" { return pass(); }",
            "2:16 a string has no variable `path` (write `url::path(…)`)",
        ),
        (
            recv,
            "if client.ip.is_ipv6 { return pass(); }",
            "2:18 an Address has no variable `is_ipv6` (it is a method: `….is_ipv6()`)",
        ),
        (
            response,
            "if beresp.ttl.secs > 5 { return abandon(); }",
            "2:19 a Duration has no variable `secs` (write `.seconds()`, or compare: `… > duration(\"5s\")`)",
        ),
        (
            recv,
            "if req.can_gzip.len() > 0 { return pass(); }",
            "2:21 a bool has no method `len` (write `` `${…}` `` for its text)",
        ),
        (
            recv,
            "if req.http.x_forwarded_for.within(\"purgers\") { return pass(); }",
            "2:33 a string has no method `within` (write `std::ip(…, client.ip).within(…)`)",
        ),
        (recv, "req.url.push(\"a\");", "2:13 a string has no method `push` (write `x += …`)"),
        (
            response,
            "if beresp.ttl.starts_with(\"5\") { return abandon(); }",
            "2:19 a Duration has no method `starts_with` (compare it: `… > duration(\"5s\")`, or write `.seconds()`)",
        ),
        (
            recv,
            "if client.ip.starts_with(\"10.\") { return pass(); }",
            "2:18 an Address has no method `starts_with` (ask `.within(\"acl\")`, or write `` `${…}` `` for its text)",
        ),
        (
            response,
            "beresp.ttl = beresp.ttl + 5;",
            "2:29 there is no `+` of Duration and int (write `duration(\"5s\")` for the number)",
        ),
        (response, "beresp.ttl += \"5s\";", "2:12 `beresp.ttl` takes Duration, not string (write duration(\"5s\"))"),
        (
            recv,
            "let n = req.http.x_count - 1;",
            "2:30 there is no `-` of string and int (write `std::integer(…, 0)` for the text)",
        ),
        (
            recv,
            "let t = duration(\"1h\") + now;",
            "2:28 there is no `+` of Duration and Time (write the time first: `now + duration(\"1h\")`)",
        ),
        (recv, "let t = pass() + 1;", "2:20 there is no `+` of Action and int (an action can only be returned)"),
        (
            recv,
            "if req.http[1] == \"a\" { return pass(); }",
            "2:17 Headers has no `[int]` (a name is a text: `[\"name\"]`)",
        ),
        (
            recv,
            "if req.url[\"a\"] == \"/\" { return pass(); }",
            "2:16 a string has no `[string]` (it takes a number, from 0)",
        ),
        (recv, "let m = #{a: 1}; let x = m[1];", "2:32 a Map has no `[int]` (a key is a text: `[\"name\"]`)"),
        (
            recv,
            "if req.can_gzip[0] { return pass(); }",
            "2:21 a bool has no `[int]` (only texts, arrays, maps and header fields have it)",
        ),
        (
            recv,
            "for h in req.http { std::log(h); }",
            "2:14 a loop cannot go over Headers (ask for one field: `.all(\"name\")` gives its lines)",
        ),
        (
            recv,
            "for h in req.cookie { std::log(h); }",
            "2:14 a loop cannot go over Cookies (ask for one of them by its name)",
        ),
        (recv, "for h in #{a: 1} { std::log(h); }", "2:14 expecting an iterable value, not an object map"),
        (recv, "for h in req { std::log(h); }", "2:14 a loop cannot go over Request (ask for something of it)"),
        (
            recv,
            "for h in now { std::log(h); }",
            "2:14 a loop cannot go over a Time (a loop goes over an array, a range such as `0..5`, or the characters of a text)",
        ),
        (
            recv,
            "let n = req.restarts; for i in n { std::log(i); }",
            "2:36 a loop cannot go over an int (write a range: `0..5`)",
        ),
        (
            recv,
            "let t = now - \"5s\";",
            "2:17 there is no `-` of Time and string (write `duration(\"…\")` for the text)",
        ),
        (
            recv,
            "let m = #{a: 1}; for k in m { std::log(k); }",
            "2:31 a loop cannot go over a Map (loop over `.keys()` or `.values()`)",
        ),
        (
            recv,
            "if request.url == \"/\" { return pass(); }",
            "2:8 there is no variable `request` here (the request is `req`)",
        ),
        (
            deliver,
            "if response.status == 200 { resp.http.x = \"y\"; }",
            "2:8 there is no variable `response` here (the response is `resp`, or `beresp` as it comes from the origin)",
        ),
        (
            recv,
            "req.http[\"x\"] += 1;",
            "2:14 a field is a text: `+=` writes the number behind it (write `… = std::integer(…, 0) + 1`)",
        ),
        (
            recv,
            "req.http[\"x\"] = [\"a\", \"b\"];",
            "2:14 a field cannot hold Array (a line for each: `.append(\"name\", value)`)",
        ),
        (recv, "req.http[\"x\"] = pass();", "2:14 a field cannot hold Action (an action can only be returned)"),
        (recv, "req.http[\"x\"] = #{a: 1};", "2:14 a field cannot hold Map (write one of its values)"),
        (
            recv,
            "req.http[\"x\"] = \"a\\r\\nb\";",
            "2:21 a field cannot hold control characters (a line break begins another field: set that one by its name)",
        ),
        (recv, "if req.http.has(\"x name\") { return pass(); }", "2:21 \"x name\" is not a valid header field name"),
        (
            recv,
            "req.url = \"a\";",
            "2:15 `req.url` must begin with \"/\" (a target is path and query: `\"/path?query\"`)",
        ),
        (recv, "req.method = \"GE T\";", "2:18 \"GE T\" is not a valid request method"),
        (
            deliver,
            "resp.status = 99;",
            "2:19 99 is not a status that can be sent: 200 to 999, or that plus a multiple of 1000",
        ),
        (deliver, "resp.status = \"200\";", "2:10 `resp.status` takes int, not string (write `200` without quotes)"),
        (
            recv,
            "return synth(42);",
            "2:18 42 is not a status that can be sent: 200 to 999, or that plus a multiple of 1000",
        ),
        (recv, "return redirect(200, \"/\");", "2:21 `redirect` takes the status 301, 302, 303, 307 or 308"),
        (
            recv,
            "return redirect(301, \"/a\\r\\nb\");",
            "2:26 `redirect` cannot hold control characters (it is one line: leave out `\\r` and `\\n`)",
        ),
        (
            response,
            "beresp.uncacheable = false;",
            "2:26 `beresp.uncacheable` can be set, not cleared (leave it out, or set it to `true` under a condition)",
        ),
        (
            recv,
            "let a = deliver(); return a;",
            "2:31 this may be `deliver()`, which `recv` cannot return (it may return `lookup()`, `pass()`, `pipe()`, `purge()`, `synth(status, reason)`, `redirect(status, location)`, `restart()`, `fail(reason)`, `policy(name)`)",
        ),
        (
            recv,
            "let a = pass();",
            "2:13 this may be `pass()`, which has no effect here: nothing reads `a` (an action counts only when it is returned)",
        ),
        (
            recv,
            "req.url == \"/a\"; return pass();",
            "2:13 nothing takes this comparison (use it in a condition, or assign it: `req.url = …`)",
        ),
        (
            recv,
            "query::sort(req.url); return pass();",
            "2:12 nothing takes this value (use it in a condition, or assign it: `req.url = …`)",
        ),
        (
            recv,
            "req.url.to_lower(); return pass();",
            "2:5 nothing takes this value (use it in a condition, or assign it: `req.url = …`)",
        ),
        (
            recv,
            "let re = \"(a\"; if req.url.matches(\"^/\" + re) { return pass(); }",
            "2:39 not a valid regular expression: unclosed group in \"^/(a\"",
        ),
        (
            recv,
            "req.url = req.url.replace_re(\"^/(a)\", \"$2\");",
            "2:43 the expression has one group, and none is `2` (a group stands in parentheses, and `$$` for a \"$\")",
        ),
        (
            recv,
            "req.url = req.url.replace_re(\"^/(?P<x>a)(b)\", \"${y}\");",
            "2:51 the expression has 2 groups, and none is `y` (a group stands in parentheses, and `$$` for a \"$\")",
        ),
        (
            recv,
            "if req.backend == \"ap1\" { return pass(); }",
            "2:23 the configuration has no backend or director \"ap1\" (did you mean `app1`?)",
        ),
        (
            recv,
            "if client.ip == \"10.0.0.0/8\" { return pass(); }",
            "2:21 \"10.0.0.0/8\" is not an IP address (a network is an access list of the configuration: `.within(\"name\")`)",
        ),
        (
            recv,
            "if req.method in [1, 2] { return pass(); }",
            "2:22 comparing string with int is always the same (write the number without quotes)",
        ),
        (
            recv,
            "if req.method == [\"GET\"] { return pass(); }",
            "2:19 comparing string with Array is always the same (write `… in [\"a\", \"b\"]`)",
        ),
        (
            recv,
            "if req.http.dnt == true { return pass(); }",
            "2:21 comparing string with bool is always the same (a field is a text: compare it with `\"true\"` or the like, or ask `.has(…)`)",
        ),
        (
            recv,
            "if now > duration(\"1h\") { return pass(); }",
            "2:12 comparing Time with Duration is always the same (a time less a time is a duration: `now - … > duration(\"60s\")`)",
        ),
        (
            recv,
            "switch req.method { 1 => { return pass(); } _ => {} }",
            "2:12 no arm of this `switch` ever holds: the value is a text (write the texts in quotes: `\"a\" => …`)",
        ),
        (
            deliver,
            "switch resp.status { \"404\" => { resp.http.x = \"y\"; } _ => {} }",
            "2:12 no arm of this `switch` ever holds: the value is an int (write the numbers without quotes: `404 => …`)",
        ),
        (recv, "let b = std::bucket(\"k\", 0);", "2:30 `std::bucket` takes a number of buckets from 1 to 4294967295"),
        (recv, "let b = std::random(6, 1);", "2:25 `std::random` takes the smaller number first"),
        (
            recv,
            "if throttle::allowed(\"k\", \"10/s\", 0) { return pass(); }",
            "2:39 a burst is 1 or more: otherwise nothing is ever allowed",
        ),
        (
            recv,
            "let d = duration(3600);",
            "2:22 `duration` takes a text, not a number (write the unit: `duration(\"60s\")`, or multiply: `duration(\"1s\") * n`)",
        ),
        (
            recv,
            "let b = std::strftime(now, \"%Q\");",
            "2:32 `std::strftime` does not know `%Q` (it knows %Y %m %d %H %M %S %j %a %A %b %B %e %y %F %T %s %Z %%)",
        ),
        (
            recv,
            "let b = json::get(\"{}\", \"user.id\");",
            "2:29 \"user.id\" is not a JSON pointer (write `\"/user/id\"`)",
        ),
        (
            recv,
            "req.cookie.set(\"a b\", \"c\");",
            "2:20 a cookie's name is a token, and its value has no space, comma or semicolon",
        ),
        (
            fetch,
            "std::rollback();",
            "2:10 `std::rollback` does not work in `backend_fetch` (it works in `recv`, `hash`, `hit`, `miss`, `pass`, `pipe`, `purge`, `deliver`, `synth`)",
        ),
        (recv, "let n = purge::hard();", "2:20 `purge::hard` does not work in `recv` (it works in `hit`, `miss`)"),
        (
            recv,
            "req.http.x = \"/${req.method}\";",
            "2:18 `req` is not filled in between double quotes (write the text between backquotes: `` `…` ``)",
        ),
        (
            recv,
            "return restart();",
            "2:5 `recv` restarts every request, so no response is ever sent (restart under a condition: `if req.restarts == 0 { return restart(); }`)",
        ),
        (
            response,
            "if bereq.is_bgfetch { return retry(); } else { return retry(); }",
            "2:5 `backend_response` retries every fetch, so no response is ever taken (retry under a condition: `if bereq.retries == 0 && beresp.status >= 500 { return retry(); }`)",
        ),
        (recv, "if req.ip == \"a\" { return pass(); }", "2:12 `req` has no variable `ip` (did you mean `client.ip`?)"),
        (recv, "if req.http.x == None { return pass(); }", "2:22 there is no variable `None` here (nothing is `()`)"),
        (
            recv,
            "let n = 5; let f = |x| x + n; let y = f.call(1);",
            "2:32 there is no variable `n` here (a closure sees nothing but its parameters: write the loop with `for`)",
        ),
        (recv, "if req.http.x == null { return pass(); }", "2:22 `null` is a reserved word of Rhai (nothing is `()`)"),
        (
            recv,
            "var x = 5;",
            "2:5 `var` is a reserved word of Rhai (write `let`; what a request carries along is in `req.vars`)",
        ),
        (
            recv,
            "use std;",
            "2:5 `use` is a reserved word of Rhai (modules such as `std` are there; a file is imported by `import \"lib/x\" as x;`)",
        ),
        (recv, "let with = 5;", "2:9 `with` is a reserved word of Rhai (give it another name)"),
        (
            recv,
            "if not req.can_gzip { return pass(); }",
            "2:12 expecting '{' to start a statement block (`not a` is `!a`)",
        ),
        (
            recv,
            "if req.url == \"/\" and true { return pass(); }",
            "2:23 expecting '{' to start a statement block (`and` is `&&`)",
        ),
        (
            recv,
            "if req.url == \"/\" or true { return pass(); }",
            "2:23 expecting '{' to start a statement block (`or` is `||`)",
        ),
        (
            recv,
            "if req.url is \"/\" { return pass(); }",
            "2:16 expecting '{' to start a statement block (`is` is `==`)",
        ),
        (
            recv,
            "req.url = \"/a\" \"/b\";",
            "2:20 expecting ';' to terminate this statement (texts are joined by `+`: `\"/a\" + req.url`, or `` `/a${req.url}` ``)",
        ),
        (recv, "let m = {\"a\": 1};", "2:17 expecting ';' to terminate this statement (a map is `#{a: 1}`)"),
    ]
}

/// One for each message about a file.
pub(super) fn files() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "fn vcl_fetch(req, beresp) { }",
            "1:4 `vcl_fetch` is not a hook, and nothing calls it (did you mean `backend_response`?)",
        ),
        ("fn on_request(req) { }", "1:4 `on_request` is not a hook, and nothing calls it (did you mean `recv`?)"),
        (
            "fn guard(req) { if req.url == \"/\" { return deliver(); } }\nfn recv(req) { return guard(req); }",
            "2:23 `guard` may return `deliver()`, which `recv` cannot return (it may return `lookup()`, `pass()`, `pipe()`, `purge()`, `synth(status, reason)`, `redirect(status, location)`, `restart()`, `fail(reason)`, `policy(name)`)",
        ),
        (
            "fn code(x) { if x { return 404; } return pass(); }\nfn recv(req) { return code(true); }",
            "2:23 `code` may return a value of type int, which is neither an action nor nothing (`recv` may return `lookup()`, `pass()`, `pipe()`, `purge()`, `synth(status, reason)`, `redirect(status, location)`, `restart()`, `fail(reason)`, `policy(name)`)",
        ),
        (
            "fn is_admin(req) { req.url.starts_with(\"/admin\") }\nfn recv(req) { is_admin(req) }",
            "2:16 `recv` returns a value of type bool, which is neither an action nor nothing (it may return `lookup()`, `pass()`, `pipe()`, `purge()`, `synth(status, reason)`, `redirect(status, location)`, `restart()`, `fail(reason)`, `policy(name)`; end with `()` to return nothing)",
        ),
        (
            "fn low(req) { req.uri = \"/\"; }\nfn recv(req) { low(req); }",
            "1:19 `req` has no variable `uri` (did you mean `url`?)",
        ),
        (
            "fn body(resp) { resp.body = \"x\"; }\nfn deliver(req, resp) { body(resp); }",
            "1:22 `resp.body` cannot be written where this is called: in `deliver` (it can be written in `synth`)",
        ),
        (
            "fn five(x) { 5 }\nfn recv(req) { if five(1) { return pass(); } }",
            "2:19 a condition is a boolean, and this is of type int (compare it: `… > 0`)",
        ),
        (
            "fn marked(req) { req.http.x = \"y\"; }\nfn recv(req) { req.url = marked(req); }",
            "2:20 `req.url` takes string, not () (the value is `()`, nothing)",
        ),
        (
            "const RE = \"(a\";\nfn recv(req) { if req.url.matches(global::RE) { return pass(); } }",
            "2:35 not a valid regular expression: unclosed group in \"(a\"",
        ),
    ]
}

/// Of a policy in a folder with the module `lib`.
pub(super) const MODULES: &[(&str, &str)] = &[
    (
        "import \"lib\";\nfn recv(req) { pass() }",
        "1:1 nothing of the module can be named without `as` (write `import \"lib\" as lib;`)",
    ),
    (
        "import \"lib\" as std;\nfn recv(req) { pass() }",
        "1:17 this import would hide Copal's own module `std` (give it another name)",
    ),
    (
        "import \"lib\" as l;\nfn recv(req) { if req.url == l::LIMIT { return pass(); } }",
        "2:33 the module `l` exports no constant `LIMIT` (write `export const LIMIT = …;` there)",
    ),
    (
        "import \"lib\" as l;\nfn recv(req) { if req.url == l::OPNE { return pass(); } }",
        "2:33 the module `l` exports no constant `OPNE` (did you mean `OPEN`?)",
    ),
    (
        "import \"lib\" as l;\nfn recv(req) { l::hidden(req); pass() }",
        "2:19 `hidden` is private to the module `l` (leave out `private` there)",
    ),
];
