//! Directors: several backends behind one name.

use std::path::PathBuf;
use std::time::Duration;

use crate::by::{By, When};
use crate::diagnostic::Diagnostic;
use crate::kind::{self, Kind};
use crate::place::Fault;
use crate::raw::{Located, Raw};
use crate::value::{Item, Value};
use crate::values::{Table, Values, View};

/// How a director chooses among its healthy members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DirectorKind {
    /// In turn, each as often as its weight says.
    RoundRobin,
    /// By chance, each as likely as its weight says.
    Random,
    /// The first that can serve.
    Fallback {
        /// It stays with the one it has come to.
        sticky: bool,
    },
    /// The same one for the same request, by rendezvous hashing.
    Hash {
        /// What decides.
        by: By,
    },
    /// The same one for the same request, by a ring.
    Shard {
        /// What decides.
        by: By,
        /// Points of a member of the smallest weight.
        replicas: u32,
        /// Thousandths that go to the one that would take over.
        warmup_permille: u32,
    },
    /// The one with the fewest requests under way.
    LeastConnections,
    /// The better one of two, by latency.
    PeakEwma {
        /// After how long the past counts for 1/e.
        decay: Duration,
    },
    /// By shares of the visitors.
    Split {
        /// What a visitor is known by.
        by: By,
    },
}

/// The kinds, as written in the file.
pub(crate) const KINDS: &[&str] =
    &["round_robin", "random", "fallback", "hash", "shard", "least_connections", "peak_ewma", "split"];

/// Keys that only some kinds have.
pub(crate) const ONLY_FOR: &[(&str, &[&str])] = &[
    ("by", &["hash", "shard", "split"]),
    ("sticky", &["fallback"]),
    ("replicas", &["shard"]),
    ("warmup", &["shard"]),
    ("decay", &["peak_ewma"]),
];

/// One backend of a director.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The name of a backend or of another director; it exists.
    pub backend: String,
    /// Its share of the requests, from 1 to 1000; 1 when not given. 0 only beside `when`.
    pub weight: u32,
    /// Requests that have this go to it; in a split director alone.
    pub when: Option<When>,
}

/// The cookie that binds a visitor to a backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// How long browsers keep it; until they are closed when none.
    pub max_age: Option<Duration>,
    /// Only over TLS.
    pub secure: bool,
    /// The file whose first line is the secret that signs it.
    pub secret_file: Option<PathBuf>,
}

/// A director as configured: it has at least one member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Director {
    /// Its name; no backend has the same.
    pub name: String,
    /// How it chooses.
    pub kind: DirectorKind,
    /// Its members in the order of the file.
    pub members: Vec<Member>,
    /// The cookie that binds a visitor to a backend, if any.
    pub cookie: Option<Cookie>,
    /// Thousandths of the backends that may be ejected at a time.
    pub max_ejected_permille: u32,
}

/// A share beyond this says nothing that a smaller one could not.
const WEIGHT_MAX: u64 = 1000;

impl Member {
    pub(crate) fn show(&self) -> String {
        let weight = if self.weight == 1 { String::new() } else { format!(" weight {}", self.weight) };
        let when = self.when.as_ref().map_or_else(String::new, |when| format!(" when {when}"));
        format!("{}{weight}{when}", self.backend)
    }

    /// Reads `["a", "b"]` or `[{ name = "a", weight = 3 }]`, mixed as one likes.
    pub(crate) fn read_all(kind: &Kind, raw: &Located) -> Result<Vec<Item<Member>>, Vec<Diagnostic>> {
        let elements = raw.elements().ok_or_else(|| raw.fault(kind.wrong_type(&raw.raw)))?;
        if elements.is_empty() {
            let fault = Fault::new("a director needs at least one backend");
            return Err(raw.fault(fault.help(Some("write for example backends = [\"app1\", \"app2\"]".into()))));
        }
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for element in &elements {
            match Member::read(element) {
                Ok(member) => good.push(member),
                Err(errors) => bad.extend(errors),
            }
        }
        if let Err(errors) = kind::unique(&good, |member| member.backend.clone()) {
            bad.extend(errors);
        }
        if bad.is_empty() { Ok(good) } else { Err(bad) }
    }

