//! Every variable of VCL: it is there under its own name, with the type of its kind, and can be read, written and unset where
//! VCL says so; or the guide says what to write instead.

use super::{rows, spans};
use copal_policy::functions::{FUNCTIONS, On};
use copal_policy::{HOOKS, Policy, vars};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The 163 entries in the reference of Varnish's trunk, `vcl_var.rst`: name, version of VCL when it is not in all of them,
/// type, readable, writable and unsettable from.
const VCL: &str = include_str!("vcl_variables.txt");

/// What is not as VCL has it, and the words of the guide that say so.
const DIFFERS: [(&str, &str); 15] = [
    ("`req.backend_hint`", "`()` leaves the choice"),
    ("`req.proto` (4.0)", "read-only as in VCL 4.1"),
    ("`bereq`", "in `pipe` too"),
    ("`bereq.backend`", "`()` leaves the choice"),
    ("`bereq.between_bytes_timeout`", "in `pipe` too"),
    ("`bereq.body`", "it can be read, too"),
    ("`bereq.first_byte_timeout`", "in `pipe` too"),
    ("`bereq.http.content-length`", "in `pipe` too"),
    ("`bereq.http.transfer-encoding`", "in `pipe` too"),
    ("`bereq.proto` (4.0)", "read-only as in VCL 4.1"),
    ("`beresp.body`", "it can be read, too"),
    ("`beresp.proto` (4.0)", "read-only as in VCL 4.1"),
    ("`obj.uncacheable`", "in `hit` too"),
    ("`resp.body`", "it can be read, too"),
    ("`resp.proto` (4.0)", "read-only as in VCL 4.1"),
];

fn is_there(name: &str) -> bool {
    let (object, rest) = name.split_once('.').unwrap_or((name, ""));
    if rest.is_empty() {
        return vars::GLOBALS.iter().any(|g| g.0 == object) || vars::param_type(object) != vars::Type::Any;
    }
    let object = if object == "stale" { "obj" } else { object };
    let rest = if object == "storage" { rest.rsplit('.').next().unwrap_or(rest) } else { rest };
    let member = rest.split(['.', '[', ' ', '(']).next().unwrap_or(rest);
    vars::find(object, member).is_some()
}

fn is_method(name: &str) -> bool {
    let member = name.split_once('.').map_or(name, |(_, m)| m).split('(').next().unwrap_or(name);
    FUNCTIONS.iter().any(|f| matches!(f.on, On::Type(_)) && f.name == member)
}

/// A line of the list.
struct Entry {
    /// As the guide names it.
    row: String,
    name: &'static str,
    ty: &'static str,
    /// Read, written, unset: the hooks of each.
    rules: [Hooks; 3],
}

type Hooks = BTreeSet<&'static str>;

const CLIENT: [&str; 9] = ["recv", "hash", "hit", "miss", "pass", "pipe", "purge", "deliver", "synth"];
const BACKEND: [&str; 4] = ["backend_fetch", "backend_refresh", "backend_response", "backend_error"];

/// The subroutines that VCL means.
fn hooks(words: &'static str) -> Hooks {
    words
        .split(", ")
        .flat_map(|word| match word {
            "all" => HOOKS.iter().map(|h| h.name).collect(),
            "client" => CLIENT.to_vec(),
            "backend" => BACKEND.to_vec(),
            "" => Vec::new(),
            name => vec![name],
        })
        .collect()
}

fn entries() -> Vec<Entry> {
    let read = |line: &'static str| {
        let [name, version, ty, read, write, unset] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let row = if version.is_empty() { format!("`{name}`") } else { format!("`{name}` ({version})") };
        Entry { row, name, ty, rules: [hooks(read), hooks(write), hooks(unset)] }
    };
    VCL.lines().map(read).collect()
}

/// The hooks in which the checks let the code stand.
fn allowed(code: &str) -> Hooks {
    let hook = |h: &copal_policy::hooks::HookRow| format!("fn {}({}) {{ {code} }}\n", h.name, h.params.join(", "));
    let text: String = HOOKS.iter().map(hook).collect();
    let found = Policy::compile("rules.rhai", &text, Arc::default()).err();
    let refused: BTreeSet<usize> = found.iter().flat_map(|f| &f.list).map(|d| d.line).collect();
    HOOKS.iter().enumerate().filter(|(i, _)| !refused.contains(&(i + 1))).map(|(_, h)| h.name).collect()
}

/// What the checks say of a variable that is not there.
fn help(name: &str) -> Option<String> {
    let name = code(name);
    let hook = match name.split('.').next() {
        Some("stale") => "backend_refresh(bereq, beresp, stale)",
        Some("bereq" | "beresp") => "backend_response(bereq, beresp)",
        Some("obj") => "hit(req, obj)",
        _ => "deliver(req, resp)",
    };
    let found = Policy::compile("absent.rhai", &format!("fn {hook} {{ std::log({name}); }}"), Arc::default());
    found.expect_err(&name).list[0].help.clone()
}

