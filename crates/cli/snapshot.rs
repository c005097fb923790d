//! `copal snapshot`: writes the store of a running proxy to its file.

use crate::Failed;
use crate::admin::ask_within;
use crate::args::Snapshot;
use http::Method;
use std::time::Duration;

/// The proxy writes at a bounded rate: a terabyte takes its time, and who waits can give up.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

pub(crate) fn run(args: &Snapshot) -> Result<(), Failed> {
    let answer = ask_within(&args.reach, &Method::POST, "/snapshot", PATIENCE)?;
    if args.reach.json {
        say!("{}", answer.trim_end());
        return Ok(());
    }
    let value: serde_json::Value = serde_json::from_str(&answer).map_err(Failed::state)?;
    say!(
        "{} objects, {} bytes in {:.1} s to {}",
        value["objects"],
        value["bytes"],
        value["seconds"].as_f64().unwrap_or(0.0),
        value["file"].as_str().unwrap_or_default()
    );
    Ok(())
}
