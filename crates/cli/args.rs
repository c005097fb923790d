//! The commands and flags, declared once for parser and help.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// A caching HTTP reverse proxy with cache policy in scripts.
#[derive(Parser)]
#[command(name = "copal", version, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the proxy.
    Serve(Serve),
    /// Check configuration and policy without running anything. Exit status 1 when something is wrong.
    Check(Check),
    /// Run policy cases (Markdown) without a network, in virtual time. Exit status 1 when one does not hold.
    Test(Test),
    /// Run proxy, built-in origin and sample policy on loopback, and say what to try.
    Demo(Demo),
    /// Run a request in a running proxy and tell what happened and why, and what would make it a hit.
    Explain(Explain),
    /// Drop all variants of a URL from a running proxy's cache.
    Purge(Purge),
    /// Drop what an expression is about, lazily: 'req.url ~ ^/news/ && obj.http.x-type == html'.
    Ban(Ban),
    /// Purge by tag (surrogate key).
    Tag(Tag),
    /// Write the store of a running proxy to its file (`[snapshot] file`), for a warm restart.
    Snapshot(Snapshot),
    /// Show the counters of a running proxy.
    Stat(Stat),
    /// Request URLs so that visitors find them stored; tell what is stored now, what is not, and why.
    Warm(Warm),
    /// Show the backends and directors of a running proxy, and say who may serve.
    Backend(Backend),
    /// Read the policy anew and put it in force if it is right; reopen the access log. SIGHUP does the same.
    Reload(Reload),
}

/// What both serve and check take.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Given {
    /// Configuration file (TOML). Flags override it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Listen here: HOST:PORT, :PORT or unix:PATH. May be repeated. [default: 0.0.0.0:6081]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<String>,
    /// The application: HOST:PORT or unix:PATH. Repeated, they take turns (round robin).
    #[arg(long, value_name = "ADDR")]
    pub(crate) to: Vec<String>,
    /// The cache policy.
    #[arg(long, value_name = "FILE.rhai")]
    pub(crate) policy: Option<PathBuf>,
    /// Ceiling on everything the cache holds, as 1GiB. [default: 256MiB]
    #[arg(long)]
    pub(crate) size: Option<String>,
    /// Freshness where the application says nothing, as 60s. [default: 0s]
    #[arg(long)]
    pub(crate) ttl: Option<String>,
    /// How long past its ttl an object may be served while a fetch renews it, as 10s. [default: 0s]
    #[arg(long)]
    pub(crate) grace: Option<String>,
    /// The admin API: unix:PATH, or HOST:PORT (which needs admin.token_file).
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) given: Given,
}

