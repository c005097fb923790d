//! Kinds of values: what a key accepts, how it is read, and what a wrong one is told.

use copal_semantics::Span;
use std::net::{IpAddr, SocketAddr};

use crate::acl::AclEntry;
use crate::address::Address;
use crate::by::By;
use crate::diagnostic::Diagnostic;
use crate::director::Member;
use crate::name;
use crate::place::{Fault, Place};
use crate::raw::{Located, Raw};
use crate::units;
use crate::value::{Item, Value};

/// What a key accepts.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text with a unit of time, from the first to the second bound, both included.
    Duration(Span, Span),
    /// Text with a unit of size, bounds in bytes, both included.
    Size(u64, u64),
    /// A whole number, bounds included.
    Count(u64, u64),
    /// `true` or `false`.
    Bool,
    /// One of the words; the second list names words that a later version will have.
    Word(&'static [&'static str], &'static [&'static str]),
    /// A list of such words, each at most once.
    Words(&'static [&'static str], &'static [&'static str]),
    /// A token of RFC 9110 section 5.6.2.
    Token,
    /// A path with optional query, as in a request line.
    UrlPath,
    /// The value of a Host field.
    Host,
    /// A host of requests, or `*.` and what its hosts end with.
    HostPattern,
    /// A path without query that others may be below.
    PathPrefix,
    /// The name of something declared elsewhere in the file.
    Name,
    /// Names of header fields.
    FieldNames,
    /// Content codings, without `identity`.
    Codings,
    /// Language tags.
    Languages,
    /// Where to listen: IP and port, or a Unix socket.
    ListenAddress,
    /// Where to connect: host and port, or a Unix socket.
    BackendAddress,
    /// A file that must exist.
    File,
    /// A file to be written, whose folder must exist; `-` is standard output.
    OutputFile,
    /// A file that Copal keeps something in, whose folder must exist.
    StateFile,
    /// A list of networks for an access list.
    Networks,
    /// A list of backends, with weights where wanted.
    Members,
    /// A share of a whole, bounds in thousandths, both included.
    Percent(u32, u32),
    /// A status, or the first and the last of a range.
    Statuses,
    /// A list of these.
    StatusList,
    /// A regular expression.
    Pattern,
    /// Lines of a request head.
    Lines,
    /// What a director goes by.
    By,
    /// Name servers: IP addresses, with a port where it is not 53.
    NameServers,
}

