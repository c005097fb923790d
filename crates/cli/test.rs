//! `copal test`: runs policy cases.

use crate::Failed;
use crate::args::Test;
use copal_cases::run::Wanted;
use copal_cases::{File, Suite, report, run};
use copal_policy::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often `--watch` looks at the files.
const LOOK: Duration = Duration::from_millis(200);

/// The files that matter and when each was written, and its length.
type Times = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

pub(crate) fn run(args: &Test) -> Result<(), Failed> {
    let mut known: BTreeSet<PathBuf> = BTreeSet::new();
    loop {
        // Before the run: what is written while it lasts is a change.
        let mut before = times(args, &known);
        let done = once(args, &mut before);
        if !args.watch {
            return done;
        }
        if let Err(why) = done {
            eprintln!("{}", why.text.trim_end());
        }
        known.extend(before.keys().cloned());
        eprintln!("copal: waiting for a change; Ctrl-C ends");
        while times(args, &known) == before {
            std::thread::sleep(LOOK);
        }
    }
}

fn once(args: &Test, watched: &mut Times) -> Result<(), Failed> {
    let found = copal_cases::find(&args.paths).and_then(|files| match &args.filter {
        Some(text) => chosen(files, text),
        None => Ok(files),
    });
    let files = match found {
        Ok(files) => files,
        Err(wrong) => {
            write_junit(args, || report::junit_of_findings(&wrong))?;
            if args.json {
                say!("{}", serde_json::json!({ "findings": wrong }));
                return Err(Failed::input(""));
            }
            let texts: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            return Err(Failed::input(texts.join("\n\n")));
        }
    };
    if args.watch {
        for file in files.iter().flat_map(run::depends) {
            let time = written(&file);
            watched.entry(file).or_insert(time);
        }
    }
    let suite = run::run(&files, Wanted { coverage: args.coverage, trace: args.trace });
    write_junit(args, || report::junit(&suite))?;
    tell(args, &suite);
    if suite.holds() { Ok(()) } else { Err(Failed::input("")) }
}

/// The cases whose place and name, as a report writes them, have that text.
fn chosen(mut files: Vec<File>, text: &str) -> Result<Vec<File>, Vec<Diagnostic>> {
    let names: Vec<String> = files.iter().flat_map(|file| file.cases.iter().map(|case| case.name.clone())).collect();
    for file in &mut files {
        let name = file.name.clone();
        file.cases.retain(|case| format!("{name}:{}: {}", case.line, case.name).contains(text));
    }
    files.retain(|file| !file.cases.is_empty());
    if !files.is_empty() {
        return Ok(files);
    }
    let near = copal_policy::diagnostic::nearest(text, names.iter().map(String::as_str));
    let help = near.map(|meant| format!("did you mean `{meant}`?"));
    let message = format!("no case has `{text}` in its file, line and name");
    Err(vec![Diagnostic::of_file("--filter", message).help(help)])
}

fn write_junit(args: &Test, text: impl FnOnce() -> String) -> Result<(), Failed> {
    let Some(path) = &args.junit else { return Ok(()) };
    std::fs::write(path, text()).map_err(|why| Failed::state(format!("cannot write {}: {why}", path.display())))
}

fn tell(args: &Test, suite: &Suite) {
    if args.json {
        say!("{}", report::json(suite));
        return;
    }
    say!("{}", report::text(suite, args.trace).trim_end());
    if args.coverage {
        say!("{}", report::coverage::text(suite).trim_end());
    }
}

/// The files of a folder and of the folders in it; a file itself.
fn below(path: &Path) -> Vec<PathBuf> {
    match std::fs::read_dir(path) {
        Err(_) => vec![path.to_owned()],
        Ok(entries) => {
            let plain = entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
            plain
                .flat_map(|entry| match entry.file_type() {
                    Ok(kind) if kind.is_dir() => below(&entry.path()),
                    Ok(_) | Err(_) => vec![entry.path()],
                })
                .collect()
        }
    }
}

/// Those of all files that are known to matter. What is named is looked at as a whole, so that new files count too.
fn times(args: &Test, known: &BTreeSet<PathBuf>) -> Times {
    if !args.watch {
        return Times::new();
    }
    let named = args.paths.iter().flat_map(|path| below(path));
    let files = named.chain(known.iter().cloned()).filter(|file| !is_report(args, file));
    files.map(|file| (file.clone(), written(&file))).collect()
}

fn written(file: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(file).ok()?;
    meta.modified().ok().map(|time| (time, meta.len()))
}

/// Does the run itself write it? Then it is no change.
fn is_report(args: &Test, file: &Path) -> bool {
    let Some(report) = args.junit.as_ref().filter(|report| report.file_name() == file.file_name()) else {
        return false;
    };
    std::fs::canonicalize(file).ok() == std::fs::canonicalize(report).ok()
}