#[derive(clap::Args)]
pub(crate) struct Check {
    /// A configuration (.toml), a policy (any other file), or both. A policy without a configuration is checked but for the
    /// names that only a configuration has; these are told.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) given: Given,
    /// Print every key with its value and where that came from.
    #[arg(long)]
    pub(crate) resolved: bool,
    /// Findings as JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args)]
pub(crate) struct Test {
    /// Files with cases, or folders: every .md below them that holds cases.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only the cases with this text in `FILE:LINE: NAME`, as reports write it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Say which lines and hooks of the policies ran, and which did not.
    #[arg(long)]
    pub(crate) coverage: bool,
    /// Tell of every case what its requests did, step by step.
    #[arg(long)]
    pub(crate) trace: bool,
    /// Run them again whenever a file changes.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Results as JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the results for CI systems to this file, in JUnit's XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Demo {
    /// Listen here.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6081")]
    pub(crate) listen: String,
}

/// How to reach a running proxy.
#[derive(clap::Args)]
pub(crate) struct Reach {
    /// The admin API: unix:PATH or HOST:PORT. [default: the default socket]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,
    /// A file with the token that a TCP admin address needs.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args)]
pub(crate) struct Explain {
    /// http://host/path. A port in it chooses the listener.
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// A header of the request. May be repeated; Host replaces the URL's.
    #[arg(short = 'H', long, value_name = "'NAME: VALUE'")]
    pub(crate) header: Vec<String>,
    /// The method. It is a real request: the application gets what it would get from a visitor.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    pub(crate) method: String,
    /// The listener that the request is taken to have come to, by address or port. [default: by the URL's port, else the
    /// first]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listener: Option<String>,
    /// The address that the request is taken to have come from. [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub(crate) client: Option<String>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(clap::Args)]
pub(crate) struct Purge {
    /// http://host/path
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// A header of the request that the policy's recv and hash make the key of. May be repeated; Host replaces the URL's.
    #[arg(short = 'H', long, value_name = "'NAME: VALUE'")]
    pub(crate) header: Vec<String>,
    /// Make it stale instead of dropping it: grace still serves it.
    #[arg(long)]
    pub(crate) soft: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(clap::Args)]
pub(crate) struct Ban {
    /// Tests joined by &&, each FIELD OPERATOR VALUE: req.url, req.http.NAME, obj.http.NAME, obj.status, obj.age, obj.ttl,
    /// obj.grace, obj.keep, obj.last_hit; == != ~ !~ for text, == != > >= < <= for numbers and durations.
    #[arg(value_name = "EXPRESSION", required_unless_present = "list", num_args = 1..)]
    pub(crate) expression: Vec<String>,
    /// Show the bans in force, and how far they are.
    #[arg(long, conflicts_with = "expression")]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(clap::Args)]
pub(crate) struct Tag {
    #[command(subcommand)]
    pub(crate) command: TagCommand,
}

#[derive(Subcommand)]
pub(crate) enum TagCommand {
    /// Drop every object that carries any of these tags.
    Purge(TagPurge),
}

#[derive(clap::Args)]
pub(crate) struct TagPurge {
    /// The tags, as the application names them.
    #[arg(value_name = "KEY", required = true)]
    pub(crate) keys: Vec<String>,
    /// Make them stale instead of dropping them: grace still serves them.
    #[arg(long)]
    pub(crate) soft: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(clap::Args)]
pub(crate) struct Snapshot {
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(clap::Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(clap::Args)]
pub(crate) struct Stat {
    /// Print once and end. (The live screen is not in this version: -1 is needed.)
    #[arg(short = '1')]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(clap::Args)]
pub(crate) struct Warm {
    /// A file with URLs, a sitemap or an access log (common or combined), plain or gzip; - for standard input; or the URL
    /// of a sitemap, which is fetched through the proxy.
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) source: Vec<String>,
    /// What the source is. [default: told by its beginning]
    #[arg(long, value_enum)]
    pub(crate) format: Option<WarmFormat>,
    /// Where the proxy listens: HOST:PORT or unix:PATH. [default: its first listener, by the admin API]
    #[arg(long, value_name = "ADDR")]
    pub(crate) via: Option<String>,
    /// The Host of every request. Needed where the source has paths only, as access logs do.
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// A header of every request. May be repeated.
    #[arg(short = 'H', long, value_name = "'NAME: VALUE'")]
    pub(crate) header: Vec<String>,
    /// Ask for every URL once with each of these: lines of one name are alternatives, different names multiply.
    #[arg(long, value_name = "'NAME: VALUE'")]
    pub(crate) variant: Vec<String>,
    /// Requests a second.
    #[arg(long, value_name = "N", default_value = "50", value_parser = rate)]
    pub(crate) rate: f64,
    /// Requests at a time.
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub(crate) concurrency: usize,
    /// URLs that are taken; those beyond are left out.
    #[arg(long, value_name = "N", default_value = "100000", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000_000))]
    pub(crate) limit: usize,
    /// Seconds for each response.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Show every URL that is not stored, and not only some.
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// What a source of URLs is.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WarmFormat {
    /// A URL a line; # begins a comment.
    Urls,
    /// A sitemap, or an index of sitemaps (sitemaps.org).
    Sitemap,
    /// An access log: what was asked for with success, the most frequent first.
    Log,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.01..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("a number of requests a second from 0.01 to 100000".to_owned()),
    }
}

#[derive(clap::Args)]
pub(crate) struct Backend {
    #[command(subcommand)]
    pub(crate) command: BackendCommand,
}

#[derive(Subcommand)]
pub(crate) enum BackendCommand {
    /// Every backend with its state, the reason, its probes and figures; every director with its members.
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Set a backend, or all backends of a director, healthy or sick whatever the probes say; back to what they say
    /// (auto); or let it finish with the visitors bound to it and take nobody new (drain).
    Set {
        /// The name of a backend or director.
        name: String,
        /// healthy, sick, auto or drain.
        #[arg(value_parser = ["healthy", "sick", "auto", "drain"])]
        state: String,
        #[command(flatten)]
        reach: Reach,
    },
}
