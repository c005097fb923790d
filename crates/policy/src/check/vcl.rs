//! VCL in a policy: when a text is no Rhai, every line that is VCL is told, with what to write instead. Somebody who ports a
//! policy so sees at once what is left to do; Rhai's parser alone would name one place after the other.

/// How a line begins in VCL, and what to write.
const BEGINNINGS: [(&str, &str); 13] = [
    ("vcl 4", "a policy has no version: leave the line out"),
    ("sub ", "`sub vcl_recv { … }` is `fn recv(req) { … }`; a subroutine of one's own is `fn name(req) { … }`"),
    ("set ", "`set a = b;` is `a = b;`"),
    ("unset ", "`unset req.http.X-A;` is `req.http.remove(\"x-a\");`"),
    ("call ", "`call name;` is `name(req);`: a function sees what is passed to it"),
    ("backend ", "backends are in copal.toml: `[backend.NAME]` with `address = \"host:port\"`"),
    ("probe ", "probes are in copal.toml: `probe = { path = \"/healthz\" }` of a backend"),
    ("acl ", "access lists are in copal.toml: `[acl]` with `name = [\"10.0.0.0/8\"]`"),
    ("new ", "directors are in copal.toml: `[director.NAME]`"),
    ("include ", "`include \"a.vcl\";` is `import \"a\" as a;`, and `a::name(…)` where it is used"),
    ("hash_data", "`hash_data(x);` is `key.add(x);` in the hook `hash`"),
    ("synthetic", "`synthetic(x);` is `resp.body = x;` in `synth`, `beresp.body = x;` in `backend_error`"),
    ("#", "a comment begins with `//`"),
];

/// What is VCL in a line, wherever it stands.
const WITHIN: [(&str, &str); 9] = [
    ("elsif", "`elsif` is `else if`"),
    ("elseif", "`elseif` is `else if`"),
    ("elif", "`elif` is `else if`"),
    ("!~", "`a !~ \"re\"` is `!a.matches(\"re\")`; with an access list `!client.ip.within(\"name\")`"),
    ("~", "`a ~ \"re\"` is `a.matches(\"re\")`; with an access list `client.ip.within(\"name\")`"),
    ("{\"", "a long text stands between backquotes"),
    ("regsub(", "`regsub(a, \"re\", \"x\")` is `a.replace_re(\"re\", \"x\")`"),
    ("regsuball(", "`regsuball(a, \"re\", \"x\")` is `a.replace_all_re(\"re\", \"x\")`"),
    ("std.", "modules are written with `::`, as in `std::log(\"x\")`"),
];

/// Units of VCL's durations.
const UNITS: [&str; 7] = ["ms", "s", "m", "h", "d", "w", "y"];

/// Functions of VCL and its modules that have another name here, or none.
const FUNCTIONS: [(&str, &str); 9] = [
    ("regsub", "`regsub(a, \"re\", \"x\")` is `a.replace_re(\"re\", \"x\")`"),
    ("regsuball", "`regsuball(a, \"re\", \"x\")` is `a.replace_all_re(\"re\", \"x\")`"),
    ("unset", "`unset req.http.X-A;` is `req.http.remove(\"x-a\");`"),
    ("hash_data", "`hash_data(x);` is `key.add(x);` in the hook `hash`"),
    ("synthetic", "`synthetic(x);` is `resp.body = x;` in `synth`, `beresp.body = x;` in `backend_error`"),
    ("querysort", "`std.querysort(x)` is `query::sort(x)`"),
    ("add_backend", "directors and their backends are in copal.toml: `[director.NAME]`"),
    ("get_string", "`req.cookie` is the header itself: there is nothing to write back"),
    ("backend", "a director is named: `req.backend = director(\"name\");`"),
];

/// What to write instead of that function of VCL.
pub(super) fn function(name: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|(vcl, _)| *vcl == name).map(|(_, help)| *help)
}

