//! From Markdown to cases: which headings are cases, what they inherit, which block is what.

mod client;
mod connection;
mod expect;
mod origin;
mod source;
mod words;

use crate::case::{Case, File, State, Step, Text, What};
use crate::markdown::{Block, Item, items};
use copal_policy::Diagnostic;
use copal_policy::diagnostic::nearest;
use copal_semantics::Span;
pub use expect::SUBJECTS;
pub(crate) use expect::number;
use source::{At, Source};
use std::path::Path;

/// The blocks that mean something, and what each is for.
pub const BLOCKS: [(&str, &str); 7] = [
    ("origin", "what an application server answers"),
    ("client", "requests"),
    ("expect", "what must be so"),
    ("advance", "time passes"),
    ("backend", "a backend goes down, up, or is set sick or healthy"),
    ("policy", "the policy, in place of the file"),
    ("config", "the configuration, in place of the file"),
];

/// Words after a fence that look like a misspelt block and are a language.
const LANGUAGES: [&str; 3] = ["conf", "ini", "text"];

/// Most time that passes at once: probes run all the while, and what is stored is long gone.
const ADVANCE_MAX: Span = Span::from_secs(366 * 86_400);

/// One heading with what stands below it and what it passes on.
#[derive(Default)]
struct Section {
    level: usize,
    title: String,
    line: usize,
    steps: Vec<Step>,
    config: Option<Text>,
    policy: Option<Text>,
    /// How many of the steps come before the first thing that happens: these are passed on.
    set_up: usize,
    happens: bool,
    expects: bool,
    /// What happens, and where, after the last `expect`.
    unseen: Option<(&'static str, At)>,
}

/// Reads a file of cases.
///
/// # Errors
/// Everything that is wrong with it.
pub fn file(path: &Path, text: &str) -> Result<File, Vec<Diagnostic>> {
    let name = path.display().to_string();
    let mut source = Source::new(&name, text);
    let mut cases = Vec::new();
    let mut open: Vec<Section> = vec![Section { line: 1, ..Section::default() }];
    for item in items(text) {
        match item {
            Item::Heading(level, title, line) => {
                finish(&mut source, &open, &mut cases);
                open.retain(|section| section.level < level);
                open.push(Section { level, title, line, ..Section::default() });
            }
            Item::Block(block) => {
                let section = open.last_mut().expect("the section of the file itself is never closed");
                take(&mut source, section, &block);
            }
        }
    }
    finish(&mut source, &open, &mut cases);
    let list = source.list;
    if list.is_empty() { Ok(File { path: path.to_owned(), name, text: text.to_owned(), cases }) } else { Err(list) }
}

/// The innermost section is over: if something happens in it, it is a case.
fn finish(source: &mut Source<'_>, open: &[Section], cases: &mut Vec<Case>) {
    let Some((last, outer)) = open.split_last() else { return };
    if !last.happens {
        return;
    }
    if !last.expects {
        source.wrong(At { line: last.line, column: 1 }, "this case expects nothing, so it cannot fail", None);
        return;
    }
    if let Some((what, at)) = last.unseen {
        let help = "put an `expect` below it, or leave it out";
        source.wrong(at, format!("nothing is expected after this `{what}`"), Some(help.to_owned()));
        return;
    }
    let inherited = outer.iter().flat_map(|section| &section.steps[..section.set_up]);
    let steps = inherited.chain(&last.steps).cloned().collect();
    let titles: Vec<&str> =
        open.iter().map(|section| section.title.as_str()).filter(|title| !title.is_empty()).collect();
    cases.push(Case {
        name: if titles.is_empty() { "(no heading)".to_owned() } else { titles.join(" / ") },
        line: last.line,
        config: open.iter().rev().find_map(|section| section.config.clone()),
        policy: open.iter().rev().find_map(|section| section.policy.clone()),
        steps,
    });
}

fn take(source: &mut Source<'_>, section: &mut Section, block: &Block) {
    let info = words::words(source, &block.info, At { line: block.line, column: block.info_column });
    let Some(first) = info.first() else { return };
    // `rhai policy`, `toml config`: what a page says to those who colour it comes first.
    let (kind, rest) = match info.get(1) {
        Some(second) if matches!((&*first.text, &*second.text), ("rhai", "policy") | ("toml", "config")) => {
            (second, &info[2..])
        }
        _ => (first, &info[1..]),
    };
    let names = BLOCKS.map(|(name, _)| name);
    if !names.contains(&kind.text.as_str()) {
        let plain = LANGUAGES.contains(&kind.text.as_str()) || kind.text.len() < 4;
        if let Some(meant) = nearest(&kind.text.to_lowercase(), names).filter(|_| !plain) {
            let message = format!("there is no block `{}`", kind.text);
            source.wrong(kind.at, message, Some(format!("did you mean `{meant}`?")));
        }
        return;
    }
    if !block.closed {
        source.wrong(kind.at, format!("this `{}` block has no end", kind.text), Some("close it with ```".to_owned()));
        return;
    }
    let lines = words::lines(block);
    let text = || Text { line: block.line + 1, text: block.text.clone() };
    let what = match kind.text.as_str() {
        "origin" => origin::read(source, rest, &lines).map(What::Origin),
        "client" => client::read(source, kind, rest, &lines).map(What::Client),
        "expect" => expect::read(source, kind, rest, &lines).map(What::Expect),
        "advance" => advance(source, kind, rest, &lines).map(What::Advance),
        "backend" => backends(source, kind, rest, &lines).map(What::Backends),
        "policy" if section.happens => Some(What::Reload(text())),
        "policy" => {
            nothing_after(source, rest);
            section.policy = Some(text());
            None
        }
        _ => {
            nothing_after(source, rest);
            if section.happens {
                let help = "put it above the first `client` of the case, or under a heading of its own";
                let message = "a configuration is read once, before anything happens";
                source.wrong(kind.at, message, Some(help.to_owned()));
            }
            section.config = Some(text());
            None
        }
    };
    section.unseen = match kind.text.as_str() {
        "client" => Some(("client", kind.at)),
        "advance" => Some(("advance", kind.at)),
        "policy" if section.happens => Some(("policy", kind.at)),
        "expect" => None,
        _ => section.unseen,
    };
    section.happens |= matches!(kind.text.as_str(), "client" | "expect" | "advance");
    section.expects |= kind.text == "expect";
    if let Some(what) = what {
        section.steps.push(Step { line: block.line, what });
        if !section.happens {
            section.set_up = section.steps.len();
        }
    }
}

fn nothing_after(source: &mut Source<'_>, rest: &[words::Word]) {
    if let Some(extra) = rest.first() {
        source.wrong(extra.at, format!("`{}` means nothing here", extra.text), None);
    }
}

fn advance(
    source: &mut Source<'_>,
    kind: &words::Word,
    rest: &[words::Word],
    lines: &[words::Line<'_>],
) -> Option<Span> {
    let inner: Vec<words::Word> = lines.iter().flat_map(|line| words::words(source, line.text, line.at())).collect();
    let all: Vec<&words::Word> = rest.iter().chain(&inner).collect();
    match all.as_slice() {
        [one] => {
            let span = words::duration(source, one)?;
            if span > ADVANCE_MAX {
                source.wrong(one.at, "so much time does not pass at once", Some("at most 366d".to_owned()));
                return None;
            }
            Some(span)
        }
        [] => {
            source.wrong(kind.at, "how much time passes?", Some("write ```advance 30s".to_owned()));
            None
        }
        [_, extra, ..] => {
            source.wrong(extra.at, "one duration is enough", None);
            None
        }
    }
}

fn backends(
    source: &mut Source<'_>,
    kind: &words::Word,
    rest: &[words::Word],
    lines: &[words::Line<'_>],
) -> Option<Vec<(String, State)>> {
    const STATES: [(&str, State); 5] = [
        ("down", State::Down),
        ("up", State::Up),
        ("sick", State::Sick),
        ("healthy", State::Healthy),
        ("auto", State::Auto),
    ];
    let mut all = Vec::new();
    let mut said: Vec<(At, Vec<words::Word>)> = Vec::new();
    if !rest.is_empty() {
        said.push((kind.at, rest.to_vec()));
    }
    for line in lines.iter().filter(|line| !line.text.trim().is_empty()) {
        let found = words::words(source, line.text, line.at());
        said.push((line.at(), found));
    }
    if said.is_empty() {
        let help = Some("write ```backend app down".to_owned());
        source.wrong(kind.at, "which backend, and what of it?", help);
    }
    for (at, words) in said {
        let [name, state] = words.as_slice() else {
            let help = Some("write the name of a backend and `down`, `up`, `sick`, `healthy` or `auto`".to_owned());
            source.wrong(at, "this is not a backend and its state", help);
            continue;
        };
        match STATES.iter().find(|(word, _)| *word == state.text) {
            Some((_, state)) => all.push((name.text.clone(), *state)),
            None => source.unknown(state.at, "state of a backend", &state.text, STATES.map(|(word, _)| word)),
        }
    }
    Some(all)
}