    fn read(element: &Located) -> Result<Item<Member>, Vec<Diagnostic>> {
        let table = match &element.raw {
            Raw::Text(name) | Raw::Loose(name) => {
                let value = Member { backend: name.clone(), weight: 1, when: None };
                return Ok(Item { value, place: element.place.clone() });
            }
            Raw::Table(table) => table,
            other @ (Raw::Number(_) | Raw::Bool(_) | Raw::List(_) | Raw::Other(_)) => {
                let expected = "expected a name in quotes or { name = \"a\", weight = 3 }";
                return Err(element.fault(Fault::new(format!("{expected}, found {}", other.describe()))));
            }
        };
        let mut name = None;
        let mut weight = 1;
        let mut when = None;
        let mut bad = Vec::new();
        // A member of weight 0 gets nothing but what is sent to it by what it carries.
        let least = u64::from(!table.iter().any(|(key, ..)| key == "when"));
        for (key, at, value) in table {
            match key.as_str() {
                "name" => match Kind::Name.text(value) {
                    Ok(text) => name = Some((text, value.place.clone())),
                    Err(fault) => bad.push(value.place.error(fault)),
                },
                "weight" => match Kind::Count(least, WEIGHT_MAX).count(value, least, WEIGHT_MAX) {
                    Ok(Value::Count(count)) => weight = u32::try_from(count).unwrap_or(1),
                    Ok(_) => {}
                    Err(fault) => bad.push(value.place.error(fault)),
                },
                "when" => match Kind::Name.text(value).and_then(|text| When::parse(&text)) {
                    Ok(found) => when = Some(found),
                    Err(fault) => bad.push(value.place.error(fault)),
                },
                other => {
                    let help = crate::name::suggestion(other, &["name", "weight", "when"]);
                    bad.push(at.error(Fault::new(format!("unknown key `{other}` of a director's backend")).help(help)));
                }
            }
        }
        match name {
            Some((backend, place)) if bad.is_empty() => Ok(Item { value: Member { backend, weight, when }, place }),
            Some(_) => Err(bad),
            None => {
                bad.extend(element.fault(Fault::new("missing key `name` of a director's backend")));
                Err(bad)
            }
        }
    }
}

impl Director {
    pub(crate) fn assemble(table: &Table, values: &Values) -> Director {
        let view = values.view("director.*", &table.path);
        let by = |or: By| if view.is_set("by") { view.by("by") } else { or };
        let kind = match view.word("kind") {
            "random" => DirectorKind::Random,
            "fallback" => DirectorKind::Fallback { sticky: view.boolean("sticky") },
            "hash" => DirectorKind::Hash { by: by(By::Key) },
            "shard" => DirectorKind::Shard {
                by: by(By::Key),
                replicas: view.count("replicas"),
                warmup_permille: view.percent("warmup"),
            },
            "least_connections" => DirectorKind::LeastConnections,
            "peak_ewma" => DirectorKind::PeakEwma { decay: view.duration("decay") },
            "split" => DirectorKind::Split { by: by(By::Client) },
            // The words are those of KINDS; this is the one that is left.
            _ => DirectorKind::RoundRobin,
        };
        let path = format!("{}.cookie", table.path);
        let bound = values.tables("director.*.cookie").any(|table| table.path == path);
        Director {
            name: table.name.clone(),
            kind,
            members: view.members("backends"),
            cookie: bound.then(|| Cookie::assemble(&values.view("director.*.cookie", &path))),
            max_ejected_permille: view.percent("max_ejected"),
        }
    }
}

impl Cookie {
    fn assemble(view: &View<'_>) -> Cookie {
        Cookie {
            name: view.string("name"),
            max_age: view.is_set("max_age").then(|| view.duration("max_age")),
            secure: view.boolean("secure"),
            secret_file: view.path("secret_file"),
        }
    }
}
