//! What is still VCL.

use super::{findings, in_hook};

#[test]
fn what_is_still_vcl_is_told_line_by_line() {
    let source = "import std;\nacl local { }\nfn recv(req) {\n    set req.http.host = std.tolower(req.http.host);\n    \
                  if (client.ip ~ local) { return pass(); } elsif (req.url == \"/\") { }\n    req.grace = 1h;\n    \
                  req.url = regsub(req.url, \"a\", \"b\");\n}\n# old\nsub vcl_deliver { call name; unset resp.http.a; }";
    let found = findings(source);
    let parser: Vec<&String> = found.iter().filter(|f| !f.contains("this is VCL")).collect();
    assert!(parser.len() == 1 && parser[0].starts_with("2:5 "), "what the parser says comes, too: {found:#?}");
    let told: Vec<&str> = found.iter().filter(|f| f.contains("this is VCL")).map(String::as_str).collect();
    assert_eq!(
        told,
        [
            "1:1 this is VCL (modules such as `std` are there without an import)",
            "2:1 this is VCL (access lists are in copal.toml: `[acl]` with `name = [\"10.0.0.0/8\"]`)",
            "4:5 this is VCL (`set a = b;` is `a = b;`)",
            "4:25 this is VCL (modules are written with `::`, as in `std::log(\"x\")`)",
            "5:19 this is VCL (`a ~ \"re\"` is `a.matches(\"re\")`; with an access list `client.ip.within(\"name\")`)",
            "5:47 this is VCL (`elsif` is `else if`)",
            "6:17 this is VCL (a duration is `duration(\"1h\")`)",
            "7:15 this is VCL (`regsub(a, \"re\", \"x\")` is `a.replace_re(\"re\", \"x\")`)",
            "9:1 this is VCL (a comment begins with `//`)",
            "10:1 this is VCL (`sub vcl_recv { … }` is `fn recv(req) { … }`; a subroutine of one's own is `fn name(req) { … }`)",
        ]
    );
}

/// Lines that Rhai does not read, and what to write instead.
const STILL_VCL: [(&str, &str); 15] = [
    ("vcl 4.1;", "a policy has no version: leave the line out"),
    ("unset req.http.X-A;", "`unset req.http.X-A;` is `req.http.remove(\"x-a\");`"),
    ("call strip;", "`call name;` is `name(req);`: a function sees what is passed to it"),
    ("backend app1 { }", "backends are in copal.toml: `[backend.NAME]` with `address = \"host:port\"`"),
    ("probe alive { }", "probes are in copal.toml: `probe = { path = \"/healthz\" }` of a backend"),
    ("new app = directors.shard();", "directors are in copal.toml: `[director.NAME]`"),
    ("include \"a.vcl\";", "`include \"a.vcl\";` is `import \"a\" as a;`, and `a::name(…)` where it is used"),
    ("hash_data(req.url) ~;", "`hash_data(x);` is `key.add(x);` in the hook `hash`"),
    ("synthetic({\"a\"});", "`synthetic(x);` is `resp.body = x;` in `synth`, `beresp.body = x;` in `backend_error`"),
    ("} elseif (a) {", "`elseif` is `else if`"),
    ("} elif (a) {", "`elif` is `else if`"),
    ("if (a !~ \"b\") {", "`a !~ \"re\"` is `!a.matches(\"re\")`; with an access list `!client.ip.within(\"name\")`"),
    ("a = {\"long\"};", "a long text stands between backquotes"),
    ("a = regsuball(b, \"c\", \"d\");", "`regsuball(a, \"re\", \"x\")` is `a.replace_all_re(\"re\", \"x\")`"),
    ("req.http.X-Name = 1;", "a field with a dash is `req.http[\"x-name\"]`, or `req.http.x_name` with `_` for `-`"),
];

#[test]
fn each_word_of_vcl_is_told_with_what_to_write() {
    for (line, help) in STILL_VCL {
        // A line that is surely no Rhai comes last, so that the parser gives up and the words are looked for.
        let found = findings(&format!("{line}\nsub vcl_recv {{\n"));
        assert!(
            found.iter().any(|f| f.starts_with("1:") && f.ends_with(&format!("this is VCL ({help})"))),
            "{found:#?}"
        );
    }
    // What Rhai takes for a call is told by its name.
    for (line, name, help) in [
        ("regsub(req.url, \"a\", \"b\")", "regsub", "`regsub(a, \"re\", \"x\")` is `a.replace_re(\"re\", \"x\")`"),
        (
            "regsuball(req.url, \"a\", \"b\")",
            "regsuball",
            "`regsuball(a, \"re\", \"x\")` is `a.replace_all_re(\"re\", \"x\")`",
        ),
        ("unset(req.url)", "unset", "`unset req.http.X-A;` is `req.http.remove(\"x-a\");`"),
        (
            "synthetic(\"a\")",
            "synthetic",
            "`synthetic(x);` is `resp.body = x;` in `synth`, `beresp.body = x;` in `backend_error`",
        ),
        ("add_backend(\"a\")", "add_backend", "directors and their backends are in copal.toml: `[director.NAME]`"),
        ("get_string()", "get_string", "`req.cookie` is the header itself: there is nothing to write back"),
    ] {
        let told = in_hook("recv(req)", &format!("let x = {line};"));
        assert_eq!(told, format!("2:13 there is no function `{name}` ({help})"));
    }
}