impl Kind {
    /// What is expected, with an example: the second half of "expected …".
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Kind::Duration(..) => "a duration such as \"10s\"".into(),
            Kind::Size(..) => "a size such as \"256MiB\"".into(),
            Kind::Count(min, max) => format!("a whole number from {min} to {max}"),
            Kind::Bool => "true or false".into(),
            Kind::Word(words, _) => format!("one of \"{}\"", words.join("\", \"")),
            Kind::Words(words, _) => format!("a list of words such as [\"{}\"]", words.join("\", \"")),
            Kind::Token => "a word such as \"copal\"".into(),
            Kind::UrlPath => "a path such as \"/healthz\"".into(),
            Kind::Host => "a host such as \"www.example.com\"".into(),
            Kind::HostPattern => "a host such as \"shop.example\" or \"*.shop.example\"".into(),
            Kind::PathPrefix => "a path such as \"/api\"".into(),
            Kind::Name => "a name in quotes".into(),
            Kind::FieldNames => "a list of header names such as [\"CDN-Cache-Control\"]".into(),
            Kind::Codings => "a list of content codings such as [\"br\", \"gzip\"]".into(),
            Kind::Languages => "a list of language tags such as [\"en\", \"pt-BR\"]".into(),
            Kind::ListenAddress => "an address such as \"0.0.0.0:6081\" or \"unix:/run/copal.sock\"".into(),
            Kind::BackendAddress => {
                "an address such as \"127.0.0.1:8000\", \"https://app.internal\" or \"unix:/run/app.sock\"".into()
            }
            Kind::File => "the path of a file, in quotes".into(),
            Kind::OutputFile => "the path of a file, in quotes, or \"-\" for standard output".into(),
            Kind::StateFile => "the path of a file, in quotes".into(),
            Kind::Networks => "a list of networks such as [\"10.0.0.0/8\", \"::1\", \"!10.0.0.66\"]".into(),
            Kind::Percent(..) => "a percentage such as \"50%\"".into(),
            Kind::Statuses => "a status such as 200, or a range such as \"200-399\"".into(),
            Kind::StatusList => "a list of statuses such as [502, \"503-504\"]".into(),
            Kind::Pattern => "a regular expression such as \"status: (up|degraded)\"".into(),
            Kind::Lines => "a list of lines such as [\"GET /healthz HTTP/1.0\", \"Host: app\"]".into(),
            Kind::NameServers => "a list of addresses such as [\"10.0.0.53\", \"[::1]:5353\"]".into(),
            Kind::By => "one of \"key\", \"url\", \"client\", \"header:NAME\", \"cookie:NAME\"".into(),
            Kind::Members => "a list of backends such as [\"a\", \"b\"] or [{ name = \"a\", weight = 3 }]".into(),
        }
    }

    /// Reads a value, or says everything that is wrong with it.
    pub(crate) fn read(&self, raw: &Located) -> Result<Value, Vec<Diagnostic>> {
        let one = |result: Result<Value, Fault>| result.map_err(|fault| vec![raw.place.error(fault)]);
        match self {
            Kind::Bool => one(self.boolean(raw)),
            Kind::Count(min, max) => one(self.count(raw, *min, *max)),
            Kind::Duration(min, max) => one(self.duration(raw, *min, *max)),
            Kind::Size(min, max) => one(self.size(raw, *min, *max)),
            Kind::Word(words, later) => one(self.text(raw).and_then(|t| word(&t, words, later)).map(Value::Word)),
            Kind::Token => one(self.text(raw).and_then(|t| token(t).map(Value::Text))),
            Kind::UrlPath => one(self.text(raw).and_then(|t| url_path(t).map(Value::Text))),
            Kind::HostPattern => one(self.text(raw).and_then(|t| host_pattern(t).map(Value::Text))),
            Kind::PathPrefix => one(self.text(raw).and_then(|t| path_prefix(t).map(Value::Text))),
            Kind::Host => one(self.text(raw).and_then(|t| host(t).map(Value::Text))),
            Kind::Name | Kind::File | Kind::OutputFile | Kind::StateFile => {
                one(self.text(raw).and_then(|t| full(t).map(Value::Text)))
            }
            Kind::ListenAddress => {
                one(self.text(raw).and_then(|t| Address::parse_listen(&t)).map(|a| Value::Address(absolute(a, raw))))
            }
            Kind::BackendAddress => {
                one(self.text(raw).and_then(|t| Address::parse_backend(&t)).map(|a| Value::Address(absolute(a, raw))))
            }
            Kind::Words(words, later) => {
                let found = self.items(raw, |t| word(t, words, later), |w| (*w).to_owned())?;
                Ok(Value::Words(found.into_iter().map(|item| item.value).collect()))
            }
            Kind::FieldNames => self.texts(raw, field_name),
            Kind::Codings => self.texts(raw, coding),
            Kind::Languages => self.texts(raw, language),
            Kind::Networks => {
                let found = self.items(raw, AclEntry::parse, |entry| entry.net.to_string())?;
                Ok(Value::Networks(found.into_iter().map(|item| item.value).collect()))
            }
            Kind::Members => Member::read_all(self, raw).map(Value::Members),
            Kind::Percent(min, max) => one(self.percent(raw, *min, *max)),
            Kind::Statuses => one(self.statuses(raw)),
            Kind::StatusList => self.status_list(raw),
            Kind::Pattern => one(self.text(raw).and_then(|t| pattern(t).map(Value::Text))),
            Kind::Lines => {
                let found = self.items(raw, request_line, |_| String::new())?;
                Ok(Value::Texts(found.into_iter().map(|item| item.value).collect()))
            }
            Kind::NameServers => {
                let found = self.items(raw, name_server, Clone::clone)?;
                Ok(Value::Texts(found.into_iter().map(|item| item.value).collect()))
            }
            Kind::By => one(self.text(raw).and_then(|t| By::parse(&t)).map(Value::By)),
        }
    }

    /// A list in which nothing stands twice.
    fn texts(&self, raw: &Located, read: fn(&str) -> Result<String, Fault>) -> Result<Value, Vec<Diagnostic>> {
        let found = self.items(raw, read, |text| text.to_ascii_lowercase())?;
        Ok(Value::Texts(found.into_iter().map(|item| item.value).collect()))
    }

    /// The fault of a value that is not even of the right TOML type.
    pub(crate) fn wrong_type(&self, raw: &Raw) -> Fault {
        Fault::new(format!("expected {}, found {}", self.expected(), raw.describe()))
    }

    pub(crate) fn text(&self, raw: &Located) -> Result<String, Fault> {
        match &raw.raw {
            Raw::Text(text) | Raw::Loose(text) => Ok(text.clone()),
            other => Err(self.wrong_type(other)),
        }
    }

    fn boolean(&self, raw: &Located) -> Result<Value, Fault> {
        match &raw.raw {
            Raw::Bool(value) => Ok(Value::Bool(*value)),
            Raw::Loose(text) if text == "true" => Ok(Value::Bool(true)),
            Raw::Loose(text) if text == "false" => Ok(Value::Bool(false)),
            other => Err(self.wrong_type(other)),
        }
    }

    pub(crate) fn count(&self, raw: &Located, min: u64, max: u64) -> Result<Value, Fault> {
        let text = match &raw.raw {
            Raw::Number(text) | Raw::Loose(text) => text,
            Raw::Text(text) if text.parse::<u64>().is_ok() => {
                let fault = Fault::new(format!("expected {}, found the text \"{text}\"", self.expected()));
                return Err(fault.help(Some(format!("write {text} without quotes"))));
            }
            other => return Err(self.wrong_type(other)),
        };
        let Ok(number) = text.parse::<i128>() else { return Err(self.wrong_type(&raw.raw)) };
        match u64::try_from(number) {
            Ok(count) if (min..=max).contains(&count) => Ok(Value::Count(count)),
            _ => Err(out_of_range(text, &min.to_string(), &max.to_string())),
        }
    }

    fn duration(&self, raw: &Located, min: Span, max: Span) -> Result<Value, Fault> {
        let text = match &raw.raw {
            Raw::Number(text) => text.clone(),
            _ => self.text(raw)?,
        };
        let span = match text.strip_prefix('-').map(units::duration) {
            Some(negative) => -negative?,
            None => units::duration(&text)?,
        };
        if (min..=max).contains(&span) {
            return Ok(Value::Span(span));
        }
        Err(out_of_range(&text, &units::show_duration(min), &units::show_duration(max)))
    }

    fn percent(&self, raw: &Located, min: u32, max: u32) -> Result<Value, Fault> {
        let text = self.text(raw)?;
        match units::percent(&text)? {
            permille if (min..=max).contains(&permille) => Ok(Value::Percent(permille)),
            _ => Err(out_of_range(&text, &units::show_percent(min), &units::show_percent(max))),
        }
    }

    fn statuses(&self, raw: &Located) -> Result<Value, Fault> {
        let text = match &raw.raw {
            Raw::Number(text) => text.clone(),
            _ => self.text(raw)?,
        };
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let status = |part: &str| part.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Value::Statuses(first, last)),
            _ => Err(out_of_range(&text, "100", "599")),
        }
    }

    fn status_list(&self, raw: &Located) -> Result<Value, Vec<Diagnostic>> {
        let elements = raw.elements().ok_or_else(|| vec![raw.place.error(self.wrong_type(&raw.raw))])?;
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for element in elements {
            match self.statuses(&element) {
                Ok(Value::Statuses(first, last)) => good.push(first..=last),
                Ok(_) => {}
                Err(fault) => bad.push(element.place.error(fault)),
            }
        }
        if bad.is_empty() { Ok(Value::StatusList(good)) } else { Err(bad) }
    }

    fn size(&self, raw: &Located, min: u64, max: u64) -> Result<Value, Fault> {
        let text = match &raw.raw {
            Raw::Number(text) => text.clone(),
            _ => self.text(raw)?,
        };
        let bytes = units::size(&text)?;
        if (min..=max).contains(&bytes) {
            return Ok(Value::Size(bytes));
        }
        Err(out_of_range(&text, &units::show_size(min), &units::show_size(max)))
    }

    /// The elements of a list of strings, each at most once; all bad ones are reported. From a flag or variable: separated by commas.
    fn items<T>(
        &self,
        raw: &Located,
        read: impl Fn(&str) -> Result<T, Fault>,
        id: impl Fn(&T) -> String,
    ) -> Result<Vec<Item<T>>, Vec<Diagnostic>> {
        let elements = raw.elements().ok_or_else(|| vec![raw.place.error(self.wrong_type(&raw.raw))])?;
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for element in elements {
            let text = match &element.raw {
                Raw::Text(text) | Raw::Loose(text) => Ok(text),
                other => Err(Fault::new(format!("expected text in quotes, found {}", other.describe()))),
            };
            match text.and_then(|text| read(text)) {
                Ok(value) => good.push(Item { value, place: element.place }),
                Err(fault) => bad.push(element.place.error(fault)),
            }
        }
        // Lines of a request may well be the same twice.
        if let Err(errors) = unique(&good, id)
            && !matches!(self, Kind::Lines)
        {
            bad.extend(errors);
        }
        if bad.is_empty() { Ok(good) } else { Err(bad) }
    }
}

