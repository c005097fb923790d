//! VCL in a policy: when a text is no Rhai, every line that is VCL is told, with what to write instead. Somebody who ports a
//! policy so sees at once what is left to do; Rhai's parser alone would name one place after the other.

use super::vmods;
use crate::functions::MODULES;
use std::borrow::Cow;

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
const WITHIN: [(&str, &str); 8] = [
    ("elsif", "`elsif` is `else if`"),
    ("elseif", "`elseif` is `else if`"),
    ("elif", "`elif` is `else if`"),
    ("!~", "`a !~ \"re\"` is `!a.matches(\"re\")`; with an access list `!client.ip.within(\"name\")`"),
    ("~", "`a ~ \"re\"` is `a.matches(\"re\")`; with an access list `client.ip.within(\"name\")`"),
    ("{\"", "a long text stands between backquotes"),
    ("regsub(", "`regsub(a, \"re\", \"x\")` is `a.replace_re(\"re\", \"x\")`"),
    ("regsuball(", "`regsuball(a, \"re\", \"x\")` is `a.replace_all_re(\"re\", \"x\")`"),
];

const ATTRIBUTE: &str = "what a backend or probe has is in copal.toml, with its value in quotes: `connect_timeout = \"1s\"`, `address = \"host:port\"`";

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
    FUNCTIONS.iter().find(|(vcl, _)| *vcl == name).map(|(_, help)| *help).or_else(|| vmods::other(name))
}

/// One help and where it is needed: the first line and column, and the other lines.
pub(super) struct Found {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) help: Cow<'static, str>,
    pub(super) more: Vec<usize>,
}

/// What is VCL in a text, each help once, and how many places there are.
pub(super) fn summary(text: &str) -> (Vec<Found>, usize) {
    let places = found(text);
    let count = places.len();
    let mut all: Vec<Found> = Vec::new();
    for (line, column, help) in places {
        match all.iter_mut().find(|f| f.help == help) {
            Some(known) if known.line == line || known.more.last() == Some(&line) => {}
            Some(known) => known.more.push(line),
            None => all.push(Found { line, column, help, more: Vec::new() }),
        }
    }
    (all, count)
}

impl Found {
    /// What to write, and where else.
    pub(super) fn told(&self) -> String {
        let shown: Vec<String> = self.more.iter().take(LINES_SHOWN).map(usize::to_string).collect();
        let rest = self.more.len().saturating_sub(LINES_SHOWN);
        match (shown.is_empty(), rest) {
            (true, _) => self.help.to_string(),
            (false, 0) => format!("{}; also in line {}", self.help, shown.join(", ")),
            (false, rest) => format!("{}; also in line {} and {rest} more", self.help, shown.join(", ")),
        }
    }
}

/// So many lines are told of one help.
const LINES_SHOWN: usize = 20;

/// The lines of the text that are VCL: line and column from 1, and what to write instead.
fn found(text: &str) -> Vec<(usize, usize, Cow<'static, str>)> {
    let mut all = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let code = code_only(&line[indent..]);
        let begins = BEGINNINGS.iter().find(|(word, _)| code.starts_with(word)).map(|(_, help)| (indent, *help));
        let within = WITHIN.iter().filter_map(|(word, help)| Some((indent + place(&code, word)?, *help)));
        let attribute = attribute(&code).then_some((indent, ATTRIBUTE));
        let duration = duration(&code).filter(|_| attribute.is_none());
        let duration = duration.map(|at| (indent + at, "a duration is `duration(\"1h\")`"));
        let import = (code.starts_with("import ") && !code.contains('"')).then(|| (indent, import(&code)));
        let asked = asked(&code).map(|at| {
            (
                indent + at,
                "`if (req.http.X-A)` is `if req.http.has(\"x-a\")`: a text is no condition, and a field may be missing",
            )
        });
        let dashed = dashed(&code).filter(|_| asked.is_none()).map(|at| {
            (indent + at, "a field with a dash is `req.http[\"x-name\"]`, or `req.http.x_name` with `_` for `-`")
        });
        let calls = vmods::called(&code).into_iter().map(|(at, help)| (indent + at, help));
        let begins = begins.into_iter().chain(attribute).chain(import).chain(within);
        let rest = duration.into_iter().chain(asked).chain(dashed).map(|(at, help)| (at, Cow::Borrowed(help)));
        for (byte, help) in begins.map(|(at, help)| (at, Cow::Borrowed(help))).chain(calls).chain(rest) {
            // `{"a": 1}` is JSON, no long text.
            if code[byte - indent..].starts_with("{\"") && json(&line[byte..]) {
                continue;
            }
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

/// `{"a": 1}`
fn json(rest: &str) -> bool {
    let key = rest.strip_prefix("{\"").and_then(|rest| rest.split_once('"'));
    key.is_some_and(|(_, after)| after.trim_start().starts_with(':'))
}

fn place(code: &str, word: &str) -> Option<usize> {
    let starts_a_word = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
    let named = word.starts_with(|c: char| c.is_alphabetic());
    code.match_indices(word).map(|(at, _)| at).find(|at| !named || starts_a_word(*at))
}

/// `.host = …;` of a backend or probe; `.replace(…)` on a line of its own is Rhai.
fn attribute(code: &str) -> bool {
    let name = code.strip_prefix('.').map(|rest| rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'));
    name.is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// What to say of `import name;`.
fn import(code: &str) -> &'static str {
    let name = code["import ".len()..].trim_end_matches([';', ' ']).trim();
    if MODULES.contains(&name) || !vmods::is_module(name) {
        "modules such as `std` are there without an import"
    } else {
        "nothing is imported: what this module's functions are here is told where they are called"
    }
}

/// A field as a condition: `(req.http.X-A)`, `!req.http.X-A &&`.
fn asked(code: &str) -> Option<usize> {
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    code.match_indices(".http.").find_map(|(at, found)| {
        let start = code[..at].trim_end_matches(name).len();
        let after = code[at + found.len()..].trim_start_matches(name).trim_start();
        let before = code[..start].trim_end_matches([' ', '!']);
        // `(` of a condition, and not of a call.
        let opens = before.strip_suffix('(').is_some_and(|b| {
            let b = b.trim_end();
            let word = b.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
            ["", "if", "elsif", "elseif", "elif"].contains(&word) && !b.ends_with(['_', '.'])
        });
        let begins = opens || before.ends_with("&&") || before.ends_with("||");
        let ends = [")", "&&", "||"].iter().any(|e| after.starts_with(e));
        (begins && ends && code.contains("if")).then_some(start)
    })
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
    fn any_text_is_looked_through() {
        // Letters of several bytes outside of quotes: the check itself panicked.
        for text in [
            "fn écrire(req) {",
            "x = é()",
            "if é std.log(x)",
            "if (\u{2028}req.http.X)",
            "\u{2028}(",
            "é.http.a-b {\"é\": 1}",
        ] {
            let _found = found(text);
        }
    }

    #[test]
    fn what_is_rhai_is_not() {
        let text = "fn recv(req) {\n    // set x ~ 1h\n    req.grace = duration(\"1h\");\n    if req.url.matches(\"a ~ b\") { std::log(`# sub `); }\n    \
                    let set = 10; let new_one = set - 1.5; let n = req.http.a -x; req.http.host.replace_re(\"é~\", \"\");\n}\n";
        assert_eq!(places(text), []);
    }
}
