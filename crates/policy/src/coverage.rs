//! Which lines of a policy have run: asked for by `copal test --coverage`, and otherwise not there.
//!
//! The text is compiled with a call before each statement, and before the value of each arm of a `switch`, that notes its line.
//! The call stands on the statement's own line, so lines in messages stay true; columns behind it do not.

use crate::engine::parser;
use crate::environment::Environment;
use crate::sources::{File, Sources};
use rhai::{AST, ASTNode, Engine, Expr, FnCallExpr, Position, Stmt};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The function that notes a line. The checks run before the text is changed, so no script can name it.
const NOTE: &str = "copal_line_ran";

/// The lines of a file that have statements, and how often each of these ran, from left to right.
pub type Lines = BTreeMap<usize, Vec<u64>>;

/// How often each statement ran, by file and line. Clones share it; policies loaded again add to it.
#[derive(Clone, Debug, Default)]
pub struct Coverage(Arc<Mutex<BTreeMap<String, Lines>>>);

impl Coverage {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Lines>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every file with its lines.
    #[must_use]
    pub fn lines(&self) -> BTreeMap<String, Lines> {
        self.files().clone()
    }

    fn ran(&self, file: &str, line: usize, nth: usize) {
        let mut files = self.files();
        let line = files.get_mut(file).and_then(|lines| lines.get_mut(&line));
        if let Some(times) = line.and_then(|times| times.get_mut(nth)) {
            *times += 1;
        }
    }
}

/// Gives an engine the function that notes, when lines are counted.
pub(crate) fn register(e: &mut Engine, env: &Environment, sources: &Arc<Sources>) {
    let Some(coverage) = env.coverage.clone() else { return };
    let names: Vec<String> = files(sources).map(|file| file.name.clone()).collect();
    e.register_fn(NOTE, move |file: i64, line: i64, nth: i64| {
        let name = usize::try_from(file).ok().and_then(|at| names.get(at));
        if let (Some(name), Ok(line), Ok(nth)) = (name, usize::try_from(line), usize::try_from(nth)) {
            coverage.ran(name, line, nth);
        }
    });
}

fn files(sources: &Sources) -> impl Iterator<Item = &File> {
    std::iter::once(&sources.main).chain(sources.modules.values())
}

/// The same policy with the calls in it, when lines are counted. A text that cannot take them stays as it is, and none of
/// its lines are known.
pub(crate) fn with_calls(mut sources: Sources, env: &Environment) -> Sources {
    let Some(coverage) = &env.coverage else { return sources };
    let engine = parser(env);
    // In the order of `files`: by its number there, a call names its file.
    for (number, file) in std::iter::once(&mut sources.main).chain(sources.modules.values_mut()).enumerate() {
        if let Some((text, lines)) = changed(&engine, &file.text, number) {
            file.text = text;
            let mut known = coverage.files();
            let known = known.entry(file.name.clone()).or_default();
            for (line, statements) in lines {
                let times = known.entry(line).or_default();
                times.resize(times.len().max(statements), 0);
            }
        }
    }
    sources
}

/// A text with calls in it, and how many statements each of its lines has.
type Changed = (String, BTreeMap<usize, usize>);

fn changed(engine: &Engine, text: &str, number: usize) -> Option<Changed> {
    let ast = engine.compile(text).ok()?;
    let code = code_only(text);
    let starts = starts(text);
    let mut places = BTreeMap::new();
    for at in statements(&ast) {
        let (Some(line), Some(column)) = (at.line(), at.position()) else { continue };
        let Some(&start) = starts.get(line - 1) else { continue };
        let Some((byte, _)) = text[start..].char_indices().nth(column - 1) else { continue };
        let byte = first_of_path(&code, start + byte);
        let before = code[..byte].trim_end().bytes().last();
        // A statement stands after the beginning of a block or after another statement; what follows `else` or `=>` is
        // no place for a second one.
        if code.as_bytes()[byte] != b' ' && matches!(before, Some(b'{' | b'}' | b';')) {
            places.insert(byte, None);
        }
    }
    let plain = places.clone();
    places.extend(arms(&code).into_iter().map(|arm| (arm.start, Some(arm.end))));
    // What a value after `=>` is, is read off the text: where that should go wrong, arms go without.
    [places, plain]
        .iter()
        .map(|places| written(text, &starts, places, number))
        .find(|(out, _)| engine.compile(out).is_ok())
}