/// A Unix socket's path is meant from the file's folder, like every path.
fn absolute(address: Address, raw: &Located) -> Address {
    match address {
        Address::Unix(path) => Address::Unix(raw.place.resolve(&path.to_string_lossy())),
        other @ (Address::Tcp(_) | Address::Host { .. } | Address::Https { .. } | Address::Srv(_)) => other,
    }
}

pub(crate) fn out_of_range(text: &str, min: &str, max: &str) -> Fault {
    Fault::new(format!("out of range: `{text}`")).help(Some(format!("the range is {min} to {max}")))
}

/// Each element once; the second one is told where the first is.
pub(crate) fn unique<T>(items: &[Item<T>], key: impl Fn(&T) -> String) -> Result<(), Vec<Diagnostic>> {
    let mut seen: Vec<(String, &Place)> = Vec::new();
    let mut bad = Vec::new();
    for item in items {
        let id = key(&item.value);
        match seen.iter().find(|(other, _)| *other == id) {
            Some((_, first)) => bad.push(item.place.clash(Fault::new(format!("`{id}` is named twice")), first)),
            None => seen.push((id, &item.place)),
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(bad) }
}

fn word(text: &str, words: &'static [&'static str], later: &[&str]) -> Result<&'static str, Fault> {
    if let Some(found) = words.iter().find(|w| **w == text) {
        return Ok(found);
    }
    if later.contains(&text) {
        return Err(Fault::new(format!("`{text}` is not available in this version"))
            .help(Some(format!("available: {}", words.join(", ")))));
    }
    let all: Vec<&str> = words.iter().chain(later).copied().collect();
    let near = name::nearest(text, all.iter().copied()).map(|n| format!("did you mean `{n}`?"));
    Err(Fault::new(format!("unknown value `{text}`"))
        .help(Some(near.unwrap_or_else(|| format!("available: {}", words.join(", "))))))
}

