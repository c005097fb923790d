//! `copal warm SOURCE…`: asks a running proxy for URLs, so that visitors find them stored, and tells what is stored now,
//! what is not, and why.
//!
//! ```text
//!  source (list, sitemap, access log; plain or gzip) ─▶ targets × variants ─▶ a few connections, at a rate ─▶ Cache-Status ─▶ report
//! ```

mod access_log;
mod report;
mod send;
mod sitemap;
mod source;
mod target;

use crate::Failed;
use crate::admin::ask;
use crate::args::Warm;
use http::Method;
use report::Report;
use send::{Client, Plan};
use target::{Target, Targets};

pub(crate) fn run(args: &Warm) -> Result<(), Failed> {
    let headers = target::header_lines(&args.header)?;
    let variants = target::variants(&args.variant)?;
    let via = match &args.via {
        Some(via) => via.clone(),
        None => first_listener(args)?,
    };
    let client = Client::new(&via, args.timeout)?;
    let mut targets = Targets::new(args.host.as_deref(), args.limit)?;
    for source in &args.source {
        source::read(source, args.format, &client, &headers, &mut targets)?;
    }
    let found = targets.done()?;
    let plan = Plan { targets: found, variants, headers, rate: args.rate, concurrency: args.concurrency };
    let report = send::all(&client, plan)?;
    if args.reach.json {
        say!("{}", report.json());
    } else {
        for line in report.lines(args.all) {
            say!("{line}");
        }
    }
    outcome(&report)
}

fn outcome(report: &Report) -> Result<(), Failed> {
    match report.failed() {
        0 => Ok(()),
        n => Err(Failed::state(format!("{n} of {} requests failed", report.requests()))),
    }
}

/// Where the proxy listens, by its admin API.
fn first_listener(args: &Warm) -> Result<String, Failed> {
    let answer = ask(&args.reach, &Method::GET, "/listeners").map_err(|why| Failed {
        text: format!("{}\n  or say where the proxy listens: --via HOST:PORT", why.text),
        code: why.code,
    })?;
    let all: Vec<String> = serde_json::from_str(&answer).map_err(Failed::state)?;
    all.into_iter().next().ok_or_else(|| Failed::state("the proxy has no listener"))
}

/// For messages: how many of what.
fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("{n} {what}") } else { format!("{n} {what}s") }
}

/// What a target is called in reports.
fn named(target: &Target) -> String {
    format!("http://{}{}", target.host, target.path)
}
