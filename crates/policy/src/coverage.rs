//! Which lines of a policy have run: asked for by `copal test --coverage`, and otherwise not there.
//!
//! The text is compiled with a call before each statement that notes its line. The call stands on the statement's own line,
//! so lines in messages stay true; columns behind it do not.

use crate::engine::parser;
use crate::environment::Environment;
use crate::sources::{File, Sources};
use rhai::{AST, ASTNode, Engine, Expr, FnCallExpr, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The function that notes a line. The checks run before the text is changed, so no script can name it.
const NOTE: &str = "copal_line_ran";

/// How often each line ran that has a statement, by file. Clones share it; policies loaded again add to it.
#[derive(Clone, Debug, Default)]
pub struct Coverage(Arc<Mutex<BTreeMap<String, BTreeMap<usize, u64>>>>);

impl Coverage {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<usize, u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every file with its lines and how often each ran.
    #[must_use]
    pub fn lines(&self) -> BTreeMap<String, BTreeMap<usize, u64>> {
        self.files().clone()
    }

    fn ran(&self, file: &str, line: usize) {
        if let Some(times) = self.files().get_mut(file).and_then(|lines| lines.get_mut(&line)) {
            *times += 1;
        }
    }
}

/// Gives an engine the function that notes, when lines are counted.
pub(crate) fn register(e: &mut Engine, env: &Environment, sources: &Arc<Sources>) {
    let Some(coverage) = env.coverage.clone() else { return };
    let names: Vec<String> = files(sources).map(|file| file.name.clone()).collect();
    e.register_fn(NOTE, move |file: i64, line: i64| {
        let name = usize::try_from(file).ok().and_then(|at| names.get(at));
        if let (Some(name), Ok(line)) = (name, usize::try_from(line)) {
            coverage.ran(name, line);
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
            for line in lines {
                known.entry(line).or_default();
            }
        }
    }
    sources
}

fn changed(engine: &Engine, text: &str, number: usize) -> Option<(String, BTreeSet<usize>)> {
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
            places.insert(byte, line);
        }
    }
    let mut out = String::with_capacity(text.len() + places.len() * 24);
    let mut done = 0;
    for (byte, line) in &places {
        out.push_str(&text[done..*byte]);
        out.push_str(&format!("{NOTE}({number},{line});"));
        done = *byte;
    }
    out.push_str(&text[done..]);
    engine.compile(&out).ok()?;
    Some((out, places.into_values().collect()))
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
    query::sort(req.url);
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
        let told: Vec<(usize, u64)> = lines.into_iter().collect();
        assert_eq!(told, [(3, 2), (4, 1), (5, 1), (7, 0), (8, 0), (9, 1), (10, 1), (13, 0)]);
    }

    #[test]
    fn lines_in_faults_stay_true() {
        let env = Environment { coverage: Some(Coverage::default()), ..Environment::default() };
        let text = "fn recv(req) {\n    let x = 1; x += 1;\n    throw \"no\";\n}";
        let policy = Policy::compile("site.rhai", text, Arc::new(env)).expect("valid");
        assert_eq!(policy.call(Hook::Recv, Box::default()).1.expect_err("it throws").line, 3);
    }
}