/// With its port.
fn name_server(text: &str) -> Result<String, Fault> {
    let whole = text.parse::<SocketAddr>().ok().filter(|addr| addr.port() > 0);
    let bare = || text.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
    whole.or_else(bare).map(|addr| addr.to_string()).ok_or_else(|| {
        Fault::new(format!("bad name server `{text}`: it is found by its IP address"))
            .help(Some("write \"10.0.0.53\", or \"10.0.0.53:5353\"".to_owned()))
    })
}

fn full(text: String) -> Result<String, Fault> {
    if text.is_empty() { Err(Fault::new("expected text, found nothing between the quotes")) } else { Ok(text) }
}

fn token(text: String) -> Result<String, Fault> {
    // A field name is exactly a token (RFC 9110 sections 5.1 and 5.6.2).
    match http::HeaderName::from_bytes(text.as_bytes()) {
        Ok(_) if text.len() <= 64 => Ok(text),
        _ => Err(Fault::new(format!("bad name `{text}`"))
            .help(Some("use letters, digits, `-` and `_`, at most 64 of them".to_owned()))),
    }
}

fn url_path(text: String) -> Result<String, Fault> {
    let clean = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if text.starts_with('/') && clean {
        return Ok(text);
    }
    Err(Fault::new(format!("bad path `{text}`"))
        .help(Some("a path begins with `/` and has no spaces, `#` or other than ASCII characters".to_owned())))
}

