//! All origins and directors of one configuration, by name.

use crate::director::{Choice, DirectorKind, Rule};
use crate::fault::{Fault, FaultKind, Phase};
use crate::health::Admin;
use crate::origin::{Origin, OriginOptions, OriginRow};
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// What the owner says about a director.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorOptions {
    /// Its name; names of origins and directors are one set.
    pub name: String,
    /// The rule by which it chooses.
    pub kind: DirectorKind,
    /// Names of origins with their weights (at least 1).
    pub members: Vec<(String, u32)>,
}

/// What is wrong with a configuration of backends. The owner's fault; nothing has been started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BackendsError {
    /// There is not one origin.
    #[error("no backend is declared: add [backend.NAME] with an address, or --to ADDR")]
    NoOrigin,
    /// Two of them have the same name.
    #[error("the name {0:?} is used twice among backends and directors")]
    DuplicateName(String),
    /// A director without members.
    #[error("director {0:?} has no members")]
    NoMembers(String),
    /// A director names what does not exist.
    #[error("director {director:?} names the backend {member:?}, which is not declared")]
    UnknownMember {
        /// The director.
        director: String,
        /// What it names.
        member: String,
    },
    /// A weight of 0.
    #[error("the weight of {member:?} in director {director:?} is 0; it must be at least 1")]
    ZeroWeight {
        /// The director.
        director: String,
        /// Whose weight it is.
        member: String,
    },
    /// No backend or director has that name.
    #[error("there is no backend or director {0:?}")]
    Unknown(String),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
enum Target {
    Origin(usize),
    Director(usize),
}

#[derive(Debug)]
struct Director {
    members: Vec<usize>,
    rule: Rule,
}

/// All origins and directors of one configuration. Immutable but for health, counts and the rules' turns.
#[derive(Debug)]
pub struct Backends {
    origins: Vec<Arc<Origin>>,
    directors: Vec<Arc<Director>>,
    names: HashMap<String, Target>,
    default_name: String,
    default: Target,
}

impl Backends {
    /// Checks and builds. The first origin is the default; nothing is connected or looked up.
    ///
    /// # Errors
    /// Names that are used twice or unknown, directors without members, weights of 0, no origin at all.
    pub fn new(origins: Vec<OriginOptions>, directors: Vec<DirectorOptions>) -> Result<Arc<Self>, BackendsError> {
        let default_name = origins.first().ok_or(BackendsError::NoOrigin)?.name.clone();
        let mut names = HashMap::new();
        for (i, o) in origins.iter().enumerate() {
            if names.insert(o.name.clone(), Target::Origin(i)).is_some() {
                return Err(BackendsError::DuplicateName(o.name.clone()));
            }
        }
        let mut built = Vec::with_capacity(directors.len());
        for (i, d) in directors.into_iter().enumerate() {
            built.push(Arc::new(director(&d, &names)?));
            if names.insert(d.name.clone(), Target::Director(i)).is_some() {
                return Err(BackendsError::DuplicateName(d.name));
            }
        }
        Ok(Arc::new(Backends {
            origins: origins.into_iter().map(Origin::new).collect(),
            directors: built,
            names,
            default_name,
            default: Target::Origin(0),
        }))
    }

    /// The same set (same origins, health, counts and turns) with another default.
    ///
    /// # Errors
    /// [`BackendsError::Unknown`].
    pub fn with_default(self: Arc<Self>, name: &str) -> Result<Arc<Self>, BackendsError> {
        let default = *self.names.get(name).ok_or_else(|| BackendsError::Unknown(name.to_owned()))?;
        Ok(Arc::new(Backends {
            origins: self.origins.clone(),
            directors: self.directors.clone(),
            names: self.names.clone(),
            default_name: name.to_owned(),
            default,
        }))
    }

    /// The backend or director that serves when nobody chooses.
    #[must_use]
    pub fn default_name(&self) -> &str {
        &self.default_name
    }

    /// All origins, in the order of the configuration.
    #[must_use]
    pub fn origins(&self) -> &[Arc<Origin>] {
        &self.origins
    }

    /// Is there a backend or director of that name?
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    fn target(&self, name: Option<&str>) -> Option<Target> {
        match name {
            None => Some(self.default),
            Some(name) => self.names.get(name).copied(),
        }
    }

    /// The origin for one request to that backend or director, or to the default.
    ///
    /// # Errors
    /// [`FaultKind::NoHealthyBackend`] (503) and [`FaultKind::UnknownBackend`] (503, the policy's fault).
    pub fn pick(&self, name: Option<&str>) -> Result<Arc<Origin>, Fault> {
        let shown = name.unwrap_or(&self.default_name);
        let Some(target) = self.target(name) else {
            return Err(Fault::early(Phase::Pool, FaultKind::UnknownBackend, None, shown));
        };
        let choice = match target {
            Target::Origin(i) if self.origins[i].is_healthy() => Choice::Member(i),
            Target::Origin(_) => Choice::NoneHealthy,
            Target::Director(i) => {
                let d = &self.directors[i];
                match d.rule.choose(|m| self.origins[d.members[m]].is_healthy()) {
                    Choice::Member(m) => Choice::Member(d.members[m]),
                    Choice::NoneHealthy => Choice::NoneHealthy,
                }
            }
        };
        match choice {
            Choice::Member(i) => Ok(self.origins[i].clone()),
            Choice::NoneHealthy => Err(Fault::early(Phase::Pool, FaultKind::NoHealthyBackend, None, shown)),
        }
    }

