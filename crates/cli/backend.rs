//! `copal backend list` and `copal backend set NAME STATE`: who serves, and the owner's word on it.

use crate::Failed;
use crate::admin::{ask, encode};
use crate::args::{Backend, BackendCommand, Reach};
use http::Method;
use serde_json::Value;

pub(crate) fn run(args: &Backend) -> Result<(), Failed> {
    match &args.command {
        BackendCommand::List { reach } => list(reach),
        BackendCommand::Set { name, state, reach } => set(reach, name, state),
    }
}

fn list(reach: &Reach) -> Result<(), Failed> {
    let fetch = |path| -> Result<Vec<Value>, Failed> {
        serde_json::from_str(&ask(reach, &Method::GET, path)?).map_err(Failed::state)
    };
    let (backends, directors) = (fetch("/backends")?, fetch("/directors")?);
    if reach.json {
        say!("{}", serde_json::json!({ "backends": backends, "directors": directors }));
        return Ok(());
    }
    let mut rows = vec![
        ["backend", "address", "state", "set", "running", "requests", "failures", "probes", "names", "why"]
            .map(str::to_owned),
    ];
    rows.extend(backends.iter().map(|row| {
        let state = match row["share_permille"].as_u64() {
            Some(share) if text(&row["state"]) == "slow_start" => format!("slow_start {} %", share / 10),
            Some(_) | None => text(&row["state"]),
        };
        [
            text(&row["name"]),
            text(&row["address"]),
            state,
            text(&row["admin"]),
            format!("{}/{}", text(&row["running"]), text(&row["limit"])),
            text(&row["requests"]),
            text(&row["failures"]),
            text(&row["probe_history"]),
            resolved(&row["resolved"]),
            text(&row["state_reason"]),
        ]
    }));
    print(&rows);
    if !directors.is_empty() {
        say!("");
        let mut rows = vec![["director", "kind", "state", "backends"].map(str::to_owned)];
        rows.extend(directors.iter().map(|row| {
            let state = if row["healthy"] == true { "healthy" } else { "sick" };
            let members = row["members"].as_array().map(Vec::as_slice).unwrap_or_default();
            let members: Vec<String> = members.iter().map(text).collect();
            [text(&row["name"]), text(&row["kind"]), state.to_owned(), members.join(" ")]
        }));
        print(&rows);
    }
    Ok(())
}

fn set(reach: &Reach, name: &str, state: &str) -> Result<(), Failed> {
    let answer = ask(reach, &Method::POST, &format!("/backends/{name}?state={}", encode(state)))?;
    if reach.json {
        say!("{}", answer.trim_end());
    } else {
        say!("{name} is set to {state}");
    }
    Ok(())
}

/// The addresses of a name, and what is wrong with it; a dash for what has no name.
fn resolved(name: &Value) -> String {
    let Some(addresses) = name["addresses"].as_array() else { return "-".to_owned() };
    let addresses: Vec<String> = addresses.iter().map(text).collect();
    let known = if addresses.is_empty() { "no address".to_owned() } else { addresses.join(",") };
    match name["error"].as_str() {
        Some(error) => format!("{known} (last answer: {error})"),
        None => known,
    }
}

/// A value of JSON without quotes; a dash where there is nothing.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Null | Value::String(_) => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Columns as wide as their widest cell.
fn print<const N: usize>(rows: &[[String; N]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say!("{}", cells.join("  ").trim_end());
    }
}
