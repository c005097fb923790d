//! Where the URLs come from: a file, standard input, or a sitemap that is fetched through the proxy.

use super::access_log::AccessLog;
use super::send::Client;
use super::sitemap::{self, Sitemap};
use super::target::{Line, Target, Targets};
use super::{count, named};
use crate::Failed;
use crate::args::WarmFormat;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// Largest sitemap, unpacked: the protocol allows 50 MB. Beyond, it is a mistake or a trap.
const SITEMAP_MAX: u64 = 64 << 20;
/// Longest line of a list or a log.
const LINE_MAX: u64 = 64 << 10;
/// Sitemaps of one index that are read. The protocol allows 50,000.
const SITEMAPS_MAX: usize = 50_000;
/// Indexes within indexes; the protocol allows none.
const DEPTH_MAX: u32 = 2;

/// Reads one source into `targets`.
pub(super) fn read(
    source: &str,
    format: Option<WarmFormat>,
    client: &Client,
    headers: &[Line],
    targets: &mut Targets,
) -> Result<(), Failed> {
    if source.starts_with("http://") || source.starts_with("https://") {
        if matches!(format, Some(WarmFormat::Urls | WarmFormat::Log)) {
            return Err(Failed::input(format!("copal: {source}: only a sitemap is fetched; download the file first")));
        }
        let mut left = SITEMAPS_MAX;
        return fetched(source, 0, client, headers, targets, &mut left);
    }
    if source == "-" {
        return local("standard input", std::io::stdin().lock(), format, client, headers, targets);
    }
    let file = File::open(source).map_err(|error| Failed::input(format!("copal: cannot read {source}: {error}")))?;
    if file.metadata().is_ok_and(|found| found.is_dir()) {
        return Err(Failed::input(format!("copal: {source} is a directory, not a file")));
    }
    local(source, file, format, client, headers, targets)
}

fn local(
    name: &str,
    input: impl Read,
    format: Option<WarmFormat>,
    client: &Client,
    headers: &[Line],
    targets: &mut Targets,
) -> Result<(), Failed> {
    let unreadable = |error| Failed::input(format!("copal: cannot read {name}: {error}"));
    let mut input = BufReader::new(input);
    if input.fill_buf().map_err(unreadable)?.starts_with(&[0x1f, 0x8b]) {
        let mut input = BufReader::new(MultiGzDecoder::new(input));
        return plain(name, &mut input, format, client, headers, targets);
    }
    plain(name, &mut input, format, client, headers, targets)
}

/// What was packed is unpacked now.
fn plain(
    name: &str,
    input: &mut impl BufRead,
    format: Option<WarmFormat>,
    client: &Client,
    headers: &[Line],
    targets: &mut Targets,
) -> Result<(), Failed> {
    let unreadable = |error| Failed::input(format!("copal: cannot read {name}: {error}"));
    let start = input.fill_buf().map_err(unreadable)?;
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let format = format.unwrap_or_else(|| {
        let first = start.split(|b| *b == b'\n').next().unwrap_or_default();
        if start.starts_with(b"<") {
            WarmFormat::Sitemap
        } else if AccessLog::is_line(&String::from_utf8_lossy(first)) {
            WarmFormat::Log
        } else {
            WarmFormat::Urls
        }
    });
    match format {
        WarmFormat::Sitemap => {
            let mut xml = Vec::new();
            input.take(SITEMAP_MAX + 1).read_to_end(&mut xml).map_err(unreadable)?;
            let mut left = SITEMAPS_MAX;
            sitemap(name, &xml, 0, client, headers, targets, &mut left)
        }
        WarmFormat::Urls => lines(input, name, |n, line| {
            let line = line.trim().trim_start_matches('\u{feff}');
            if !line.is_empty() && !line.starts_with('#') {
                targets.add(line, || format!("{name}:{n}"));
            }
        }),
        WarmFormat::Log => {
            let mut log = AccessLog::new(targets.limit());
            lines(input, name, |_, line| log.add(line))?;
            if log.lines > 0 && log.wrong == log.lines {
                return Err(Failed::input(format!(
                    "copal: {name}: no line is in the common or combined format of access logs"
                )));
            }
            if log.wrong > 0 {
                eprintln!("copal: {name}: {} in neither the common nor the combined format", count(log.wrong, "line"));
            }
            for url in log.urls() {
                targets.add(&url, || name.to_owned());
            }
            Ok(())
        }
    }
}

fn lines(input: &mut impl BufRead, name: &str, mut each: impl FnMut(usize, &str)) -> Result<(), Failed> {
    let mut line = Vec::new();
    for n in 1.. {
        line.clear();
        let read = input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
        let read = read.map_err(|error| Failed::input(format!("copal: {name}:{n}: {error}")))?;
        if read == 0 {
            break;
        }
        if read as u64 == LINE_MAX && !line.ends_with(b"\n") {
            return Err(Failed::input(format!(
                "copal: {name}:{n}: the line is longer than {LINE_MAX} bytes: this is no such file"
            )));
        }
        each(n, &String::from_utf8_lossy(&line));
    }
    Ok(())
}

fn sitemap(
    name: &str,
    xml: &[u8],
    depth: u32,
    client: &Client,
    headers: &[Line],
    targets: &mut Targets,
    left: &mut usize,
) -> Result<(), Failed> {
    if xml.len() as u64 > SITEMAP_MAX {
        return Err(Failed::input(format!("copal: {name}: larger than {SITEMAP_MAX} bytes: no sitemap may be")));
    }
    match sitemap::parse(xml, targets.limit()).map_err(|why| Failed::input(format!("copal: {name}: {why}")))? {
        Sitemap::Urls(urls) => {
            urls.iter().for_each(|url| targets.add(url, || name.to_owned()));
            Ok(())
        }
        Sitemap::Index(_) if depth >= DEPTH_MAX => {
            Err(Failed::input(format!("copal: {name}: an index within an index within an index")))
        }
        Sitemap::Index(maps) => maps.iter().try_for_each(|map| fetched(map, depth + 1, client, headers, targets, left)),
    }
}

/// A sitemap that the proxy is asked for, under its own name.
fn fetched(
    url: &str,
    depth: u32,
    client: &Client,
    headers: &[Line],
    targets: &mut Targets,
    left: &mut usize,
) -> Result<(), Failed> {
    if *left == 0 {
        return Err(Failed::input(format!("copal: more than {SITEMAPS_MAX} sitemaps")));
    }
    *left -= 1;
    let target = Target::of(url, targets.host()).map_err(|why| Failed::input(format!("copal: {why}")))?;
    let body = client.fetch(&target, headers, SITEMAP_MAX)?;
    let mut xml = Vec::new();
    if body.starts_with(&[0x1f, 0x8b]) {
        let unpacked = MultiGzDecoder::new(&body[..]).take(SITEMAP_MAX + 1).read_to_end(&mut xml);
        unpacked.map_err(|error| Failed::input(format!("copal: {}: {error}", named(&target))))?;
    } else {
        xml = body;
    }
    sitemap(&named(&target), &xml, depth, client, headers, targets, left)
}