fn path_prefix(text: String) -> Result<String, Fault> {
    let text = url_path(text)?;
    match text.contains('?') {
        true => Err(Fault::new(format!("a query in the path `{text}`")).help(Some(
            "routes go by host and path; a policy can look at the query: req.backend = director(\"api\")".to_owned(),
        ))),
        false => Ok(text),
    }
}

fn host_pattern(text: String) -> Result<String, Fault> {
    let help = "write it in lower case, without a port: \"shop.example\", or \"*.shop.example\" for all below it";
    match name::check_host(text.strip_prefix("*.").unwrap_or(&text)) {
        Ok(()) => Ok(text),
        Err(_) => Err(Fault::new(format!("bad host `{text}`")).help(Some(help.to_owned()))),
    }
}

fn host(text: String) -> Result<String, Fault> {
    let bad =
        |_| Fault::new(format!("bad host `{text}`")).help(Some("write for example \"www.example.com\"".to_owned()));
    let authority = text.parse::<http::uri::Authority>().map_err(bad)?;
    if authority.as_str().contains('@') {
        return Err(Fault::new(format!("bad host `{text}`")).help(Some("a Host field has no user name".to_owned())));
    }
    Ok(text)
}

fn pattern(text: String) -> Result<String, Fault> {
    match regex::bytes::Regex::new(&text) {
        Ok(_) => Ok(text),
        // The message draws the pattern; its last line says what is wrong.
        Err(why) => {
            let why = why.to_string();
            let reason = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Err(Fault::new(format!("bad regular expression `{text}`")).help(Some(reason)))
        }
    }
}

fn request_line(text: &str) -> Result<String, Fault> {
    match text.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f)) && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err(Fault::new("a line of a request has no control characters and is not empty")),
    }
}

fn field_name(text: &str) -> Result<String, Fault> {
    http::HeaderName::from_bytes(text.as_bytes())
        .map(|name| name.as_str().to_owned())
        .map_err(|_| Fault::new(format!("bad header name `{text}`")))
}

/// A content coding (RFC 9110 section 8.4.1): a token.
fn coding(text: &str) -> Result<String, Fault> {
    match http::HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if name.as_str() != "identity" && text != "*" => Ok(name.as_str().to_owned()),
        Ok(_) => Err(Fault::new(format!("`{text}` is no coding of its own"))
            .help(Some("leave it out: who accepts none of the list is answered without a coding".to_owned()))),
        Err(_) => Err(Fault::new(format!("bad content coding `{text}`"))),
    }
}

/// A language tag as RFC 4647 section 2.1 matches it: subtags of letters and digits.
fn language(text: &str) -> Result<String, Fault> {
    let subtag = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    if text.split('-').all(subtag) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(format!("bad language tag `{text}`"))
        .help(Some("write it as in `Content-Language`, such as \"en\" or \"pt-BR\"".to_owned())))
}
