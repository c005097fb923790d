//! What no key can tell by itself: names that must exist, things that must not be there twice, files.

use std::fs;

use crate::address::Address;
use crate::diagnostic::Diagnostic;
use crate::file::Read;
use crate::keys::{self, Given, KEYS};
use crate::kind::Kind;
use crate::log::HEADERS_MAX;
use crate::name;
use crate::place::{Fault, Place};
use crate::value::Value;
use crate::values::{Entry, Table, Values, default_value};

/// Everything that is wrong with the values as a whole; `unread` when something in the file was wrong already.
pub(crate) fn all(values: &Values, read: Read, unread: bool) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    if read == Read::Whole {
        required(values, &mut errors);
    }
    names_twice(values, &mut errors);
    addresses_twice(values, &mut errors);
    crate::check_directors::all(values, &mut errors);
    crate::route::check(values, &mut errors);
    purge(values, &mut errors);
    proxies(values, &mut errors);
    storages(values, &mut errors);
    files(values, &mut errors);
    admin(values, &mut errors);
    sizes(values, &mut errors);
    probes(values, &mut errors);
    logged_headers(values, &mut errors);
    tls(values, &mut errors);
    if errors.is_empty() && !unread {
        something_to_serve(values, &mut errors);
    }
    errors
}

fn required(values: &Values, errors: &mut Vec<Diagnostic>) {
    for key in KEYS.iter().filter(|key| key.default == Given::Required) {
        let (section, leaf) = keys::split(key.path);
        for table in values.tables(section) {
            let path = format!("{}.{leaf}", table.path);
            if values.entry(&path).is_none() && !values.broken.contains(&path) {
                let fault = Fault::new(format!("missing key `{leaf}` of `{}`", table.path));
                errors.push(table.place.error(fault.help(Some(format!("`{leaf}` is {}", key.kind.expected())))));
            }
        }
    }
}

fn names_twice(values: &Values, errors: &mut Vec<Diagnostic>) {
    for director in values.tables("director.*") {
        if let Some(backend) = values.tables("backend.*").find(|backend| backend.name == director.name) {
            let (later, first) =
                if starts(director) < starts(backend) { (backend, director) } else { (director, backend) };
            let fault = Fault::new(format!("`{}` is the name of a backend and of a director", director.name))
                .help(Some("policies choose both by name: rename one of them".to_owned()));
            errors.push(later.place.clash(fault, &first.place));
        }
    }
}

/// Storages beside the main one. The store's own bound: each costs every lookup a look.
const STORAGES_MAX: usize = 15;

fn storages(values: &Values, errors: &mut Vec<Diagnostic>) {
    for (n, table) in values.tables("store.*").enumerate() {
        if table.name == "main" {
            let fault = Fault::new("`main` is the name of the storage that `[cache]` describes");
            errors.push(table.place.error(fault.help(Some("give this one another name".to_owned()))));
        }
        if n == STORAGES_MAX {
            let fault = Fault::new(format!("more than {STORAGES_MAX} storages"));
            errors.push(
                table.place.error(fault.help(Some("each costs every lookup a look; put some together".to_owned()))),
            );
        }
    }
}

fn starts(table: &Table) -> Option<usize> {
    match &table.place {
        Place::File { span, .. } => Some(span.start),
        Place::Default | Place::Env(_) | Place::Flag(_) => None,
    }
}

/// Two listeners, or a listener and the admin or metrics one, on the same address.
fn addresses_twice(values: &Values, errors: &mut Vec<Diagnostic>) {
    let mut taken: Vec<(Address, &Place)> = Vec::new();
    let default = keys::find("listen[].address").and_then(default_value);
    for table in values.tables("listen[]") {
        let path = format!("{}.address", table.path);
        let found = match (values.entry(&path), &default) {
            (Some(entry), _) => Some((&entry.value, &entry.place)),
            (None, Some(value)) if !values.broken.contains(&path) => Some((value, &table.place)),
            (None, _) => None,
        };
        take(found, &mut taken, errors);
    }
    for path in ["metrics.listen", "admin.listen"] {
        take(values.entry(path).map(|entry| (&entry.value, &entry.place)), &mut taken, errors);
    }
}

fn take<'a>(found: Option<(&Value, &'a Place)>, taken: &mut Vec<(Address, &'a Place)>, errors: &mut Vec<Diagnostic>) {
    let Some((Value::Address(address), place)) = found else { return };
    let any_port = matches!(address, Address::Tcp(tcp) if tcp.port() == 0);
    match taken.iter().find(|(other, _)| other == address && !any_port) {
        Some((_, first)) => {
            errors.push(place.clash(Fault::new(format!("duplicate address `{address}`")), first));
        }
        None => taken.push((address.clone(), place)),
    }
}