/// The text with a call at each place. A value that ends at the byte beside its place becomes a block.
fn written(text: &str, starts: &[usize], places: &BTreeMap<usize, Option<usize>>, number: usize) -> Changed {
    let mut lines: BTreeMap<usize, usize> = BTreeMap::new();
    let mut pieces: Vec<(usize, String)> = places.values().flatten().map(|end| (*end, "}".to_owned())).collect();
    for (byte, end) in places {
        let line = starts.partition_point(|start| start <= byte);
        let nth = lines.entry(line).or_default();
        let open = if end.is_some() { "{" } else { "" };
        pieces.push((*byte, format!("{open}{NOTE}({number},{line},{nth});")));
        *nth += 1;
    }
    pieces.sort_by_key(|(byte, _)| *byte);
    let mut out = String::with_capacity(text.len() + places.len() * 28);
    let mut done = 0;
    for (byte, piece) in pieces {
        out.push_str(&text[done..byte]);
        out.push_str(&piece);
        done = byte;
    }
    out.push_str(&text[done..]);
    (out, lines)
}

/// Where the arms of `switch`es within functions have values that are no blocks.
fn arms(code: &str) -> Vec<Range<usize>> {
    let inside = functions(code);
    let arrows = code.match_indices("=>").map(|(at, _)| at + 2);
    let values = arrows.filter(|at| inside.iter().any(|range| range.contains(at))).filter_map(|at| {
        let start = at + code[at..].find(|c: char| !c.is_whitespace())?;
        let length = arm_length(&code[start..])?;
        let value = code[start..start + length].trim_end();
        // A block has statements of its own. An arrow: the arm has ended without a comma.
        (!value.is_empty() && !value.starts_with('{') && !arrow_outside(value)).then(|| start..start + value.len())
    });
    values.collect()
}

/// The bytes before the comma or the brace that ends an arm.
fn arm_length(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b',' | b'}' if depth == 0 => return Some(at),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

fn arrow_outside(value: &str) -> bool {
    let mut depth = 0_usize;
    value.as_bytes().windows(2).any(|pair| {
        match pair[0] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && pair == b"=>"
    })
}

/// The bodies of functions.
fn functions(code: &str) -> Vec<Range<usize>> {
    let (mut list, mut depth, mut begun, mut open) = (Vec::new(), 0_usize, 0, 0);
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => {
                if depth == 0 {
                    open = at;
                }
                depth += 1;
            }
            b'}' if depth == 1 => {
                let words: Vec<&str> = code[begun..open].split_whitespace().take(2).collect();
                if matches!(words.as_slice(), ["fn", ..] | ["private", "fn"]) {
                    list.push(open..at);
                }
                (depth, begun) = (0, at + 1);
            }
            b'}' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => begun = at + 1,
            _ => {}
        }
    }
    list
}

/// Where each statement within a function begins.
fn statements(ast: &AST) -> Vec<Position> {
    let mut list = Vec::new();
    // What stands outside of functions runs once, at load, and always.
    ast.clone_functions_only().walk(&mut |path| {
        if let Some(ASTNode::Stmt(s)) = path.last() {
            list.push(begin(s));
        }
        true
    });
    list
}

fn begin(s: &Stmt) -> Position {
    match s {
        Stmt::Assignment(x) => left(&x.1.lhs),
        Stmt::Expr(e) => left(e),
        Stmt::FnCall(x, at) => left_of_call(x, *at),
        Stmt::Noop(_) => Position::NONE,
        other => other.position(),
    }
}

fn left(e: &Expr) -> Position {
    match e {
        Expr::FnCall(x, at) => left_of_call(x, *at),
        Expr::Dot(x, ..) | Expr::Index(x, ..) => left(&x.lhs),
        other => other.start_position(),
    }
}

/// Rhai places the call of an operator at the operator.
fn left_of_call(call: &FnCallExpr, at: Position) -> Position {
    if call.is_operator_call() { call.args.first().map_or(at, left) } else { at }
}

/// Rhai places the call of `module::function` at the function.
fn first_of_path(code: &str, byte: usize) -> usize {
    match code[..byte].strip_suffix("::") {
        Some(before) => {
            let name = |c: char| c.is_alphanumeric() || c == '_';
            let path = before.trim_end_matches(name).len();
            if path == before.len() { byte } else { first_of_path(code, path) }
        }
        None => byte,
    }
}

