//! All origins and directors of one configuration, by name, and the pick: which origin one request goes to.
//!
//! ```text
//! pick(name) ─▶ director: session cookie? ─▶ its origin
//!                  └─ rule over its members ─▶ origin · or a director, and so on
//! first round: healthy, not ejected, not avoided for this object, not full · second round: healthy is enough
//! ```
//!
//! The second round is there so that what is only caution (ejection, saint mode, limits) never makes a 503.

use crate::ask::Ask;
use crate::dice::Dice;
use crate::director::{Choice, DirectorKind, Field, MemberOptions, Rule, Session, SessionOptions};
use crate::ejection::Group;
use crate::fault::{Fault, FaultKind, Phase};
use crate::health::Admin;
use crate::origin::{Origin, OriginOptions};
use crate::row::{DirectorRow, OriginRow};
use crate::tls::TlsError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use thiserror::Error;
use tokio::time::Instant;

/// What the owner says about a director.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorOptions {
    /// Its name; names of origins and directors are one set.
    pub name: String,
    /// The rule by which it chooses.
    pub kind: DirectorKind,
    /// Origins and directors with their weights.
    pub members: Vec<MemberOptions>,
    /// The cookie that binds visitors to the origin they were first sent to; none when they may be sent anywhere.
    pub session: Option<SessionOptions>,
    /// Thousandths of the origins it can reach that may be ejected at a time, rounded down.
    pub ejected_max_permille: u32,
}

/// Half of the backends may be ejected: Envoy allows a tenth, which of two or three is none.
pub const EJECTED_MAX_PERMILLE: u32 = 500;

impl DirectorOptions {
    /// A director without session cookie.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: DirectorKind, members: Vec<MemberOptions>) -> Self {
        let (name, ejected_max_permille) = (name.into(), EJECTED_MAX_PERMILLE);
        DirectorOptions { name, kind, members, session: None, ejected_max_permille }
    }
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
    /// A director that is a member of itself, by way of others or directly.
    #[error("director {0:?} is a member of itself")]
    Cycle(String),
    /// TLS to an origin cannot be set up.
    #[error("backend.{0}.tls: {1}")]
    Tls(String, TlsError),
    /// No backend or director has that name.
    #[error("there is no backend or director {0:?}")]
    Unknown(String),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Origin(usize),
    Director(usize),
}

#[derive(Debug)]
struct Director {
    name: String,
    kind: &'static str,
    members: Vec<Target>,
    rule: Rule,
    session: Option<Session>,
    /// The origins that it can come to, each once, in the order in which it names them.
    reach: Vec<usize>,
}

/// An origin for one request.
#[derive(Clone, Debug)]
pub struct Picked {
    /// The origin.
    pub origin: Arc<Origin>,
    /// The value of a Set-Cookie that binds the visitor to it, where a director wants that and the visitor is not bound
    /// yet. For this visitor alone: it must not be stored.
    pub set_cookie: Option<String>,
}

/// All origins and directors of one configuration. Immutable but for health, counts and the rules' turns.
#[derive(Debug)]
pub struct Backends {
    origins: Vec<Arc<Origin>>,
    directors: Vec<Arc<Director>>,
    names: HashMap<String, Target>,
    default_name: String,
    default: Target,
    /// Does any origin remember what it has failed?
    saint: bool,
}

impl Backends {
    /// Checks and builds. The first origin is the default; nothing is connected or looked up.
    ///
    /// # Errors
    /// Names that are used twice or unknown, directors without members or within themselves, weights of 0, no origin at all.
    pub fn new(origins: Vec<OriginOptions>, directors: Vec<DirectorOptions>) -> Result<Arc<Self>, BackendsError> {
        Backends::seeded(origins, directors, Dice::random)
    }

