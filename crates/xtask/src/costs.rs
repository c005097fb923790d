//! `costs`: what hooks, and a hit, cost in instructions, counted by callgrind, against the limits of the project.
//!
//! The bench `hit` is built beside the tests, whose dependencies it shares, with more optimisation than these and less than a
//! release, and run once.
//! Callgrind writes its count down at each return of `costs_mark`, three times for each line: the difference of the last
//! two, by the rounds that the last has more, is the cost of one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// A line, the line whose cost is taken off it, and how many instructions may be left: in a release, and in the build of every
/// day.
type Gate = (&'static str, Option<&'static str>, u64, u64);

/// What may cost how much. In a release 300, 16,000 and 36,000 are the limits of the policy language's design for hooks as they
/// run. The others, and those of the build of every day, are fences a little above what they took when they were set. An
/// undefined hook costs the test of a bit, and a policy whose hooks are elsewhere costs a hit nothing that can be told from
/// noise.
const GATES: &[Gate] = &[
    ("undefined hook", Some("no hook"), 20, 20),
    ("hook without statements", Some("no hook"), 80, 100),
    ("empty hook", Some("no hook"), 300, 300),
    ("empty hook, interpreted", Some("no hook"), 3_000, 3_000),
    ("typical recv", Some("no hook"), 16_000, 16_000),
    ("typical recv, interpreted", Some("no hook"), 32_000, 32_000),
    ("four hooks", Some("no hook"), 36_000, 36_000),
    ("four hooks, interpreted", Some("no hook"), 75_000, 75_000),
    ("whole hit, hooks elsewhere", Some("whole hit, built-in policy"), 600, 600),
    ("whole hit, four hooks", Some("whole hit, built-in policy"), 36_000, 36_000),
    ("whole hit, four hooks", None, 36_000, 60_000),
];

/// Counts, prints, and fails when a limit is exceeded. With `release`, of the release build: for the figures in the docs.
pub(crate) fn run(root: &Path, release: bool) -> ExitCode {
    match counted(root, release) {
        Ok(costs) => judge(&costs, release),
        Err(why) => {
            eprintln!("costs: {why}");
            ExitCode::FAILURE
        }
    }
}