    /// Would [`Backends::pick`] find an origin? An unknown name is not healthy.
    #[must_use]
    pub fn is_healthy(&self, name: Option<&str>) -> bool {
        match self.target(name) {
            None => false,
            Some(Target::Origin(i)) => self.origins[i].is_healthy(),
            Some(Target::Director(i)) => self.directors[i].members.iter().any(|&m| self.origins[m].is_healthy()),
        }
    }

    /// What is known of each origin, in the order of the configuration.
    #[must_use]
    pub fn rows(&self) -> Vec<OriginRow> {
        self.origins.iter().map(|o| o.row()).collect()
    }

    /// Sets the owner's override of an origin, or of all members of a director.
    ///
    /// # Errors
    /// [`BackendsError::Unknown`].
    pub fn set_admin(&self, name: &str, admin: Admin) -> Result<(), BackendsError> {
        match self.names.get(name) {
            None => return Err(BackendsError::Unknown(name.to_owned())),
            Some(Target::Origin(i)) => self.origins[*i].set_admin(admin),
            Some(Target::Director(i)) => {
                self.directors[*i].members.iter().for_each(|&m| self.origins[m].set_admin(admin));
            }
        }
        tracing::info!(backend = name, state = ?admin, "health set by the owner");
        Ok(())
    }
}

fn director(d: &DirectorOptions, names: &HashMap<String, Target>) -> Result<Director, BackendsError> {
    if d.members.is_empty() {
        return Err(BackendsError::NoMembers(d.name.clone()));
    }
    let mut members = Vec::with_capacity(d.members.len());
    for (member, weight) in &d.members {
        if *weight == 0 {
            return Err(BackendsError::ZeroWeight { director: d.name.clone(), member: member.clone() });
        }
        match names.get(member) {
            Some(Target::Origin(i)) => members.push(*i),
            Some(Target::Director(_)) | None => {
                return Err(BackendsError::UnknownMember { director: d.name.clone(), member: member.clone() });
            }
        }
    }
    let weights: Vec<u32> = d.members.iter().map(|(_, w)| *w).collect();
    Ok(Director { members, rule: Rule::new(d.kind, &weights) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(name: &str) -> OriginOptions {
        OriginOptions::new(name, "127.0.0.1:1".parse().expect("valid"))
    }
    fn app(members: &[(&str, u32)]) -> DirectorOptions {
        let members = members.iter().map(|(n, w)| ((*n).to_owned(), *w)).collect();
        DirectorOptions { name: "app".into(), kind: DirectorKind::RoundRobin, members }
    }
    fn names(b: &Backends, name: Option<&str>, n: usize) -> String {
        (0..n).map(|_| b.pick(name).map_or("-".into(), |o| o.name().to_owned())).collect()
    }

    #[test]
    fn the_first_origin_serves_unless_a_default_is_named() {
        let b = Backends::new(vec![origin("a"), origin("b")], vec![app(&[("a", 2), ("b", 1)])]).expect("valid");
        assert_eq!((b.default_name(), names(&b, None, 2).as_str()), ("a", "aa"));
        assert_eq!(names(&b, Some("app"), 6), "abaaba");
        let b = b.with_default("app").expect("known");
        assert_eq!((b.default_name(), names(&b, None, 3).as_str()), ("app", "aba"));
        assert_eq!(b.with_default("x").err(), Some(BackendsError::Unknown("x".into())));
    }

    #[test]
    fn sick_origins_are_left_out_and_all_sick_is_a_fault() {
        let b = Backends::new(vec![origin("a"), origin("b")], vec![app(&[("a", 1), ("b", 1)])]).expect("valid");
        b.set_admin("a", Admin::Sick).expect("known");
        assert_eq!(names(&b, Some("app"), 3), "bbb");
        assert!(b.is_healthy(Some("app")) && !b.is_healthy(Some("a")) && !b.is_healthy(None));
        let fault = b.pick(Some("a")).expect_err("sick");
        assert_eq!((fault.kind, fault.status()), (FaultKind::NoHealthyBackend, 503));
        b.set_admin("app", Admin::Sick).expect("known");
        assert_eq!(b.pick(Some("app")).expect_err("all sick").kind, FaultKind::NoHealthyBackend);
        assert_eq!(b.pick(Some("nope")).expect_err("unknown").kind, FaultKind::UnknownBackend);
        assert!(!b.is_healthy(Some("nope")));
    }

    #[test]
    fn wrong_configurations_are_refused_with_the_names() {
        let new = |o: &[&str], d| Backends::new(o.iter().map(|n| origin(n)).collect(), d).err();
        assert_eq!(new(&[], vec![]), Some(BackendsError::NoOrigin));
        assert_eq!(new(&["a", "a"], vec![]), Some(BackendsError::DuplicateName("a".into())));
        assert_eq!(new(&["app"], vec![app(&[("app", 1)])]), Some(BackendsError::DuplicateName("app".into())));
        assert_eq!(new(&["a"], vec![app(&[])]), Some(BackendsError::NoMembers("app".into())));
        let unknown = BackendsError::UnknownMember { director: "app".into(), member: "b".into() };
        assert_eq!(new(&["a"], vec![app(&[("b", 1)])]), Some(unknown));
        let zero = BackendsError::ZeroWeight { director: "app".into(), member: "a".into() };
        assert_eq!(new(&["a"], vec![app(&[("a", 0)])]), Some(zero));
    }
}
