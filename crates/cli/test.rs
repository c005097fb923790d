//! `copal test`: runs policy cases.

use crate::Failed;
use crate::args::Test;
use copal_cases::run::Wanted;
use copal_cases::{File, Suite, report, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often `--watch` looks at the files.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &Test) -> Result<(), Failed> {
    if !args.watch {
        return once(args, &mut Vec::new());
    }
    loop {
        let mut watched = Vec::new();
        match once(args, &mut watched) {
            Ok(()) => {}
            Err(why) => eprintln!("{}", why.text.trim_end()),
        }
        // What is named is looked at as a whole, so that new files count too.
        watched.extend(args.paths.iter().flat_map(|path| below(path)));
        let before = times(&watched);
        eprintln!("copal: waiting for a change; Ctrl-C ends");
        loop {
            std::thread::sleep(LOOK);
            let mut now = watched.clone();
            now.extend(args.paths.iter().flat_map(|path| below(path)));
            if times(&now) != before {
                break;
            }
        }
    }
}

fn once(args: &Test, depends: &mut Vec<PathBuf>) -> Result<(), Failed> {
    let files = match copal_cases::find(&args.paths) {
        Ok(files) => files,
        Err(wrong) if args.json => {
            say!("{}", serde_json::json!({ "findings": wrong }));
            return Err(Failed::input(""));
        }
        Err(wrong) => {
            let texts: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            return Err(Failed::input(texts.join("\n\n")));
        }
    };
    let suite = run::run(&files, Wanted { coverage: args.coverage, trace: args.trace });
    depends.extend(files.into_iter().map(|File { path, .. }| path));
    depends.extend(suite.outcomes.iter().flat_map(|outcome| outcome.depends.iter().cloned()));
    if let Some(path) = &args.junit {
        std::fs::write(path, report::junit(&suite))
            .map_err(|why| Failed::state(format!("cannot write {}: {why}", path.display())))?;
    }
    tell(args, &suite);
    if suite.holds() { Ok(()) } else { Err(Failed::input("")) }
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

fn times(files: &[PathBuf]) -> BTreeMap<PathBuf, Option<SystemTime>> {
    let changed = |file: &PathBuf| std::fs::metadata(file).and_then(|meta| meta.modified()).ok();
    files.iter().map(|file| (file.clone(), changed(file))).collect()
}