/// The lines of the text that are VCL: line and column from 1, and what to write instead.
pub(super) fn found(text: &str) -> Vec<(usize, usize, &'static str)> {
    let mut all = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let code = code_only(&line[indent..]);
        let begins = BEGINNINGS.iter().find(|(word, _)| code.starts_with(word)).map(|(_, help)| (indent, *help));
        let within = WITHIN.iter().filter_map(|(word, help)| Some((indent + place(&code, word)?, *help)));
        let duration = duration(&code).map(|at| (indent + at, "a duration is `duration(\"1h\")`"));
        let import = (code.starts_with("import ") && !code.contains('"'))
            .then_some((indent, "modules such as `std` are there without an import"));
        let dashed = dashed(&code).map(|at| {
            (indent + at, "a field with a dash is `req.http[\"x-name\"]`, or `req.http.x_name` with `_` for `-`")
        });
        for (byte, help) in begins.into_iter().chain(import).chain(within).chain(duration).chain(dashed) {
            let column = line[..byte].chars().count() + 1;
            // `!~` is found as `~`, too.
            if !all.iter().any(|(l, c, _)| *l == at + 1 && column.abs_diff(*c) <= 1) {
                all.push((at + 1, column, help));
            }
        }
    }
    all.sort_by_key(|(line, column, _)| (*line, *column));
    all
}

fn place(code: &str, word: &str) -> Option<usize> {
    let starts_a_word = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
    let named = word.starts_with(|c: char| c.is_alphabetic());
    code.match_indices(word).map(|(at, _)| at).find(|at| !named || starts_a_word(*at))
}

/// A number with a unit behind it.
fn duration(code: &str) -> Option<usize> {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let mut at = 0;
    for piece in code.split_inclusive(|c| !word(c)) {
        let name = piece.trim_end_matches(|c| !word(c));
        let unit = name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if name.starts_with(|c: char| c.is_ascii_digit()) && UNITS.contains(&unit) {
            return Some(at);
        }
        at += piece.len();
    }
    None
}

/// `req.http.X-Name`.
fn dashed(code: &str) -> Option<usize> {
    code.match_indices(".http.").map(|(at, found)| at + found.len()).find(|at| {
        let name = code[*at..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        name.len() < code[*at..].len()
            && name.strip_prefix('-').is_some_and(|rest| rest.starts_with(char::is_alphabetic))
    })
}

/// The line with blanks in place of what stands in quotes, and without its comment; byte for byte as long up to there.
fn code_only(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match quote {
            Some(q) if c == q => {
                quote = None;
                out.push(c);
            }
            Some(_) => out.extend(std::iter::repeat_n(' ', c.len_utf8())),
            None if line[at..].starts_with("//") => break,
            None => {
                if c == '"' || c == '`' {
                    quote = Some(c);
                }
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::found;

    fn places(text: &str) -> Vec<(usize, usize)> {
        found(text).into_iter().map(|(line, column, _)| (line, column)).collect()
    }

    #[test]
    fn what_is_vcl_is_found_where_it_stands() {
        let text = "vcl 4.1;\nimport std;\nsub vcl_recv {\n    # a comment\n    if (req.url ~ \"^/a\") {\n        set req.grace = 1h;\n    \
                    req.http.X-A = 1; } elsif (client.ip !~ purgers) { unset req.http.X; }\n    set req.url = regsuball(req.url, \"a~\", \"set \");\n}\n";
        assert_eq!(
            places(text),
            [(1, 1), (2, 1), (3, 1), (4, 5), (5, 17), (6, 9), (6, 25), (7, 14), (7, 25), (7, 42), (8, 5), (8, 19)]
        );
    }

    #[test]
    fn what_is_rhai_is_not() {
        let text = "fn recv(req) {\n    // set x ~ 1h\n    req.grace = duration(\"1h\");\n    if req.url.matches(\"a ~ b\") { std::log(`# sub `); }\n    \
                    let set = 10; let new_one = set - 1.5; let n = req.http.a -x; req.http.host.replace_re(\"é~\", \"\");\n}\n";
        assert_eq!(places(text), []);
    }
}
