//! `copal check`: is the configuration right, and the policy?

use crate::Failed;
use crate::args::{Check, Given};
use crate::serve::overrides;
use copal_config::Config;
use copal_policy::{HookRuns, How, Named, Policy};
use copal_server::AssembleError;
use serde::Serialize;
use serde_json::json;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn run(args: &Check) -> Result<(), Failed> {
    let mut given = args.given.clone();
    for file in &args.files {
        let (place, what) = match file.extension() {
            Some(end) if end == "toml" => (&mut given.config, "configuration"),
            Some(_) | None => (&mut given.policy, "policy"),
        };
        if let Some(first) = place.replace(file.clone()) {
            let (first, second) = (first.display(), file.display());
            return Err(Failed::usage(format!(
                "two files for one {what}: {first} and {second}\n  check them one after the other{}",
                if what == "policy" { "; a configuration can name several, and all of them are checked" } else { "" }
            )));
        }
    }
    let config = |given: &Given| {
        let loaded = Config::load(given.config.as_deref(), &|name| std::env::var(name).ok(), &overrides(given));
        loaded.map_err(|found| match args.json {
            true => findings(&found.json()),
            false => Failed::input(found.render(std::io::stderr().is_terminal())),
        })
    };
    match (&given.policy, &given.config, given.to.is_empty()) {
        (Some(policy), None, true) => {
            let stand_in = Given { to: vec![NOWHERE.to_owned()], policy: None, ..given.clone() };
            alone(args, policy, &config(&stand_in)?)
        }
        _ => with_configuration(args, &config(&given)?),
    }
}

/// A backend in place of those that the missing configuration has.
const NOWHERE: &str = "127.0.0.1:1";

/// A policy without a configuration.
fn alone(args: &Check, file: &Path, config: &Config) -> Result<(), Failed> {
    let (policy, names) = match copal_server::check_policy_alone(config, file) {
        Ok(checked) => checked,
        Err(AssembleError::Policy(found)) if args.json => return Err(findings(&json!(found.list))),
        Err(other) => return Err(Failed::input(other)),
    };
    if args.json {
        let hooks: Vec<_> = policy.hooks_run().into_iter().map(|hook| InFile { file: policy.name(), hook }).collect();
        say!("{}", json!({ "findings": [], "hooks": hooks, "unchecked": names }));
        return Ok(());
    }
    say!("ok: policy {}, without a configuration", policy.name());
    if !names.is_empty() {
        let named =
            |n: &Named| if n.name.is_empty() { n.kind.to_owned() } else { format!("{} \"{}\"", n.kind, n.name) };
        say!(
            "  not checked, since only a configuration has it: {}",
            names.iter().map(named).collect::<Vec<_>>().join(", ")
        );
        say!("  with one: copal check CONFIG.toml {}", policy.name());
    }
    for hook in policy.hooks_run() {
        say!("  {}", run_by(&hook, policy.name()));
    }
    Ok(())
}

fn with_configuration(args: &Check, config: &Config) -> Result<(), Failed> {
    let policies = match copal_server::check_policy(config) {
        Ok(policies) => policies,
        Err(AssembleError::Policy(found)) if args.json => return Err(findings(&json!(found.list))),
        Err(other) => return Err(Failed::input(other)),
    };
    let policies: Vec<Arc<Policy>> = policies.iter().flat_map(|all| all.all().map(Arc::clone)).collect();
    let hooks = || policies.iter().flat_map(|policy| policy.hooks_run().into_iter().map(|hook| (policy.name(), hook)));
    if args.resolved {
        for (key, value, origin) in config.resolved() {
            say!("{key} = {value}    # {origin}");
        }
    } else if args.json {
        let hooks: Vec<_> = hooks().map(|(file, hook)| InFile { file, hook }).collect();
        say!("{}", json!({ "findings": [], "hooks": hooks }));
    } else {
        let set = &config.policy;
        let mut policy = set.file.as_ref().map_or("built-in".to_owned(), |file| file.display().to_string());
        let others = set.named.len() + set.hosts.len();
        if others > 0 {
            policy.push_str(&format!(" and {others} more by name or host"));
        }
        say!(
            "ok: {}, {}, {}, policy {policy}",
            counted(config.listen.len(), "listener"),
            counted(config.backends.len(), "backend"),
            counted(config.directors.len(), "director")
        );
        for route in &config.routes {
            let (host, path) = (route.host.as_deref().unwrap_or("*"), route.path.as_deref().unwrap_or("/"));
            say!("  route {host}{path} -> {}", route.to);
        }
        if let Some(default) = config.default_target.as_ref().filter(|_| !config.routes.is_empty()) {
            say!("  everything else -> {default}");
        }
        for (file, hook) in hooks() {
            let of = if others > 0 { format!("{file}: ") } else { String::new() };
            say!("  {of}{}", run_by(&hook, file));
        }
    }
    Ok(())
}

/// "1 backend", "2 backends".
fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A hook, and the policy that it is of.
#[derive(Serialize)]
struct InFile<'a> {
    file: &'a str,
    #[serde(flatten)]
    hook: HookRuns,
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
fn findings(list: &serde_json::Value) -> Failed {
    say!("{}", json!({ "findings": list, "hooks": [] }));
    Failed::input("")
}