    /// The same with chance that a test knows.
    pub(crate) fn seeded(
        origins: Vec<OriginOptions>,
        directors: Vec<DirectorOptions>,
        dice: impl Fn() -> Dice,
    ) -> Result<Arc<Self>, BackendsError> {
        let default_name = origins.first().ok_or(BackendsError::NoOrigin)?.name.clone();
        let of_origins = origins.iter().enumerate().map(|(i, o)| (&o.name, Target::Origin(i)));
        let of_directors = directors.iter().enumerate().map(|(i, d)| (&d.name, Target::Director(i)));
        let mut names = HashMap::new();
        for (name, target) in of_origins.chain(of_directors) {
            if names.insert(name.clone(), target).is_some() {
                return Err(BackendsError::DuplicateName(name.clone()));
            }
        }
        let members = directors.iter().map(|d| members(d, &names)).collect::<Result<Vec<_>, _>>()?;
        let saint = origins.iter().any(|o| !o.saint_mode.is_zero());
        let origins: Vec<_> = origins.into_iter().map(Origin::new).collect();
        for origin in &origins {
            origin.check_tls().map_err(|e| BackendsError::Tls(origin.name().to_owned(), e))?;
        }
        let mut built = Vec::with_capacity(directors.len());
        let mut groups: Vec<Vec<Arc<Group>>> = vec![Vec::new(); origins.len()];
        let deciding = Arc::new(Mutex::new(()));
        for (i, d) in directors.into_iter().enumerate() {
            let mut reach = Vec::new();
            if !reached(i, &members, &mut vec![i], &mut reach) {
                return Err(BackendsError::Cycle(d.name));
            }
            let ejections = reach.iter().map(|&o| Arc::clone(&origins[o].ejection)).collect();
            let group = Group::new(ejections, d.ejected_max_permille, Arc::clone(&deciding));
            reach.iter().for_each(|&o| groups[o].push(Arc::clone(&group)));
            let named = reach.iter().map(|&o| (o, origins[o].name()));
            built.push(Arc::new(Director {
                session: d.session.map(|session| Session::new(session, &d.name, named)),
                rule: Rule::new(&d.kind, &d.members, dice()),
                kind: d.kind.as_str(),
                members: members[i].clone(),
                name: d.name,
                reach,
            }));
        }
        for (origin, groups) in origins.iter().zip(groups) {
            origin.ejection.join(groups);
        }
        let default = Target::Origin(0);
        Ok(Arc::new(Backends { origins, directors: built, names, default_name, default, saint }))
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
            saint: self.saint,
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
    pub fn pick(&self, name: Option<&str>, ask: &Ask<'_>) -> Result<Picked, Fault> {
        self.pick_at(name, ask, Instant::now())
    }

    pub(crate) fn pick_at(&self, name: Option<&str>, ask: &Ask<'_>, now: Instant) -> Result<Picked, Fault> {
        let shown = name.unwrap_or(&self.default_name);
        let Some(target) = self.target(name) else {
            return Err(Fault::early(Phase::Pool, FaultKind::UnknownBackend, None, shown));
        };
        let failed_some = |o: &Arc<Origin>| o.saint.as_ref().is_some_and(|saint| !saint.is_empty());
        let object = (self.saint && self.origins.iter().any(failed_some)).then(|| ask.object());
        let cautious = View { all: self, now, object, cautious: true };
        let found = cautious.choose(target, ask).or_else(|| View { cautious: false, ..cautious }.choose(target, ask));
        match found {
            Some((i, set_cookie)) => Ok(Picked { origin: self.origins[i].clone(), set_cookie }),
            None => Err(Fault::early(Phase::Pool, FaultKind::NoHealthyBackend, None, shown)),
        }
    }

    /// Would [`Backends::pick`] find an origin? An unknown name is not healthy.
    #[must_use]
    pub fn is_healthy(&self, name: Option<&str>) -> bool {
        match self.target(name) {
            None => false,
            Some(Target::Origin(i)) => self.origins[i].is_healthy(),
            Some(Target::Director(i)) => self.directors[i].reach.iter().any(|&o| self.origins[o].is_healthy()),
        }
    }

    /// What is known of each origin, in the order of the configuration.
    #[must_use]
    pub fn rows(&self) -> Vec<OriginRow> {
        self.origins.iter().map(|o| o.row()).collect()
    }

    /// What is known of each director, in the order of the configuration.
    #[must_use]
    pub fn director_rows(&self) -> Vec<DirectorRow> {
        let row = |d: &Arc<Director>| DirectorRow {
            name: d.name.clone(),
            kind: d.kind,
            healthy: self.is_healthy(Some(&d.name)),
            members: d.members.iter().map(|member| self.name(*member).to_owned()).collect(),
        };
        self.directors.iter().map(row).collect()
    }

    fn name(&self, target: Target) -> &str {
        match target {
            Target::Origin(i) => self.origins[i].name(),
            Target::Director(i) => &self.directors[i].name,
        }
    }

    /// Sets the owner's override of an origin, or of all that a director can reach.
    ///
    /// # Errors
    /// [`BackendsError::Unknown`].
    pub fn set_admin(&self, name: &str, admin: Admin) -> Result<(), BackendsError> {
        match self.names.get(name) {
            None => return Err(BackendsError::Unknown(name.to_owned())),
            Some(Target::Origin(i)) => self.origins[*i].set_admin(admin),
            Some(Target::Director(i)) => {
                self.directors[*i].reach.iter().for_each(|&o| self.origins[o].set_admin(admin));
            }
        }
        tracing::info!(backend = name, state = ?admin, "health set by the owner");
        Ok(())
    }
}

/// What the names of a director's members stand for.
fn members(d: &DirectorOptions, names: &HashMap<String, Target>) -> Result<Vec<Target>, BackendsError> {
    if d.members.is_empty() {
        return Err(BackendsError::NoMembers(d.name.clone()));
    }
    let member = |m: &MemberOptions| {
        if m.weight == 0 && m.when.is_none() {
            return Err(BackendsError::ZeroWeight { director: d.name.clone(), member: m.name.clone() });
        }
        let unknown = || BackendsError::UnknownMember { director: d.name.clone(), member: m.name.clone() };
        names.get(&m.name).copied().ok_or_else(unknown)
    };
    d.members.iter().map(member).collect()
}

/// Collects the origins that director `i` can come to; false when the `path` to it comes to itself.
fn reached(i: usize, members: &[Vec<Target>], path: &mut Vec<usize>, reach: &mut Vec<usize>) -> bool {
    members[i].iter().all(|member| match *member {
        Target::Origin(o) => {
            if !reach.contains(&o) {
                reach.push(o);
            }
            true
        }
        Target::Director(d) if path.contains(&d) => false,
        Target::Director(d) => {
            path.push(d);
            let fine = reached(d, members, path, reach);
            path.pop();
            fine
        }
    })
}

/// How everybody fares at the time of one pick.
#[derive(Clone, Copy)]
struct View<'a> {
    all: &'a Backends,
    now: Instant,
    /// What is asked for, where somebody may have failed it.
    object: Option<u64>,
    /// The first round.
    cautious: bool,
}

