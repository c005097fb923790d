//! `copal purge URL`: drops all variants of a URL.

use crate::Failed;
use crate::admin::{ask, encode};
use crate::args::Purge;
use http::Method;

pub(crate) fn run(args: &Purge) -> Result<(), Failed> {
    let soft = if args.soft { "&soft=1" } else { "" };
    let headers: String = args.header.iter().map(|line| format!("&header={}", encode(line))).collect();
    let answer = ask(&args.reach, &Method::POST, &format!("/purge?url={}{headers}{soft}", encode(&args.url)))?;
    if args.reach.json {
        say!("{}", answer.trim_end());
        return Ok(());
    }
    tell(&answer, args.soft)?;
    let value: serde_json::Value = serde_json::from_str(&answer).map_err(Failed::state)?;
    if value["purged"] == 0 {
        let parts = value["key"].as_array().into_iter().flatten().map(ToString::to_string);
        eprintln!(
            "  nothing is stored under the key {}, which the policy's recv and hash make of a PURGE of this URL\n  \
             `copal explain URL -H 'Name: value'` shows a visitor's key; copal purge takes the same -H",
            parts.collect::<Vec<_>>().join(" + ")
        );
    }
    Ok(())
}

/// How many objects the answer speaks of.
pub(crate) fn tell(answer: &str, soft: bool) -> Result<(), Failed> {
    let value: serde_json::Value = serde_json::from_str(answer).map_err(Failed::state)?;
    let count = value["purged"].as_u64().unwrap_or(0);
    say!("{count} {} {}", if count == 1 { "object" } else { "objects" }, if soft { "made stale" } else { "purged" });
    Ok(())
}
