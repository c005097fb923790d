//! The `copal` command: one file per subcommand.

/// Prints a line; a reader that has gone away (`| head`) is no fault.
macro_rules! say {
    ($($arg:tt)*) => {{
        use std::io::Write;
        let _closed = writeln!(std::io::stdout(), $($arg)*);
    }};
}

mod admin;
mod args;
mod backend;
mod ban;
mod check;
mod demo;
mod explain;
mod left_out;
mod purge;
mod reload;
mod serve;
mod snapshot;
mod stat;
mod tag;
mod test;
mod warm;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

/// Chosen by measurement: see docs/decisions/allocator.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    end(match Args::try_parse() {
        Ok(args) => run(args.command),
        Err(error) => Err(left_out::refusal(&error).unwrap_or_else(|| error.exit())),
    })
}

fn run(command: Command) -> Result<(), Failed> {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Ban(args) => ban::run(&args),
        Command::Tag(args) => tag::run(&args),
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Stat(args) => stat::run(&args),
        Command::Warm(args) => warm::run(&args),
        Command::Backend(args) => backend::run(&args),
        Command::Reload(args) => reload::run(&args),
    }
}

fn end(result: Result<(), Failed>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            if !why.text.is_empty() {
                eprintln!("{}", why.text.trim_end());
            }
            ExitCode::from(why.code)
        }
    }
}

/// Why a command failed, for people, and its exit status.
pub(crate) struct Failed {
    text: String,
    code: u8,
}

impl Failed {
    /// What was given is wrong: configuration, policy, arguments. Exit status 1.
    pub(crate) fn input(text: impl std::fmt::Display) -> Failed {
        Failed { text: text.to_string(), code: 1 }
    }

    /// The command is not used as it must be. Exit status 2, as the parser's.
    pub(crate) fn usage(text: impl std::fmt::Display) -> Failed {
        Failed { text: format!("error: {text}"), code: 2 }
    }

    /// It cannot be done now: a port is taken, nobody answers. Exit status 3.
    pub(crate) fn state(text: impl std::fmt::Display) -> Failed {
        Failed { text: format!("copal: {text}"), code: 3 }
    }
}