fn purge(values: &Values, errors: &mut Vec<Diagnostic>) {
    errors.extend(values.entry("purge.acl").and_then(|entry| unknown_acl(values, entry)));
}

/// What is wrong with the name of an access list, if anything.
fn unknown_acl(values: &Values, entry: &Entry) -> Option<Diagnostic> {
    let Value::Text(wanted) = &entry.value else { return None };
    let path = format!("acl.{wanted}");
    if values.entry(&path).is_some() || values.broken.contains(&path) {
        return None;
    }
    let known: Vec<&str> = values.of("acl.*").filter_map(|acl| acl.path.strip_prefix("acl.")).collect();
    let help = name::suggestion(wanted, &known);
    let help = help.or(Some(format!("declare it: [acl] {wanted} = [\"127.0.0.0/8\", \"::1\"]")));
    Some(entry.place.error(Fault::new(format!("unknown acl `{wanted}`")).help(help)))
}

/// Whose PROXY header is believed.
fn proxies(values: &Values, errors: &mut Vec<Diagnostic>) {
    for table in values.tables("listen[]") {
        let entry = |leaf: &str| values.entry(&format!("{}.{leaf}", table.path));
        let Some(list) = entry("proxy_acl") else { continue };
        errors.extend(unknown_acl(values, list));
        let expected = entry("proxy_protocol").is_some_and(|entry| matches!(entry.value, Value::Bool(true)));
        if !expected && !values.broken.contains(&format!("{}.proxy_protocol", table.path)) {
            let fault = Fault::new("`proxy_acl` without `proxy_protocol = true`");
            let help = "no header is expected here, so nobody's is believed: set `proxy_protocol = true`, or remove it";
            errors.push(list.place.error(fault.help(Some(help.to_owned()))));
        }
        if let Some(Value::Address(Address::Unix(_))) = entry("address").map(|entry| &entry.value) {
            let fault = Fault::new("`proxy_acl` on a Unix socket, whose peers have no address");
            let help = "remove it: the permissions of the socket's folder say who may connect";
            errors.push(list.place.error(fault.help(Some(help.to_owned()))));
        }
    }
}

fn files(values: &Values, errors: &mut Vec<Diagnostic>) {
    for entry in &values.entries {
        let Value::Text(text) = &entry.value else { continue };
        let path = entry.place.resolve(text);
        let fault = match entry.key.kind {
            Kind::File => match fs::metadata(&path) {
                Ok(found) if found.is_dir() => Some((format!("`{text}` is a directory, not a file"), path)),
                Ok(_) => None,
                Err(why) => Some((format!("cannot read `{text}`: {}", reason(&why)), path)),
            },
            Kind::OutputFile if text == "-" => None,
            Kind::OutputFile | Kind::StateFile if path.is_dir() => {
                Some((format!("`{text}` is a directory, not a file"), path))
            }
            Kind::OutputFile | Kind::StateFile => match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                    Some((format!("the directory of `{text}` does not exist"), folder.to_owned()))
                }
                _ => None,
            },
            _ => None,
        };
        if let Some((message, looked)) = fault {
            let help = format!("looked for {}", looked.display());
            errors.push(entry.place.error(Fault::new(message).help(Some(help))));
        }
    }
}

/// The reason without the number that the standard library appends.
pub(crate) fn reason(why: &std::io::Error) -> String {
    match why.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => why.to_string(),
    }
}

fn admin(values: &Values, errors: &mut Vec<Diagnostic>) {
    let Some(entry) = values.entry("admin.listen") else { return };
    let unix = matches!(entry.value, Value::Address(Address::Unix(_)));
    if unix || values.entry("admin.token_file").is_some() || values.broken.contains("admin.token_file") {
        return;
    }
    let fault = Fault::new("an admin address over TCP needs `token_file`");
    let help = "set admin.token_file to a file with a secret, or listen on \"unix:/run/copal/admin.sock\"";
    errors.push(entry.place.error(fault.help(Some(help.to_owned()))));
}

fn sizes(values: &Values, errors: &mut Vec<Diagnostic>) {
    let size = |path: &str| match values.entry(path).map(|entry| &entry.value) {
        Some(Value::Size(bytes)) => Some(*bytes),
        _ => match keys::find(path).and_then(default_value) {
            Some(Value::Size(bytes)) => Some(bytes),
            _ => None,
        },
    };
    let (Some(object), Some(whole)) = (size("cache.object_size"), size("cache.size")) else { return };
    if let Some(entry) = values.entry("cache.object_size").filter(|_| object > whole / 2) {
        let fault = Fault::new("`object_size` is more than half of the cache");
        let help = format!("cache.size is {}", crate::units::show_size(whole));
        errors.push(entry.place.error(fault.help(Some(help))));
    }
}