/// The byte at which each line begins.
fn starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// The text with blanks in place of comments, and of the insides of strings: byte for byte as long.
fn code_only(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = match rest {
            [b'/', b'/', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => block_comment(rest),
            [quote @ (b'"' | b'`'), ..] => string(rest, *quote),
            _ => 0,
        };
        if length == 0 {
            out.push(if bytes[at].is_ascii() { bytes[at] } else { b'x' });
            at += 1;
            continue;
        }
        let keep = matches!(rest[0], b'"' | b'`');
        for (i, byte) in rest[..length].iter().enumerate() {
            let edge = keep && (i == 0 || i + 1 == length);
            out.push(if edge || *byte == b'\n' { *byte } else { b' ' });
        }
        at += length;
    }
    String::from_utf8(out).unwrap_or_default()
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn string(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' if quote == b'"' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hook, Policy, Scene};

    const TEXT: &str = r#"// fn no(x) { no(); }
fn recv(req) {
    let host = "a { b; c"; /* { ; */ let n = 1;
    if req.url == "/a" {
        req.url = "/b";
    } else if req.url == "/never" {
        return pass();
    } else { helper(host) }
    req.url = query::sort(req.url);
    switch n { 1 => lookup(), _ => pass() }
}
fn helper(x) {
    x.len() == 1
}
"#;

    #[test]
    fn lines_that_ran_are_told_from_those_that_did_not() {
        let coverage = Coverage::default();
        let env = Environment { coverage: Some(coverage.clone()), ..Environment::default() };
        let policy = Policy::compile("site.rhai", TEXT, Arc::new(env)).expect("valid");
        let mut scene = Box::<Scene>::default();
        scene.req.url = "/a".to_owned();
        let (scene, action) = policy.call(Hook::Recv, scene);
        assert_eq!((action, scene.req.url.as_str()), (Ok(crate::Action::Lookup), "/b"));
        let lines = coverage.lines().remove("site.rhai").expect("the file is known");
        let told: Vec<(usize, Vec<u64>)> = lines.into_iter().collect();
        let wanted: [(usize, &[u64]); 8] =
            [(3, &[1, 1]), (4, &[1]), (5, &[1]), (7, &[0]), (8, &[0]), (9, &[1]), (10, &[1, 1, 0]), (13, &[0])];
        assert_eq!(told, wanted.map(|(line, times)| (line, times.to_vec())));
    }

    const ARMS: &str = r#"// The first line.
const PAGE = switch 1 { 1 => 2, _ => 3 };
private fn kind(n, name) {
    switch n {
        1 => "one, {",
        2 if name == "b" => [1, 2],
        2 => { "block" }
        3 => #{ a: 1, b: 2 },
        4 => if name == "c" { "c" } else { "d" },
        5 => switch name { "e" => "in", _ => "out" },
        _ => () // the last, no comma
    }
}
fn recv(req) {
    for n in [1, 3, 5] { kind(n, "e"); }
    let v = if req.url == "/x" { "x" } else { "y" };
    if req.url == "/x" { return pass(); }
    lookup()
}
"#;

    #[test]
    fn arms_of_a_switch_and_the_insides_of_a_line_are_told_one_by_one() {
        let coverage = Coverage::default();
        let env = Environment { coverage: Some(coverage.clone()), ..Environment::default() };
        let policy = Policy::compile("site.rhai", ARMS, Arc::new(env)).expect("valid");
        assert_eq!(policy.call(Hook::Recv, Box::default()).1, Ok(crate::Action::Lookup));
        let told: Vec<(usize, Vec<u64>)> =
            coverage.lines().remove("site.rhai").expect("the file is known").into_iter().collect();
        let wanted: [(usize, &[u64]); 12] = [
            (4, &[3]),
            (5, &[1]),
            (6, &[0]),
            (7, &[0]),
            (8, &[1]),
            (9, &[0, 0, 0]),
            (10, &[1, 1, 0]),
            (11, &[0]),
            (15, &[1, 3]),
            (16, &[1, 0, 1]),
            (17, &[1, 0]),
            (18, &[1]),
        ];
        assert_eq!(told, wanted.map(|(line, times)| (line, times.to_vec())));
    }

    #[test]
    fn lines_in_faults_stay_true() {
        let env = Environment { coverage: Some(Coverage::default()), ..Environment::default() };
        let text = "fn recv(req) {\n    let x = 1; x += 1;\n    throw \"no\";\n}";
        let policy = Policy::compile("site.rhai", text, Arc::new(env)).expect("valid");
        assert_eq!(policy.call(Hook::Recv, Box::default()).1.expect_err("it throws").line, 3);
    }
}
