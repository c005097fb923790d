//! What is said of a line in a hook.

/// Hook, line, and what is said of it.
pub(super) type Line = (&'static str, &'static str, &'static str);

/// One for each message about a line.
pub(super) fn lines() -> Vec<Line> {
    let recv = "recv(req)";
    let deliver = "deliver(req, resp)";
    let response = "backend_response(bereq, beresp)";
    vec![
        (recv, "req.uri = \"/\";", "2:9 `req` has no variable `uri` (did you mean `url`?)"),
        (recv, "if req.cookies == 1 { }", "2:12 `req` has no variable `cookies` (did you mean `cookie`?)"),
        (recv, "std::log(req.headers);", "2:18 `req` has no variable `headers` (headers are at `.http`)"),
        (
            recv,
            "std::log(req.user_agent);",
            "2:18 `req` has no variable `user_agent` (a header is `req.http[\"user-agent\"]`)",
        ),
        (
            recv,
            "std::log(req.is_get_or_head);",
            "2:18 `req` has no variable `is_get_or_head` (it is a method: `req.is_get_or_head()`)",
        ),
        (
            recv,
            "std::log(req.http.X-Forwarded);",
            "2:25 there is no variable `Forwarded` here (a field with a dash is `req.http[\"x-forwarded\"]` or `req.http.x_forwarded`)",
        ),
        (
            recv,
            "hash_data(req.url);",
            "2:5 there is no function `hash_data` (`hash_data(x);` is `key.add(x);` in the hook `hash`)",
        ),
        (
            recv,
            "req.backend = req.vars[\"app\"].backend();",
            "2:35 there is no method `backend` (a director is named: `req.backend = director(\"name\");`)",
        ),
        (recv, "req.restarts = 1;", "2:9 `req.restarts` can only be read"),
        (recv, "req = 5;", "2:5 `req` cannot be assigned to"),
        (recv, "now = 5;", "2:5 `now` cannot be assigned to"),
        (recv, "std::log(rq.url);", "2:14 there is no variable `rq` here (did you mean `req`?)"),
        (
            recv,
            "std::log(beresp.ttl);",
            "2:14 there is no variable `beresp` here (`recv` does not have it; `backend_refresh`, `backend_response`, `backend_error` do)",
        ),
        (recv, "return pas();", "2:12 there is no function `pas` (did you mean `pass`?)"),
        (recv, "return pass;", "2:12 there is no variable `pass` here (an action or function is called: `pass()`)"),
        (
            recv,
            "return deliver();",
            "2:12 `recv` cannot return `deliver()` (it may return `lookup()`, `pass()`, `pipe()`, `purge()`, `synth(status, reason)`, `redirect(status, location)`, `restart()`, `fail(reason)`, `policy(name)`)",
        ),
        (
            recv,
            "if req.restarts > 1 { deliver() }",
            "2:27 `recv` cannot return `deliver()` (it may return `lookup()`, `pass()`, `pipe()`, `purge()`, `synth(status, reason)`, `redirect(status, location)`, `restart()`, `fail(reason)`, `policy(name)`)",
        ),
        (
            deliver,
            "return pass();",
            "2:12 `deliver` cannot return `pass()` (it may return `deliver()`, `restart()`, `synth(status, reason)`, `fail(reason)`)",
        ),
        (
            recv,
            "if req.restarts > 1 { pass(); } req.url = \"/\";",
            "2:27 `pass` has no effect here: an action counts only when it is returned (write `return pass();`)",
        ),
        (
            recv,
            "return \"pass\";",
            "2:12 `recv` returns a value of type string, which is neither an action nor nothing (it may return `lookup()`, `pass()`, `pipe()`, `purge()`, `synth(status, reason)`, `redirect(status, location)`, `restart()`, `fail(reason)`, `policy(name)`; end with `()` to return nothing)",
        ),
        (
            recv,
            "return synth();",
            "2:12 `synth` does not take 0 arguments (write `synth(status: int, reason: string)`)",
        ),
        (recv, "return synth(\"404\");", "2:18 `synth` takes int as `status`, not string (write `404` without quotes)"),
        (
            recv,
            "return synth(req.http.x_status);",
            "2:18 `synth` takes int as `status`, not string (write `std::integer(…, 0)`)",
        ),
        (
            recv,
            "req.url = query::keep(req.url, \"a\");",
            "2:36 `query::keep` takes Array as `names`, not string (write `[\"a\"]`)",
        ),
        (recv, "req.cookie.remove(5);", "2:23 `remove` takes string as `name`, not int (write `\"5\"`)"),
        (recv, "return fail(now);", "2:17 `fail` takes string as `reason`, not Time (write `` `${…}` ``)"),
        (recv, "if req.url.matches(\"(a\") { }", "2:24 not a valid regular expression: unclosed group"),
        (
            recv,
            "req.cookie.keep_matching(\"a{9999}{9999}\");",
            "2:30 not a valid regular expression: it is dangerous: it takes too much memory: use smaller repetitions",
        ),
        (
            recv,
            "if client.ip.within(\"purger\") { }",
            "2:25 the configuration has no ACL \"purger\" (did you mean `purgers`?)",
        ),
        (
            recv,
            "req.backend = backend(\"app2\");",
            "2:27 the configuration has no backend \"app2\" (did you mean `app1`?)",
        ),
        (
            recv,
            "req.backend = director(\"app1\");",
            "2:28 the configuration has no director \"app1\" (it is a backend: `backend(\"app1\")`)",
        ),
        (
            recv,
            "req.backend = backend(\"app\");",
            "2:27 the configuration has no backend \"app\" (it is a director: `director(\"app\")`)",
        ),
        (
            recv,
            "req.backend = director(\"ap\");",
            "2:28 the configuration has no director \"ap\" (did you mean `app`?)",
        ),
        (recv, "if req[\"host\"] == \"a\" { }", "2:12 Request has no `[…]` (headers are at `.http[…]`)"),
        (
            deliver,
            "resp.cookies = \"a=1\";",
            "2:10 `resp` has no variable `cookies` (a cookie is set by a line of its own: `.http.append(\"set-cookie\", …)`)",
        ),
        (
            recv,
            "std::log(req.path);",
            "2:18 `req` has no variable `path` (the target is `.url`; its path is `url::path(x.url)`)",
        ),
        (
            recv,
            "std::log(strftime(now, \"%F\"));",
            "2:14 there is no function `strftime` (it is in a module: `std::strftime`)",
        ),
        (
            recv,
            "if within(\"purgers\") { return pass(); }",
            "2:8 there is no function `within` (it is a method of Address: `x.within(…)`)",
        ),
        (
            recv,
            "if req.url == 5 { return pass(); }",
            "2:16 comparing string with int is always the same (write the number in quotes, or use `parse_int`)",
        ),
        (
            recv,
            "std::log(std);",
            "2:14 there is no variable `std` here (a module is followed by `::`, as in `std::log`)",
        ),
        (recv, "std::log(stdd);", "2:14 there is no variable `stdd` here (did you mean `std::`?)"),
        (
            recv,
            "shop::route(req); ()",
            "2:5 there is no module `shop` (write `import \"shop\" as shop;` at the top of the file, if it is one of yours)",
        ),
        (
            recv,
            "if req.restarts > 1 { synth(404); } req.url = \"/\";",
            "2:27 `synth` has no effect here: an action counts only when it is returned (write `return synth(…);`)",
        ),
        (
            "backend_refresh(bereq, beresp, stale)",
            "std::log(obj_stale.ttl);",
            "2:14 there is no variable `obj_stale` here (the stale object is `stale`, in `backend_refresh`)",
        ),
        (
            recv,
            "req.url = querysort(req.url);",
            "2:15 there is no function `querysort` (`std.querysort(x)` is `query::sort(x)`)",
        ),
        (recv, "req.backend = \"nowhere\";", "2:19 the configuration has no backend or director \"nowhere\""),
        (recv, "if std::healthy(\"nowhere\") { }", "2:21 the configuration has no backend or director \"nowhere\""),
        (
            recv,
            "std::querysort(req.url); ()",
            "2:10 the module `std` has no function `querysort` (for `std.querysort`: `req.url = query::sort(req.url);`)",
        ),
        (
            recv,
            "xkey::purge(\"a\"); ()",
            "2:5 there is no module `xkey` (for `xkey.purge`: `std::log(tags::purge(\"a b\"));`)",
        ),
        (
            recv,
            "let all = cookie; ()",
            "2:15 there is no variable `cookie` here (this is a module of VCL: docs/guide/from-vcl.md has each of its functions with what to write)",
        ),
        (
            recv,
            "req.backend = app;",
            "2:19 there is no variable `app` here (a director of the configuration is `director(\"app\")`)",
        ),
        (
            recv,
            "req.backend = app1;",
            "2:19 there is no variable `app1` here (a backend of the configuration is `backend(\"app1\")`)",
        ),
        (recv, "req.http.unset(\"via\");", "2:14 Headers has no method `unset` (write `.remove(\"name\")`)"),
        (recv, "return hash();", "2:12 there is no function `hash` (`return (hash);` is `return lookup();`)"),
        (
            response,
            "return hit_for_pass(120);",
            "2:12 there is no function `hit_for_pass` (`return (pass(120s));` is `return pass(duration(\"120s\"));` in `backend_response`)",
        ),
        (
            response,
            "bereq.vars[\"a\"] = 1;",
            "2:11 `bereq` has no variable `vars` (`req.vars` is there in the hooks of the client's side; a fetch takes along what is in a field of the request)",
        ),
        (
            recv,
            "if req.url.matches(\"a(?!b)\") { }",
            "2:24 not a valid regular expression: look-around, including look-ahead and look-behind, is not supported (there is no look-ahead, look-behind or backreference: two tests say it, as in `a.matches(x) && !a.matches(y)`)",
        ),
        (
            recv,
            "if req.url.matches(`(a)\\1`) { }",
            "2:24 not a valid regular expression: backreferences are not supported (there is no look-ahead, look-behind or backreference: two tests say it, as in `a.matches(x) && !a.matches(y)`)",
        ),
        (recv, "std::logg(1);", "2:10 the module `std` has no function `logg` (did you mean `log`?)"),
        (
            recv,
            "if proxy::is_ssl { return pass(); }",
            "2:15 `proxy::is_ssl` is a function (call it: `proxy::is_ssl(…)`)",
        ),
        (recv, "qery::sort(req.url); ()", "2:5 there is no module `qery` (did you mean `query`?)"),
        (recv, "std::log(global::TTL);", "2:22 this file has no constant `TTL`"),
        (
            recv,
            "req.http.clear();",
            "2:14 Headers has no method `clear` (fields are read as `.http[\"name\"]` and set by assigning to it)",
        ),
        (recv, "req.cookie.hass(\"x\"); ()", "2:16 Cookies has no method `hass` (did you mean `has`?)"),
        (recv, "req.cookie[\"a\"] = \"x\";", "2:16 Cookies has no `[…]` (write `.get(name)`)"),
        (recv, "req.http[\"x y\"] = \"a\";", "2:14 \"x y\" is not a valid header field name"),
        (
            deliver,
            "resp.http[\"Content-Length\"] = 5;",
            "2:15 `content-length` can only be read: it says where a body ends (Copal writes it for the body that it sends)",
        ),
        (
            response,
            "beresp.http.content_length = ();",
            "2:17 `content-length` can only be read: it says where a body ends (Copal writes it for the body that it sends)",
        ),
        (
            recv,
            "req.http.remove(\"transfer-encoding\");",
            "2:21 `transfer-encoding` can only be read: it says where a body ends (Copal writes it for the body that it sends)",
        ),
        (recv, "req.grace = \"1h\";", "2:9 `req.grace` takes Duration, not string (write duration(\"1h\"))"),
        (
            recv,
            "req.grace = duration(\"5 parsecs\");",
            "2:26 \"5 parsecs\" is not a duration: write \"250ms\", \"90s\", \"5m\", \"6h\", \"1d\", \"2w\" or \"1y\"",
        ),
        (
            recv,
            "if bytes(\"10 MegaB\") > 1 { }",
            "2:14 \"10 MegaB\" is not a size: write \"512B\", \"10KiB\", \"10MiB\" or \"1GiB\"",
        ),
        (recv, "if client.ip == std::ip(\"1.2.3\") { }", "2:29 \"1.2.3\" is not an IP address"),
        (recv, "import \"lib\" as l;", "2:5 `import` belongs at the top of the file"),
        (
            recv,
            "if req.is_hitmiss { }",
            "2:12 `req.is_hitmiss` cannot be read in `recv` (it can be read in `miss`, `pass`, `deliver`, `synth`)",
        ),
        (recv, "eval(\"1\");", "2:5 reserved keyword 'eval' is disabled"),
        (recv, "let x = ;", "2:13 unexpected ';'"),
        (
            deliver,
            "if resp.status == \"200\" { }",
            "2:20 comparing int with string is always the same (write the number without quotes)",
        ),
        (
            response,
            "if beresp.ttl + beresp.grace > 10 { }",
            "2:34 comparing Duration with int is always the same (write duration(\"60s\"))",
        ),
        (
            response,
            "if -(beresp.ttl * 2 - beresp.age) / 2 > 10 { }",
            "2:43 comparing Duration with int is always the same (write duration(\"60s\"))",
        ),
        (
            response,
            "let since = now - beresp.time; if since <= 0 { }",
            "2:45 comparing Duration with int is always the same (write duration(\"60s\"))",
        ),
        (
            recv,
            "let n = req.http.cookie; if n == 100 { }",
            "2:35 comparing string with int is always the same (write the number in quotes, or use `parse_int`)",
        ),
        (
            recv,
            "req.url = req.url.replace(\"/\", \"/x\");",
            "2:23 `replace` changes the text in place and gives nothing (`….replace_re(…)` gives a new text, and `….replace_all_re(…)` one with all replaced)",
        ),
        (
            recv,
            "let text = req.url.trim();",
            "2:24 `trim` changes the text in place and gives nothing (let it stand alone: `let text = …; text.trim();`)",
        ),
        (
            recv,
            "std::log(req.url.make_upper());",
            "2:22 `make_upper` changes the text in place and gives nothing (`….to_upper()` gives a new text)",
        ),
        (
            recv,
            "std::log(req.url.make_lower());",
            "2:22 `make_lower` changes the text in place and gives nothing (`….to_lower()` gives a new text)",
        ),
        (
            recv,
            "let start = req.url.crop(1);",
            "2:25 `crop` changes the text in place and gives nothing (`….sub_string(…)` gives a new text)",
        ),
        (
            recv,
            "let start = req.url.truncate(5);",
            "2:25 `truncate` changes the text in place and gives nothing (`….sub_string(0, …)` gives a new text)",
        ),
        (
            deliver,
            "resp.body = \"x\";",
            "2:10 `resp.body` cannot be written in `deliver` (it can be written in `synth`)",
        ),
        (recv, "req_top.http.x_a = \"1\";", "2:18 `req_top.http` can only be read"),
        ("hit(req, obj)", "obj.http.remove(\"x-a\"); ()", "2:21 `obj.http` can only be read"),
        (
            "backend_refresh(bereq, beresp, stale)",
            "stale.http.remove_matching(\"x-*\"); ()",
            "2:16 `stale.http` can only be read",
        ),
        (recv, "req.backend.nam == \"app1\"; ()", "2:17 a backend has no variable `nam` (did you mean `name`?)"),
        (
            recv,
            "if req.backend.healthy { return pass(); }",
            "2:20 a backend has no variable `healthy` (it is a method: `.healthy()`)",
        ),
        (recv, "req.backend.name = \"app1\";", "2:17 the name of a backend can only be read"),
        (deliver, "resp.status = \"404\";", "2:10 `resp.status` takes int, not string (write `404` without quotes)"),
        (deliver, "obj.ttl = duration(\"1s\");", "2:9 `obj.ttl` can only be read"),
        (response, "beresp.tll = duration(\"1s\");", "2:12 `beresp` has no variable `tll` (did you mean `ttl`?)"),
        (
            recv,
            "std::file(\"lists/bots\").contains(\"x\"); ()",
            "2:15 cannot read \"lists/bots\" (a policy that is not in a file has no folder to read from)",
        ),
        (
            recv,
            "return policy(\"shoop\");",
            "2:19 the configuration has no policy \"shoop\" (write `shoop = \"FILE.rhai\"` under `[policy.named]`)",
        ),
        (
            recv,
            "storage.imagez.happy; ()",
            "2:13 the configuration has no storage \"imagez\" (write `[store.imagez]` and its `size` into the configuration)",
        ),
        (recv, "std::file_exists(req.url); ()", "2:10 `std::file_exists` takes a literal path: it looks at load"),
        (recv, "std::file(req.url); ()", "2:10 `std::file` takes a literal path: the file is read at load"),
        (
            recv,
            "std::digest(\"sha265\", \"x\"); ()",
            "2:17 \"sha265\" is not a digest: write \"sha256\", \"sha384\", \"sha512\" or \"sha1\" (did you mean `sha256`?)",
        ),
        (
            recv,
            "jwt::verify(\"a\", \"none\", \"k\"); ()",
            "2:22 \"none\" is not an algorithm of tokens: write \"HS256\", \"RS256\" or \"ES256\"",
        ),
        (
            recv,
            "throttle::allowed(\"a\", \"10 per s\", 1); ()",
            "2:28 \"10 per s\" is not a rate: write \"10/s\", \"100/m\", \"1000/h\" or \"5/10s\"",
        ),
        (
            recv,
            "geo::country(client.ip); ()",
            "2:10 the configuration has no GeoIP database (write `geoip = \"FILE.mmdb\"` under `[policy]`)",
        ),
        (
            recv,
            "return pass(); req.url = \"/\";",
            "2:20 this is never reached (line 2 always leaves before it: remove it, or put it first)",
        ),
        (
            recv,
            "if req.restarts > 0 { return pass(); } else { throw \"x\"; } req.url = \"/\";",
            "2:64 this is never reached (line 2 always leaves before it: remove it, or put it first)",
        ),
        (
            recv,
            "for i in 0..3 { break; std::log(i); }",
            "2:33 this is never reached (line 2 always leaves before it: remove it, or put it first)",
        ),
        (
            recv,
            "let n = 0; loop { n += 1; if n > 5 { continue; } }",
            "2:16 this loop never ends (end it with `break` or `return`, or loop over a list with `for`)",
        ),
        (
            recv,
            "let n = 0; while true { n += 1; }",
            "2:16 this loop never ends (end it with `break` or `return`, or loop over a list with `for`)",
        ),
        (
            recv,
            "let n = 0; do { n += 1; } until false;",
            "2:16 this loop never ends (end it with `break` or `return`, or loop over a list with `for`)",
        ),
        (
            deliver,
            "if resp.status == 404 { return restart(); } restart()",
            "2:49 `deliver` restarts every request, so no response is ever sent (restart under a condition: `if req.restarts == 0 { return restart(); }`)",
        ),
        (
            response,
            "return pass();",
            "2:12 `backend_response` cannot return `pass()` (it may return `deliver()`, `pass(duration)`, `retry()`, `abandon()`, `error(status, reason)`, `fail(reason)`)",
        ),
        (
            recv,
            "ban(\"obj.nope == 1\"); ()",
            "2:9 this ban expression will always be refused (there is no field obj.nope)",
        ),
        (recv, "req.vars.lang = \"de\";", "2:14 Vars has no variable `lang` (write `[\"lang\"]`)"),
        (
            response,
            "beresp.do_esi = true;",
            "2:12 `beresp` has no variable `do_esi` (not there yet: Copal does no ESI, and a page goes out as it came, with its `<esi:include>`; put it together in the application, or let the browser fetch the part)",
        ),
        (
            response,
            "beresp.do_gzip = true;",
            "2:12 `beresp` has no variable `do_gzip` (not there yet: bodies are stored and sent as they come; let the application compress, with `Vary: Accept-Encoding`)",
        ),
        (
            recv,
            "sess.timeout_idle = duration(\"5s\");",
            "2:5 there is no variable `sess` here (the timeouts of a connection from a client are keys of its `[[listen]]`, and `sess.xid` is `req.xid`)",
        ),
        (recv, "if storage.hapy { return pass(); }", "2:16 `storage` has no variable `hapy` (did you mean `happy`?)"),
        (recv, "req.url.shorten();", "2:13 there is no method `shorten`"),
        (
            recv,
            "if req.url.matches(`(\\w{1,200}){20}`) { }",
            "2:24 not a valid regular expression: it is dangerous: it takes too much memory: use smaller repetitions",
        ),
        (
            recv,
            "if req.url.matches(\"([0-9a-f]{400}){20}\") { }",
            "2:24 not a valid regular expression: it is dangerous: it has 8005 states, and 4000 are allowed, as each can take part in every step through the text: use smaller repetitions, and `[0-9]` or `[a-z]` instead of `\\d` or `\\w`",
        ),
        (
            recv,
            "if req.vars[\"seen\"] && req.url == \"/\" { return pass(); }",
            "2:8 a condition is a boolean, and `req.vars[\"seen\"]` is `()` until it is set (`req.vars[\"seen\"] == true`, or `req.vars.has(\"seen\")`)",
        ),
        (
            recv,
            "if req.http[\"x-a\"] { return pass(); }",
            "2:8 a condition is a boolean, and this is the text of `req.http[\"x-a\"]`, or `()` (is the field there? `req.http.has(\"x-a\")`)",
        ),
        (
            recv,
            "let match = 1;",
            "2:9 `match` is a reserved word of Rhai (write `switch x { \"a\" => …, _ => … }`; as a name, another one)",
        ),
    ]
}
