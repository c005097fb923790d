//! What is written from the tables: definitions for editors, the reference page.

use crate::action::written_list;
use crate::examples::{self, Example};
use crate::examples_vars::{self, VARIABLES, of_hook};
use crate::functions::{FUNCTIONS, Function, On};
use crate::hooks::{HOOKS, HookSet};
use crate::vars::{GLOBALS, VARS, param_type};
use std::fmt::Write;

fn hooks_text(set: HookSet) -> String {
    match set {
        HookSet::ALL => "everywhere".to_owned(),
        HookSet::REQUEST => "everywhere but in `init`".to_owned(),
        HookSet::CLIENT => "the client's hooks".to_owned(),
        HookSet::BACKEND => "the backend's hooks".to_owned(),
        HookSet::FETCH => "the backend's hooks but `pipe`".to_owned(),
        HookSet::NONE => "–".to_owned(),
        other => other.names(),
    }
}

fn signature(f: &Function, args: usize) -> String {
    let receiver = match f.on {
        On::Type(t) => Some(format!("_: {}", t.name())),
        On::Free | On::Module(_) => None,
    };
    let params: Vec<String> = receiver.into_iter().chain(f.params.iter().take(args).map(|p| (*p).to_owned())).collect();
    format!("{}({}) -> {}", f.name, params.join(", "), f.returns.name())
}

fn definition(out: &mut String, indent: &str, f: &Function) {
    for args in f.params.len() - f.optional..=f.params.len() {
        let _ = writeln!(out, "{indent}/// {}", f.doc);
        if let Some(e) = examples::of(f) {
            let _ = writeln!(out, "{indent}///\n{indent}/// {}", code(e));
        }
        let _ = writeln!(out, "{indent}fn {};\n", signature(f, args));
    }
}

/// What an example gives, after an arrow; nothing for an action.
fn gives(e: &Example) -> String {
    if e.gives.is_empty() { String::new() } else { format!(" → `{}`", e.gives) }
}

/// The example as Markdown shows it: code between as many backquotes as it needs, and what it gives.
fn code(e: &Example) -> String {
    let ticks = if e.code.contains('`') { "``" } else { "`" };
    format!("{ticks}{}{ticks}{}", e.code.replace('\n', " "), gives(e))
}

/// The same after `before`, where there is one.
fn shown(e: Option<&Example>, before: &str) -> String {
    e.map(|e| format!("{before}{}", code(e))).unwrap_or_default()
}

fn of_global(name: &str) -> Option<&'static Example> {
    VARIABLES.iter().find(|e| e.of == name)
}

/// The text of `copal.d.rhai`: everything that Copal gives to scripts, for editors.
#[must_use]
pub fn definitions() -> String {
    // `static`: what is in here needs no `import`.
    let mut out = String::from("// Made from the tables of copal-policy; do not edit.\nmodule static;\n\n");
    for h in &HOOKS {
        let params: Vec<String> = h.params.iter().map(|p| format!("{p}: {}", param_type(p).name())).collect();
        let _ = writeln!(out, "/// A hook that a policy may define: {}.\n///", h.runs);
        let _ = writeln!(out, "/// May return {}. Nothing returned: {}.\n///", written_list(h.actions), h.otherwise);
        let code = of_hook(h.hook).map_or("", |e| e.code);
        let _ = writeln!(out, "/// ```rhai\n/// {}\n/// ```", code.replace('\n', "\n/// "));
        let _ = writeln!(out, "fn {}({}) -> Action;\n", h.name, params.join(", "));
    }
    for (name, ty, hooks) in GLOBALS {
        let _ = writeln!(out, "/// In {}.{}", hooks_text(hooks), shown(of_global(name), "\n///\n/// "));
        let _ = writeln!(out, "const {name}: {};\n", ty.name());
    }
    for v in VARS {
        let global = GLOBALS.iter().find(|(name, ..)| *name == v.object);
        let owner = global.map_or_else(|| param_type(v.object), |(_, ty, _)| *ty).name();
        let example = shown(examples_vars::of_var(v), "\n///\n/// ");
        let _ = writeln!(out, "/// `{}.{}`: {}{example}", v.object, v.name, v.doc);
        let _ = writeln!(out, "fn get {}(_: {owner}) -> {};\n", v.name, v.ty.name());
        if !v.write.is_empty() {
            let _ = writeln!(out, "/// Written in {}.", hooks_text(v.write));
            let _ = writeln!(out, "fn set {}(_: {owner}, value: {});\n", v.name, v.ty.name());
        }
    }
    for f in FUNCTIONS.iter().filter(|f| !matches!(f.on, On::Module(_))) {
        definition(&mut out, "", f);
    }
    for module in crate::functions::MODULES {
        let _ = writeln!(out, "module {module} {{\n");
        for f in FUNCTIONS.iter().filter(|f| f.on == On::Module(module)) {
            definition(&mut out, "    ", f);
        }
        out.push_str("}\n\n");
    }
    out
}

