//! Directors: several backends behind one name.

use crate::diagnostic::Diagnostic;
use crate::kind::{self, Kind};
use crate::place::Fault;
use crate::raw::{Located, Raw};
use crate::value::{Item, Value};
use crate::values::View;

/// How a director chooses among its healthy members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirectorKind {
    /// In turn, each as often as its weight says.
    RoundRobin,
}

/// The kinds that this version has, as written in the file.
pub(crate) const KINDS: &[&str] = &["round_robin"];
/// The kinds that later versions will have.
pub(crate) const LATER_KINDS: &[&str] = &["random", "fallback", "hash", "shard", "least_connections"];

/// One backend of a director.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The backend's name; it exists.
    pub backend: String,
    /// Its share of the requests, from 1 to 1000; 1 when not given.
    pub weight: u32,
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
}

/// A share beyond this says nothing that a smaller one could not.
const WEIGHT_MAX: u64 = 1000;

impl Member {
    pub(crate) fn show(&self) -> String {
        if self.weight == 1 { self.backend.clone() } else { format!("{} weight {}", self.backend, self.weight) }
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
                let value = Member { backend: name.clone(), weight: 1 };
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
        let mut bad = Vec::new();
        for (key, at, value) in table {
            match key.as_str() {
                "name" => match Kind::Name.text(value) {
                    Ok(text) => name = Some((text, value.place.clone())),
                    Err(fault) => bad.push(value.place.error(fault)),
                },
                "weight" => match Kind::Count(1, WEIGHT_MAX).count(value, 1, WEIGHT_MAX) {
                    Ok(Value::Count(count)) => weight = u32::try_from(count).unwrap_or(1),
                    Ok(_) => {}
                    Err(fault) => bad.push(value.place.error(fault)),
                },
                other => {
                    let help = crate::name::suggestion(other, &["name", "weight"]);
                    bad.push(at.error(Fault::new(format!("unknown key `{other}` of a director's backend")).help(help)));
                }
            }
        }
        match name {
            Some((backend, place)) if bad.is_empty() => Ok(Item { value: Member { backend, weight }, place }),
            Some(_) => Err(bad),
            None => {
                bad.extend(element.fault(Fault::new("missing key `name` of a director's backend")));
                Err(bad)
            }
        }
    }
}

impl Director {
    pub(crate) fn assemble(name: &str, view: &View<'_>) -> Director {
        // KINDS has one word: there is nothing to choose yet.
        Director { name: name.to_owned(), kind: DirectorKind::RoundRobin, members: view.members("backends") }
    }
}
