//! `copal serve`: runs the proxy.

use crate::Failed;
use crate::args::{Given, Serve};
use copal_config::{Config, Overrides};
use std::io::IsTerminal;
use std::io::Write;
use tracing_subscriber::EnvFilter;

/// Without COPAL_LOG: what the owner should know, and of pingora only what is wrong.
const LOG_DEFAULT: &str = "info,pingora=warn,pingora_core=warn,pingora_pool=warn";

pub(crate) fn run(args: &Serve) -> Result<(), Failed> {
    let config = load(&args.given)?;
    start(config, args.given.config.clone())
}

/// File, environment and flags.
pub(crate) fn load(given: &Given) -> Result<Config, Failed> {
    let overrides = overrides(given);
    Config::load(given.config.as_deref(), &|name| std::env::var(name).ok(), &overrides)
        .map_err(|found| Failed::input(found.render(std::io::stderr().is_terminal())))
}

pub(crate) fn overrides(given: &Given) -> Overrides {
    Overrides {
        listen: given.listen.clone(),
        to: given.to.clone(),
        policy: given.policy.clone(),
        size: given.size.clone(),
        ttl: given.ttl.clone(),
        grace: given.grace.clone(),
        admin: given.admin.clone(),
    }
}

/// Runs until a signal ends it.
pub(crate) fn start(config: Config, file: Option<std::path::PathBuf>) -> Result<(), Failed> {
    let filter = EnvFilter::try_from_env("COPAL_LOG").unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let mut say = |line: &str| {
        let mut out = std::io::stdout().lock();
        // Nobody reads stdout: the proxy serves all the same.
        let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
    };
    copal_server::serve(config, file, &mut say).map_err(|error| match error {
        copal_server::ServeError::Assemble(error) => Failed::input(error),
        other => Failed::state(other),
    })
}