/// The reference page: hooks, variables, functions, limits.
#[must_use]
pub fn reference_markdown() -> String {
    let mut out =
        String::from("# Policy reference\n\nMade from the tables of `copal-policy`; do not edit.\n\n## Hooks\n\n");
    out.push_str("| hook | runs | may return | nothing returned means |\n|---|---|---|---|\n");
    for h in &HOOKS {
        let (name, params) = (h.name, h.params.join(", "));
        let _ = writeln!(out, "| `{name}({params})` | {} | {} | {} |", h.runs, written_list(h.actions), h.otherwise);
    }
    out.push_str("\nOne of each, as a policy has it:\n");
    for h in &HOOKS {
        let code = of_hook(h.hook).map_or("", |e| e.code);
        let _ = writeln!(out, "\n```rhai\n{code}\n```");
    }
    let _ = writeln!(out, "\n## Variables\n\n{}\n", examples::SCENE);
    out.push_str("| variable | type | read in | written in | | example |\n|---|---|---|---|---|---|\n");
    for v in VARS {
        let unset = if v.optional { " or `()`" } else { "" };
        let (ty, read, write) = (v.ty.name(), hooks_text(v.read), hooks_text(v.write));
        let example = shown(examples_vars::of_var(v), "").replace('|', "\\|");
        let _ = writeln!(out, "| `{}.{}` | {ty}{unset} | {read} | {write} | {} | {example} |", v.object, v.name, v.doc);
    }
    for (name, ty, hooks) in GLOBALS {
        let example = shown(of_global(name), "").replace('|', "\\|");
        let doc = if example.is_empty() { "Its variables are above." } else { "The time." };
        let _ = writeln!(out, "| `{name}` | {} | {} | – | {doc} | {example} |", ty.name(), hooks_text(hooks));
    }
    let _ = writeln!(out, "\n## Functions and methods\n\nThe examples run in the same surroundings.\n");
    out.push_str("| call | gives | | example |\n|---|---|---|---|\n");
    for f in FUNCTIONS {
        let required = f.params.len() - f.optional;
        let mut params = f.params[..required].join(", ");
        for p in &f.params[required..] {
            let _ = write!(params, "{}[{p}]", if params.is_empty() { "" } else { ", " });
        }
        let call = match f.on {
            On::Free => format!("{}({params})", f.name),
            On::Module(m) => format!("{m}::{}({params})", f.name),
            On::Type(t) => format!("{}.{}({params})", t.name(), f.name),
        };
        let example = shown(examples::of(f), "").replace('|', "\\|");
        let _ = writeln!(out, "| `{call}` | {} | {} | {example} |", f.returns.name(), f.doc.replace('|', "\\|"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The forms that Rhai's language server knows in a `.d.rhai`; a type is a name, `()` or `?` for any.
    #[test]
    fn every_line_of_the_definitions_is_a_form_of_rhais_definitions() {
        const KEYWORDS: [&str; 34] = [
            "as", "break", "case", "catch", "const", "continue", "default", "do", "else", "export", "false", "fn",
            "for", "global", "if", "import", "in", "is", "let", "loop", "match", "module", "new", "private", "return",
            "static", "switch", "this", "throw", "true", "try", "until", "use", "while",
        ];
        let (name, ty) = ("([a-z_][a-z0-9_]*)", r"([A-Za-z]+|\(\)|\?)");
        let params = format!(r"\((?:{name}: {ty}(?:, {name}: {ty})*)?\)");
        let form = format!(
            r"^(?:module static;|module {name} \{{|\}}|const {name}: {ty};|(?:    )?fn (?:(?:get|set) )?{name}{params} -> {ty};|fn set {name}\(_: {ty}, value: {ty}\);)$"
        );
        let form = regex::Regex::new(&form).expect("valid");
        let text = definitions();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let (plain, docs): (Vec<&str>, Vec<&str>) =
            lines.into_iter().partition(|line| !line.trim_start().starts_with("//"));
        assert!(
            docs.len() > plain.len() && plain[0] == "module static;",
            "each has a text, and the file needs no import"
        );
        let known: Vec<&str> = plain.iter().filter_map(|line| line.strip_prefix("const ")).collect();
        for line in plain {
            assert!(form.is_match(line), "{line}");
            let head = line.trim_start().trim_start_matches("fn ").replace("module static", "");
            for word in head.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()) {
                let opens = ["const", "module"].contains(&word) && head.starts_with(word);
                assert!(opens || !KEYWORDS.contains(&word), "`{word}` is a word of Rhai's own: {line}");
            }
            // A variable stands on the type that its object is said to have.
            if let Some(owner) =
                line.strip_prefix("fn get ").and_then(|l| l.split("(_: ").nth(1)).and_then(|l| l.split(')').next())
            {
                let of_hook = HOOKS.iter().flat_map(|h| h.params).any(|p| param_type(p).name() == owner);
                let global = known.iter().any(|line| line.ends_with(&format!(": {owner};")));
                assert!(of_hook || global, "nothing is a {owner}: {line}");
            }
        }
    }

    #[test]
    fn everything_in_the_tables_is_written() {
        let (d, r) = (definitions(), reference_markdown());
        for v in VARS {
            assert!(d.contains(&format!("fn get {}(", v.name)), "{}", v.name);
            assert!(r.contains(&format!("`{}.{}`", v.object, v.name)), "{}", v.name);
        }
        for f in FUNCTIONS {
            assert!(d.contains(&format!("fn {}(", f.name)) && r.contains(&format!("{}(", f.name)), "{}", f.name);
        }
        assert!(HOOKS.iter().all(|h| r.contains(&format!("`{}(", h.name)) && d.contains(&format!("fn {}(", h.name))));
        assert!(HOOKS.iter().all(|h| r.contains(of_hook(h.hook).expect("has one").code)));
        let examples = crate::examples::EXAMPLES.iter().chain(VARIABLES);
        for e in examples {
            assert!(r.contains(&code(e).replace('|', "\\|")) && d.contains(&code(e)), "{}", e.of);
        }
    }
}
