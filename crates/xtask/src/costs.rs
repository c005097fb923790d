//! `costs`: what hooks, and a hit, cost in instructions, counted by callgrind, against the limits of the project.
//!
//! The bench `hit` is built as the tests are (less optimised than a release: what holds here holds there) and run once.
//! Callgrind writes its count down at each return of `costs_mark`, three times for each line: the difference of the last
//! two, by the rounds that the last has more, is the cost of one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// A line, the line whose cost is taken off it, and how many instructions may be left.
type Gate = (&'static str, Option<&'static str>, u64);

/// What may cost how much. 300, 16,000 and 36,000 are the limits of the policy language's design for hooks as they run;
/// those of the interpreter and of the whole hit are fences a little above what they took when they were set. An undefined
/// hook costs the test of a bit, and a policy whose hooks are elsewhere costs a hit nothing that can be told from noise.
const GATES: &[Gate] = &[
    ("undefined hook", Some("no hook"), 40),
    ("hook without statements", Some("no hook"), 40),
    ("empty hook", Some("no hook"), 300),
    ("empty hook, interpreted", Some("no hook"), 3_000),
    ("typical recv", Some("no hook"), 16_000),
    ("typical recv, interpreted", Some("no hook"), 32_000),
    ("four hooks", Some("no hook"), 36_000),
    ("four hooks, interpreted", Some("no hook"), 75_000),
    ("whole hit, hooks elsewhere", Some("whole hit, built-in policy"), 600),
    ("whole hit, four hooks", Some("whole hit, built-in policy"), 36_000),
    ("whole hit, four hooks", None, 60_000),
];

/// Counts, prints, and fails when a limit is exceeded. With `release`, of the release build: for the figures in the docs.
pub(crate) fn run(root: &Path, release: bool) -> ExitCode {
    match counted(root, release) {
        Ok(costs) => judge(&costs),
        Err(why) => {
            eprintln!("costs: {why}");
            ExitCode::FAILURE
        }
    }
}

fn judge(costs: &BTreeMap<String, u64>) -> ExitCode {
    for (name, cost) in costs {
        println!("{cost:>9}  {name}");
    }
    println!();
    let mut code = ExitCode::SUCCESS;
    for (name, less, limit) in GATES {
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

/// The instructions of one round, by line.
fn counted(root: &Path, release: bool) -> Result<BTreeMap<String, u64>, String> {
    let program = built(root, release)?;
    let folder = root.join("target/costs");
    let _old = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let out = format!("--callgrind-out-file={}", folder.join("counts").display());
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-after=*costs_mark*", &out])
        .arg(program)
        .arg("--instructions")
        .output()
        .map_err(|e| format!("cannot run valgrind ({e}): sudo apt-get install valgrind"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let counts = dumps(&folder)?;
    let mut costs = BTreeMap::new();
    for (i, line) in String::from_utf8_lossy(&output.stdout).lines().enumerate() {
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

/// Builds the bench; its path.
fn built(root: &Path, release: bool) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--bench", "hit", "--message-format=json-render-diagnostics"]);
    if release {
        command.arg("--release");
    }
    let output =
        command.stderr(std::process::Stdio::inherit()).output().map_err(|e| format!("cannot run cargo: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // The last artifact with a program in it is the one that was asked for.
    let found = text.lines().filter(|line| line.contains("\"hit\"")).filter_map(|line| {
        let rest = line.split_once("\"executable\":\"")?.1;
        Some(PathBuf::from(rest.split_once('"')?.0))
    });
    found.last().filter(|_| output.status.success()).ok_or_else(|| "cannot build the bench `hit`".to_owned())
}
