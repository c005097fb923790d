//! `copal tag purge KEY…`: drops every object that carries any of these tags.

use crate::Failed;
use crate::admin::{ask, encode};
use crate::args::{Tag, TagCommand};
use http::Method;
use std::fmt::Write;

pub(crate) fn run(args: &Tag) -> Result<(), Failed> {
    let TagCommand::Purge(args) = &args.command;
    let mut path = format!("/tags/purge?soft={}", u8::from(args.soft));
    for key in &args.keys {
        let _infallible = write!(path, "&key={}", encode(key));
    }
    let answer = ask(&args.reach, &Method::POST, &path)?;
    if args.reach.json {
        say!("{}", answer.trim_end());
        return Ok(());
    }
    crate::purge::tell(&answer, args.soft)
}
