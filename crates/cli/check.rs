//! `copal check`: is the configuration right, and the policy?

use crate::Failed;
use crate::args::Check;
use crate::serve::overrides;
use copal_config::Config;
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
    match copal_server::check_policy(&config) {
        Ok(()) => {}
        Err(AssembleError::Policy(found)) if args.json => return findings(&json!(found.list)),
        Err(other) => return Err(Failed::input(other)),
    }
    if args.resolved {
        for (key, value, origin) in config.resolved() {
            say!("{key} = {value}    # {origin}");
        }
    } else if args.json {
        say!("[]");
    } else {
        let set = &config.policy;
        let mut policy = set.file.as_ref().map_or("built-in".to_owned(), |file| file.display().to_string());
        let others = set.named.len() + set.hosts.len();
        if others > 0 {
            policy.push_str(&format!(" and {others} more by name or host"));
        }
        say!(
            "ok: {} listeners, {} backends, {} directors, policy {policy}",
            config.listen.len(),
            config.backends.len(),
            config.directors.len()
        );
    }
    Ok(())
}

/// As JSON on stdout; the exit status says that there are some.
fn findings(list: &serde_json::Value) -> Result<(), Failed> {
    say!("{list}");
    Err(Failed::input(""))
}
