//! `copal purge URL`: drops all variants of a URL.

use crate::Failed;
use crate::admin::{ask, encode};
use crate::args::Purge;
use http::Method;

pub(crate) fn run(args: &Purge) -> Result<(), Failed> {
    let soft = if args.soft { "&soft=1" } else { "" };
    let answer = ask(&args.reach, &Method::POST, &format!("/purge?url={}{soft}", encode(&args.url)))?;
    if args.reach.json {
        say!("{}", answer.trim_end());
        return Ok(());
    }
    tell(&answer, args.soft)
}

/// How many objects the answer speaks of.
pub(crate) fn tell(answer: &str, soft: bool) -> Result<(), Failed> {
    let value: serde_json::Value = serde_json::from_str(answer).map_err(Failed::state)?;
    let count = value["purged"].as_u64().unwrap_or(0);
    say!("{count} {} {}", if count == 1 { "object" } else { "objects" }, if soft { "made stale" } else { "purged" });
    Ok(())
}
