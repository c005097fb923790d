//! `copal explain URL`: what happens to a request and why, told by the running proxy.

use crate::Failed;
use crate::admin::{ask_within, encode};
use crate::args::Explain;
use copal_observe::explain::Explanation;
use http::Method;
use std::time::Duration;

/// The proxy gives a request half a minute, and what follows it five seconds; then it tells what it knows.
const PATIENCE: Duration = Duration::from_secs(45);

pub(crate) fn run(args: &Explain) -> Result<(), Failed> {
    let mut path = format!("/explain?url={}&method={}", encode(&args.url), encode(&args.method));
    let more = [("listener", &args.listener), ("client", &args.client)];
    let more = more.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
    for (name, value) in args.header.iter().map(|line| ("header", line)).chain(more) {
        path.push_str(&format!("&{name}={}", encode(value)));
    }
    let answer = ask_within(&args.reach, &Method::POST, &path, PATIENCE)?;
    if args.reach.json {
        say!("{}", answer.trim_end());
        return Ok(());
    }
    let explanation: Explanation = serde_json::from_str(&answer).map_err(Failed::state)?;
    say!("{}", explanation.render_text().trim_end());
    Ok(())
}