fn judge(costs: &BTreeMap<String, u64>, release: bool) -> ExitCode {
    for (name, cost) in costs {
        println!("{cost:>9}  {name}");
    }
    println!();
    let mut code = ExitCode::SUCCESS;
    for (name, less, in_release, every_day) in GATES {
        let limit = if release { in_release } else { every_day };
        let of = |name: &str| costs.get(name).copied();
        let (Some(cost), Some(base)) = (of(name), less.map_or(Some(0), of)) else {
            println!("costs: nothing was counted for `{name}`");
            code = ExitCode::FAILURE;
            continue;
        };
        let cost = cost.saturating_sub(base);
        let verdict = if cost <= *limit { "ok" } else { "TOO MUCH" };
        let less = less.map_or(String::new(), |less| format!(", above `{less}`"));
        println!("{cost:>9} of {limit:>6}  {name}{less}: {verdict}");
        if cost > *limit {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// Counts what each variable and function costs, and writes the page of it. Minutes, and not part of the gate: a test
/// sees to it that the page has every row.
pub(crate) fn table(root: &Path) -> ExitCode {
    let made = built(root, &["test", "-p", "copal-policy", "--test", "examples", "--no-run"], "examples").and_then(
        |program| {
            let args = ["what_each_row_costs", "--ignored", "--exact", "--nocapture", "--test-threads=1"];
            let (said, counts) = under_callgrind(root, &program, &args)?;
            page(&said, &counts)
        },
    );
    let written =
        made.and_then(|text| fs::write(root.join(COSTS), text).map_err(|e| format!("cannot write {COSTS}: {e}")));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("costs: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The page of what each row costs.
const COSTS: &str = "docs/reference/policy-costs.md";

fn page(said: &str, counts: &[u64]) -> Result<String, String> {
    let mut out = String::from(
        "# What variables and functions cost\n\nMade by `cargo run -p copal-xtask -- costs --table`; do not edit. Instructions \
         that reading the variable, or the example of the function in the policy reference, adds to a hook, counted by \
         callgrind in the build of the tests: a release needs fewer. A thousand are about 70 ns; \
         differences of a few hundred say nothing. `–` stands for what stays with the interpreter, as `copal check` tells of each hook.\n\n\
         | | native | interpreted |\n|---|---:|---:|\n",
    );
    let mut lines = 0;
    for line in said.lines() {
        let mut parts = line.split('\t');
        // What the test harness says has no tabs.
        let (Some(name), Some(rounds), Some(native)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let rounds: u64 = rounds.parse().map_err(|_| format!("`{line}` is no line of counts"))?;
        // Four times a pair of marks: the base and the row, interpreted and then native.
        let Some([_, base, _, cost, _, native_base, _, native_cost]) = counts.get(lines * 8..lines * 8 + 8) else {
            return Err("callgrind wrote too few counts".to_owned());
        };
        let of = |cost: &u64, base: &u64| cost.saturating_sub(*base) / rounds;
        let natively = if native == "true" { of(native_cost, native_base).to_string() } else { "–".to_owned() };
        // The harness puts its own words before the first line.
        let name = name.rsplit(' ').next().unwrap_or(name);
        out.push_str(&format!("| `{name}` | {natively} | {} |\n", of(cost, base)));
        lines += 1;
    }
    Ok(out)
}

/// The instructions of one round, by line.
fn counted(root: &Path, release: bool) -> Result<BTreeMap<String, u64>, String> {
    let mut build = vec!["build", "--bench", "hit"];
    if release {
        build.push("--release");
    } else {
        build.extend(["--config", "profile.dev.opt-level=2"]);
    }
    let program = built(root, &build, "hit")?;
    let (said, counts) = under_callgrind(root, &program, &["--instructions"])?;
    let mut costs = BTreeMap::new();
    for (i, line) in said.lines().enumerate() {
        let Some((name, rounds)) = line.split_once('\t') else { continue };
        let rounds: u64 = rounds.parse().map_err(|_| format!("`{line}` is no line of counts"))?;
        // From mark to mark: getting ready, few rounds, and as many and more.
        let Some([_, few, many]) = counts.get(i * 3..i * 3 + 3) else {
            return Err("callgrind wrote too few counts".to_owned());
        };
        costs.insert(name.to_owned(), many.saturating_sub(*few) / rounds);
    }
    Ok(costs)
}

/// What the program says, and what was counted from mark to mark.
fn under_callgrind(root: &Path, program: &Path, args: &[&str]) -> Result<(String, Vec<u64>), String> {
    let folder = root.join("target/costs");
    let _old = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let out = format!("--callgrind-out-file={}", folder.join("counts").display());
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-after=*costs_mark*", &out])
        .arg(program)
        .args(args)
        .output()
        .map_err(|e| format!("cannot run valgrind ({e}): sudo apt-get install valgrind"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), dumps(&folder)?))
}

/// What was counted between the marks, in order.
fn dumps(folder: &Path) -> Result<Vec<u64>, String> {
    let mut counts = Vec::new();
    for n in 1.. {
        let Ok(text) = fs::read_to_string(folder.join(format!("counts.{n}"))) else { break };
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
        let total = total.and_then(|t| t.split_whitespace().next()?.parse().ok());
        counts.push(total.ok_or_else(|| format!("dump {n} has no total"))?);
    }
    Ok(counts)
}

/// Builds a program; its path.
fn built(root: &Path, args: &[&str], name: &str) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(args).arg("--message-format=json-render-diagnostics");
    let output =
        command.stderr(std::process::Stdio::inherit()).output().map_err(|e| format!("cannot run cargo: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let name_of = format!("\"name\":\"{name}\"");
    let mut found = text.lines().filter(|line| line.contains(&name_of)).filter_map(|line| {
        let rest = line.split_once("\"executable\":\"")?.1;
        Some(PathBuf::from(rest.split_once('"')?.0))
    });
    found.next_back().filter(|_| output.status.success()).ok_or_else(|| format!("cannot build `{name}`"))
}
