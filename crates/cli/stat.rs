//! `copal stat -1`: the counters of a running proxy, once.

use crate::Failed;
use crate::admin::ask;
use crate::args::Stat;
use crate::left_out::missing;
use copal_observe::stats::Stats;
use http::Method;

pub(crate) fn run(args: &Stat) -> Result<(), Failed> {
    if !args.once {
        return Err(missing("copal stat without -1 (a live screen)", "`copal stat -1`, or `watch copal stat -1`"));
    }
    let answer = ask(&args.reach, &Method::GET, "/stats")?;
    if args.reach.json {
        say!("{}", answer.trim_end());
        return Ok(());
    }
    let stats: Stats = serde_json::from_str(&answer).map_err(Failed::state)?;
    say!("{}", stats.render_text().trim_end());
    Ok(())
}