impl View<'_> {
    /// The origin, and the cookie that binds the visitor to it.
    fn choose(&self, target: Target, ask: &Ask<'_>) -> Option<(usize, Option<String>)> {
        let d = match target {
            // Who is called by name is not left out for how others would do.
            Target::Origin(i) => return self.all.origins[i].is_healthy().then_some((i, None)),
            Target::Director(d) => &self.all.directors[d],
        };
        if let Some(bound) = d.session.as_ref().and_then(|session| session.origin(ask)).filter(|o| self.keeps(*o)) {
            return Some((bound, None));
        }
        let Choice::Member(member) = d.rule.choose(&Members { view: self, targets: &d.members }, ask) else {
            return None;
        };
        let (origin, inner) = self.choose(d.members[member], ask)?;
        let own = d.session.as_ref().and_then(|session| session.set_cookie(origin));
        Some((origin, own.or(inner)))
    }

    /// Does a visitor that is bound to the origin stay there?
    fn keeps(&self, origin: usize) -> bool {
        let origin = &self.all.origins[origin];
        origin.health.serves_the_bound() && !(self.cautious && origin.is_ejected(self.now))
    }

    fn share(&self, target: Target) -> u64 {
        match target {
            Target::Origin(i) => {
                let origin = &self.all.origins[i];
                let avoided = || match (self.object, &origin.saint) {
                    (Some(object), Some(saint)) => saint.avoids(object, origin.since_born(self.now)),
                    (None, _) | (_, None) => false,
                };
                let left_out = self.cautious && (origin.is_ejected(self.now) || origin.is_full() || avoided());
                if left_out { 0 } else { origin.share(self.now) }
            }
            Target::Director(i) => {
                self.all.directors[i].members.iter().map(|member| self.share(*member)).max().unwrap_or(0)
            }
        }
    }

    fn load(&self, target: Target) -> u64 {
        match target {
            Target::Origin(i) => self.all.origins[i].load(),
            Target::Director(i) => self.all.directors[i].reach.iter().map(|&o| self.all.origins[o].load()).sum(),
        }
    }

    /// That of a director is its best one's.
    fn latency_us(&self, target: Target) -> f64 {
        match target {
            Target::Origin(i) => self.all.origins[i].latency_us(self.now),
            Target::Director(i) => {
                let reach = self.all.directors[i].reach.iter();
                reach.map(|&o| self.all.origins[o].latency_us(self.now)).fold(f64::MAX, f64::min)
            }
        }
    }
}

/// The members of one director, as its rule sees them.
struct Members<'a> {
    view: &'a View<'a>,
    targets: &'a [Target],
}

impl Field for Members<'_> {
    fn share(&self, member: usize) -> u64 {
        self.view.share(self.targets[member])
    }
    fn load(&self, member: usize) -> u64 {
        self.view.load(self.targets[member])
    }
    fn latency_us(&self, member: usize) -> f64 {
        self.view.latency_us(self.targets[member])
    }
}

#[cfg(test)]
mod tests;