#[test]
fn the_checks_say_of_what_is_not_there_what_the_guide_says() {
    let mut compared = 0;
    for (row, entry) in rows("Every variable of VCL").iter().zip(entries()) {
        if row[1].starts_with("the same") || row[1].starts_with("`stale.") || entry.name == "beresp.backend.ip" {
            continue;
        }
        let said = help(entry.name).unwrap_or_else(|| panic!("{} is refused without a word", entry.name));
        if entry.name.starts_with("sess.") {
            assert!(said.contains("`[[listen]]`"), "{said}");
        } else {
            assert_eq!(said, row[1], "{}", entry.name);
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared}");
}

/// The same for reading, writing and unsetting a variable. (A value whose type is not known can be written to any.)
fn rules(code: &str) -> [Hooks; 3] {
    let set = |value: &str| allowed(&format!("let value = json::parse(\"1\"); {code} = {value};"));
    [allowed(&format!("let value = {code};")), set("value"), set("()")]
}

/// As a policy writes the name.
fn code(name: &str) -> String {
    let name = name.replace("obj_stale.", "stale.").replace(".<name>", ".main").replace("http.*", "http[\"x-a\"]");
    match name.split_once(".http.") {
        Some((object, field)) => format!("{object}.http[\"{field}\"]"),
        None => name,
    }
}

/// As the guide has it.
fn words(set: &Hooks) -> String {
    let is = |list: &[&str]| set.len() == list.len() && list.iter().all(|h| set.contains(h));
    if set.is_empty() {
        return "–".to_owned();
    }
    if set.len() == HOOKS.len() {
        return "everywhere".to_owned();
    }
    if is(&CLIENT) {
        return "client".to_owned();
    }
    let (all, name) = (BACKEND.iter().all(|h| set.contains(h)), |h: &&str| format!("`{h}`"));
    let client: Vec<String> = CLIENT.iter().filter(|h| set.contains(*h)).map(name).collect();
    let backend: Vec<String> = BACKEND.iter().filter(|h| set.contains(*h)).map(name).collect();
    let client = if client.len() == CLIENT.len() { vec!["client".to_owned()] } else { client };
    let backend = if all { vec!["backend".to_owned()] } else { backend };
    client.into_iter().chain(backend).collect::<Vec<_>>().join(", ")
}

#[test]
fn every_variable_of_vcl_is_there_or_the_guide_says_what_to_write() {
    let (rows, entries) = (rows("Every variable of VCL"), entries());
    assert_eq!((rows.len(), entries.len()), (163, 163));
    for (row, entry) in rows.iter().zip(&entries) {
        assert_eq!(row[0], entry.row, "all of them, in the order of the reference");
        let name = entry.name;
        assert!(row[1].len() > 3, "{name}");
        if row[1].starts_with("the same") {
            assert!(is_there(name), "{name} is not there");
        } else {
            assert!(!is_there(name) || name.starts_with("beresp.backend."), "{name} is there: say so");
        }
        for code in spans(&row[1]) {
            let object = code.split('.').next().unwrap_or(code);
            if code.contains('.') && (is_there(object) || object == "stale") {
                let last = code.split(" - ").last().unwrap_or(code);
                assert!(is_there(last) || is_method(last), "{name}: {code} is not there");
            }
        }
    }
}

#[test]
fn each_can_be_read_and_written_where_vcl_and_the_guide_say() {
    for (row, entry) in rows("Every variable of VCL").iter().zip(entries()) {
        let here = row[1].starts_with("the same") || row[1].starts_with("`stale.");
        let found = if here { rules(&code(entry.name)) } else { Default::default() };
        let told = [&row[2], &row[3]].map(String::as_str);
        assert_eq!(told, [words(&found[0]), words(&found[1])], "{}", entry.name);
        if here {
            let differs = DIFFERS.iter().find(|(name, _)| *name == entry.row);
            assert_eq!(found != entry.rules, differs.is_some(), "{}: {found:?}, VCL: {:?}", entry.row, entry.rules);
            assert!(differs.is_none_or(|(_, words)| row[1].contains(words)), "{}", row[1]);
        }
    }
}

/// The type that a value of VCL's has here.
#[test]
fn each_has_the_type_of_its_kind() {
    use vars::Type;
    for entry in entries() {
        let (object, rest) = entry.name.split_once('.').unwrap_or((entry.name, ""));
        let object = if object == "obj_stale" { "obj" } else { object };
        let Some(var) = vars::find(object, rest) else { continue };
        let wanted = match entry.ty {
            "BOOL" => Type::Bool,
            // Ids are texts: what is in the log.
            "INT" | "BYTES" if rest != "xid" => Type::Int,
            "DURATION" => Type::Duration,
            "TIME" => Type::Time,
            "IP" => Type::Address,
            "BACKEND" => Type::Backend,
            "STRING" | "BODY" | "INT" | "STEVEDORE" => Type::Text,
            other => panic!("{}: {other}", entry.name),
        };
        assert_eq!(var.ty, wanted, "{}", entry.name);
    }
}
