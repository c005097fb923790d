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
            "4:25 this is VCL (for `std.tolower`: `req.http.host = std::tolower(req.http.host ?? \"\");`)",
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
const STILL_VCL: [(&str, &str); 23] = [
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
    ("std.unheard_of(a);", "modules are written with `::`, as in `std::log(\"x\")`"),
    ("set req.url = std.querysort(req.url);", "for `std.querysort`: `req.url = query::sort(req.url);`"),
    ("xkey.purge(req.http.xkey-purge);", "for `xkey.purge`: `std::log(tags::purge(\"a b\"));`"),
    ("import std;", "modules such as `std` are there without an import"),
    ("import vsthrottle;", "nothing is imported: what this module's functions are here is told where they are called"),
    (
        ".connect_timeout = 1s;",
        "what a backend or probe has is in copal.toml, with its value in quotes: `connect_timeout = \"1s\"`, `address = \"host:port\"`",
    ),
    (
        "if (req.http.X-A && client.ip ~ b) {",
        "`if (req.http.X-A)` is `if req.http.has(\"x-a\")`: a text is no condition, and a field may be missing",
    ),
    (
        "} elsif (!req.http.X-A) {",
        "`if (req.http.X-A)` is `if req.http.has(\"x-a\")`: a text is no condition, and a field may be missing",
    ),
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

#[test]
fn each_help_comes_once_with_its_lines_and_a_count_comes_last() {
    let found = findings("sub a {\n    set req.url = \"a\";\n    set req.url = \"b\"; set b = c;\n    set d = e;\n}\n");
    assert_eq!(found[found.len() - 2], "2:5 this is VCL (`set a = b;` is `a = b;`; also in line 3, 4)");
    assert_eq!(
        found[found.len() - 1],
        "0:0 4 places in this text are VCL (docs/guide/from-vcl.md has the tables of the language, the variables and the modules)"
    );
    let many = findings(&"set a = b;\n".repeat(30));
    assert_eq!(
        many[0],
        "1:1 this is VCL (`set a = b;` is `a = b;`; also in line 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21 and 9 more)"
    );
}

#[test]
fn what_the_parser_stops_at_is_told_with_what_to_write() {
    for (line, expected) in [
        (
            "if req.url.matches(\"(?i)\\.css\") { return pass(); }",
            "invalid escape sequence: '\\.' (between backquotes a backslash stands for itself: `` `\\.css$` ``; between double quotes it is written twice)",
        ),
        (
            "if req.url == '/blog' { return pass(); }",
            "invalid character: '/blog' (a text stands between double quotes: `\"/blog\"`)",
        ),
        (
            "if (req.restarts > 0) return pass();",
            "expecting '{' to start a statement block (braces always: `if … { return pass(); }`)",
        ),
        (
            "if bytes(5kb) > 1 { }",
            "expecting ',' to separate the arguments to function call 'bytes' (a size is `bytes(\"5KiB\")`)",
        ),
        ("let n = 5B;", "expecting ';' to terminate this statement (a size is `bytes(\"5B\")`)"),
        ("req.grace = 10m;", "expecting ';' to terminate this statement (a duration is `duration(\"10m\")`)"),
        ("let n = 5 x;", "expecting ';' to terminate this statement"),
    ] {
        let found = findings(&format!("fn recv(req) {{\n    {line}\n}}"));
        assert!(found.iter().any(|f| f.ends_with(&format!(" {expected}"))), "{line}: {found:#?}");
    }
}
