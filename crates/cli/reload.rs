//! `copal reload`: the policy is read anew, and put in force when it is right.

use crate::Failed;
use crate::admin::ask;
use crate::args::Reload;
use http::Method;

pub(crate) fn run(args: &Reload) -> Result<(), Failed> {
    let answer = ask(&args.reach, &Method::POST, "/reload")?;
    if args.reach.json {
        say!("{}", answer.trim_end());
        return Ok(());
    }
    let value: serde_json::Value = serde_json::from_str(&answer).map_err(Failed::state)?;
    say!("{}", value["reloaded"].as_str().unwrap_or_default());
    Ok(())
}
