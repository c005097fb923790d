//! `copal ban EXPRESSION` and `copal ban --list`.

use crate::Failed;
use crate::admin::{ask, encode};
use crate::args::Ban;
use http::Method;
use serde_json::Value;

pub(crate) fn run(args: &Ban) -> Result<(), Failed> {
    let answer = if args.list {
        ask(&args.reach, &Method::GET, "/bans")?
    } else {
        // In one argument or in several: a shell takes the quotes off.
        let expression = args.expression.join(" ");
        ask(&args.reach, &Method::POST, &format!("/ban?expression={}", encode(&expression)))?
    };
    if args.reach.json {
        say!("{}", answer.trim_end());
        return Ok(());
    }
    let value: Value = serde_json::from_str(&answer).map_err(Failed::state)?;
    if args.list {
        list(&value);
    } else {
        say!("banned; `copal ban --list` shows how far it is");
    }
    Ok(())
}

fn list(value: &Value) {
    let bans = value["bans"].as_array().map(Vec::as_slice).unwrap_or_default();
    say!("{} in force, {} done", bans.len(), value["completed"]);
    if let Some(round) = value["round"].as_f64() {
        say!("the lurker has visited {:.0} % of the objects on this round", round * 100.0);
    }
    if bans.is_empty() {
        return;
    }
    say!("\n{:>8}  {:>8}  {:>10}  {:>8}  {:<7}  expression", "number", "age", "tests", "dropped", "by");
    for ban in bans {
        let by = if ban["needs_request"] == true { "request" } else { "lurker" };
        let age = format!("{} s", ban["age_seconds"]);
        say!(
            "{:>8}  {age:>8}  {:>10}  {:>8}  {by:<7}  {}",
            ban["number"].to_string(),
            ban["tests"].to_string(),
            ban["dropped"].to_string(),
            ban["expression"].as_str().unwrap_or_default()
        );
    }
}
