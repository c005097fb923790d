//! `copal check`: is the configuration right, and the policy?

use crate::Failed;
use crate::args::Check;
use crate::serve::overrides;
use copal_config::Config;
use copal_policy::{HookRuns, How};
use copal_server::AssembleError;
use serde_json::json;
use std::io::IsTerminal;

pub(crate) fn run(args: &Check) -> Result<(), Failed> {
    let loaded = Config::load(args.given.config.as_deref(), &|name| std::env::var(name).ok(), &overrides(&args.given));
    let config = match loaded {
        Ok(config) => config,
        Err(found) if args.json => return findings(&found.json()),
        Err(found) => return Err(Failed::input(found.render(std::io::stderr().is_terminal()))),
    };
    let policy = match copal_server::check_policy(&config) {
        Ok(policy) => policy,
        Err(AssembleError::Policy(found)) if args.json => return findings(&json!(found.list)),
        Err(other) => return Err(Failed::input(other)),
    };
    let hooks = policy.map_or(Vec::new(), |policy| policy.hooks_run());
    if args.resolved {
        for (key, value, origin) in config.resolved() {
            say!("{key} = {value}    # {origin}");
        }
    } else if args.json {
        say!("{}", json!({ "findings": [], "hooks": hooks }));
    } else {
        let policy = config.policy.file.as_ref().map_or("built-in".to_owned(), |file| file.display().to_string());
        say!(
            "ok: {} listeners, {} backends, {} directors, policy {policy}",
            config.listen.len(),
            config.backends.len(),
            config.directors.len()
        );
        let file = config.policy.file.as_ref().map_or(String::new(), |file| file.display().to_string());
        for hook in &hooks {
            say!("  {}", run_by(hook, &file));
        }
    }
    Ok(())
}

/// `recv: native`, or who else runs the hook and why.
fn run_by(hook: &HookRuns, file: &str) -> String {
    let name = hook.hook;
    match (&hook.how, &hook.why) {
        (How::Native, _) => format!("{name}: native"),
        (How::Empty, _) => format!("{name}: empty, costs nothing"),
        (How::AtLoad, _) => format!("{name}: once, at load"),
        (How::Interpreted, Some(why)) if why.line > 0 => {
            format!("{name}: interpreted, for {file}:{}:{}: {}", why.line, why.column, why.reason)
        }
        (How::Interpreted, Some(why)) => format!("{name}: interpreted, as {}", why.reason),
        (How::Interpreted, None) => format!("{name}: interpreted"),
    }
}

/// As JSON on stdout; the exit status says that there are some.
fn findings(list: &serde_json::Value) -> Result<(), Failed> {
    say!("{}", json!({ "findings": list, "hooks": [] }));
    Err(Failed::input(""))
}