/// A certificate without its key, or the other way round; authorities that nobody is checked against.
fn tls(values: &Values, errors: &mut Vec<Diagnostic>) {
    for table in values.tables("backend.*.tls") {
        let entry = |leaf: &str| values.entry(&format!("{}.{leaf}", table.path));
        for (one, other) in [("client_cert", "client_key"), ("client_key", "client_cert")] {
            if let (Some(found), None) = (entry(one), entry(other)) {
                errors.push(found.place.error(Fault::new(format!("`{one}` without `{other}`"))));
            }
        }
        let unchecked = entry("verify").is_some_and(|verify| matches!(verify.value, Value::Bool(false)));
        if let Some(found) = entry("ca_file").filter(|_| unchecked) {
            let fault = Fault::new("`verify` is false, so that nobody is checked against `ca_file`");
            errors.push(found.place.error(fault.help(Some("leave out one of the two".to_owned()))));
        }
    }
}

fn logged_headers(values: &Values, errors: &mut Vec<Diagnostic>) {
    let Some(found) = values.entry("log.access.headers") else { return };
    if matches!(&found.value, Value::Texts(names) if names.len() > HEADERS_MAX) {
        errors.push(found.place.error(Fault::new(format!("more than {HEADERS_MAX} fields for each line"))));
    }
    if values.entry("log.access.format").is_some_and(|format| matches!(format.value, Value::Word("ncsa"))) {
        let fault = Fault::new("a line in the format `ncsa` has no place for more fields");
        errors.push(found.place.error(fault.help(Some("use `format = \"json\"`, or leave out `headers`".to_owned()))));
    }
}

/// What only a probe over HTTP has.
const HTTP_PROBE: &[&str] = &["path", "method", "host", "request", "expected_status", "expected_body"];
/// What the lines of `request` replace.
const REPLACED: &[&str] = &["path", "method", "host"];

fn probes(values: &Values, errors: &mut Vec<Diagnostic>) {
    for table in values.tables("backend.*.probe") {
        let entry = |leaf: &str| values.entry(&format!("{}.{leaf}", table.path));
        // A setting that would do nothing is not what its owner meant.
        let tcp = entry("kind").is_some_and(|kind| matches!(kind.value, Value::Word("tcp")));
        for found in HTTP_PROBE.iter().filter_map(|leaf| entry(leaf)).filter(|_| tcp) {
            let (_, leaf) = keys::split(found.key.path);
            errors.push(found.place.error(Fault::new(format!("a probe of kind `tcp` has no `{leaf}`"))));
        }
        for found in REPLACED.iter().filter_map(|leaf| entry(leaf)).filter(|_| !tcp && entry("request").is_some()) {
            let (_, leaf) = keys::split(found.key.path);
            errors.push(found.place.error(Fault::new(format!("`request` stands in the place of `{leaf}`"))));
        }
        let head = entry("method").is_some_and(|method| matches!(&method.value, Value::Text(m) if m == "HEAD"));
        if let Some(found) = entry("expected_body").filter(|_| head) {
            errors.push(found.place.error(Fault::new("an answer to HEAD has no body")));
        }
        let count = |leaf: &str| {
            let path = format!("{}.{leaf}", table.path);
            let set = values.entry(&path);
            let default = || keys::find(&format!("backend.*.probe.{leaf}")).and_then(default_value);
            match set.map(|entry| entry.value.clone()).or_else(default) {
                Some(Value::Count(count)) => (count, set.map_or(&table.place, |entry| &entry.place)),
                _ => (0, &table.place),
            }
        };
        let (window, _) = count("window");
        for leaf in ["threshold", "initial"] {
            let (number, place) = count(leaf);
            if number > window {
                let fault = Fault::new(format!("`{leaf}` is {number}, more than the `window` of {window}"));
                errors.push(place.error(fault.help(Some("the window is how many probes are looked at".to_owned()))));
            }
        }
    }
}

/// A proxy without backend and without policy can answer nothing but errors.
fn something_to_serve(values: &Values, errors: &mut Vec<Diagnostic>) {
    let none = values.tables("backend.*").next().is_none() && !has_policy(values);
    if none {
        let help = "start with --to 127.0.0.1:8000, or write [backend.app] address = \"127.0.0.1:8000\"";
        errors.push(Diagnostic::error("no backend is declared").help(help.to_owned()));
    }
}

fn has_policy(values: &Values) -> bool {
    let any = |pattern: &str| values.of(pattern).next().is_some();
    values.entry("policy.file").is_some() || any("policy.named.*") || any("policy.hosts.*")
}

pub(crate) fn declared<'a>(values: &'a Values, section: &str) -> Vec<&'a str> {
    values.tables(&format!("{section}.*")).map(|table| table.name.as_str()).collect()
}
